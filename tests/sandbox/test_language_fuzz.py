"""Generated programs: refused, or run over plain data. Nothing of the interpreter is ever in their hands.

Programs are built from the constructs of the dialect and of Python at large, with attributes, names and imports that
lead out of other sandboxes. They run in this process, under the guards that workers use, with a watch around the one
door to attributes; an oracle looks at every value a program can return, print or pass on.
"""

from __future__ import annotations

import builtins as python
import collections
import datetime
import decimal
import fractions
import io
import itertools
import re
import sys
import types
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from druse_sandbox import builtins as language
from druse_sandbox import guards
from druse_sandbox.builtins import Diverged, ToolError, names_for
from druse_sandbox.facades import build
from druse_sandbox.formats import SafeFormat
from druse_sandbox.guards import Facade, Listed, NamedRow, Record
from druse_sandbox.language import compile_source

# What leads out elsewhere, and what is ordinary.
ATTRIBUTES = st.sampled_from(
    "__class__ __globals__ __dict__ __init__ __name__ __mro__ __subclasses__ __self__ __func__ __code__ __closure__ "
    "__traceback__ __reduce_ex__ __getattribute__ __setattr__ __new__ __call__ __module__ __wrapped__ __builtins__ "
    "gi_frame f_back f_globals tb_frame cr_frame obj object name with_traceback mro format format_map _x _private "
    "_held __held__ _asdict _replace _fields row_fields row_extras members _function _name _text desugared_fields x y "
    "append items keys upper split join get copy sort args message real now today fromkeys args kind setter fget".split()
)
NAMES = st.sampled_from(
    "a b c _p self cls call call_all require one expect print progress object type super Exception ValueError str int "
    "list dict tuple getattr setattr hasattr isinstance iter next map filter sorted property staticmethod classmethod "
    "dataclass field asdict astuple replace namedtuple partial reduce lru_cache attrgetter methodcaller itemgetter "
    "StringIO DictReader writer urlparse Counter deque A B Point ToolError NotImplemented __builtins__ _getattr_ "
    "_write_ _super_ _limits_ _type_name_ __metaclass__ __class__ desugared_1 __import__ open eval exec vars".split()
)
MODULES = st.sampled_from(
    "math json re datetime collections functools operator dataclasses io csv typing urllib urllib.parse string random "
    "uuid decimal hashlib os sys builtins importlib __future__ enum types".split()
)
CONSTANTS = st.one_of(
    st.integers(-3, 9),
    st.sampled_from(["", "x", "__class__", "{0.__class__}", "{x._held}", "{0[0]}", "%s", "a b", "_x"]),
    st.none(),
    st.booleans(),
)


def expressions() -> st.SearchStrategy[str]:
    """Source texts of expressions."""
    leaf = st.one_of(CONSTANTS.map(repr), NAMES, NAMES)

    def wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(
            st.builds("({}).{}".format, inner, ATTRIBUTES),
            st.builds("({}).{}".format, inner, ATTRIBUTES),
            st.builds("({})({})".format, inner, inner),
            st.builds("({})()".format, inner),
            st.builds("({})(*[{}], **{{'function': {}}})".format, inner, inner, inner),
            st.builds("({})[{}]".format, inner, inner),
            st.builds("getattr({}, {!r}, {})".format, inner, ATTRIBUTES, inner),
            st.builds("({}).format({}, x={})".format, inner, inner, inner),
            st.builds("[{}, {}]".format, inner, inner),
            st.builds("{{{}: {}}}".format, inner, inner),
            st.builds("({} + {})".format, inner, inner),
            st.builds("({} == {})".format, inner, inner),
            st.builds("[{} for a in ({},)]".format, inner, inner),
            st.builds("(lambda a: {})({})".format, inner, inner),
            st.builds("({} if {} else {})".format, inner, inner, inner),
            st.builds("f'{{{}}}'".format, NAMES),
            st.builds("(a := {})".format, inner),
            st.builds("type({}).__name__".format, inner),
            st.builds("super().{}".format, ATTRIBUTES),
            st.builds("list(map({}, [{}]))".format, inner, inner),
            st.builds("sorted([{}, {}], key={})".format, inner, inner, inner),
        )

    return st.recursive(leaf, wider, max_leaves=7)


EXPRESSIONS = expressions()


def indented(body: str) -> str:
    return "\n".join(f"    {line}" for line in body.splitlines())


