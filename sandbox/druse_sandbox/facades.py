"""The modules of tool code: listed functions over plain data. No real module is ever handed out."""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import base64
import bisect
import collections
import csv
import datetime
import decimal
import fractions
import functools
import hashlib
import heapq
import html
import itertools
import json
import math
import operator
import random
import re
import statistics
import string
import textwrap
import unicodedata
import urllib.parse
import uuid
from collections.abc import Callable
from typing import Any

from druse_sandbox import bounds, buffers, contexts, records
from druse_sandbox.guards import (
    ABC,
    Facade,
    FrozenInstanceError,
    Generic,
    Listed,
    Record,
    TypedDict,
    abstractmethod,
    get_attribute,
)
from druse_sandbox.rows import NamedRow, NamedTuple, namedtuple

_RE_FUNCTIONS = ("compile", "search", "match", "fullmatch", "split", "findall", "finditer", "sub", "subn")
_MAX_PATTERN = 2000
_HASHES = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
_FUNCTION = type(lambda: None)
# Names of annotations, which are never evaluated: importing them is all they are for.
_TYPING = (
    "Any Optional Union List Dict Tuple Set FrozenSet Iterable Iterator Sequence Mapping MutableMapping Callable "
    "Literal Generator Type TypeAlias Final ClassVar NoReturn Self Hashable Annotated Required NotRequired Collection "
    "Container Sized Reversible MutableSequence MutableSet Deque DefaultDict Counter Pattern Match Never LiteralString "
    "TypeGuard Text AnyStr SupportsInt SupportsFloat"
)


def _members(module: Any, names: str) -> dict[str, Any]:
    return {name: getattr(module, name) for name in names.split()}


def _json_dumps(
    value: Any,
    /,
    *,
    indent: Any = None,
    sort_keys: bool = False,
    ensure_ascii: bool = True,
    separators: Any = None,
    default: Any = None,
) -> str:
    if indent is not None and not 0 <= (len(indent) if isinstance(indent, str) else indent) <= 16:
        raise ValueError("indent must be between 0 and 16")
    return json.dumps(
        value,
        indent=indent,
        sort_keys=bool(sort_keys),
        ensure_ascii=bool(ensure_ascii),
        separators=separators,
        default=default,
    )


def _json_loads(
    text: Any,
    /,
    *,
    object_hook: Any = None,
    object_pairs_hook: Any = None,
    parse_float: Any = None,
    parse_int: Any = None,
) -> Any:
    return json.loads(
        text, object_hook=object_hook, object_pairs_hook=object_pairs_hook, parse_float=parse_float, parse_int=parse_int
    )


def _pattern(pattern: Any) -> Any:
    if isinstance(pattern, str) and len(pattern) > _MAX_PATTERN:
        raise ValueError(f"a pattern over {_MAX_PATTERN} characters is not available here")
    return pattern


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    def checked(pattern: Any, *args: Any, **kwargs: Any) -> Any:
        return function(_pattern(pattern), *args, **kwargs)

    return checked


def _factorial(n: int) -> int:
    if n > 5000:
        raise OverflowError("factorial is available up to 5000 here")
    return math.factorial(n)


def _product(values: Any, *, start: Any = 1) -> Any:
    return functools.reduce(bounds.times, values, start)


def _hash(name: str) -> Callable[..., Facade]:
    def digest(data: bytes = b"") -> Facade:
        made = hashlib.new(name, data)
        shown = {"name": made.name, "digest_size": made.digest_size, "block_size": made.block_size}
        return Facade(name, {"hexdigest": made.hexdigest, "digest": made.digest, "update": made.update, **shown})

    return digest


def _new_hash(name: str, data: bytes = b"") -> Facade:
    if name not in _HASHES:
        raise ValueError(f"unsupported hash type {str(name)[:40]}; there are {', '.join(_HASHES)}")
    return _hash(name)(data)


