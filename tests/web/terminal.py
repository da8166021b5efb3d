"""`druse dashboard` on a terminal of its own, as a person starts it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import re
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

_LINK = re.compile(r"http://127\.0\.0\.1:\d+/#pass=[\w-]+")


class Terminal:
    """What the command printed, and the keys it is given."""

    def __init__(self, end: int) -> None:
        self._end = end
        self.text = ""
        self._stirred = asyncio.Event()
        os.set_blocking(end, False)
        asyncio.get_running_loop().add_reader(end, self._read)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            self.text += os.read(self._end, 65536).decode()
        self._stirred.set()

    async def shows(self, pattern: str, *, behind: int = 0) -> str:
        """The first match of a pattern in what was printed behind so many characters, as soon as it is there."""
        async with asyncio.timeout(120):
            while not (found := re.search(pattern, self.text[behind:])):
                self._stirred.clear()
                await self._stirred.wait()
        return found[0]

    async def link(self) -> str:
        """The link that was printed at the start."""
        return await self.shows(_LINK.pattern)

    async def another(self) -> str:
        """The link after Enter."""
        behind = len(self.text)
        os.write(self._end, b"\n")
        return await self.shows(_LINK.pattern + r"(?=\s)", behind=behind)

    def close(self) -> None:
        """Let go of it."""
        asyncio.get_running_loop().remove_reader(self._end)
        os.close(self._end)


@asynccontextmanager
async def dashboard(root: Path, environment: Mapping[str, str]) -> AsyncGenerator[Terminal]:
    """The command on a pseudo terminal."""
    end, inner = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "druse", "dashboard"),
        cwd=root,
        env=dict(environment),
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
    )
    os.close(inner)
    terminal = Terminal(end)
    try:
        yield terminal
    finally:
        process.terminate()
        await process.wait()
        terminal.close()