def statements() -> st.SearchStrategy[str]:
    """Source texts of statements."""
    methods = st.sampled_from("__init__ __eq__ __repr__ __iter__ __getitem__ __call__ __enter__ __exit__ m _m".split())
    simple = st.one_of(
        st.builds("a = {}".format, EXPRESSIONS),
        st.builds("b = a, c = {}".format, EXPRESSIONS),
        st.builds("{} = {}".format, NAMES, EXPRESSIONS),
        st.builds("({}).{} = {}".format, EXPRESSIONS, ATTRIBUTES, EXPRESSIONS),
        st.builds("({}).{} += {}".format, EXPRESSIONS, ATTRIBUTES, EXPRESSIONS),
        st.builds("({})[{}] = {}".format, EXPRESSIONS, EXPRESSIONS, EXPRESSIONS),
        st.builds("setattr({}, {!r}, {})".format, EXPRESSIONS, ATTRIBUTES, EXPRESSIONS),
        st.builds("print({})".format, EXPRESSIONS),
        st.builds("call('t', a={})".format, EXPRESSIONS),
        st.builds("import {} as a".format, MODULES),
        st.builds("from {} import {} as b".format, MODULES, NAMES),
        st.builds("del ({}).{}".format, EXPRESSIONS, ATTRIBUTES),
        st.builds("raise ({})".format, EXPRESSIONS),
        st.builds("for a, b in {}:\n    break".format, EXPRESSIONS),
    )

    def wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        body = inner.map(indented)
        return st.one_of(
            st.builds("{}\n{}".format, inner, inner),
            st.builds("try:\n{}\nexcept Exception as b:\n    c = b".format, body),
            st.builds("try:\n{}\nfinally:\n{}".format, body, body),
            st.builds(
                "class {}({}):\n    x: int = {}\n    def {}(self, *a, **k):\n        b = {}\n        return b".format,
                st.sampled_from(["A", "B"]),
                st.sampled_from(
                    ["", "A", "Exception", "ValueError", "object", "Point", "StringIO", "dict", "type", "ToolError"]
                ),
                EXPRESSIONS,
                methods,
                EXPRESSIONS,
            ),
            st.builds("def _p(a={}, *b, **c):\n{}\n    return a".format, EXPRESSIONS, body),
            st.builds("with {} as b:\n{}".format, EXPRESSIONS, body),
            st.builds(
                "match {}:\n    case {{'x': a, **b}}:\n{}\n    case [a, *b]:\n        c = b".format, EXPRESSIONS, body
            ),
            st.builds("def g():\n    b = yield {}\n    return b\na = list(g())".format, EXPRESSIONS),
        )

    return st.recursive(simple, wider, max_leaves=5)


HEAD = (
    "from collections import namedtuple, Counter, deque\nfrom dataclasses import dataclass, field, asdict, astuple, replace\n"
    "from functools import partial, reduce, lru_cache\nfrom operator import attrgetter, methodcaller, itemgetter\n"
    "from io import StringIO\nfrom csv import DictReader, writer\nfrom urllib.parse import urlparse\n"
    "Point = namedtuple('Point', 'x y')\n"
    "@dataclass\nclass A:\n    x: int = 1\n    def _private(self):\n        return self\n"
    "class B(Exception):\n    y = 2\na, b, c, self, cls = A(), B('e'), StringIO('s'), Point(1, 2), A\n"
)
PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented), range, slice)
LIBRARY = (
    *(
        datetime.date,
        datetime.time,
        datetime.timedelta,
        datetime.timezone,
        decimal.Decimal,
        fractions.Fraction,
        uuid.UUID,
    ),
    *(re.Pattern, re.Match, type(datetime.date(2000, 1, 1).isocalendar())),
)
KINDS = {
    *(bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset, range, slice, object, property),
    *(
        map,
        filter,
        zip,
        enumerate,
        reversed,
        staticmethod,
        classmethod,
        *LIBRARY[:7],
        datetime.datetime,
        itertools.chain,
    ),
    *(collections.Counter, collections.OrderedDict, collections.defaultdict, collections.deque, guards.TypedDict),
    *(part for part in vars(itertools).values() if isinstance(part, type)),
}
ITERATORS = (map, filter, zip, enumerate, reversed, itertools.chain, types.GeneratorType)


