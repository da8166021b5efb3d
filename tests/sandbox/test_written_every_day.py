"""Ordinary Python that was refused or wrong: each tool gives in the sandbox what it gives in plain Python."""

from __future__ import annotations

import json
from typing import Any

import pytest

from druse.runtime import SandboxHost
from druse_sandbox.plain import plain

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOOLS = {
    "a class over NamedTuple": """
from typing import NamedTuple
class P(NamedTuple):
    x: int
    y: int = 0
def run(call):
    p = P(1)
    return {"p": list(p), "x": p.x, "d": p._asdict(), "r": list(p._replace(y=5)), "f": list(P._fields)}
""",
    "namedtuple with _make and _fields": """
from collections import namedtuple
P = namedtuple("P", "x y z")
def run(call):
    p = P._make([1, 2, 3])
    return [p.x, P._fields, repr(p), p == (1,2,3), p[1:], sorted([P(2,1,1), P(1,5,5)])[0].y]
""",
    "a class over a namedtuple": """
from collections import namedtuple
class Pt(namedtuple("Pt", ["x", "y"])):
    def norm(self):
        return (self.x**2 + self.y**2) ** 0.5
def run(call):
    return Pt(3, 4).norm()
""",
    "TypedDict total=False": """
from typing import TypedDict
class Row(TypedDict, total=False):
    a: int
    b: str
def run(call):
    r: Row = {"a": 1}
    r2 = Row(a=1, b="x")
    return [r, r2]
""",
    "dataclass with ClassVar and a private field": """
from dataclasses import dataclass, field
from typing import ClassVar
@dataclass
class A:
    x: int
    kind: ClassVar[str] = "k"
    _cache: dict = field(default_factory=dict, repr=False)
    def get(self, k):
        self._cache.setdefault(k, len(self._cache))
        return self._cache[k]
def run(call):
    a = A(1)
    return [a.get("p"), a.get("q"), a.get("p"), repr(a), A.kind]
""",
    "keyword-only dataclass and fields()": """
from dataclasses import dataclass, field, fields, asdict
@dataclass(kw_only=True, slots=True)
class Conf:
    host: str
    port: int = 80
    tags: list[str] = field(default_factory=list)
def run(call):
    c = Conf(host="h")
    return [asdict(c), [f.name for f in fields(c)]]
""",
    "contextmanager and suppress": """
from contextlib import contextmanager, suppress
@contextmanager
def tag(out, name):
    out.append(f"<{name}>")
    try:
        yield name
    finally:
        out.append(f"</{name}>")
def run(call):
    out = []
    with tag(out, "b") as n:
        out.append(n)
    with suppress(KeyError):
        {}["x"]
    return "".join(out)
""",
    "copy and deepcopy": """
import copy
def run(call):
    a = {"x": [1, 2, {"y": 3}]}
    b = copy.deepcopy(a)
    b["x"][2]["y"] = 9
    c = copy.copy(a)
    c["z"] = 1
    return [a, b, c]
""",
    "total_ordering and cached_property": """
from functools import cached_property, total_ordering
@total_ordering
class V:
    def __init__(self, s):
        self.s = s
    @cached_property
    def parts(self):
        return tuple(int(p) for p in self.s.split("."))
    def __eq__(self, o):
        return self.parts == o.parts
    def __lt__(self, o):
        return self.parts < o.parts
def run(call):
    return [v.s for v in sorted([V("1.10"), V("1.9"), V("1.2.3")])] + [V("1") >= V("0.9")]
""",
    "ChainMap": """
from collections import ChainMap
def run(call):
    m = ChainMap({"a": 1}, {"a": 2, "b": 3})
    return {"a": m["a"], "b": m["b"], "all": dict(m)}
""",
    "ABC and abstractmethod": """
from abc import ABC, abstractmethod
class Shape(ABC):
    @abstractmethod
    def area(self) -> float: ...
class Sq(Shape):
    def __init__(self, a):
        self.a = a
    def area(self):
        return self.a * self.a
def run(call):
    return sum(s.area() for s in [Sq(2), Sq(3)])
""",
    "Generic and TypeVar": """
from typing import TypeVar, Generic, Protocol
T = TypeVar("T")
class Stack(Generic[T]):
    def __init__(self) -> None:
        self.items: list[T] = []
    def push(self, x: T) -> None:
        self.items.append(x)
    def pop(self) -> T:
        return self.items.pop()
def run(call):
    s = Stack()
    s.push(1); s.push(2)
    return s.pop()
""",
    "encodings of other worlds": """
def run(call):
    data = "caf\\xe9"
    return [data.encode("latin-1").decode("latin-1"), data.encode("cp1252").hex(), "\\ufeffabc".encode("utf-8").decode("utf-8-sig"), data.encode("utf-16").decode("utf-16"), data.encode("utf-16-le").hex(), data.encode("ascii", "ignore").decode()]
""",
    "slots and yield from": """
class Node:
    __slots__ = ("v", "l", "r")
    def __init__(self, v, l=None, r=None):
        self.v, self.l, self.r = v, l, r
def insert(n, v):
    if n is None:
        return Node(v)
    if v < n.v:
        n.l = insert(n.l, v)
    else:
        n.r = insert(n.r, v)
    return n
def walk(n):
    if n:
        yield from walk(n.l)
        yield n.v
        yield from walk(n.r)
def run(call):
    root = None
    for v in [5, 2, 8, 1, 9]:
        root = insert(root, v)
    return list(walk(root))
""",
    "super().__str__": """
class Base:
    def __init__(self, name):
        self.name = name
    def __str__(self):
        return f"Base({self.name})"
    def __repr__(self):
        return str(self)
class Child(Base):
    def __init__(self, name, age):
        super().__init__(name)
        self.age = age
    def __str__(self):
        return super().__str__() + f"/{self.age}"
def run(call):
    return [str(Child("a", 3)), f"{Child('b', 4)!r:>20}", f"{Child('b', 4)}", "%s" % Child("z", 1)]
""",
    "a generator that is sent values": """
def averager():
    total = n = 0
    avg = None
    while True:
        x = yield avg
        total += x
        n += 1
        avg = total / n
def run(call):
    g = averager()
    next(g)
    out = [g.send(v) for v in (10, 20, 30)]
    g.close()
    return out
""",
    "csv with QUOTE_ALL": """
import csv, io
def run(call):
    text = "name,age\\nann,3\\nbob,4\\n"
    rows = [{**r, "age": int(r["age"])} for r in csv.DictReader(io.StringIO(text))]
    out = io.StringIO()
    w = csv.DictWriter(out, fieldnames=["name", "age"], quoting=csv.QUOTE_ALL)
    w.writeheader()
    w.writerows(rows)
    return [rows, out.getvalue()]
""",
    "StringIO as a file": """
from io import StringIO
def run(call):
    with StringIO("a\\nb\\nc") as f:
        first = f.readline()
        rest = [line.strip() for line in f]
        f.seek(0)
        return [first, rest, f.read()]
""",
    "strftime and timetuple": """
from datetime import datetime, timedelta, timezone, date
def run(call):
    d = datetime.strptime("2024-02-28 10:11", "%Y-%m-%d %H:%M").replace(tzinfo=timezone.utc)
    e = d + timedelta(days=2, hours=3)
    return [e.isoformat(), (e - d).total_seconds(), str(e - d), e.date().isoformat(), e.strftime("%A %d %B %Y"), d.isocalendar()[1], date(2024, 1, 31).replace(month=3).isoformat(), d < e, (e-d).days, f"{d:%Y/%m/%d}", str(d), d.timetuple().tm_yday, d.weekday(), datetime.fromtimestamp(0, tz=timezone.utc).isoformat(), timedelta(hours=5) // timedelta(minutes=30)]
""",
    "string.Template": """
import textwrap, string
def run(call):
    t = textwrap.dedent(\"\"\"\\
        hello
          world
    \"\"\")
    return [t, textwrap.fill("aaa bbb ccc ddd", width=7), textwrap.shorten("hello big world", 11), string.Template("$a-$b").substitute(a=1, b=2), string.capwords("ab cd"), t.title().swapcase().center(30, "*"), "a-b_c".translate(str.maketrans({"-": " ", "_": None})), textwrap.indent("a\\nb", "> "), textwrap.wrap("a b c d e", width=3, break_long_words=False)]
""",
    "urlparse()._replace": """
from urllib.parse import urlparse, parse_qs, urlencode, quote, urljoin, urlunparse, unquote
def run(call):
    u = urlparse("https://user:pw@ex.com:8080/a/b?x=1&y=2&x=3#frag")
    scheme, netloc, *rest = u
    return [u.scheme, u.netloc, u.port, u.hostname, parse_qs(u.query), urlencode({"a": "x y", "b": [1, 2]}, doseq=True), quote("a b/c"), urljoin("http://a/b/c", "../d"), u._replace(query="").geturl(), scheme, urlunparse(("http", "h", "/p", "", "q=1", "")), u[2], unquote("%C3%A9")]
""",
    "rarer operators": """
class Matrix:
    def __init__(self, rows):
        self.rows = rows
    def __matmul__(self, o):
        return Matrix([[sum(a * b for a, b in zip(r, c)) for c in zip(*o.rows)] for r in self.rows])
    def __getitem__(self, ij):
        i, j = ij
        return self.rows[i][j]
    def __setitem__(self, ij, v):
        self.rows[ij[0]][ij[1]] = v
    def __eq__(self, o):
        return isinstance(o, Matrix) and self.rows == o.rows
    def __invert__(self):
        return Matrix([list(c) for c in zip(*self.rows)])
    def __format__(self, spec):
        return spec.join(str(r) for r in self.rows)
    def __round__(self, n=0):
        return 1
    def __index__(self):
        return 2
    def __lshift__(self, o):
        return o
    def __bytes__(self):
        return b""
def run(call):
    m = Matrix([[1, 2], [3, 4]])
    m[0, 1] = 7
    return [(m @ m).rows, m[0, 1], (~m).rows, m == Matrix([[1, 7], [3, 4]]), f"{m:;}"]
""",
    "a frozen dataclass": """
from dataclasses import dataclass, astuple, replace, is_dataclass
import dataclasses
@dataclass(frozen=True, order=True)
class Version:
    major: int
    minor: int = 0
    @classmethod
    def parse(cls, s: str) -> "Version":
        return cls(*map(int, s.split(".")))
    def __str__(self):
        return f"{self.major}.{self.minor}"
@dataclass
class Pkg:
    name: str
    v: Version
    deps: list["Pkg"] = dataclasses.field(default_factory=list)
    total: int = dataclasses.field(init=False)
    def __post_init__(self):
        self.total = len(self.deps)
def run(call):
    a, b = Version.parse("1.2"), Version.parse("1.10")
    p = Pkg("x", a, [Pkg("y", b)])
    try:
        a.major = 5
        frozen = False
    except dataclasses.FrozenInstanceError:
        frozen = True
    return [str(max(a, b)), a < b, len({a, Version(1, 2)}), repr(p), dataclasses.asdict(p), astuple(a), str(replace(a, minor=9)), frozen, is_dataclass(p), p == Pkg("x", a, [Pkg("y", b)])]
""",
    "OSError and its kin": """
def run(call):
    try:
        raise FileNotFoundError("nope")
    except OSError as e:
        a = str(e)
    except (TimeoutError, ConnectionError, PermissionError, EOFError):
        a = 1
    return a
""",
    "__init_subclass__": """
class Meta:
    registry = {}
    def __init_subclass__(cls, **kw):
        Meta.registry[cls.__name__] = cls
class A(Meta):
    pass
def run(call):
    return list(Meta.registry)
""",
    "__radd__ = __add__": """
class Temp:
    def __init__(self, c):
        self.c = c
    @property
    def f(self):
        \"\"\"Fahrenheit.\"\"\"
        return self.c * 9 / 5 + 32
    def __lt__(self, o): return self.c < o.c
    def __hash__(self): return hash(self.c)
    def __eq__(self, o): return self.c == o.c
    def __add__(self, o): return Temp(self.c + o.c)
    __radd__ = __add__
    def __neg__(self): return Temp(-self.c)
    def __abs__(self): return Temp(abs(self.c))
    def __float__(self): return float(self.c)
    def __int__(self): return int(self.c)
    def __enter__(self): return self
    def __exit__(self, *a): return True
def run(call):
    with Temp(1) as t:
        raise ValueError
    return [sorted([Temp(3), Temp(1)])[0].c, Temp(100).f, len({Temp(1), Temp(1)}), (Temp(1) + Temp(2)).c, (-Temp(1)).c, float(Temp(2)), int(Temp(2.5)), t.c, abs(Temp(-4)).c]
""",
    "__main__ and __all__": """
if __name__ == "__main__":
    print("x")
__all__ = ["run"]
def run(call):
    \"\"\"Doc.\"\"\"
    return 1
""",
    "names with two underscores": """
def run(call):
    class C:
        n = 0
        items = []
        def __init__(self):
            type(self).n += 1
            C.items.append(self.n)
            self.__secret = 5
        def get(self):
            return self.__secret
    C(); c = C()
    c.x = 1
    setattr(c, "y", 2)
    del c.x
    return [C.n, C.items, c.get(), hasattr(c, "x"), c.y]
""",
}


@pytest.mark.parametrize("title", list(TOOLS))
async def test_a_tool_gives_what_plain_python_gives(host: SandboxHost, title: str) -> None:
    names: dict[str, Any] = {"__name__": "tool"}
    exec(compile(TOOLS[title], "tool.py", "exec", dont_inherit=True), names)
    wanted = json.loads(json.dumps(plain(names["run"](None))))
    result = await host.run(TOOLS[title], {})
    assert (result.status, result.error, result.problems, result.value) == ("ok", None, (), wanted)
