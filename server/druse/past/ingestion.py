"""The spool of the hooks becomes runs: by the daemon as it grows, else by the next Druse process."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from druse import spool
from druse.model import DruseError
from druse.past.chronicle import Chronicle
from druse.past.events import Event
from druse.past.hooks import event_of
from druse.store import Store

log = logging.getLogger("druse.past")

_EVENTS = 200  # written down at once
_BYTES = 8 * 1024 * 1024
_UNFIT = (ValueError, TypeError, OverflowError, sqlite3.Error)  # of an event, where the store itself is well
_WAIT_SECONDS = 3.0  # for another process that is reading the spool


@dataclass(slots=True)
class Taken:
    """What was read of a spool. `skipped` is how many lines, by the reason."""

    calls: int = 0
    events: int = 0
    skipped: Counter[str] = field(default_factory=Counter[str])


class Ingestion:
    """Reads the spool of one workspace."""

    def __init__(self, folder: Path, root: Path, store: Store, chronicle: Chronicle) -> None:
        self._folder = folder
        self._root = str(root)
        self._store = store
        self._chronicle = chronicle

    @property
    def waits(self) -> bool:
        """Whether there is anything to read."""
        return spool.waits(str(self._folder))

    async def take(self, *, seconds: float = 3600.0) -> Taken:
        """Read what there is, for so long at most. Each event is written down once, whatever ends a process."""
        taken = Taken()
        until = time.monotonic() + seconds
        if not self.waits:
            return taken
        async with _alone(self._folder / "reading.lock") as mine:
            while mine and time.monotonic() < until and (paths := spool.sealed(str(self._folder))):
                for path in paths:
                    if time.monotonic() < until:  # the rest of a file comes before the next file
                        await self._file(Path(path), taken, until)
        for reason, count in taken.skipped.items():
            log.warning("of the hooks' events %d were left out: %s", count, reason)
            text = f"Events of hooks were left out: {reason}. The clients went on; what they did then is not recorded."
            await self._store.notices.give("hooks", reason, text, now=time.time())
        return taken

    async def _file(self, path: Path, taken: Taken, until: float) -> None:
        async def begin(transaction: Any) -> int:
            return await self._store.clients.read_so_far(transaction, path.name)

        start = await self._store.database.write(begin)
        with path.open("rb") as file:
            file.seek(start)
            for events, lines, done in _batches(file, self._root, taken.skipped):
                taken.calls += await self._written(events, (path.name, done), taken.skipped)
                taken.events += lines
                await asyncio.sleep(0)
                if time.monotonic() > until:
                    return
        await asyncio.to_thread(path.unlink)
        await self._store.database.write(lambda transaction: self._store.clients.read_up(transaction, path.name))

    async def _written(self, events: list[Event], read: tuple[str, int], skipped: Counter[str]) -> int:
        """Write events down; where one cannot be, the others are."""
        try:
            return await self._chronicle.write(events, read=read)
        except _UNFIT:
            calls = 0
            for event in events:
                try:
                    calls += await self._chronicle.write([event])
                except _UNFIT as error:
                    skipped[f"an event that cannot be stored: {type(error).__name__}"] += 1
            return calls + await self._chronicle.write([], read=read)


def _batches(file: IO[bytes], root: str, skipped: Counter[str]) -> Iterator[tuple[list[Event], int, int]]:
    """Events of a file, the number of lines they were on, and where the file stands after them."""
    events: list[Event] = []
    lines = size = 0
    for line in file:
        size += len(line)
        if line.strip():
            lines += 1
            event = _event(line, root, skipped)
            if event is not None:
                events.append(event)
        if len(events) >= _EVENTS or size >= _BYTES:
            yield events, lines, file.tell()
            events, lines, size = [], 0, 0
    yield events, lines, file.tell()


def _event(line: bytes, root: str, skipped: Counter[str]) -> Event | None:
    try:
        loaded = json.loads(line)
        if "unreadable" in loaded["event"]:
            skipped["the client's event was no JSON"] += 1
            return None
        return event_of(cast("dict[str, Any]", loaded), root)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        skipped["a broken line"] += 1
        return None


@asynccontextmanager
async def _alone(path: Path) -> AsyncGenerator[bool]:
    """Hold a lock that one process has at a time; False where another keeps it."""
    try:
        import fcntl
    except ImportError:
        yield True
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        mine = False
        until = asyncio.get_running_loop().time() + _WAIT_SECONDS
        while not mine:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                mine = True
            except BlockingIOError:
                if asyncio.get_running_loop().time() > until:
                    break
                await asyncio.sleep(0.02)
        yield mine
    finally:
        os.close(descriptor)


async def take_quietly(ingestion: Ingestion, *, seconds: float = 3600.0) -> None:
    """Read the spool; what stops that is no reason for a command to fail, and the spool keeps the events."""
    try:
        await ingestion.take(seconds=seconds)
    except (DruseError, OSError) as error:
        log.warning("the hooks' events were not read: %s", error)
