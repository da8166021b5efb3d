"""Small servers and the programs that work on them: runs to learn from, and runs to be judged by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from druse.induction import Induction, induce
from druse.model import Run, RunStatus, Step

Call = Callable[..., Any]


class Diverged(BaseException):
    """A guard stopped the program."""


@dataclass
class Recording:
    """What one execution called."""

    server: Callable[[str, dict[str, Any]], Any]
    steps: list[Step] = field(default_factory=list)

    def __call__(self, tool: str, **arguments: Any) -> Any:
        result = self.server(tool, arguments)
        self.steps.append(Step(tool, arguments, result, turn=len(self.steps) + 1))
        return result


def record(
    program: Callable[..., Any],
    server: Callable[[], Callable[[str, dict[str, Any]], Any]],
    inputs: list[dict[str, Any]],
) -> list[Run]:
    """One run for each set of inputs, each on a fresh server."""
    runs: list[Run] = []
    for number, values in enumerate(inputs):
        recording = Recording(server())
        program(recording, **values)
        goal = " ".join(str(value) for value in values.values())
        runs.append(Run(f"r{number:02}", goal, RunStatus.SUCCESS, tuple(recording.steps), inputs=values))
    return runs


def execute(
    induction: Induction, server: Callable[[str, dict[str, Any]], Any], arguments: dict[str, Any]
) -> list[Step]:
    """Run an induced source in plain Python with the sandbox's own guards. Raises Diverged."""
    from druse_sandbox import builtins as language

    recording = Recording(server)
    names: dict[str, Any] = {name: getattr(language, name) for name in ("expect", "require", "one", "command", "word")}
    names["ToolError"] = language.ToolError
    exec(compile(induction.source, "tool.py", "exec"), names)
    try:
        names["run"](recording, **arguments)
    except (language.Diverged, KeyError, TypeError, IndexError) as error:
        raise Diverged(str(error)) from error
    return recording.steps


def learned(
    program: Callable[..., Any],
    server: Callable[[], Callable[[str, dict[str, Any]], Any]],
    inputs: list[dict[str, Any]],
) -> Induction:
    """What is induced from runs of a program."""
    return induce(record(program, server, inputs))


def same_calls(
    induction: Induction,
    program: Callable[..., Any],
    server: Callable[[], Callable[[str, dict[str, Any]], Any]],
    values: dict[str, Any],
    arguments: dict[str, Any],
) -> bool:
    """Whether the induced program calls, on unseen inputs, exactly what the real one does."""
    (run,) = record(program, server, [values])
    wanted = [(step.tool, dict(step.arguments)) for step in run.steps]
    made = [(step.tool, dict(step.arguments)) for step in execute(induction, server(), arguments)]
    return wanted == made
