"""What a tool's code may do with objects: data only, by the object's type; everything else is refused.

The transformer of RestrictedPython turns attribute access, item access, iteration and writes into calls of the
functions here. No module, no host object, no type's internals are ever reachable: the names a type shows are listed.
"""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import abc
import collections
import datetime
import decimal
import fractions
import itertools
import re
import statistics
import string
import time
import uuid
import weakref
from collections.abc import Callable
from functools import partial
from json import JSONDecodeError
from typing import Any, cast

from druse_sandbox.formats import SafeFormat
from druse_sandbox.rows import NamedRow, NamedTuple, declared_row, of_row, of_row_class


def names(text: str) -> frozenset[str]:
    """The words of a text as a set."""
    return frozenset(text.split())


_TEXT = (
    "capitalize casefold center count encode endswith expandtabs find index isalnum isalpha isascii isdecimal isdigit "
    "isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip partition removeprefix "
    "removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title "
    "upper zfill maketrans translate format format_map"
)
METHODS_BY_TYPE: dict[type, frozenset[str]] = {
    str: frozenset(_TEXT.split()),
    bytes: names(
        "count decode endswith find hex index join replace rfind split startswith strip fromhex lower upper lstrip "
        "rstrip partition splitlines isdigit isalpha"
    ),
    list: names("append clear copy count extend index insert pop remove reverse sort"),
    tuple: names("count index"),
    dict: names("clear copy fromkeys get items keys pop popitem setdefault update values"),
    set: names(
        "add clear copy difference difference_update discard intersection intersection_update isdisjoint "
        "issubset issuperset pop remove symmetric_difference symmetric_difference_update union update"
    ),
    frozenset: names("copy difference intersection isdisjoint issubset issuperset symmetric_difference union"),
    int: names("bit_length bit_count conjugate real imag numerator denominator as_integer_ratio to_bytes from_bytes"),
    bool: names("bit_length real imag numerator denominator"),
    float: names("is_integer as_integer_ratio real imag hex fromhex conjugate"),
    complex: names("real imag conjugate"),
    range: names("start stop step count index"),
    slice: names("start stop step indices"),
    datetime.date: names(
        "year month day weekday isoweekday isocalendar isoformat strftime replace toordinal timetuple "
        "today fromisoformat fromordinal fromisocalendar min max"
    ),
    datetime.datetime: names(
        "year month day hour minute second microsecond tzinfo fold weekday isoweekday isocalendar "
        "isoformat strftime replace toordinal timetuple date time timetz timestamp astimezone utcoffset tzname dst "
        "combine fromisoformat fromtimestamp strptime fromordinal min max"
    ),
    datetime.time: names("hour minute second microsecond tzinfo fold isoformat strftime replace fromisoformat min max"),
    datetime.timedelta: names("days seconds microseconds total_seconds min max"),
    datetime.timezone: names("utc utcoffset tzname"),
    decimal.Decimal: names(
        "quantize normalize to_integral_value to_integral_exact as_tuple is_nan is_zero is_signed is_finite "
        "is_infinite sqrt copy_abs copy_negate copy_sign adjusted compare max min fma remainder_near number_class "
        "as_integer_ratio"
    ),
    fractions.Fraction: names("numerator denominator limit_denominator as_integer_ratio"),
    uuid.UUID: names("hex int version urn"),
    re.Pattern: names("search match fullmatch split findall finditer sub subn pattern flags groups groupindex"),
    re.Match: names("group groups groupdict start end span expand string pos endpos lastindex lastgroup re"),
    collections.Counter: names(
        "most_common elements total subtract update clear copy get items keys pop popitem setdefault values"
    ),
    collections.OrderedDict: names("move_to_end clear copy get items keys pop popitem setdefault update values"),
    collections.defaultdict: names("clear copy get items keys pop popitem setdefault update values"),
    collections.deque: names(
        "append appendleft clear copy count extend extendleft index insert pop popleft remove reverse rotate maxlen"
    ),
    itertools.chain: frozenset(("from_iterable",)),
    type(datetime.date(2000, 1, 1).isocalendar()): names("year week weekday"),
    type(decimal.Decimal(1).as_tuple()): names("sign digits exponent"),
    time.struct_time: names("tm_year tm_mon tm_mday tm_hour tm_min tm_sec tm_wday tm_yday tm_isdst count index"),
    type(statistics.linear_regression((0, 1), (0, 1))): names("slope intercept"),
    string.Template: names("substitute safe_substitute template"),
    collections.ChainMap: names(
        "get keys values items maps parents new_child pop popitem clear copy setdefault update"
    ),
    type(_ for _ in ()): names("send close"),
    type({}.keys()): frozenset(("isdisjoint",)),
    type({}.items()): frozenset(("isdisjoint",)),
}
_WRITABLE = (
    *(list, dict, set, collections.Counter, collections.OrderedDict, collections.defaultdict, collections.deque),
    collections.ChainMap,
)


