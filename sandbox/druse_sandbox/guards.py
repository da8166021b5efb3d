"""What a tool's code may do with objects: data only, by the object's type; everything else is refused.

The transformer of RestrictedPython turns attribute access, item access, iteration and writes into calls of the
functions here. No module, no host object, no type's internals are ever reachable: the names a type shows are listed.
"""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import itertools
import re
import uuid
from typing import Any, cast

from druse_sandbox.bounds import check_spec


def names(text: str) -> frozenset[str]:
    """The words of a text as a set."""
    return frozenset(text.split())


_TEXT = (
    "capitalize casefold center count encode endswith expandtabs find index isalnum isalpha isascii isdecimal isdigit "
    "isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip partition removeprefix "
    "removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title "
    "upper zfill maketrans translate format"
)
_ALLOWED: dict[type, frozenset[str]] = {
    str: frozenset(_TEXT.split()),
    bytes: names("count decode endswith find hex index join replace rfind split startswith strip fromhex"),
    list: names("append clear copy count extend index insert pop remove reverse sort"),
    tuple: names("count index"),
    dict: names("clear copy fromkeys get items keys pop popitem setdefault update values"),
    set: names(
        "add clear copy difference difference_update discard intersection intersection_update isdisjoint "
        "issubset issuperset pop remove symmetric_difference symmetric_difference_update union update"
    ),
    frozenset: names("copy difference intersection isdisjoint issubset issuperset symmetric_difference union"),
    int: names("bit_length bit_count conjugate real imag numerator denominator as_integer_ratio"),
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
        "isoformat strftime replace toordinal date time timetz timestamp astimezone utcoffset tzname dst "
        "combine fromisoformat fromtimestamp strptime fromordinal min max"
    ),
    datetime.time: names("hour minute second microsecond tzinfo fold isoformat strftime replace fromisoformat min max"),
    datetime.timedelta: names("days seconds microseconds total_seconds min max"),
    datetime.timezone: names("utc utcoffset tzname"),
    decimal.Decimal: names(
        "quantize normalize to_integral_value as_tuple is_nan is_zero is_signed sqrt copy_abs compare as_integer_ratio"
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
    type({}.keys()): frozenset(("isdisjoint",)),
    type({}.items()): frozenset(("isdisjoint",)),
}
_WRITABLE = (list, dict, set, collections.Counter, collections.OrderedDict, collections.defaultdict, collections.deque)


DATA_TYPES = frozenset(_ALLOWED)


class Record:
    """The base of every class that tool code defines: plain attributes, nothing of the host's."""


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
    if type(name) is not str or name.startswith("_"):
        raise AttributeError(f"the name {str(name)[:40]!r} is not available here")
    kind = type(value)
    if kind is Facade:
        members = value.members
        if name in members:
            return members[name]
        raise AttributeError(f"{value.name} has no {name} here; it has {', '.join(sorted(members))}")
    if kind is str and name == "format":
        return _SafeFormat(value)
    allowed = _ALLOWED.get(kind)
    if allowed is not None:
        if name in allowed:
            return getattr(value, name)
        raise AttributeError(f"{kind.__name__} has no {name} here")
    if isinstance(value, Record) and _is_own(kind, name, value):
        return getattr(value, name)
    if kind is type:
        return _of_type(cast("type", value), name)
    if isinstance(value, Exception):
        if name in ("args", "message", "kind", "details"):
            return _plain(getattr(value, name, ""))
        raise AttributeError(f"exceptions have no {name} here; use str(error)")
    if isinstance(value, Record):
        raise AttributeError(f"{kind.__name__} has no attribute {name}")
    if kind is property and name in ("setter", "getter", "deleter"):
        return getattr(value, name)
    raise AttributeError(f"{kind.__name__} has no attributes here")


def _is_own(kind: type, name: str, value: Any = None) -> bool:
    """Whether tool code itself defined this name, on the object or in its classes."""
    if value is not None and name in vars(value):
        return True
    return any(name in vars(base) for base in kind.__mro__ if issubclass(base, Record) and base is not Record)


def _of_type(value: type, name: str) -> Any:
    if issubclass(value, Record) and _is_own(value, name):
        return getattr(value, name)
    allowed = _ALLOWED.get(value, frozenset())
    if name in allowed and not (value is str and name == "format"):
        return getattr(value, name)
    raise AttributeError(f"{value.__name__} has no {name} here")


def _plain(value: Any) -> Any:
    """Plain data of an exception's arguments; anything else as text."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is tuple:
        return tuple(_plain(item) for item in value)
    if type(value) in (list, dict):
        return value
    return f"<{type(value).__name__}>"


class _SafeFormat:
    """`str.format` with plain fields only: names and numbers, no attributes, no items."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        def value(match: re.Match[str]) -> str:
            nonlocal position
            if match[0] in ("{{", "}}"):
                return match[0][0]
            name, conversion, spec = match[1], match[2], match[3] or ""
            if name is None:
                raise ValueError("a single brace in a format text must be doubled")
            if name == "":
                field, position = args[position], position + 1
            else:
                field = args[int(name)] if name.isdigit() else kwargs[name]
            if conversion:
                field = repr(field) if conversion == "r" else str(field)
            return format(field, check_spec(spec))

        position = 0
        return re.sub(r"\{\{|\}\}|\{(\w*)(?:!([rs]))?(?::([^{}]*))?\}|[{}]", value, self.text)


def get_item(value: Any, key: Any) -> Any:
    """`value[key]`; types are subscripted only in annotations, where the alias says nothing."""
    return value[key]


def write_to(value: Any) -> Any:
    """The object of an assignment to `value.x` or `value[x]`, if tool code may change it."""
    if type(value) in _WRITABLE:
        return value
    if isinstance(value, Record):
        if getattr(type(value), "desugared_frozen", False) is True:
            raise AttributeError(f"{type(value).__name__} is frozen")
        return value
    if type(value) is type and issubclass(value, Record) and value is not Record:
        return value
    raise TypeError(f"{type(value).__name__} cannot be changed here")


def make_class(name: str, bases: tuple[type, ...], members: dict[str, Any]) -> type:
    """The metaclass of tool code: a class over Record, over another such class, or over an exception."""
    for base in bases:
        if base is object or issubclass(base, Record | Exception):
            continue
        raise TypeError(f"a class cannot be based on {getattr(base, '__name__', 'this')} here")
    real = tuple(base for base in bases if base is not object)
    if not any(issubclass(base, Record | Exception) for base in real) or all(
        issubclass(base, Exception) for base in real
    ):
        real = (*real, Record)
    clean = {key: member for key, member in members.items() if key not in ("__slots__", "__class__", "__dict__")}
    return type(name, real, clean)