def _random(seed: int = 0) -> Facade:
    generator = random.Random(seed)
    names = "random randint choice choices sample shuffle uniform randrange gauss"
    return Facade("random", {**_members(generator, names), "seed": generator.seed, "Random": _random})


_REPLACING: dict[str, Callable[[Any], Any]] = {
    "_replace": lambda row: lambda **new: type(row)(_filled(row, new)),
    "_asdict": lambda row: lambda: dict(zip(row.row_fields, row, strict=True)),
}


def _filled(row: NamedRow, new: dict[str, Any]) -> list[Any]:
    unknown = set(new) - set(row.row_fields)
    if unknown:
        raise ValueError(f"Got unexpected field names: {sorted(unknown)}")
    return [new.get(name, value) for name, value in zip(row.row_fields, row, strict=True)]


class _Url(NamedRow):
    """What `urlparse` finds; the host and the port are read when they are asked for."""

    __slots__ = ()
    row_fields = ("scheme", "netloc", "path", "params", "query", "fragment")
    row_extras = {  # noqa: RUF012 (never changed)
        **{
            name: lambda row, name=name: getattr(urllib.parse.ParseResult(*row), name)
            for name in ("hostname", "port", "username", "password")
        },
        "geturl": lambda row: lambda: urllib.parse.urlunparse(row),
        **_REPLACING,
    }


class _SplitUrl(_Url):
    __slots__ = ()
    row_fields = ("scheme", "netloc", "path", "query", "fragment")
    row_extras = {  # noqa: RUF012 (never changed)
        **{
            name: lambda row, name=name: getattr(urllib.parse.SplitResult(*row), name)
            for name in ("hostname", "port", "username", "password")
        },
        "geturl": lambda row: lambda: urllib.parse.urlunsplit(row),
        **_REPLACING,
    }


def _urlparse(url: str, scheme: str = "") -> _Url:
    return _Url(urllib.parse.urlparse(url, scheme))


def _urlsplit(url: str, scheme: str = "") -> _Url:
    return _SplitUrl(urllib.parse.urlsplit(url, scheme))


