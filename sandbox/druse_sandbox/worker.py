"""One run in one worker: lock, read the job, compile, run, answer, end."""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import base64
import marshal
import os
import sys
from types import CodeType
from typing import Any

from druse_sandbox import builtins as language
from druse_sandbox import frames
from druse_sandbox.builtins import ToolError, names_for
from druse_sandbox.jail import lock
from druse_sandbox.language import Compiled, compile_source

_MAX_PRINT = 256 * 1024


def serve(reading: int, writing: int, limits: dict[str, int]) -> None:
    """Everything a worker does: frames come in on `reading` and go out on `writing`. Never returns."""
    report = lock(limits, reading, writing)
    try:
        run = _Run(reading, writing)
        frames.send(writing, {"ready": report})
        frames.send(writing, run.answer(frames.receive(reading)))
    except (EOFError, BrokenPipeError, frames.BadFrame):
        os._exit(3)
    os._exit(0)


class _Run:
    """One job. The names of tool code are made before the job is there, while nobody waits."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing
        self._job: dict[str, Any] = {}
        self._calls = 0
        self._printed = 0
        self._lines: list[str] = []
        self._names = names_for(self._call, self._call_all, self._report)

    def answer(self, job: dict[str, Any]) -> dict[str, Any]:
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

    def _checked(self, compiled: Compiled) -> dict[str, Any]:
        return {
            "done": "rejected" if compiled.code is None else "ok",
            "problems": [problem.as_dict() for problem in compiled.problems],
            "tools": list(compiled.tools),
            "dynamic_calls": compiled.dynamic_calls,
        }

    def _guarded(self, code: CodeType, *, script: bool) -> dict[str, Any]:
        names = self._names
        language.at_divergence = self._end_diverged
        try:
            if script:
                names["arguments"] = self._job["arguments"]
                exec(code, names)
                value = names.get("result")
            else:
                exec(code, names)
                value = names["run"](self._call, **self._job["arguments"])
            return self._done("ok", value=value)
        except ToolError as error:
            return self._done("error", error=(error.kind, error.message, _line(error)))
        except MemoryError:
            return self._done("error", error=("memory", "the memory limit was reached", 0))
        except RecursionError as error:
            return self._done("error", error=("recursion", "it recursed too deeply", _line(error)))
        except BaseException as error:  # top handler of the worker: whatever tool code raises is its result
            return self._done("error", error=(_kind(error), _message(error), _line(error)))

    def _end_diverged(self, reason: str) -> None:
        frames.send(self._writing, self._done("diverged", error=("diverged", reason, _line_now())))
        os._exit(0)

    def _unguarded(self) -> dict[str, Any]:
        """The diagnostic without the language layer: plain Python against the wall alone. No call has an effect."""
        names: dict[str, Any] = {"__name__": "tool"}
        try:
            exec(compile(self._job["source"], "tool.py", "exec"), names)
            value = names["run"](self._call, **self._job["arguments"]) if "run" in names else names.get("result")
            return self._done("ok", value=value)
        except BaseException as error:  # top handler of the worker
            return self._done("error", error=(_kind(error), _message(error), _line(error)))

    def _done(
        self, status: str, *, value: Any = None, error: tuple[str, str, int] | None = None, outcome: Any = None
    ) -> dict[str, Any]:
        message: dict[str, Any] = {"done": status, "calls": self._calls, "prints": "".join(self._lines)}
        if error is not None:
            message["error"] = {"kind": error[0], "message": error[1][:4000], "line": error[2]}
        if outcome is not None:
            message["outcome"] = outcome
        if status == "ok":
            try:
                frames.encode(plain(value), self._job["limits"]["result_bytes"])
                message["value"] = plain(value)
            except (frames.BadFrame, TypeError, RecursionError) as problem:
                message["done"] = "error"
                message["error"] = {"kind": "result", "message": f"the result cannot be sent: {problem}", "line": 0}
        return message

    def _call(self, tool: Any, /, *extra: Any, **arguments: Any) -> Any:
        if type(tool) is not str or extra:
            raise TypeError('write call("tool_name", argument=value)')
        return self._ask({"call": tool, "arguments": plain(arguments)})

    def _call_all(self, calls: Any) -> list[Any]:
        wanted = [{"call": str(tool), "arguments": plain(dict(arguments))} for tool, arguments in list(calls)]
        return list(self._ask({"calls": wanted})) if wanted else []

    def _ask(self, message: dict[str, Any]) -> Any:
        self._calls += len(message.get("calls", (1,)))
        if self._calls > self._job["limits"]["calls"]:
            outcome = {"status": "error", "kind": "calls", "message": "the limit of calls was reached"}
            frames.send(self._writing, self._done("ended", outcome=outcome))
            os._exit(0)
        try:
            frames.send(self._writing, message)
        except frames.BadFrame as error:
            self._calls -= 1
            raise ValueError(f"the arguments cannot be sent: {error}") from None
        reply = frames.receive(self._reading)
        if "value" in reply:
            return reply["value"]
        failed = reply["error"]
        raise ToolError(failed["message"], failed["kind"], failed.get("details"))

    def _report(self, kind: str, value: Any) -> None:
        if kind == "print":
            room = max(0, _MAX_PRINT - self._printed)
            self._lines.append(str(value)[:room])
            self._printed += min(len(value), room)
        else:
            frames.send(self._writing, {"progress": plain(value)})


def plain(value: Any, depth: int = 0) -> Any:
    """The value as JSON data: tuples and views become lists, sets sorted lists. Raises TypeError for anything else."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if depth > frames.MAX_DEPTH:
        raise TypeError(f"it is nested deeper than {frames.MAX_DEPTH}")
    if isinstance(value, dict):
        made: dict[str, Any] = {}
        for key, item in value.items():
            if type(key) not in (str, int, float, bool):
                raise TypeError("a key of an object must be a text")
            made[key if type(key) is str else str(key)] = plain(item, depth + 1)
        return made
    if kind in (list, tuple) or kind.__name__ in ("dict_keys", "dict_values", "dict_items", "deque"):
        return [plain(item, depth + 1) for item in value]
    if kind in (set, frozenset):
        return sorted((plain(item, depth + 1) for item in value), key=repr)
    if kind.__module__ in ("datetime", "uuid", "decimal", "fractions") and kind.__name__ != "timezone":
        return value.isoformat() if hasattr(value, "isoformat") else str(value)
    raise TypeError(f"{kind.__name__} is not plain data")


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
