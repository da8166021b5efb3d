"""The host side of the sandbox: one job for one worker, every call brokered."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import cast

from druse.model import Json, JsonObject, Outcome, OutcomeStatus, Progress, SandboxFailure
from druse.runtime.compiled import CodeCache
from druse.runtime.conversation import Broken, Broker, Conversation, report_of, result_of
from druse.runtime.limits import Limits
from druse.runtime.pool import Worker, Zygote
from druse.runtime.results import CompileReport, EndRun, SandboxError, SandboxResult
from druse.runtime.selftest import PROBES, SandboxStatus, judged
from druse.runtime.spawned import SpawnedWorkers

_NO_SAFE_FORK = sys.platform in ("darwin", "win32")


async def no_effects(tool: str, arguments: JsonObject) -> Json:
    """The broker that lets nothing out: what code without any permission gets."""
    raise EndRun(Outcome(OutcomeStatus.DENIED, message=f"{tool} was called, and nothing is allowed.", kind="denied"))


class SandboxHost:
    """Runs tool code. Use `SandboxHost.open`; the zygote starts with the first run."""

    def __init__(self, limits: Limits, ready: int, *, spawned: bool) -> None:
        self._limits = limits
        self._ready = ready
        self._spawned = spawned
        self._stack = contextlib.AsyncExitStack()
        self._zygote: Zygote | SpawnedWorkers | None = None
        self._starting = asyncio.Lock()
        self._code = CodeCache()
        self._told = cast("Json", asdict(limits))
        self.status: SandboxStatus | None = None  # known from the first run on

    @property
    def holds(self) -> bool:
        """Whether every probe of the self-test was stopped by the operating system; False before the first run."""
        return self.status is not None and self.status.tier != "T0"

    @classmethod
    @asynccontextmanager
    async def open(
        cls, limits: Limits | None = None, *, ready: int = 2, spawned: bool | None = None
    ) -> AsyncGenerator[SandboxHost]:
        """A host until the block ends; then every process of the sandbox is gone.

        `spawned`: start each worker by itself in place of forking it from a zygote; None: as the platform needs.
        """
        host = cls(limits or Limits(), ready, spawned=_NO_SAFE_FORK if spawned is None else spawned)
        try:
            yield host
        finally:
            await host._stack.aclose()

    async def run(
        self,
        source: str,
        arguments: Mapping[str, Json],
        *,
        call: Broker = no_effects,
        mode: str = "tool",
        progress: Progress | None = None,
        os_only: bool = False,
    ) -> SandboxResult:
        """Run `source` (mode `tool`: its `run`; mode `script`: the module) in a fresh worker."""
        job: JsonObject = {"arguments": dict(arguments), "mode": mode, "limits": self._told}
        if os_only:
            key, compiled = "", None
            job["os_only"] = True
        else:
            key = self._code.key(source, mode)
            compiled = self._code.get(key)
        job["source" if compiled is None else "code"] = source if compiled is None else compiled
        worker = await self._worker()
        started = time.perf_counter()
        conversation = Conversation(worker, self._limits, call, progress)
        try:
            message = await conversation.hold(job, keep_code=compiled is None and not os_only)
            result = result_of(message, conversation, _since(started))
        except EndRun as end:
            return self._ended(end.outcome, conversation, started)
        except Broken as broken:
            return self._broken(broken, conversation, started)
        finally:
            if self._zygote is not None:
                self._zygote.kill(worker)
        if conversation.compiled:
            self._code.put(key, conversation.compiled)
        return result

    async def check(self, source: str) -> CompileReport:
        """Compile and lint in a locked worker, run nothing."""
        worker = await self._worker()
        conversation = Conversation(worker, self._limits, no_effects, None)
        job: JsonObject = {"source": source, "arguments": {}, "mode": "check", "limits": self._told}
        try:
            return report_of(await conversation.hold(job))
        except Broken as broken:
            return CompileReport((SandboxError(broken.kind, str(broken)),), (), dynamic_calls=False)
        finally:
            if self._zygote is not None:
                self._zygote.kill(worker)

    async def _worker(self) -> Worker:
        """A waiting worker; a zygote that somebody killed is replaced once."""
        zygote = await self._running(None)
        try:
            return await zygote.worker()
        except SandboxFailure:
            return await (await self._running(zygote)).worker()

    async def _running(self, broken: Zygote | SpawnedWorkers | None) -> Zygote | SpawnedWorkers:
        async with self._starting:
            if self._zygote is None or self._zygote is broken or not self._zygote.alive:
                await self._stack.aclose()
                self._stack = contextlib.AsyncExitStack()
                start = SpawnedWorkers.start if self._spawned else Zygote.start
                self._zygote = await self._stack.enter_async_context(start(self._limits, self._ready))
                self.status = await self._tested(self._zygote)
            return self._zygote

    async def self_test(self) -> SandboxStatus:
        """Start the sandbox if need be; what its layers are and what the probes met. Raises SandboxFailure."""
        await self._running(None)
        assert self.status is not None
        return self.status

    async def _tested(self, zygote: Zygote | SpawnedWorkers) -> SandboxStatus:
        """Try to get out of a locked worker: a tier is claimed only after every probe was stopped."""
        worker = await zygote.worker()
        conversation = Conversation(worker, self._limits, no_effects, None)
        job: JsonObject = {
            "source": PROBES,
            "arguments": {},
            "mode": "script",
            "os_only": True,
            "limits": self._told,
        }
        try:
            message = await conversation.hold(job)
        except Broken as broken:
            message = {"value": {}, "error": {"message": str(broken)}}
        finally:
            zygote.kill(worker)
        return judged(worker.layers, message.get("value"))

    def _broken(self, broken: Broken, conversation: Conversation, started: float) -> SandboxResult:
        return SandboxResult(
            broken.status,
            error=SandboxError(broken.kind, str(broken)),
            calls=conversation.calls,
            wall_ms=_since(started),
            layers=conversation.layers,
        )

    def _ended(self, outcome: Outcome, conversation: Conversation, started: float) -> SandboxResult:
        return SandboxResult(
            "ended",
            outcome=outcome,
            calls=conversation.calls,
            wall_ms=_since(started),
            layers=conversation.layers,
        )


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
