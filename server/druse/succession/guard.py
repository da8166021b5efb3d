"""What a successor's own process may do: write in its copy, and nothing else.

An audit hook of Python: it stops what this process does through Python. Code under trial does not run here but in the
sandbox, which has no files at all.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = frozenset(
    (
        *("os.remove", "os.rmdir", "os.mkdir", "os.rename", "os.link", "os.symlink", "os.chmod", "os.chown"),
        *("os.truncate", "os.utime", "os.setxattr", "os.removexattr", "sqlite3.connect"),
    )
)
_NEVER = frozenset(("socket.connect", "socket.bind", "os.system", "os.exec", "os.startfile"))


def confine(copy: Path) -> list[str]:
    """Refuse every write outside `copy`, every connection and every program but this Python, from now on, for good.

    The list grows by what was refused.
    """
    inside, denied = os.path.realpath(copy), list[str]()

    def free(path: object) -> bool:
        if isinstance(path, int):
            return True  # what is open was let through when it was opened
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        text = os.fsdecode(path)  # pyright: ignore[reportUnknownArgumentType]
        if text in (":memory:", "", os.devnull):
            return True
        place = os.path.realpath(text.removeprefix("file:").split("?")[0])
        return place == inside or place.startswith(inside + os.sep)

    def look(event: str, given: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = given
            stopped = isinstance(flags, int) and bool(flags & _WRITING) and not free(path)
        elif event in _CHANGING:
            paths = (
                given[:2] if event in ("os.rename", "os.link") else given[1:2] if event == "os.symlink" else given[:1]
            )
            stopped = not all(map(free, paths))
        elif event in ("subprocess.Popen", "os.posix_spawn"):
            stopped = given[0] != sys.executable
        else:
            stopped = event in _NEVER
        if stopped:
            text = f"{event} {given[0]}"
            denied.append(text)
            raise PermissionError(f"A successor may not: {text}")

    sys.addaudithook(look)
    return denied
