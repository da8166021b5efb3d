"""Which calls may overlap: reads in parallel up to a limit, writes one at a time per target (seed ids N-11, N-12)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from druse.model import Effect, Source, ToolSpec


class Lanes:
    """Hands out turns. A crystallized tool holds no turn itself: the calls it makes take theirs."""

    def __init__(self, parallel_reads: int = 10) -> None:
        self._reads = asyncio.Semaphore(parallel_reads)
        self._writes: dict[str, asyncio.Lock] = {}
        self._waiting: dict[str, int] = {}

    @asynccontextmanager
    async def turn(self, spec: ToolSpec) -> AsyncGenerator[None]:
        """Wait for this call's turn and hold it."""
        if spec.source in (Source.CRYSTAL, Source.CAPABILITY):
            yield
        elif is_read(spec):
            async with self._reads:
                yield
        else:
            async with self._write_turn(target_of(spec)):
                yield

    @asynccontextmanager
    async def _write_turn(self, target: str) -> AsyncGenerator[None]:
        lock = self._writes.setdefault(target, asyncio.Lock())
        self._waiting[target] = self._waiting.get(target, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._waiting[target] -= 1
            if not self._waiting[target]:  # keep the table as small as the targets in use
                del self._waiting[target], self._writes[target]


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
