"""Conditions on JSON arguments: `shop__refund(amount<=100)`, `shop__*(email:*@x.io, currency=EUR)`.

    conditions = condition ("," condition)*
    condition  = path operator value
    path       = name ("." name | "." index)*
    operator   = "<=" | ">=" | "<" | ">" | "!=" | "=" | ":"     ":" is a glob on a text, `*` any characters
    value      = JSON scalar, or a bare text

Comparison is typed: `amount<=100` says nothing of the text "50". For an allow a condition must hold; for a deny or ask
it is enough that it cannot be ruled out.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from druse.model import Json, typed_equal
from druse.permissions.stars import star_fits

_CONDITION = re.compile(r"\s*([A-Za-z_][\w-]*(?:\.[\w-]+)*)\s*(<=|>=|!=|==|=|<|>|:)\s*(.*?)\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on one argument."""

    path: tuple[str, ...]
    operator: str
    value: Json

    def holds(self, arguments: Mapping[str, Json]) -> bool | None:
        """True, False, or None where the argument is there but cannot be compared."""
        found, value = _lookup(arguments, self.path)
        if not found:
            # What is left out is surely not equal; anything else about it is not known to hold.
            return None if self.operator == "!=" else False
        if self.operator == ":":
            return _glob(str(self.value), value) if isinstance(value, str) else None
        if isinstance(value, float) and not math.isfinite(value):
            return None
        if self.operator in ("=", "!="):
            return _equal(self.value, value, negated=self.operator == "!=")
        if not _number(value) or not _number(self.value):
            return None
        left, right = value, self.value
        assert isinstance(left, int | float) and isinstance(right, int | float)
        return {"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[self.operator]


def parse_conditions(text: str) -> tuple[Condition, ...]:
    """Read the text between the brackets of a rule. Raises ValueError saying what is wrong."""
    conditions: list[Condition] = []
    for part in _split(text):
        match = _CONDITION.fullmatch(part)
        if match is None:
            raise ValueError(f"{part.strip()!r} is not `argument operator value`")
        operator = "=" if match[2] == "==" else match[2]
        value = match[3] if operator == ":" else _value(match[3])
        if operator in ("<", ">", "<=", ">=") and not _number(value):
            raise ValueError(f"{part.strip()!r} compares with something that is not a number")
        conditions.append(Condition(tuple(match[1].split(".")), operator, value))
    if not conditions:
        raise ValueError("there is no condition between the brackets")
    return tuple(conditions)


def _split(text: str) -> list[str]:
    """Parts between commas, quoted texts left whole."""
    parts, current, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter == '"':
            quote = letter
        elif letter == ",":
            parts.append("")
            current += 1
            continue
        parts[current] += letter
    return [part for part in parts if part.strip()]


def _value(text: str) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _lookup(arguments: Mapping[str, Json], path: tuple[str, ...]) -> tuple[bool, Json]:
    value: Json = dict(arguments)
    for name in path:
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and re.fullmatch("[0-9]{1,9}", name) and int(name) < len(value):
            value = value[int(name)]
        else:
            return False, None
    return True, value


def _equal(expected: Json, value: Json, *, negated: bool) -> bool | None:
    if _number(expected) and _number(value):
        return (expected == value) is not negated
    if type(expected) is not type(value):
        # `zip=10001` written bare also means the text "10001"; anything else cannot be compared.
        if isinstance(value, str) and not isinstance(expected, str) and expected is not None:
            return (json.dumps(expected) == value) is not negated
        return None
    return typed_equal(expected, value) is not negated


def _number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _glob(pattern: str, value: str) -> bool | None:
    if not star_fits(pattern, value):
        return False
    # A star that runs over a line end may hide another value: enough for a deny, not for an allow.
    return True if not re.search(r"[\r\n\x00\x0b\x0c\x85\u2028\u2029]", value) else None
