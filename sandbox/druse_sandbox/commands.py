"""Commands as words: what a value may be in one, and words as a text that reads back as exactly these words.

`command` quotes every word, so no value can become another word or another command. `word` keeps a value from being
taken for an option, and from being something else than the runs of the tool had there.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

# What a value in a command can be. Every kind but `any` keeps it from being read as an option.
_KINDS: dict[str, re.Pattern[str]] = {
    "number": re.compile(r"[0-9]+(?:\.[0-9]+)?"),
    "name": re.compile(r"(?!.*\.\.)[\w+@][\w.+@-]*"),
    "branch": re.compile(r"(?!.*(?:\.\.|//|/\.|@\{|\.lock(?:/|\Z)))[A-Za-z0-9_][\w./+@#-]*(?<![./])"),
    "path": re.compile(r"(?!(?:.*/)?\.\.(?:/|\Z))[^-/~:\s\x00-\x1f\\][^:\x00-\x1f\\]*", re.DOTALL),
    "test": re.compile(r"(?!(?:.*/)?\.\.(?:/|\Z))[\w.][\w./:\[\], -]*"),
    "text": re.compile(r"[^-\x00][^\x00]*", re.DOTALL),
    "any": re.compile(r"[^\x00]*", re.DOTALL),
}
KINDS = tuple(_KINDS)


def fits(text: str, kind: str) -> bool:
    """Whether a value is of a kind. An unknown kind fits nothing."""
    pattern = _KINDS.get(kind)
    return pattern is not None and pattern.fullmatch(text) is not None


def written(value: Any) -> str | None:
    """A value as it stands in a command; None for what is no text and no whole number."""
    if type(value) is int:
        return str(value)
    return str(value) if isinstance(value, str) else None


def quoted(words: list[str]) -> str:
    """The words as a text that a shell, and Druse's own reader, read as exactly these words."""
    return shlex.join(words)
