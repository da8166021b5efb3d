"""JSON as data: the one currency of arguments and results.

`canonical` is the text that hashes are taken over: sorted keys, no white space, UTF-8, no NaN.
`typed_equal` is equality as induction means it: `1`, `1.0`, `True` and `"1"` are four values.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = "dict[str, Json]"

# Levels of lists and objects that arguments and results may have. What many clients read with gives a whole message
# up at 200, and how many Python itself reads depends on its version.
DEEPEST = 100


# Made once: making an encoder takes longer than a small value.
_encoded = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical(value: Json | Mapping[str, Json]) -> str:
    """The canonical text of `value`. Raises ValueError for NaN and infinities."""
    return _encoded(value)


def digest(value: Json | Mapping[str, Json]) -> str:
    """`sha256:` and the hex digest of the canonical text of `value`."""
    return digest_text(canonical(value))


def digest_text(text: str) -> str:
    """`sha256:` and the hex digest of `text` in UTF-8 (lone surrogates kept as they are)."""
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def nested_deeper(value: Json, levels: int = DEEPEST) -> bool:
    """Whether lists and objects stand in one another more than so many levels deep."""
    layer: list[Json] = [value] if isinstance(value, list | dict) else []
    for _ in range(levels):
        if not layer:
            return False
        layer = [
            part
            for outer in layer
            for part in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
            if isinstance(part, list | dict)
        ]
    return bool(layer)


def typed_equal(left: Json, right: Json) -> bool:
    """Equality that keeps types apart: booleans, integers, floats and strings never equal one another."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(typed_equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(typed_equal(value, right[key]) for key, value in left.items())
    return left == right
