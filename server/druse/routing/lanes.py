"""Which calls may overlap: reads in parallel up to a limit, writes one at a time per target (seed ids N-11, N-12)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Self

from druse.model import Counterpart, Effect, Json, JsonObject, Source, ToolSpec


class Lanes:
    """Hands out turns. A crystallized tool holds no turn itself: the calls it makes take theirs."""

    def __init__(self, parallel_reads: int = 10) -> None:
        self._reads = asyncio.Semaphore(parallel_reads)
        self._writes: dict[str, asyncio.Lock] = {}
        self._waiting: dict[str, int] = {}

    def turn(self, spec: ToolSpec) -> Turn:
        """This call's turn: waited for and held by the block that the turn is used for, which there must be."""
        if spec.source in (Source.CRYSTAL, Source.CAPABILITY):
            return Turn(None)
        if is_read(spec):
            return Turn(self._reads)
        target = target_of(spec)
        # Counted before it waits: the lock stays the same as long as anybody has or wants it.
        self._waiting[target] = self._waiting.get(target, 0) + 1
        return Turn(self._writes.setdefault(target, asyncio.Lock()), partial(self._left, target))

    def _left(self, target: str) -> None:
        self._waiting[target] -= 1
        if not self._waiting[target]:  # keep the table as small as the targets in use
            del self._waiting[target], self._writes[target]


class Turn:
    """A turn, held from the beginning of the block to its end, but for the times it stands aside."""

    def __init__(self, lock: asyncio.Lock | asyncio.Semaphore | None, left: Callable[[], None] = lambda: None) -> None:
        self._lock = lock
        self._left = left
        self._held = False
        self.waited = False  # somebody else had it

    async def __aenter__(self) -> Self:
        if self._lock is not None:
            self.waited = self._lock.locked()
            try:
                await self._lock.acquire()
            except BaseException:  # stopped while it waited: there will be no end of the block
                self._left()
                raise
            self._held = True
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._lock is not None and self._held:
            self._lock.release()
        self._left()

    @asynccontextmanager
    async def aside(self) -> AsyncGenerator[None]:
        """Let others go on meanwhile; wait for a turn again afterwards, unless this call was stopped."""
        if self._lock is None:
            yield
            return
        self._lock.release()
        self._held = False
        yield
        await self._lock.acquire()
        self._held = True


class Aside:
    """A client that is asked while others have the turn: a person may take long to answer."""

    def __init__(self, side: Counterpart, turn: Turn) -> None:
        self._side = side
        self._turn = turn

    @property
    def capabilities(self) -> JsonObject:
        """What the client declared."""
        return self._side.capabilities

    async def ask(self, requests: Mapping[str, JsonObject], *, seconds: float) -> dict[str, JsonObject | None]:
        """Ask it, standing aside."""
        async with self._turn.aside():
            return await self._side.ask(requests, seconds=seconds)

    async def log(self, level: str, data: Json) -> None:
        """Tell it."""
        await self._side.log(level, data)

    async def go_on_alone(self, message: str = "") -> None:
        """Become a task."""
        await self._side.go_on_alone(message)

    async def hang_up(self) -> None:
        """End the stream."""
        await self._side.hang_up()


def is_read(spec: ToolSpec) -> bool:
    """Whether a call may run beside others: our own table says READ, or the server's hint and the tool's verb agree."""
    if spec.effect is Effect.READ:
        return True
    return spec.effect is Effect.UNKNOWN and spec.read_only_hint and reads_by_name(spec.upstream_name or spec.name)


_READ_VERBS = frozenset(
    (
        *("get", "list", "find", "search", "read", "fetch", "describe", "show", "lookup", "query", "count", "check"),
        *("view", "browse", "resolve", "calculate", "stat", "head", "diff", "log", "status", "whoami", "echo"),
        *("explain", "preview", "validate", "compare"),
    )
)


def reads_by_name(name: str) -> bool:
    """Whether the first word of a tool's name is a verb of reading. A hint for scheduling, never a permission."""
    first = name.replace("-", "_").replace(".", "_").split("_")[0]
    head = first
    for index, letter in enumerate(first):
        if index and letter.isupper():
            head = first[:index]
            break
    return head.lower() in _READ_VERBS


def target_of(spec: ToolSpec) -> str:
    """What a write acts on: one upstream server, or the workspace as a whole."""
    return f"server:{spec.server}" if spec.source is Source.UPSTREAM else "workspace"
