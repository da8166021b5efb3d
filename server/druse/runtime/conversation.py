"""What host and worker say to each other in one run, seen from the host.

Strict half duplex: job, then calls and replies in turn, then one result. The worker may say anything at any time, so
every frame is taken apart here and nowhere else; what does not fit ends the run as Broken, never the host. Frames,
bytes, calls and waiting are all counted on this side.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

from druse.model import Json, JsonObject, Progress
from druse.runtime.limits import Limits
from druse.runtime.pool import Worker
from druse.runtime.results import CompileReport, EndRun, SandboxError, SandboxResult, ToolCallFailed
from druse_sandbox import frames

Broker: TypeAlias = "Callable[[str, JsonObject], Awaitable[Json]]"
MAX_PROGRESS = 4000  # reports of one run
MAX_RECEIVED = 64 * 1024 * 1024  # bytes of one run, all frames together
_MAX_IN_PARALLEL = 32
_MAX_REPORT = 8 * 1024
_MAX_PRINTS = 256 * 1024
_MAX_TEXT = 4000
_MAX_LINE = 1_000_000
_STATUSES = ("ok", "rejected", "error", "diverged")


class Broken(Exception):
    """The conversation cannot go on. `status` is that of the run, `kind` says which bound or rule it was."""

    def __init__(self, kind: str, message: str, *, status: str = "killed") -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status


class Conversation:
    """One run with one worker."""

    def __init__(self, worker: Worker, limits: Limits, call: Broker, progress: Progress | None) -> None:
        self._wire = worker.wire
        self._limits = limits
        self._call = call
        self._progress = progress
        self._computing = 0.0
        self._received = 0
        self._reports = 0
        self.calls = 0
        self.compiled = ""
        self.layers = worker.layers

    async def hold(self, job: JsonObject, *, keep_code: bool = False) -> dict[str, Any]:
        """The whole conversation; its last frame. Raises Broken and EndRun.

        Compiled code is taken with `keep_code` only, as the first frame only: no tool code has run before it.
        """
        try:
            frame = frames.encode(job, frames.MAX_REPLY)
        except frames.BadFrame as error:
            raise Broken("arguments", f"the arguments of the run cannot be sent: {error}", status="error") from None
        await self._send(frame)
        message = await self._receive()
        if keep_code and isinstance(message.get("compiled"), str):
            self.compiled = message["compiled"]
            message = await self._receive()
        while "done" not in message:
            if "progress" in message:
                await self._report(message["progress"])
            elif "calls" in message:
                await self._reply_all(message["calls"])
            elif "call" in message:
                self._count(1)
                await self._send(_reply_frame(await self._one(message), str(message["call"])))
            else:
                raise Broken("protocol", "the worker sent a frame of no known kind")
            message = await self._receive()
        return message

    async def _reply_all(self, calls: Any) -> None:
        parts: list[Any] = cast("list[Any]", calls) if isinstance(calls, list) else []
        if not parts or not all(isinstance(part, dict) for part in parts):
            raise Broken("protocol", "the worker asked for calls that are none")
        self._count(len(parts))
        gate = asyncio.Semaphore(_MAX_IN_PARALLEL)

        async def one(part: dict[str, Any]) -> JsonObject:
            async with gate:
                return await self._one(part)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(part)) for part in parts]
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        replies = [task.result() for task in tasks]
        failed = next((reply for reply in replies if "value" not in reply), None)
        together: JsonObject = failed or {"value": [reply["value"] for reply in replies]}
        await self._send(_reply_frame(together, f"{len(parts)} calls together"))

    def _count(self, calls: int) -> None:
        self.calls += calls
        if self.calls > self._limits.calls:
            raise Broken("calls", f"it made more than {self._limits.calls} calls")

    async def _one(self, part: dict[str, Any]) -> JsonObject:
        tool, arguments = part.get("call"), part.get("arguments")
        if not isinstance(tool, str) or not isinstance(arguments, dict):
            raise Broken("protocol", "the worker sent a call that is none")
        try:
            return {"value": await self._call(tool, cast("JsonObject", arguments))}
        except ToolCallFailed as error:
            return {"error": {"message": str(error), "kind": error.kind, "details": error.details}}

    async def _report(self, progress: Any) -> None:
        self._reports += 1
        if self._reports > MAX_PROGRESS:
            raise Broken("protocol", f"the worker sent more than {MAX_PROGRESS} reports of progress")
        values: list[Any] = cast("list[Any]", progress) if isinstance(progress, list) else []
        if len(values) != 3 or len(str(values[2])) > _MAX_REPORT:
            raise Broken("protocol", "the worker sent a report of progress that is none")
        done, total = _measure(values[0]), _measure(values[1])
        if self._progress is not None and done is not None:
            await self._progress(done, total, str(values[2]))

    async def _send(self, frame: bytes) -> None:
        began = time.perf_counter()
        try:
            await self._wire.send(frame, max(0.0, self._limits.wall_seconds - self._computing))
        except TimeoutError:
            raise Broken("wall", f"it read nothing for {self._limits.wall_seconds:.0f} s") from None
        self._computing += time.perf_counter() - began

    async def _receive(self) -> dict[str, Any]:
        began = time.perf_counter()
        try:
            body = await self._wire.receive(max(0.0, self._limits.wall_seconds - self._computing))
            self._received += len(body)
            if self._received > MAX_RECEIVED:
                raise Broken("protocol", f"the worker sent more than {MAX_RECEIVED:,} bytes")
            message = frames.decode(body)
        except TimeoutError:
            raise Broken("wall", f"it computed for more than {self._limits.wall_seconds:.0f} s") from None
        except EOFError:
            raise Broken("killed", "the worker ended: a limit of time or memory, or a forbidden system call") from None
        except frames.BadFrame as error:
            raise Broken("protocol", str(error)) from None
        self._computing += time.perf_counter() - began
        if not isinstance(message, dict):
            raise Broken("protocol", "the worker sent a frame that is no object")
        return cast("dict[str, Any]", message)


def result_of(message: dict[str, Any], conversation: Conversation, wall_ms: float) -> SandboxResult:
    """The last frame as a result. Raises Broken for one that is none."""
    status = message["done"]
    error = _error(message["error"]) if isinstance(message.get("error"), dict) else None
    prints = message.get("prints", "")
    if status == "ended":
        raise Broken("calls", "the limit of calls was reached")
    if status not in _STATUSES or not isinstance(prints, str):
        raise Broken("protocol", "the worker sent a result that is none")
    return SandboxResult(
        str(status),
        value=message.get("value"),
        error=error,
        problems=_problems(message),
        calls=conversation.calls,
        prints=prints[:_MAX_PRINTS],
        wall_ms=wall_ms,
        layers=conversation.layers,
    )


def report_of(message: dict[str, Any]) -> CompileReport:
    """The last frame of a check. Raises Broken for one that is none."""
    named = message.get("tools", [])
    tools: list[Any] = cast("list[Any]", named) if isinstance(named, list) else [None]
    if not all(isinstance(tool, str) for tool in tools):
        raise Broken("protocol", "the worker sent a report that is none")
    return CompileReport(_problems(message), tuple(tools), bool(message.get("dynamic_calls")))


def _problems(message: dict[str, Any]) -> tuple[SandboxError, ...]:
    given = message.get("problems", [])
    if not isinstance(given, list):
        raise Broken("protocol", "the worker sent problems that are none")
    return tuple(_error(part) for part in cast("list[Any]", given)[:100])


def _error(part: Any) -> SandboxError:
    made: dict[str, Any] = cast("dict[str, Any]", part) if isinstance(part, dict) else {}
    line = made.get("line")
    return SandboxError(
        str(made.get("kind", "refused"))[:100],
        str(made.get("message", ""))[:_MAX_TEXT],
        line if type(line) is int and 0 <= line <= _MAX_LINE else 0,
    )


def _reply_frame(reply: JsonObject, what: str) -> bytes:
    """A reply, or the error that says why it cannot be one: tool code catches it as a ToolError."""
    try:
        return frames.encode(reply, frames.MAX_REPLY)
    except frames.BadFrame as error:
        told = f"the reply of {what[:100]} cannot be taken: {error}; ask for less of it"
        return frames.encode({"error": {"message": told, "kind": "result", "details": None}}, frames.MAX_REPLY)


def _measure(value: Any) -> float | None:
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ends the run: what the broker decided goes before what broke."""
    found: list[BaseException] = []
    waiting: list[BaseException] = [errors]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(cast("BaseExceptionGroup[BaseException]", error).exceptions)
        else:
            found.append(error)
    return next((error for error in found if isinstance(error, EndRun)), found[0])