DATA_TYPES = frozenset(METHODS_BY_TYPE)


# Classes whose objects do not change after they are made: those of @dataclass(frozen=True).
FROZEN: weakref.WeakSet[type] = weakref.WeakSet()


class Record:
    """The base of every class that tool code defines: plain attributes, nothing of the host's."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object>"  # no address


class Listed:
    """A function that is handed out: called like one, with a text form that tells its name and no address."""

    __slots__ = ("_function", "_name")

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._name = name
        self._function = function

    def __call__(self, /, *args: Any, **named: Any) -> Any:
        """Call it."""
        return self._function(*args, **named)

    def __repr__(self) -> str:
        return f"<function {self._name}>"


class Facade:
    """A module as tool code sees it: listed functions and constants, nothing behind them."""

    __slots__ = ("members", "name")

    def __init__(self, name: str, members: dict[str, Any]) -> None:
        self.name = name
        self.members = members

    def __repr__(self) -> str:
        return f"<{self.name}>"


def get_attribute(value: Any, name: str) -> Any:
    """`value.name` where the type's list, or the class's own code, has it."""
    if type(name) is not str:
        raise AttributeError("the name of an attribute is a text")
    if name.startswith("_"):
        return _private(value, name)
    kind = type(value)
    if kind is Facade:
        members = value.members
        if name in members:
            return members[name]
        raise AttributeError(f"{value.name} has no {name} here; it has {', '.join(sorted(members))}")
    if kind is str and name in ("format", "format_map"):
        return SafeFormat(value, get_attribute, mapping=name == "format_map")
    allowed = METHODS_BY_TYPE.get(kind)
    if allowed is not None:
        if name in allowed:
            return getattr(value, name)
        raise AttributeError(f"{kind.__name__} has no {name} here{_hint(kind, name)}")
    if isinstance(value, Record) and _is_own(kind, name, value):
        return getattr(value, name)
    if kind is type:
        return _of_type(cast("type", value), name)
    if isinstance(value, NamedRow):
        return of_row(value, name)
    if isinstance(value, Exception):
        return _of_exception(value, name)
    if isinstance(value, Record):
        raise AttributeError(f"{kind.__name__} has no attribute {name}")
    if kind is property and name in ("setter", "getter", "deleter"):
        return getattr(value, name)
    raise AttributeError(f"{kind.__name__} has no attributes here")


def _private(value: Any, name: str) -> Any:
    """`self._x` of an object or class that tool code made, `x.__name__`, and `Base.__init__`; nothing else."""
    if is_private(name):
        if isinstance(value, Record) and _is_own(type(value), name, value):
            return getattr(value, name)
        if isinstance(value, NamedRow):
            return of_row(value, name)
        if type(value) is type and issubclass(value, Record) and _is_own(value, name):
            return getattr(value, name)
        if type(value) is type and issubclass(value, NamedRow):
            return of_row_class(value, name)
    elif name == "__name__" and type(value) is Listed:
        return repr(value)[10:-1]
    elif name == "__name__" and (type(value) is type or type(value) in _FUNCTIONS):
        return str(value.__name__)
    elif name == "__init__" and type(value) is type and issubclass(value, Record | Exception):
        return Listed("__init__", lambda self, *args, **named: initialise(value, self, args, named))
    raise AttributeError(f"the name {name[:40]!r} is not available here")


def is_private(name: str) -> bool:
    """Whether a name is a tool's own private one: one underscore before it, none behind it."""
    return name.startswith("_") and len(name) > 1 and name[1] != "_" and not name.endswith("_")


