"""`str.format` for tool code: fields read through the guard of attributes, widths bounded."""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

import _string  # pyright: ignore[reportMissingImports]
from collections.abc import Callable, Mapping
from typing import Any

from druse_sandbox.bounds import formatted

_CONVERSIONS: dict[str, Callable[[Any], str]] = {"r": repr, "s": str, "a": ascii}


class SafeFormat:
    """The bound method: called like `str.format`, or like `str.format_map` with `mapping`."""

    __slots__ = ("_attribute", "_mapping", "_text")

    def __init__(self, text: str, attribute: Callable[[Any, str], Any], *, mapping: bool) -> None:
        self._text = text
        self._attribute = attribute
        self._mapping = mapping

    def __call__(self, *args: Any, **named: Any) -> str:
        """The text with its fields filled in. Raises what `str.format` raises, and AttributeError of the guard."""
        if not self._mapping:
            return _Filling(args, named, self._attribute).text(self._text, 2)
        if len(args) != 1 or named or not isinstance(args[0], dict):
            raise TypeError("format_map takes one dictionary")
        return _Filling((), args[0], self._attribute).text(self._text, 2)

    def __repr__(self) -> str:
        return "<method format of str>"


class _Filling:
    def __init__(self, args: tuple[Any, ...], named: Mapping[str, Any], attribute: Callable[[Any, str], Any]) -> None:
        self._args = args
        self._named = named
        self._attribute = attribute
        self._next: int | None = 0  # None once a field was numbered

    def text(self, text: str, depth: int) -> str:
        if depth == 0:
            raise ValueError("a format text is nested too deeply")
        made: list[str] = []
        for literal, field, spec, conversion in _string.formatter_parser(text):
            made.append(literal)
            if field is None:
                continue
            value = self._value(field)
            if conversion:
                if conversion not in _CONVERSIONS:
                    raise ValueError(f"there is no conversion {conversion!r}")
                value = _CONVERSIONS[conversion](value)
            made.append(formatted(value, self.text(spec, depth - 1) if "{" in spec else spec))
        return "".join(made)

    def _value(self, field: str) -> Any:
        first, rest = _string.formatter_field_name_split(field)
        if first == "":
            if self._next is None:
                raise ValueError("cannot go from numbered fields to fields without a number")
            first, self._next = self._next, self._next + 1
        elif isinstance(first, int):
            if self._next:
                raise ValueError("cannot go from fields without a number to numbered ones")
            self._next = None
        value = self._args[first] if isinstance(first, int) else self._named[first]
        for is_attribute, key in rest:
            value = self._attribute(value, key) if is_attribute else value[key]
        return value
