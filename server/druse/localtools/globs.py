"""Patterns over paths: `**` any folders, `*`, `?` and `[...]` within a name. Linear in the path, whatever the pattern.

The parts of a path are matched one by one, and what may follow is kept as a set of places in the pattern, so that a
pattern with many `**` costs no more than its length. Within a name, `fnmatch` never goes back over a star.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable

from druse.model import Invalid

_LONGEST = 1000


def path_filter(pattern: str) -> Callable[[str], bool]:
    """A test for paths relative to a root. Raises Invalid for a pattern too long to be meant."""
    if len(pattern) > _LONGEST:
        raise Invalid(
            f"Cannot use the pattern: it has {len(pattern):,} characters, over the limit of {_LONGEST:,}. Shorten it.",
            where="pattern",
        )
    parts: list[re.Pattern[str] | None] = []  # None: any number of folders
    names = [name for name in pattern.removeprefix("./").split("/") if name not in ("", ".")]
    for name in names:
        if name.startswith("**"):
            if not parts or parts[-1] is not None:
                parts.append(None)
            name = "*" + name.lstrip("*") if name != "**" else ""
        if name:
            parts.append(re.compile(fnmatch.translate(name)))
    if parts and parts[-1] is None:
        parts.append(re.compile(fnmatch.translate("*")))  # `src/**` means what is in src, not src itself
    if pattern.startswith("/"):
        return lambda _path: False
    return lambda path: _fits(parts, path.split("/"))


def _fits(parts: list[re.Pattern[str] | None], names: list[str]) -> bool:
    places = _ahead(parts, {0})
    for name in names:
        reached: set[int] = set()
        for place in places:
            if place == len(parts):
                continue
            part = parts[place]
            if part is None:
                reached.add(place)
            elif part.match(name):
                reached.add(place + 1)
        places = _ahead(parts, reached)
        if not places:
            return False
    return len(parts) in places


def _ahead(parts: list[re.Pattern[str] | None], places: set[int]) -> set[int]:
    """The places, and those behind any number of folders that may be none."""
    reached = set(places)
    for place in places:
        while place < len(parts) and parts[place] is None:
            place += 1
            reached.add(place)
    return reached