_FUNCTIONS = (type(is_private), type(len))


def initialise(cls: type, instance: Any, args: tuple[Any, ...], named: dict[str, Any], *, after: Any = None) -> None:
    """The `__init__` that `cls` has, on an object of it: of tool code, or the plain one of an exception or of nothing.

    With `after`, the one that follows that class in the order of the object's own classes, as `super()` means it.
    """
    if not isinstance(instance, cls):
        raise TypeError(f"__init__ of {cls.__name__} needs an object of it")
    order = type(instance).__mro__ if after is not None else cls.__mro__
    for base in order[order.index(after) + 1 if after is not None else 0 :]:
        own = vars(base).get("__init__")
        if own is None or base is object or base is Record:
            continue
        own(instance, *args, **named)
        return
    if args or named:
        raise TypeError(f"{cls.__name__}() takes no arguments")


def super_attribute(cls: Any, instance: Any, name: str) -> Any:
    """`super().name`: what the classes behind `cls`, made by tool code, say of it."""
    if type(cls) is not type or not issubclass(cls, Record):
        raise TypeError("super() is for methods of classes")
    kind = instance if type(instance) is type else type(instance)
    if not issubclass(kind, cls):
        raise TypeError("super() needs an object of the class")
    if name == "__init__":
        return Listed("__init__", lambda *args, **named: initialise(cls, instance, args, named, after=cls))
    order = kind.__mro__
    for base in order[order.index(cls) + 1 :]:
        if issubclass(base, Record) and base is not Record and name in vars(base):
            member = vars(base)[name]
            bind = getattr(type(member), "__get__", None)
            return member if bind is None else bind(member, None if kind is instance else instance, kind)
    if name in _INHERITED:
        return Listed(name, partial(_INHERITED[name], instance))
    raise AttributeError(f"no base of {cls.__name__} has {name}")


def _text_of(instance: Any) -> str:
    return Exception.__str__(instance) if isinstance(instance, Exception) else repr(instance)


def _shown(instance: Any) -> str:
    base: Any = next(base for base in (Exception, NamedRow, Record) if isinstance(instance, base))
    return str(base.__repr__(instance))


# What every object has without a class of tool code saying so, for `super()`.
_INHERITED: dict[str, Callable[..., Any]] = {
    "__str__": _text_of,
    "__repr__": _shown,
    "__eq__": lambda instance, other: True if instance is other else NotImplemented,
    "__ne__": lambda instance, other: False if instance is other else NotImplemented,
    "__hash__": object.__hash__,
    "__init_subclass__": lambda _, **named: None if not named else _no_arguments(named),
}


def _no_arguments(named: dict[str, Any]) -> None:
    raise TypeError(f"__init_subclass__() takes no arguments, and got {', '.join(named)}")


def _of_exception(value: Exception, name: str) -> Any:
    if name in ("args", "message", "kind", "details"):
        return _plain(getattr(value, name, ""))
    if isinstance(value, JSONDecodeError) and name in ("msg", "doc", "pos", "lineno", "colno"):
        return _plain(getattr(value, name))
    raise AttributeError(f"exceptions have no {name} here; use str(error)")


def _hint(kind: type, name: str) -> str:
    if kind in (datetime.date, datetime.datetime) and name in ("now", "utcnow"):
        return "; take the time as an argument of the tool, so that its runs can be repeated"
    return ""


def _is_own(kind: type, name: str, value: Any = None) -> bool:
    """Whether tool code itself defined this name, on the object or in its classes."""
    if value is not None and name in vars(value):
        return True
    return any(name in vars(base) for base in kind.__mro__ if issubclass(base, Record) and base is not Record)