class Watch:
    """The oracle: what may be in the hands of tool code."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names  # so that no other object takes the id of what is given
        # What the façades list is given on purpose; the page of the language shows all of it.
        self.listed = [member for facade in build().values() for member in facade.members.values()]
        self.given = {id(part) for part in (*names.values(), *names["__builtins__"].values(), *self.listed)}
        self.seen: set[int] = set()
        self.kept: list[Any] = []

    def check(self, value: Any, depth: int = 0) -> None:
        """Raise AssertionError for what must not be there."""
        if (isinstance(value, PLAIN) and type(value) in PLAIN) or id(value) in self.seen or depth > 20:
            return
        self.seen.add(id(value))
        self.kept.append(value)  # so that no other object takes the id
        assert not isinstance(value, types.ModuleType | types.FrameType | types.CodeType | types.TracebackType), value
        assert not isinstance(value, io.IOBase), value
        if isinstance(value, dict):
            for key, item in value.items():
                self.check(key, depth + 1)
                self.check(item, depth + 1)
        elif isinstance(value, list | tuple | set | frozenset | collections.deque):
            for item in value:
                self.check(item, depth + 1)
        elif isinstance(value, Record | Exception):
            for name, item in vars(value).items():
                assert name in ("__held__", "__rows__") or not name.startswith("__"), name
                if not name.startswith("__"):
                    self.check(item, depth + 1)
        elif isinstance(value, Facade):
            for item in value.members.values():
                self.check_member(item)
        else:
            self.check_member(value)

    def check_member(self, value: Any) -> None:
        if id(value) in self.given:
            return
        if isinstance(value, type):
            ours = issubclass(value, Record | Exception | NamedRow)
            assert ours or value in KINDS or (isinstance(value, type(Exception)) and id(value) in self.given), value
            return
        if isinstance(value, types.FunctionType):
            own = value.__code__.co_filename == "tool.py"
            assert own or value.__module__.startswith("druse_sandbox"), value
            return
        if isinstance(value, types.MethodType):
            assert not isinstance(value.__self__, types.ModuleType), value
            return
        if isinstance(value, types.BuiltinFunctionType):
            holder: Any = value.__self__
            known = holder is None or id(value) in self.given or not isinstance(holder, types.ModuleType)
            assert known or str(getattr(holder, "__name__", "")) in _C_MODULES, value
            return
        fine = (Listed, SafeFormat, Facade, property, staticmethod, classmethod, types.GenericAlias, types.UnionType)
        kind = type(value)
        iterates = isinstance(value, ITERATORS) or kind.__module__ in ("itertools", "builtins", "_csv", "collections")
        assert (
            isinstance(value, (*fine, *LIBRARY, *PLAIN))
            or iterates
            or (
                callable(value)
                and kind.__module__
                in (
                    "functools",
                    "druse_sandbox.guards",
                )
            )
        ), (kind, value)
        assert kind not in (super, types.MappingProxyType, types.CellType, types.MemberDescriptorType), value


_C_MODULES = {
    *(
        "builtins",
        "math",
        "_heapq",
        "_bisect",
        "_functools",
        "functools",
        "unicodedata",
        "_json",
        "itertools",
        "_operator",
    ),
    *("operator", "_statistics", "time", "_csv", "re", "_sre", "binascii", "_collections", "_random"),
}


@contextmanager
def watched(attributes: list[str]) -> Iterator[None]:
    """Every attribute that comes out of the guard is taken down."""
    real = language.get_attribute

    def taken(value: Any, name: Any) -> Any:
        found = real(value, name)
        attributes.append(name)
        return found

    language.get_attribute = taken
    try:
        yield
    finally:
        language.get_attribute = real


class TooLong(BaseException):
    """A program that runs for very many steps."""


def run(source: str) -> tuple[str, Watch | None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler, on odd but lawful code
        compiled = compile_source(source, script=True)
    if compiled.code is None:
        return "refused", None
    attributes: list[str] = []
    passed: list[Any] = []

    def call(tool: Any, /, *extra: Any, **arguments: Any) -> Any:
        passed.append((tool, extra, arguments))
        return {"tool": "t", "rows": [1, 2]}

    with watched(attributes):
        names = names_for(call, lambda calls: [], lambda kind, value: passed.append(value))
        watch = Watch(names)
        known = set(names)
        steps = 0

        def step(frame: Any, event: str, argument: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps > 20_000:
                raise TooLong
            return step

        previous = sys.gettrace()
        sys.settrace(step)
        try:
            exec(compiled.code, names)
            outcome = "ok"
        except (Exception, Diverged, TooLong) as error:
            sys.settrace(previous)
            outcome = type(error).__name__
            if isinstance(error, Record | ToolError):
                watch.check(error)
        finally:
            sys.settrace(previous)
    for name, value in names.items():
        if name not in known or name in ("call", "result"):
            watch.check(value) if name != "call" else None
    for value in passed:
        watch.check(value)
    for name in attributes:
        assert not name.startswith("__") or name in ("__init__", "__name__"), name
    assert names["__builtins__"]["__import__"] is not python.__import__
    return outcome, watch


SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@pytest.mark.requirement("H-16")
@SETTINGS
@given(program=st.lists(statements(), min_size=1, max_size=4).map("\n".join))
@example("result = c.__held__")
@example("result = c._held")
@example("result = (a._private()).x\nresult = getattr(b, '__traceback__')")
@example(
    "class A:\n    def __init__(self):\n        super().__init__()\n    def m(self):\n        return super().__class__\nA().m()"
)
@example("result = '{0.__class__}'.format(a)")
@example("result = asdict(a), astuple(a), replace(a, x=call)")
def test_a_generated_program_is_refused_or_stays_among_plain_data(program: str) -> None:
    run(HEAD + program)


def test_the_oracle_sees_what_must_not_be_there() -> None:
    watch = Watch(names_for(lambda *_: None, lambda *_: [], lambda *_: None))
    for value in (io, [io.StringIO()], {"a": (lambda: 0).__code__}, os_open(), type, super, Watch, vars(int)):
        with pytest.raises(AssertionError):
            watch.check(value)


def os_open() -> Any:
    import os

    return os.open


def test_most_generated_programs_run() -> None:
    """A fuzzer of refused programs would find nothing."""
    outcomes = collections.Counter[str]()

    @settings(
        max_examples=150,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(program=statements())
    def count(program: str) -> None:
        outcomes[run(HEAD + program)[0]] += 1

    count()
    assert sum(outcomes.values()) - outcomes["refused"] >= 40, outcomes
    assert outcomes["ok"] >= 10, outcomes
