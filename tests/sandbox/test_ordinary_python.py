"""Python as people write it: what was refused or gave other values than Python does."""

from __future__ import annotations

from typing import Any

import pytest

from druse.runtime import SandboxHost

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLASSES = (
    "class Base:\n    _count = 0\n    def __init__(self, a):\n        self._a = a\n    def _twice(self):\n"
    "        return self._a * 2\n    def show(self):\n        return 'base'\n"
    "class Child(Base):\n    def __init__(self, a, b):\n        super().__init__(a)\n        self.b = b\n"
    "    def show(self):\n        return super().show() + '+child'\n"
    "class Failed(Exception):\n    def __init__(self, message, code):\n        super().__init__(message)\n"
    "        self.code = code\n"
    "class Old(Base):\n    def __init__(self):\n        Base.__init__(self, 9)\n"
)
SAME = [
    (CLASSES + "c = Child(2, 3)\n[c._twice(), c.b, c.show(), c._count, Old()._a]", [4, 3, "base+child", 0, 9]),
    (CLASSES + "try:\n    raise Failed('m', 7)\nexcept Failed as e:\n    r = [str(e), e.code, e.args]\nr", ["m", 7, ["m"]]),
    ("class A:\n    def __init__(self):\n        super().__init__()\n        self.x = 1\nA().x", 1),
    ("class E(ValueError):\n    pass\ntry:\n    raise E('z')\nexcept ValueError as e:\n    r = str(e)\nr", "z"),
    ("from __future__ import annotations\ndef f(x: Undefined) -> Missing:\n    return x\nf(1)", 1),
    ("import urllib.parse as up\nup.quote('a b')", "a%20b"),
    ("import urllib.parse\nurllib.parse.quote('a b')", "a%20b"),
    ("from functools import partial\ndef f(**k):\n    return k\npartial(f, function=1)(**{'cls': 2})", {"function": 1, "cls": 2}),
    ("call('echo', **{'function': 1, 'self': 2})", {"function": 1, "self": 2}),
    ("'{:>{}}|{x:{w}}|{0[a]}|{y!a}'.format({'a': 1}, 3, x=1, w=2, y='é') if False else '{:>{}}'.format('a', 3)", "  a"),
    ("'{0[a]}{1.real}{y!a}{x:{w}}'.format({'a': 1}, 3, y='é', x=1, w=2)", "13'\\xe9' 1"),
    ("'{a}'.format_map({'a': 1})", "1"),
    ("isinstance(5, object), bin(5), int.from_bytes(b'\\x01\\x00', 'big'), (5).to_bytes(2, 'big').hex()", [True, "0b101", 256, "0005"]),
    ("import json\njson.dumps({'é': 1}), json.dumps([1, 2], separators=(',', ':'))", ['{"\\u00e9": 1}', "[1,2]"]),
    ("import json\njson.dumps({'a': {1}}, default=list)", '{"a": [1]}'),
    ("import json\ntry:\n    json.loads('{')\nexcept json.JSONDecodeError as e:\n    r = [e.lineno, e.colno]\nr", [1, 2]),
    ("import hashlib\nh = hashlib.md5()\nh.update(b'a')\nh.hexdigest()[:6]", "0cc175"),
    (
        "from functools import lru_cache, wraps\n@lru_cache(maxsize=None)\ndef fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\nfib(80)",
        23416728348467685,
    ),
    (
        "from collections import namedtuple\nP = namedtuple('P', 'x y', defaults=[5])\np = P(1)\na, b = p\n"
        "[p.x, p[1], a, b, p._asdict(), p._replace(y=0), str(p), p == (1, 5)]",
        [1, 5, 1, 5, {"x": 1, "y": 5}, [1, 0], "P(x=1, y=5)", True],
    ),
    ("from typing import TypedDict, Callable\nclass Row(TypedDict):\n    a: int\nRow(a=1)", {"a": 1}),
    ("from operator import attrgetter, methodcaller\n[methodcaller('upper')('a'), attrgetter('real')(3)]", ["A", 3]),
    ("import csv, io\n[dict(r) for r in csv.DictReader(io.StringIO('a,b\\n1,2\\n'))]", [{"a": "1", "b": "2"}]),
    ("import csv, io\no = io.StringIO()\nw = csv.writer(o)\nw.writerow([1, 'x,y'])\no.getvalue()", '1,"x,y"\r\n'),
    ("from datetime import date\nd = date(2024, 5, 17)\n[d.isocalendar().week, d.isocalendar()]", [20, [2024, 20, 5]]),
    ("from datetime import date\nf'{date(2024, 1, 2):%d.%m.%Y 100000}'", "02.01.2024 100000"),
    ("from urllib.parse import urlparse\nu = urlparse('http://u:p@h:abc/x')\n[u.path, u[1], u.password]", ["/x", "u:p@h:abc", "p"]),
    ("from dataclasses import dataclass\n@dataclass(order=True)\nclass P:\n    x: int\n[P(1) <= P(1), P(2) > P(1), P(1) == P(1)]", [True, True, True]),
    ("from dataclasses import dataclass\n@dataclass(frozen=True)\nclass P:\n    x: int\nlen({P(1), P(1)})", 1),
    ("from dataclasses import dataclass, field\n@dataclass\nclass P:\n    t: list = field(default_factory=list)\nP().t.append(1)\nP().t", []),
    ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n    def __post_init__(self):\n        self.x += 1\nP(1).x", 2),
    ("_cache = {}\ndef _helper(n):\n    _cache[n] = 1\n    return [_i for _i in _cache]\n_helper(3)", [3]),
    ("def f():\n    return 1\n[f.__name__, type(f).__name__, type(1).__name__]", ["f", "function", "int"]),
    ("[str(call), str(math_is), repr(A())] if False else str(call)", "<function call>"),
    ("class A:\n    pass\nrepr(A())", "<A object>"),
]  # fmt: skip


