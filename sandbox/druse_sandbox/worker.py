"""One run in one worker: lock, read the job, compile, run, answer, end."""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import base64
import marshal
import os
import sys
import time
from collections.abc import Callable
from types import CodeType
from typing import Any

from druse_sandbox import builtins as language
from druse_sandbox import frames
from druse_sandbox.builtins import ToolError, names_for
from druse_sandbox.jail import lock
from druse_sandbox.language import Compiled, compile_source
from druse_sandbox.plain import NotPlain, plain, sendable

_MAX_PRINT = 256 * 1024
# Reports of progress: the first ones as they come, then some each second, so that a loop may report every turn.
_REPORTS_AT_ONCE = 500
_REPORTS_SECONDS = 0.1
_REPORTS = 3000


def serve(reading: int, writing: int, limits: dict[str, int]) -> None:
    """Everything a worker does: frames come in on `reading` and go out on `writing`. Never returns."""
    report = lock(limits, reading, writing)
    try:
        run = _prepared[0] if _prepared else _Run()
        run.connect(reading, writing)
        frames.send(writing, {"ready": report})
        frames.write(writing, run.answer(frames.receive(reading)))
    except (EOFError, BrokenPipeError, frames.BadFrame):
        os._exit(3)
    os._exit(0)


class _Run:
    """One job. The names of tool code are made before the job is there, in the zygote if there is one."""

    def __init__(self) -> None:
        self._reading = self._writing = -1
        self._job: dict[str, Any] = {}
        self._calls = 0
        self._printed = 0
        self._lines: list[str] = []
        self._reports = 0
        self._reported = 0.0
        self._names = names_for(self._call, self._call_all, self._report)

    def connect(self, reading: int, writing: int) -> None:
        """The descriptors of this worker."""
        self._reading, self._writing = reading, writing

    def answer(self, job: dict[str, Any]) -> bytes:
        """The result frame."""
        self._job = job
        if job.get("os_only"):
            return self._unguarded()
        script = job["mode"] == "script"
        if "code" in job:  # compiled before, by a worker as locked as this one, and kept by the host
            return self._guarded(marshal.loads(base64.b64decode(job["code"])), script=script)
        compiled = compile_source(job["source"], script=script)
        if compiled.code is None or job["mode"] == "check":
            return self._checked(compiled)
        # Before a byte of tool code has run: what the host keeps can only come from the compiler.
        frames.send(self._writing, {"compiled": base64.b64encode(marshal.dumps(compiled.code)).decode("ascii")})
        return self._guarded(compiled.code, script=script)

    def _checked(self, compiled: Compiled) -> bytes:
        message = {
            "done": "rejected" if compiled.code is None else "ok",
            "problems": [problem.as_dict() for problem in compiled.problems],
            "tools": list(compiled.tools),
            "dynamic_calls": compiled.dynamic_calls,
        }
        return frames.encode(message)

    def _guarded(self, code: CodeType, *, script: bool) -> bytes:
        names = self._names
        language.at_divergence = self._end_diverged
        language.at_limit = self._end_at_limit
        try:
            if script:
                names["arguments"] = self._job["arguments"]
                exec(code, names)
                value = names.get("result")
            else:
                call = names["call"]
                exec(code, names)
                value = names["run"](call, **self._job["arguments"])
            return self._done("ok", value=value)
        except ToolError as error:
            told = vars(error)  # not through attributes, which tool code may have made its own
            kind, text = told.get("kind"), told.get("message")
            kind = kind if type(kind) is str else "tool_error"
            return self._done("error", error=(kind, text if type(text) is str else _message(error), _line(error)))
        except (MemoryError, RecursionError) as error:
            return self._limit(error)
        except BaseException as error:  # top handler of the worker: whatever tool code raises is its result
            return self._done("error", error=(_kind(error), _message(error), _line(error)))

    def _end_diverged(self, reason: str) -> None:
        self._end(lambda: self._done("diverged", error=("diverged", reason, _line_now())))

    def _end_at_limit(self, error: BaseException) -> None:
        self._end(lambda: self._limit(error))

    def _end(self, frame: Callable[[], bytes]) -> None:
        """Answer and end, whatever happens on the way: tool code must not see an error of its end."""
        try:
            sys.setrecursionlimit(sys.getrecursionlimit() + 500)  # tool code may have left no room
            frames.write(self._writing, frame())
        finally:
            os._exit(0)

    def _limit(self, error: BaseException) -> bytes:
        if isinstance(error, MemoryError):
            return self._done("error", error=("memory", "the memory limit was reached", 0))
        return self._done("error", error=("recursion", "it recursed too deeply", _line(error)))

    def _unguarded(self) -> bytes:
        """The diagnostic without the language layer: plain Python against the wall alone. No call has an effect."""
        names: dict[str, Any] = {"__name__": "tool"}
        try:
            exec(compile(self._job["source"], "tool.py", "exec"), names)
            value = names["run"](self._call, **self._job["arguments"]) if "run" in names else names.get("result")
            return self._done("ok", value=value)
        except BaseException as error:  # top handler of the worker
            return self._done("error", error=(_kind(error), _message(error), _line(error)))

    def _done(self, status: str, *, value: Any = None, error: tuple[str, str, int] | None = None) -> bytes:
        message: dict[str, Any] = {"done": status, "calls": self._calls, "prints": "".join(self._lines)}
        text = ""
        if status == "ok":
            try:
                text = frames.text_of(plain(value))
                limit = self._job["limits"]["result_bytes"]
                if len(text) > limit:
                    raise frames.BadFrame(f"{len(text):,} bytes are over the limit of {limit:,}")
            except (frames.BadFrame, NotPlain, RecursionError, MemoryError) as problem:
                message["done"] = "error"
                place = f"result{problem.place}: " if isinstance(problem, NotPlain) else ""
                told = problem.problem if isinstance(problem, NotPlain) else str(problem) or type(problem).__name__
                error = ("result", f"the result cannot be sent: {place}{told}", 0)
        if error is not None:
            message["error"] = {
                "kind": sendable(error[0])[:100],
                "message": sendable(error[1][:4000]),
                "line": error[2],
            }
        head = frames.text_of(message)
        # The value was made into text once, under its limit; it goes out as exactly that.
        return frames.framed(f'{head[:-1]},"value":{text}}}' if message["done"] == "ok" else head)

    def _call(self, tool: Any, /, *extra: Any, **arguments: Any) -> Any:
        if type(tool) is not str or extra:
            raise TypeError('write call("tool_name", argument=value)')
        return self._ask({"call": _name(tool), "arguments": _arguments(tool, arguments)}, 1)

    def _call_all(self, calls: Any) -> list[Any]:
        wanted: list[dict[str, Any]] = []
        for pair in calls:
            if type(pair) not in (tuple, list) or len(pair) != 2 or type(pair[0]) is not str:
                raise TypeError('write call_all([("tool_name", {"argument": value}), ...])')
            tool, arguments = pair
            wanted.append({"call": _name(tool), "arguments": _arguments(tool, dict(arguments))})
            if len(wanted) > self._job["limits"]["calls"]:
                break  # told below, without taking an endless list apart
        return list(self._ask({"calls": wanted}, len(wanted))) if wanted else []

    def _ask(self, message: dict[str, Any], calls: int) -> Any:
        self._calls += calls
        if self._calls > self._job["limits"]["calls"]:
            self._end(lambda: self._done("ended"))
        try:
            frame = frames.encode(message)
        except frames.BadFrame as error:
            self._calls -= calls
            raise ValueError(f"the arguments cannot be sent: {error}") from None
        frames.write(self._writing, frame)
        body = frames.body(self._reading)
        try:
            reply = frames.decode_reply(body)
        except frames.BadFrame as error:
            raise ToolError(f"the reply cannot be taken: {error}; ask for less of it", "result") from None
        if "value" in reply:
            return reply["value"]
        failed = reply["error"]
        raise ToolError(failed["message"], failed["kind"], failed.get("details"))

    def _report(self, kind: str, value: Any) -> None:
        if kind == "print":
            text = sendable(value)
            room = max(0, _MAX_PRINT - self._printed)
            self._lines.append(text[:room])
            self._printed += min(len(text), room)
            return
        now = time.monotonic()
        late = self._reports < _REPORTS_AT_ONCE or now - self._reported >= _REPORTS_SECONDS
        if late and self._reports < _REPORTS:
            self._reports += 1
            self._reported = now
            frames.send(self._writing, {"progress": value})


_prepared: list[_Run] = []  # at most one


def prepare() -> None:
    """Make the names of tool code before the fork; each worker has a copy of its own."""
    _prepared[:] = [_Run()]


def _name(tool: str) -> str:
    try:
        if len(tool) > 200:
            raise NotPlain("it is longer than 200 characters")
        return plain(tool)
    except NotPlain as error:
        raise ValueError(f"the name of the tool cannot be sent: {error}") from None


def _arguments(tool: str, arguments: dict[Any, Any]) -> dict[str, Any]:
    try:
        return plain(arguments)
    except NotPlain as error:
        raise TypeError(f"the arguments of {tool[:80]} cannot be sent: {error}") from None


def _kind(error: BaseException) -> str:
    return type(error).__name__ if isinstance(error, Exception) else "stopped"


def _message(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except BaseException:  # a hostile __str__
        return type(error).__name__


def _line(error: BaseException) -> int:
    """The line of tool code that raised, the innermost one."""
    line = 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "tool.py":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _line_now() -> int:
    """The line of tool code that runs at this moment, the innermost one."""
    frame = sys._getframe()  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        if frame.f_code.co_filename == "tool.py":
            return frame.f_lineno
        frame = frame.f_back
    return 0
