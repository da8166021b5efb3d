"""Values of tool code as JSON data, and the place of what cannot be sent."""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

import collections
import math
from typing import Any

from druse_sandbox import frames
from druse_sandbox.rows import NamedRow

_LARGEST = 10**frames.MAX_DIGITS
_KEYS = (str, int, float, bool, type(None))
_LISTS = (list, tuple, collections.deque, range, type({}.keys()), type({}.values()), type({}.items()))
# Of the standard library, by exact type: what tells a date or a number goes as its text.
_HINTS = {
    "bytes": "decode it, or encode it with base64",
    "map": "write list(...) around it",
    "filter": "write list(...) around it",
    "generator": "write list(...) around it",
    "zip": "write list(...) around it",
    "function": "call it",
}


class NotPlain(TypeError):
    """A value that JSON cannot carry. `place` grows from the inside out: `['orders'][3]`."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = ""

    def __str__(self) -> str:
        """The problem with its place, if it is inside of something."""
        return f"{self.place}: {self.problem}" if self.place else self.problem


def plain(value: Any, depth: int = 0) -> Any:
    """The value as JSON data: tuples and views become lists, sets sorted lists, dates their text. Raises NotPlain."""
    kind = type(value)
    if kind is str:
        if not value.isascii():
            _check_text(value)
        return value
    if value is None or kind is bool:
        return value
    if kind is int:
        if not -_LARGEST < value < _LARGEST:
            raise NotPlain(f"an integer of more than {frames.MAX_DIGITS} digits cannot be sent; send str(...) of it")
        return value
    if kind is float:
        if not math.isfinite(value):
            raise NotPlain(f"{value} is no number of JSON; send None or a text")
        return value
    if depth >= frames.MAX_DEPTH - 4:  # the frame around it is some levels deep
        raise NotPlain(f"it is nested deeper than {frames.MAX_DEPTH - 4}")
    if isinstance(value, dict):
        return _mapping(value, depth)
    if kind in _LISTS or isinstance(value, NamedRow) or kind in _ROWS:
        return _sequence(value, depth)
    if kind in (set, frozenset):
        return sorted(_sequence(value, depth), key=repr)
    if kind in _TEXTS:
        return value.isoformat() if hasattr(value, "isoformat") else str(value)
    hint = _HINTS.get(kind.__name__, "return texts, numbers, lists and dictionaries of them")
    raise NotPlain(f"{kind.__name__} is not plain data; {hint}")


def sendable(text: str) -> str:
    """The text with halves of surrogate pairs written out, for messages that must arrive."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotPlain(f"a text holds half of a surrogate pair at {error.start}, which is no character") from None


def _mapping(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, item in value.items():
        kind = type(key)
        if kind not in _KEYS:
            raise NotPlain(f"{kind.__name__} cannot be a key of JSON; make it a text")
        name = key if kind is str else _KEY_TEXTS[key] if kind is bool or key is None else str(plain(key))
        if name in made:
            raise NotPlain(f"two keys are both {name!r} in JSON; make them texts that differ")
        try:
            if not name.isascii():
                _check_text(name)
            made[name] = plain(item, depth + 1)
        except NotPlain as error:
            error.place = f"[{sendable(name)[:60]!r}]{error.place}"
            raise
    return made


def _sequence(values: Any, depth: int) -> list[Any]:
    made: list[Any] = []
    for item in values:
        try:
            made.append(plain(item, depth + 1))
        except NotPlain as error:
            error.place = f"[{len(made)}]{error.place}"
            raise
    return made


_KEY_TEXTS: dict[Any, str] = {True: "true", False: "false", None: "null"}


def _standard() -> tuple[frozenset[type], frozenset[type]]:
    import datetime
    import decimal
    import fractions
    import uuid

    texts = (datetime.date, datetime.datetime, datetime.time, datetime.timedelta, decimal.Decimal)
    today = datetime.date(2000, 1, 1)
    rows = (type(today.isocalendar()), type(decimal.Decimal(1).as_tuple()))
    return frozenset((*texts, fractions.Fraction, uuid.UUID)), frozenset(rows)


_TEXTS, _ROWS = _standard()
