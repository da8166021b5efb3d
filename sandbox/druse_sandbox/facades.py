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
import io
import itertools
import json
import math
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

from druse_sandbox import bounds, records
from druse_sandbox.guards import Facade

_RE_FUNCTIONS = ("compile", "search", "match", "fullmatch", "split", "findall", "finditer", "sub", "subn")
_MAX_PATTERN = 2000


def _members(module: Any, names: str) -> dict[str, Any]:
    return {name: getattr(module, name) for name in names.split()}


def _json_dumps(value: Any, *, indent: int | None = None, sort_keys: bool = False, ensure_ascii: bool = False) -> str:
    if indent is not None and not 0 <= indent <= 16:
        raise ValueError("indent must be between 0 and 16")
    return json.dumps(value, indent=indent, sort_keys=sort_keys, ensure_ascii=ensure_ascii)


def _json_loads(text: str) -> Any:
    return json.loads(text)


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


def _hash(name: str) -> Callable[[Any], Facade]:
    def digest(data: bytes | str = b"") -> Facade:
        raw = data.encode() if isinstance(data, str) else data
        made = hashlib.new(name, raw)
        return Facade(name, {"hexdigest": made.hexdigest, "digest": made.digest})

    return digest


def _rows(text: str, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text), delimiter=delimiter))


def _dict_rows(text: str, delimiter: str = ",") -> list[dict[str, str]]:
    return [dict(row) for row in csv.DictReader(io.StringIO(text), delimiter=delimiter)]


def _reader(lines: Any, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(lines, delimiter=delimiter))


def _random(seed: int = 0) -> Facade:
    generator = random.Random(seed)
    names = "random randint choice choices sample shuffle uniform randrange gauss"
    return Facade("random", {**_members(generator, names), "seed": generator.seed, "Random": _random})


def _urlparse(url: str) -> Facade:
    parts = urllib.parse.urlsplit(url)
    members: dict[str, Any] = {
        **_members(parts, "scheme netloc path query fragment hostname port username"),
        "geturl": parts.geturl,
    }
    return Facade("url", members)


def build() -> dict[str, Facade]:
    """All façades by the name that `import` takes, made anew for each worker."""
    flags = _members(re, "IGNORECASE MULTILINE DOTALL VERBOSE ASCII I M S X A")
    regular = {name: _bounded(getattr(re, name)) for name in _RE_FUNCTIONS}
    parse = Facade(
        "urllib.parse",
        {
            **_members(urllib.parse, "quote quote_plus unquote unquote_plus urlencode urljoin parse_qs parse_qsl"),
            "urlparse": _urlparse,
            "urlsplit": _urlparse,
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
        "json": {"dumps": _json_dumps, "loads": _json_loads, "JSONDecodeError": ValueError},
        "re": {**regular, **flags, "escape": re.escape, "error": re.error},
        "datetime": _members(datetime, "date datetime time timedelta timezone UTC MINYEAR MAXYEAR"),
        "statistics": _members(
            statistics,
            "mean fmean median median_low median_high mode multimode pstdev pvariance stdev variance quantiles "
            "geometric_mean harmonic_mean correlation",
        ),
        "itertools": _members(
            itertools,
            "accumulate batched chain combinations combinations_with_replacement compress count cycle dropwhile "
            "filterfalse groupby islice pairwise permutations product repeat starmap takewhile zip_longest"
            if hasattr(itertools, "batched")
            else "accumulate chain combinations combinations_with_replacement compress count cycle dropwhile "
            "filterfalse groupby islice pairwise permutations product repeat starmap takewhile zip_longest",
        ),
        "collections": _members(collections, "Counter OrderedDict defaultdict deque"),
        "functools": {"reduce": functools.reduce, "partial": _partial, "cmp_to_key": functools.cmp_to_key},
        "textwrap": _members(textwrap, "dedent fill indent shorten wrap"),
        "string": _members(
            string,
            "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits octdigits punctuation whitespace capwords",
        ),
        "base64": _members(base64, "b64decode b64encode urlsafe_b64decode urlsafe_b64encode b32encode b32decode"),
        "hashlib": {name: _hash(name) for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")},
        "random": _random().members,
        "decimal": _members(
            decimal, "Decimal ROUND_HALF_UP ROUND_HALF_EVEN ROUND_DOWN ROUND_UP ROUND_CEILING ROUND_FLOOR"
        ),
        "fractions": {"Fraction": fractions.Fraction},
        "heapq": _members(heapq, "heapify heappop heappush heappushpop heapreplace nlargest nsmallest merge"),
        "bisect": _members(bisect, "bisect bisect_left bisect_right insort insort_left insort_right"),
        "html": _members(html, "escape unescape"),
        "csv": {"rows": _rows, "dict_rows": _dict_rows, "reader": _reader},
        "unicodedata": _members(unicodedata, "category name normalize numeric combining"),
        "uuid": {**_members(uuid, "uuid5 uuid3 UUID NAMESPACE_DNS NAMESPACE_URL NAMESPACE_OID")},
        "operator": {
            "add": lambda a, b: a + b,
            "sub": lambda a, b: a - b,
            "mul": bounds.times,
            "itemgetter": _itemgetter,
        },
        "dataclasses": {
            "dataclass": records.dataclass,
            "field": records.field,
            "asdict": records.asdict,
            "astuple": records.astuple,
            "replace": records.replace,
        },
        "urllib": {"parse": parse},
        "typing": dict.fromkeys(("Any", "Optional", "Union", "List", "Dict", "Tuple", "Iterable", "Sequence"), list),
    }
    facades = {name: Facade(name, members) for name, members in made.items()}
    facades["urllib.parse"] = parse
    return facades


def _refuse(name: str) -> Any:
    raise OverflowError(f"{name} of so large a number is not available here")


def _partial(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
    def called(*more: Any, **named: Any) -> Any:
        return function(*args, *more, **{**kwargs, **named})

    return called


def _itemgetter(*keys: Any) -> Callable[[Any], Any]:
    def get(value: Any) -> Any:
        return value[keys[0]] if len(keys) == 1 else tuple(value[key] for key in keys)

    return get
