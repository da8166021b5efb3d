"""Lines that match a regular expression, found in a process of its own.

A regular expression can take longer than the universe has, and nothing in this process can interrupt it. So it runs in
a child as locked as one that runs tool code; whoever started it keeps the clock and may kill it.
"""

from __future__ import annotations

import os
import re
import struct
from typing import Any

from druse_sandbox import frames
from druse_sandbox.jail import lock

LONGEST_LINE = 2000
_SHOWN = 400
_HEAD = struct.Struct("<I")


def serve(pipe: int, limits: dict[str, int]) -> None:
    """Take a pattern, then files one by one (four bytes of length, then their bytes). Never returns."""
    lock(limits, pipe, pipe)
    try:
        job = frames.receive(pipe)
        try:
            expression = re.compile(job["pattern"], re.IGNORECASE if job["ignore_case"] else 0)
        except (re.error, OverflowError, RecursionError, MemoryError) as error:
            frames.send(pipe, {"problem": str(error)[:200] or type(error).__name__})
            os._exit(0)
        frames.send(pipe, {"ready": True})
        while True:
            (size,) = _HEAD.unpack(_exactly(pipe, 4))
            data = _exactly(pipe, size)
            frames.send(pipe, {"matches": matching_lines(expression, data, job["most"])})
    except (EOFError, BrokenPipeError, frames.BadFrame, RecursionError, MemoryError):
        os._exit(3)


def matching_lines(expression: re.Pattern[str], data: bytes, most: int) -> list[list[Any]]:
    """Numbers (from 1) and texts of the first `most` lines that hold a match; long lines are cut."""
    found: list[list[Any]] = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        if expression.search(line[:LONGEST_LINE]):
            found.append([number, line[:_SHOWN]])
            if len(found) >= most:
                break
    return found


def _exactly(pipe: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = os.read(pipe, min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