def build(check_limits: Callable[[], None] = lambda: None) -> dict[str, Facade]:
    """All façades by the name that `import` takes, made anew for each worker.

    `check_limits` is what ends the run before code goes on after an error that was a limit.
    """
    flags = _members(re, "IGNORECASE MULTILINE DOTALL VERBOSE ASCII I M S X A")
    regular = {name: _bounded(getattr(re, name)) for name in _RE_FUNCTIONS}
    parse = Facade(
        "urllib.parse",
        {
            **_members(urllib.parse, "quote quote_plus unquote unquote_plus urlencode urljoin parse_qs parse_qsl"),
            "urlparse": _urlparse,
            "urlunparse": lambda parts: urllib.parse.urlunparse(tuple(parts)),
            "urlunsplit": lambda parts: urllib.parse.urlunsplit(tuple(parts)),
            "urlsplit": _urlsplit,
        },
    )
    made: dict[str, dict[str, Any]] = {
        "math": {
            **_members(
                math,
                "acos acosh asin asinh atan atan2 atanh ceil copysign cos cosh degrees dist e erf erfc exp expm1 fabs "
                "floor fmod frexp fsum gamma gcd hypot inf isclose isfinite isinf isnan isqrt lcm ldexp lgamma log "
                "log10 log1p log2 modf nan pi pow radians remainder sin sinh sqrt tan tanh tau trunc",
            ),
            "factorial": _factorial,
            "prod": _product,
            "comb": lambda n, k: math.comb(n, k) if n <= 10_000 else _refuse("comb"),
            "perm": lambda n, k=None: math.perm(n, k) if n <= 2_000 else _refuse("perm"),
        },
        "json": {"dumps": _json_dumps, "loads": _json_loads, "JSONDecodeError": json.JSONDecodeError},
        "re": {**regular, **flags, "escape": re.escape, "error": re.error},
        "datetime": _members(datetime, "date datetime time timedelta timezone UTC MINYEAR MAXYEAR"),
        "statistics": _members(
            statistics,
            "mean fmean median median_low median_high mode multimode pstdev pvariance stdev variance quantiles "
            "geometric_mean harmonic_mean correlation covariance linear_regression",
        ),
        "itertools": _members(
            itertools,
            "accumulate batched chain combinations combinations_with_replacement compress count cycle dropwhile "
            "filterfalse groupby islice pairwise permutations product repeat starmap takewhile tee zip_longest"
            if hasattr(itertools, "batched")
            else "accumulate chain combinations combinations_with_replacement compress count cycle dropwhile "
            "filterfalse groupby islice pairwise permutations product repeat starmap takewhile tee zip_longest",
        ),
        "collections": {
            **_members(collections, "ChainMap Counter OrderedDict defaultdict deque"),
            "namedtuple": namedtuple,
        },
        "functools": {
            "reduce": functools.reduce,
            "partial": _partial,
            "cmp_to_key": functools.cmp_to_key,
            "lru_cache": _lru_cache,
            "cache": _cached,
            "cached_property": _CachedProperty,
            "total_ordering": _total_ordering,
            "wraps": _wraps,
        },
        "textwrap": _members(textwrap, "dedent fill indent shorten wrap"),
        "string": _members(
            string,
            "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits octdigits punctuation whitespace capwords "
            "Template",
        ),
        "base64": _members(base64, "b64decode b64encode urlsafe_b64decode urlsafe_b64encode b32encode b32decode"),
        "hashlib": {**{name: _hash(name) for name in _HASHES}, "new": _new_hash},
        "random": _random().members,
        "decimal": _members(
            decimal,
            "Decimal DecimalException InvalidOperation DivisionByZero Overflow Inexact ROUND_HALF_DOWN ROUND_05UP "
            "ROUND_HALF_UP ROUND_HALF_EVEN ROUND_DOWN ROUND_UP ROUND_CEILING ROUND_FLOOR",
        ),
        "fractions": {"Fraction": fractions.Fraction},
        "heapq": _members(heapq, "heapify heappop heappush heappushpop heapreplace nlargest nsmallest merge"),
        "bisect": _members(bisect, "bisect bisect_left bisect_right insort insort_left insort_right"),
        "html": _members(html, "escape unescape"),
        "csv": {
            "rows": buffers.rows,
            "dict_rows": buffers.dict_rows,
            "reader": buffers.reader,
            "writer": buffers.writer,
            "DictReader": buffers.DictReader,
            "DictWriter": buffers.dict_writer,
            "Error": csv.Error,
            **_members(csv, "QUOTE_ALL QUOTE_MINIMAL QUOTE_NONE QUOTE_NONNUMERIC"),
        },
        "io": {"StringIO": buffers.StringIO},
        "unicodedata": _members(unicodedata, "category name normalize numeric combining"),
        "uuid": {**_members(uuid, "uuid5 uuid3 UUID NAMESPACE_DNS NAMESPACE_URL NAMESPACE_OID")},
        "operator": {
            **_members(
                operator,
                "add sub truediv floordiv neg pos eq ne lt le gt ge and_ or_ xor not_ truth is_ is_not contains "
                "countOf indexOf getitem",
            ),
            "lshift": bounds.shift,
            "rshift": operator.rshift,
            "invert": operator.invert,
            "mul": bounds.times,
            "mod": bounds.modulo,
            "pow": bounds.power,
            "itemgetter": _itemgetter,
            "attrgetter": _attrgetter,
            "methodcaller": _methodcaller,
        },
        "dataclasses": {
            "dataclass": records.dataclass,
            "field": records.field,
            "asdict": records.asdict,
            "astuple": records.astuple,
            "replace": records.replace,
            "fields": records.fields,
            "is_dataclass": records.is_dataclass,
            "FrozenInstanceError": FrozenInstanceError,
        },
        "contextlib": {
            "contextmanager": contexts.contextmanager,
            "suppress": contexts.suppressing(check_limits),
            "nullcontext": contexts.NullContext,
        },
        "copy": {"copy": contexts.copy, "deepcopy": contexts.deepcopy},
        "abc": {"ABC": ABC, "abstractmethod": abstractmethod},
        "urllib": {"parse": parse},
        "typing": {
            **dict.fromkeys(_TYPING.split(), list),
            "TypedDict": TypedDict,
            "NamedTuple": NamedTuple,
            "Generic": Generic,
            "Protocol": Generic,
            "TypeVar": lambda name, *bounds, **named: Generic,
            "NewType": lambda name, kind: lambda value: value,
            "cast": lambda kind, value: value,
            "overload": lambda function: function,
            "runtime_checkable": lambda cls: cls,
            "TYPE_CHECKING": False,
        },
    }
    for members in made.values():
        for name, member in members.items():
            if type(member) is _FUNCTION:
                members[name] = Listed(name, member)
    facades = {name: Facade(name, members) for name, members in made.items()}
    facades["urllib.parse"] = parse
    return facades


