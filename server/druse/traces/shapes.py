"""Goal shapes: a goal with its values taken out.

Two goals that differ only in names of files, numbers, ids, dates, addresses or quoted text have one shape, so
`Create file report_1.md` and `Create file report_2.md` are the same work (seed ids H-30, L-14).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# What may begin at any word is bounded in length: else a text of one long word takes the square of its length.
_SLOTS = re.compile(
    r"""
      (?P<handle>secret://[0-9a-f]{24})
    | (?P<url>\b[a-z][a-z0-9+.-]{0,30}://[^\s"'<>]+)
    | (?P<email>\b[\w.+-]{1,128}@[\w-]{1,128}(?:\.[\w-]{1,128})+)
    | (?P<quoted>"[^"\n]*"|`[^`\n]*`|“[^”\n]*”|(?<!\w)'[^'\n]+'(?!\w))
    | (?P<date>\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:?\d{2})?)?\b)
    | (?P<path>(?:~|\.{1,2})?/[\w.@%+-]+(?:/[\w.@%+-]+)*/?|\b[\w-]{1,128}(?:/[\w.-]+)+
             |\b[\w-]{1,128}\.[a-z][a-z0-9]{0,4}\b)
    | (?P<id>[\#@][\w-]+
           |\b(?=[\w-]{0,128}\d)(?=[\w-]{0,128}[A-Za-z_-])[A-Za-z0-9]{1,128}(?:[_-][A-Za-z0-9]{1,128}){0,40}\b)
    | (?P<number>[+-]?\d[\d.,]*\d|\d)
    """,
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Slot:
    """A value in a goal: its kind and its text, quotes taken off."""

    kind: str
    text: str
    start: int
    end: int


def slots_of(goal: str) -> tuple[Slot, ...]:
    """The values in a goal, from left to right."""
    return tuple(
        Slot(str(match.lastgroup), match[0].strip("\"'`“”"), match.start(), match.end())
        for match in _SLOTS.finditer(goal)
    )


def shape_of(goal: str) -> str:
    """The goal in lower case, values replaced by `<slot>`, spacing and punctuation evened out."""
    without = _SLOTS.sub(" <slot> ", goal)
    words = re.findall(r"<slot>|\w+", without.lower())
    return " ".join(words)
