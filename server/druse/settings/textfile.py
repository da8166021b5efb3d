"""Reading a file that a person wrote: only a regular one, never more than a limit, and without waiting for anybody."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MAX_BYTES = 8 * 1024 * 1024


def text_of(path: Path) -> str:
    """The text of a file. Raises OSError where it is none, such as a pipe, or too large, and UnicodeDecodeError."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
        os.close(descriptor)
        wrong = f"larger than {MAX_BYTES} bytes" if stat.S_ISREG(found.st_mode) else "no regular file"
        raise OSError(f"it is {wrong}: {path}")
    with os.fdopen(descriptor, encoding="utf-8") as file:
        return file.read()