def _refuse(name: str) -> Any:
    raise OverflowError(f"{name} of so large a number is not available here")


def _partial(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Callable[..., Any]:
    def called(*more: Any, **named: Any) -> Any:
        return function(*args, *more, **{**kwargs, **named})

    return Listed("partial", called)


def _cached(function: Callable[..., Any], /) -> Callable[..., Any]:
    """`functools.cache`, without the attributes of the real one."""
    kept: dict[Any, Any] = {}

    def called(*args: Any, **named: Any) -> Any:
        key = (args, tuple(named.items())) if named else args
        if key not in kept:
            kept[key] = function(*args, **named)
        return kept[key]

    return Listed(getattr(function, "__name__", "cached"), called)


def _lru_cache(maxsize: Any = 128, typed: bool = False) -> Any:
    """Keeps everything: a run is short. With brackets or without."""
    return _cached(maxsize) if callable(maxsize) else _cached


class _CachedProperty:
    """`functools.cached_property`: computed once, then kept with the object."""

    __slots__ = ("_function", "_name")

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        if not isinstance(instance, Record) or not self._name:
            raise TypeError("cached_property stands in a class")
        value = vars(instance)[self._name] = self._function(instance)
        return value


def _total_ordering(cls: Any, /) -> Any:
    if type(cls) is not type or not issubclass(cls, Record):
        raise TypeError("total_ordering decorates a class")
    return functools.total_ordering(cls)


def _wraps(function: Any, /) -> Callable[[Any], Any]:
    """The wrapper takes the name of what it wraps."""

    def named(wrapper: Any) -> Any:
        name = getattr(function, "__name__", None)
        if type(wrapper) is _FUNCTION and type(name) is str:
            wrapper.__name__ = name
        return wrapper

    return named


def _attrgetter(*names: Any) -> Callable[[Any], Any]:
    if not names or not all(type(name) is str and not name.startswith("_") for name in names):
        raise TypeError("attrgetter takes names of attributes")

    def one(value: Any, dotted: str) -> Any:
        for name in dotted.split("."):
            value = get_attribute(value, name)
        return value

    def get(value: Any) -> Any:
        return one(value, names[0]) if len(names) == 1 else tuple(one(value, name) for name in names)

    return Listed("attrgetter", get)


def _methodcaller(name: Any, /, *args: Any, **named: Any) -> Callable[[Any], Any]:
    return Listed("methodcaller", lambda value: get_attribute(value, name)(*args, **named))


def _itemgetter(*keys: Any) -> Callable[[Any], Any]:
    def get(value: Any) -> Any:
        return value[keys[0]] if len(keys) == 1 else tuple(value[key] for key in keys)

    return Listed("itemgetter", get)