async def echo(tool: str, arguments: Any) -> Any:
    return arguments


@pytest.mark.parametrize(("source", "value"), SAME)
async def test_ordinary_python_gives_what_python_gives(host: SandboxHost, source: str, value: Any) -> None:
    result = await host.run(source, {}, mode="script", call=echo)

    assert (result.status, result.value) == ("ok", value), result


REFUSED = [
    ("from dataclasses import dataclass\n@dataclass\nclass P:\n    t: list = []", "default_factory=list"),
    ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int = 1\n    y: int", "follows x"),
    ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nlen({P(1)})", "unhashable"),
    ("from datetime import datetime\ndatetime.now()", "take the time as an argument"),
    ("return 5", "outside function"),
    ("def f():\n    nonlocal q", "nonlocal"),
    ("break", "outside loop"),
    ("def f(a, a):\n    pass", "duplicate argument"),
    ("s = super", "super"),
    ("desugared_1 = 5", "a name that the compiler makes"),
]


@pytest.mark.parametrize(("source", "message"), REFUSED)
async def test_what_is_refused_says_why(host: SandboxHost, source: str, message: str) -> None:
    result = await host.run(source, {}, mode="script")
    told = " ".join([p.message for p in result.problems] + [result.error.message if result.error else ""])

    assert result.status in ("rejected", "error") and message in told, result


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    def m(self):\n        return super().__class__\nA().m()",
        "class A:\n    def m(self):\n        return super().__reduce_ex__\nA().m()",
        "class A:\n    def m(self):\n        return super(A, 5).x\nA().m()",
        "class A:\n    def m(self):\n        return super(object, self).x\nA().m()",
        "class A:\n    pass\nA()._missing",
        "import io\nio.StringIO('x').__held__",
        "import io\nio.StringIO('x')._held",
        "call._function",
        "''._x",
        "{}._x",
        "def f():\n    pass\nf._x = 1",
        "_getattr_ = 1",
        "def _write_():\n    pass",
        "_limits_ = 1",
        "import math as _super_",
        "ValueError.__init__(5, 6)",
        "from collections import namedtuple\nnamedtuple('P', '__class__')",
        "from collections import namedtuple\nnamedtuple('P', 'x')(1).row_extras",
        "'{0.__held__}'.format(1)",
        "'{0._function}'.format(call)",
    ],
)
async def test_the_new_ways_lead_no_further(host: SandboxHost, source: str) -> None:
    result = await host.run(source, {}, mode="script")

    assert result.status in ("rejected", "error"), result