def _of_type(value: type, name: str) -> Any:
    if issubclass(value, Record) and _is_own(value, name):
        return getattr(value, name)
    allowed = METHODS_BY_TYPE.get(value, frozenset())
    if name in allowed and not (value is str and name == "format"):
        return getattr(value, name)
    raise AttributeError(f"{value.__name__} has no {name} here{_hint(value, name)}")


def _plain(value: Any) -> Any:
    """Plain data of an exception's arguments; anything else as text."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is tuple:
        return tuple(_plain(item) for item in value)
    if type(value) in (list, dict):
        return value
    return f"<{type(value).__name__}>"


def write_to(value: Any) -> Any:
    """The object of an assignment to `value.x` or `value[x]`, if tool code may change it."""
    if type(value) in _WRITABLE:
        return value
    if isinstance(value, NamedRow):
        raise AttributeError(f"{type(value).__name__} cannot be changed: make another with _replace")
    if isinstance(value, Record):
        if not FROZEN.isdisjoint(type(value).__mro__):
            raise FrozenInstanceError(f"{type(value).__name__} is frozen")
        return value
    if type(value) is type and issubclass(value, Record) and value is not Record:
        return value
    raise TypeError(f"{type(value).__name__} cannot be changed here")


class FrozenInstanceError(AttributeError):
    """What a write to an object of a frozen dataclass raises."""


class ABC(Record):
    """The base of a class whose objects need every method that is marked as abstract."""


class Generic:
    """`Generic[T]` and `Protocol` as bases, and what `TypeVar` makes: they say nothing at run time."""

    def __class_getitem__(cls, _names: Any) -> Any:
        return cls


class TypedDict:
    """What `class Row(TypedDict)` names as its base: calling such a class makes a plain dictionary."""


def make_class(name: str, bases: tuple[Any, ...], members: dict[str, Any]) -> Any:
    """The metaclass of tool code: a class over Record, over another such class, or over an exception."""
    if any(base is TypedDict or base is _typed_row for base in bases):
        return _typed_row
    if any(base is NamedTuple for base in bases):
        if len(bases) != 1:
            raise TypeError("a class is based on NamedTuple alone")
        row, members = declared_row(name, members)
        if not any(key for key in members if key not in ("__module__", "__qualname__", "__doc__")):
            return row
        bases = (row,)
    for base in bases:
        if _says_nothing(base) or (type(base) is type and issubclass(base, Record | Exception | NamedRow)):
            continue
        raise TypeError(f"a class cannot be based on {getattr(base, '__name__', 'this')} here")
    real = tuple(base for base in bases if not _says_nothing(base))
    if not any(issubclass(base, Record | Exception) for base in real) or all(
        issubclass(base, Exception | NamedRow) and not issubclass(base, Record) for base in real
    ):
        real = (*real, Record)
    clean = {key: member for key, member in members.items() if key not in ("__slots__", "__class__", "__dict__")}
    clean["__module__"] = "tool"
    made = type(name, real, clean)
    if issubclass(made, ABC):
        # The interpreter itself refuses to make an object of a class with such names.
        missing = {name for base in made.__mro__ for name, member in vars(base).items() if _is_abstract(member)}
        cast("Any", made).__abstractmethods__ = frozenset(n for n in missing if _is_abstract(getattr(made, n)))
    return made


def _says_nothing(base: Any) -> bool:
    return base is object or base is Generic


def abstractmethod(function: Any, /) -> Any:
    """The mark of a method that a class over ABC must have."""
    if type(function) not in _FUNCTIONS:
        raise TypeError("abstractmethod marks a function; write it under @property")
    return abc.abstractmethod(function)


def _is_abstract(member: Any) -> bool:
    return type(member) in (*_FUNCTIONS, property, classmethod, staticmethod) and bool(
        getattr(member, "__isabstractmethod__", False)
    )


def _typed_row(*given: Any, **named: Any) -> dict[Any, Any]:
    return dict(*given, **named)
