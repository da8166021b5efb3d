"""The host side of the sandbox: one job for one worker, every call brokered, byte and time budgets kept here."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, TypeAlias, cast

from druse.model import Json, JsonObject, Outcome, OutcomeStatus, Progress, SandboxFailure
from druse.runtime.compiled import CodeCache
from druse.runtime.limits import Limits
from druse.runtime.pool import Worker, Zygote
from druse.runtime.results import CompileReport, EndRun, SandboxError, SandboxResult, ToolCallFailed
from druse.runtime.selftest import PROBES, SandboxStatus, judged
from druse.runtime.spawned import SpawnedWorkers
from druse_sandbox import frames

Broker: TypeAlias = "Callable[[str, JsonObject], Awaitable[Json]]"
_MAX_IN_PARALLEL = 32
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
        job: JsonObject = {"arguments": dict(arguments), "mode": mode, "limits": cast("Json", asdict(self._limits))}
        key = self._code.key(source, mode)
        compiled = None if os_only else self._code.get(key)
        job["source" if compiled is None else "code"] = source if compiled is None else compiled
        if os_only:
            job["os_only"] = True
        worker = await self._worker()
        started = time.perf_counter()
        conversation = _Conversation(worker, self._limits, call, progress)
        try:
            message = await conversation.hold(job)
        except asyncio.CancelledError:
            raise
        except EndRun as end:
            return self._ended(end.outcome, conversation, started)
        except _Broken as broken:
            error = SandboxError(broken.kind, str(broken))
            return SandboxResult(
                "killed", error=error, calls=conversation.calls, wall_ms=_since(started), layers=conversation.layers
            )
        finally:
            if self._zygote is not None:
                self._zygote.kill(worker)
        if conversation.compiled:
            self._code.put(key, conversation.compiled)
        return _result(message, conversation, _since(started))

    async def check(self, source: str) -> CompileReport:
        """Compile and lint in a locked worker, run nothing."""
        worker = await self._worker()
        conversation = _Conversation(worker, self._limits, no_effects, None)
        try:
            message = await conversation.hold(
                {"source": source, "arguments": {}, "mode": "check", "limits": cast("Json", asdict(self._limits))}
            )
        except _Broken as broken:
            return CompileReport((SandboxError(broken.kind, str(broken)),), (), dynamic_calls=False)
        finally:
            if self._zygote is not None:
                self._zygote.kill(worker)
        problems = tuple(_error(part) for part in message.get("problems", []))
        return CompileReport(problems, tuple(message.get("tools", [])), bool(message.get("dynamic_calls")))

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
        conversation = _Conversation(worker, self._limits, no_effects, None)
        job: JsonObject = {
            "source": PROBES,
            "arguments": {},
            "mode": "script",
            "os_only": True,
            "limits": cast("Json", asdict(self._limits)),
        }
        try:
            message = await conversation.hold(job)
        except _Broken as broken:
            message = {"value": {}, "error": {"message": str(broken)}}
        finally:
            zygote.kill(worker)
        return judged(worker.layers, message.get("value"))

    def _ended(self, outcome: Outcome, conversation: _Conversation, started: float) -> SandboxResult:
        return SandboxResult(
            "ended",
            outcome=outcome,
            calls=conversation.calls,
            wall_ms=_since(started),
            layers=conversation.layers,
        )


class _Broken(Exception):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _Conversation:
    """Strict half duplex: job, then calls and replies in turn, then one result. Anything else is the end."""

    def __init__(self, worker: Worker, limits: Limits, call: Broker, progress: Progress | None) -> None:
        self._worker = worker
        self._limits = limits
        self._call = call
        self._progress = progress
        self._computing = 0.0
        self.calls = 0
        self.compiled = ""
        self.layers = worker.layers

    async def hold(self, job: JsonObject) -> dict[str, Any]:
        """The whole conversation; the result frame. Raises _Broken and EndRun."""
        await self._send(job)
        first = True
        while True:
            message = await self._receive()
            if "done" in message:
                return message
            if first and "source" in job and isinstance(message.get("compiled"), str):
                self.compiled = message["compiled"]
                first = False
                continue
            first = False
            if "progress" in message:
                await self._report(message["progress"])
            elif "calls" in message:
                await self._reply_all(message["calls"])
            elif "call" in message:
                await self._reply(message["call"], message.get("arguments"))
            else:
                raise _Broken("protocol", "the worker sent a frame of no known kind")

    async def _reply(self, tool: Any, arguments: Any) -> None:
        await self._send(await self._one(tool, arguments))

    async def _reply_all(self, calls: Any) -> None:
        if not isinstance(calls, list) or len(cast("list[Any]", calls)) > self._limits.calls:
            raise _Broken("protocol", "the worker asked for too many calls at once")
        gate = asyncio.Semaphore(_MAX_IN_PARALLEL)

        async def one(part: dict[str, Any]) -> JsonObject:
            async with gate:
                return await self._one(part.get("call"), part.get("arguments"))

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(part)) for part in cast("list[dict[str, Any]]", calls)]
        replies = [task.result() for task in tasks]
        failed = next((reply for reply in replies if "value" not in reply), None)
        await self._send(failed or {"value": [reply["value"] for reply in replies]})

    async def _one(self, tool: Any, arguments: Any) -> JsonObject:
        self.calls += 1
        if self.calls > self._limits.calls:
            raise _Broken("calls", f"it made more than {self._limits.calls} calls")
        if not isinstance(tool, str) or not isinstance(arguments, dict):
            raise _Broken("protocol", "the worker sent a call that is none")
        try:
            return {"value": await self._call(tool, cast("JsonObject", arguments))}
        except ToolCallFailed as error:
            return {"error": {"message": str(error), "kind": error.kind, "details": error.details}}

    async def _report(self, progress: Any) -> None:
        if self._progress is not None and isinstance(progress, list) and len(cast("list[Any]", progress)) == 3:
            done, total, text = cast("list[Any]", progress)
            if isinstance(done, int | float):
                await self._progress(float(done), float(total) if isinstance(total, int | float) else None, str(text))

    async def _send(self, message: JsonObject) -> None:
        try:
            data = frames.encode(message, 4 * frames.MAX_FRAME)
        except frames.BadFrame as error:
            data = frames.encode({"error": {"message": f"the result is no plain data: {error}", "kind": "result"}})
        self._worker.writer.write(data)
        with contextlib.suppress(ConnectionError):
            await self._worker.writer.drain()

    async def _receive(self) -> dict[str, Any]:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(max(0.0, self._limits.wall_seconds - self._computing)):
                length = frames.length_of(await self._worker.reader.readexactly(4))
                message = frames.decode(await self._worker.reader.readexactly(length))
        except TimeoutError:
            raise _Broken("wall", f"it computed for more than {self._limits.wall_seconds:.0f} s") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise _Broken("killed", "the worker ended: a limit of time or memory, or a forbidden system call") from None
        except frames.BadFrame as error:
            raise _Broken("protocol", str(error)) from None
        self._computing += time.perf_counter() - began
        if not isinstance(message, dict):
            raise _Broken("protocol", "the worker sent a frame that is no object")
        return cast("dict[str, Any]", message)


def _result(message: dict[str, Any], conversation: _Conversation, wall_ms: float) -> SandboxResult:
    status = str(message["done"])
    error = _error(message["error"]) if isinstance(message.get("error"), dict) else None
    if status == "ended":
        outcome = message.get("outcome")
        text = str(cast("dict[str, Any]", outcome).get("message")) if isinstance(outcome, dict) else ""
        status, error = "killed", SandboxError("calls", text)
    known = status if status in ("ok", "rejected", "error", "diverged", "killed") else "error"
    return SandboxResult(
        known,
        value=message.get("value"),
        error=error,
        problems=tuple(_error(part) for part in message.get("problems", [])),
        calls=conversation.calls,
        prints=str(message.get("prints", "")),
        wall_ms=wall_ms,
        layers=conversation.layers,
    )


def _error(part: Any) -> SandboxError:
    made: dict[str, Any] = cast("dict[str, Any]", part) if isinstance(part, dict) else {}
    line = made.get("line")
    return SandboxError(
        str(made.get("kind", "refused")), str(made.get("message", "")), line if isinstance(line, int) else 0
    )


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
