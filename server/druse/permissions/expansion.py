"""What a shell pattern such as `src/*.py` stands for at present, and what it could: never less than bash finds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from druse.permissions.paths import Place, inside
from druse.permissions.policy import Policy
from druse.permissions.stars import star_fits

_MAX_ENTRIES = 3000  # looked at for one pattern


def widened(segment: str) -> str:
    """A segment with `?` and every bracket expression as `*`: matches at least what any shell matches."""
    first, last = segment.find("["), segment.rfind("]")
    if 0 <= first < last:
        segment = f"{segment[:first]}*{segment[last + 1 :]}"
    return segment.replace("?", "*").replace("[", "*")


def may_be(name: str, segment: str) -> bool:
    """Whether a segment of a shell pattern could stand for a name."""
    if not any(letter in segment for letter in "*?") and "]" not in segment.partition("[")[2]:
        return name == segment  # a bracket that nothing closes is a letter, such as the program named `[`
    if name.startswith(".") and not segment.startswith("."):
        return False  # patterns leave hidden files out
    return star_fits(widened(segment), name)


def expanded(text: str, folder: Path, policy: Policy) -> Iterator[str]:
    """The paths that exist for a pattern. Raises OverflowError where looking would take too long or lead upwards."""
    if any(may_be("..", part) for part in text.split("/") if part not in ("..", ".")):
        raise OverflowError
    if text == "~" or text.startswith("~/"):
        text = str(policy.home) + text[1:]
    base, *rest = re.split(r"(?<=/)(?=[^/]*[*?\[])", text, maxsplit=1) if "/" in text else ("", text)
    start = os.path.join(folder, base)  # noqa: PTH118 - `..` is meant
    if not inside(Place(start, os.path.realpath(start)), policy.workspace):
        return iter(())  # it leads out of the workspace whatever it finds
    return _walk(start, [part for part in "".join(rest).split("/") if part], [_MAX_ENTRIES])


def _walk(folder: str, segments: list[str], budget: list[int]) -> Iterator[str]:
    head, *rest = segments
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    budget[0] -= len(entries)
    if budget[0] < 0:
        raise OverflowError
    for entry in entries:
        if may_be(entry.name, head):
            if rest:
                yield from _walk(entry.path, rest, budget)
            else:
                yield entry.path
