"""Patterns in which `*` stands for any characters, matched in time that grows with the text alone."""

from __future__ import annotations


def star_fits(pattern: str, text: str) -> bool:
    """Whether the whole text fits the pattern."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    last = rest[-1]
    if not text.startswith(first) or len(text) < len(first) + len(last) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for middle in rest[:-1]:
        found = text.find(middle, at, end)
        if found < 0:
            return False
        at = found + len(middle)
    return True
