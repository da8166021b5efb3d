"""Lines of files nobody here wrote: any size, any encoding, cut off anywhere. What is left out is counted by reason."""

from __future__ import annotations

import codecs
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, cast

LONGEST = 64 * 1024 * 1024  # characters of a line
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(slots=True)
class Tally:
    """What was seen of a source. `skipped` says how much was left out, by reason."""

    files: int = 0
    sessions: int = 0
    calls: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])


class Odd(Exception):
    """A line is not of the form its type has; the message is the reason that is counted."""


def lines_of(path: Path, tally: Tally, *, longest: int = LONGEST) -> Iterator[str]:
    """The lines of a text file. Bytes that are no text in its encoding are replaced. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(4)
    encoding = next((name for mark, name in _BOMS if head.startswith(mark)), "utf-8")
    if encoding == "utf-8" and len(head) == 4 and head[1:4:2] == b"\0\0":
        encoding = "utf-16-le"
    with path.open(encoding=encoding, errors="replace", newline="\n") as file:
        while line := file.readline(longest + 1):
            if len(line) > longest:
                while line and not line.endswith("\n"):
                    line = file.readline(longest)
                tally.skipped["a line that is too long"] += 1
            elif line.strip():
                yield line


def objects_of(path: Path, tally: Tally) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file, one a line."""
    for line in lines_of(path, tally):
        try:
            loaded = json.loads(line)
        except (ValueError, RecursionError):
            tally.skipped["a broken line"] += 1
            continue
        if isinstance(loaded, dict):
            yield cast("dict[str, Any]", loaded)
        else:
            tally.skipped["a line that is no JSON object"] += 1


def document_of(path: Path, tally: Tally) -> Any:
    """The one JSON value of a file; None where it is none."""
    try:
        return json.loads("".join(lines_of(path, tally)))
    except (ValueError, RecursionError):
        tally.skipped["a broken file"] += 1
        return None


def seconds_of(told: Any) -> float:
    """A time as seconds since the epoch; texts are ISO 8601, large numbers milliseconds. Raises Odd."""
    if isinstance(told, int | float) and not isinstance(told, bool) and 0 < told < 1e14:
        return told / 1000 if told > 1e11 else float(told)
    try:
        return datetime.fromisoformat(str(told)).timestamp()
    except (ValueError, OverflowError) as error:
        raise Odd("a line without a time") from error


def table_of(value: Any) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def text_of(content: Any) -> str:
    """The text of a message, given as a text or as parts with texts."""
    if isinstance(content, str):
        return content
    texts = [table_of(part).get("text") for part in list_of(content)]
    return "\n".join(text for text in texts if isinstance(text, str))
