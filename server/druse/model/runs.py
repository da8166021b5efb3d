"""Recorded work: a *run* is one goal worked on, a *step* one call made for it.

The neutral trace format (import, export, benchmarks) is one JSON object a line:
`{"src", "domain", "task", "traj", "ok", "user": [[t, text], ...],
  "steps": [{"t", "tool", "args", "res", "err"?}, ...]}`; `t` orders user turns and steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

from druse.model.errors import Invalid
from druse.model.json_data import Json, JsonObject


class RunStatus(StrEnum):
    """How a run stands. Only `success` and `failure` count towards a rating."""

    OPEN = "open"
    SUCCESS = "success"
    FAILURE = "failure"
    UNFINISHED = "unfinished"  # interrupted, or closed by idleness without an outcome


@dataclass(frozen=True, slots=True)
class Step:
    """One call as it was made and answered. `result` is what `call(...)` returns to tool code (see `result_data`)."""

    tool: str
    arguments: Mapping[str, Json]
    result: Json = None
    failed: bool = False
    turn: int = 0  # order among steps and user turns of the run
    started_at: float = 0.0  # seconds since the epoch; 0 where the source did not say
    duration_ms: float | None = None
    effect: str = "unknown"  # read | write | unknown
    parallel_group: int | None = None  # equal for calls that overlapped in time


@dataclass(frozen=True, slots=True)
class Run:
    """One goal worked on, with its steps in order of their start."""

    id: str
    goal: str = ""
    status: RunStatus = RunStatus.OPEN
    steps: tuple[Step, ...] = ()
    user_turns: tuple[tuple[int, str], ...] = ()  # (turn, text); cuts macros
    source: str = "druse"
    domain: str = ""
    task: str = ""  # support counts distinct tasks; empty = the run stands for itself
    session: str = ""
    opened_at: float = 0.0
    closed_at: float | None = None
    inputs: Mapping[str, Json] = field(default_factory=dict[str, Json])  # what the caller gave by name, if it did
    crystallized_into: tuple[str, int] | None = None  # (tool, version), seed id H-01


def run_from_neutral(line: Mapping[str, Json], *, default_id: str = "") -> Run:
    """A run from one object of the neutral trace format. Raises Invalid naming the field."""
    raw_steps = line.get("steps")
    if not isinstance(raw_steps, list):
        raise Invalid("Cannot read a trace line: `steps` is not a list.", where="steps", problem="not a list")
    steps = tuple(_step_from_neutral(raw, number) for number, raw in enumerate(raw_steps))
    ok = line.get("ok")
    status = RunStatus.UNFINISHED if ok is None else RunStatus.SUCCESS if ok else RunStatus.FAILURE
    turns: list[tuple[int, str]] = []
    raw_turns = line.get("user")
    for raw in raw_turns if isinstance(raw_turns, list) else []:
        if isinstance(raw, list) and len(raw) == 2 and isinstance(raw[0], int):
            turns.append((raw[0], str(raw[1])))
    return Run(
        id=str(line.get("traj") or default_id),
        goal=str(line.get("goal") or (turns[0][1] if turns else "")),
        status=status,
        steps=steps,
        user_turns=tuple(turns),
        source=str(line.get("src") or ""),
        domain=str(line.get("domain") or ""),
        task=str(line.get("task") or ""),
        opened_at=_number(line.get("opened_at")) or 0.0,
        closed_at=_number(line.get("closed_at")),
    )


def run_to_neutral(run: Run) -> JsonObject:
    """The run as one object of the neutral trace format."""
    ok: Json = {RunStatus.SUCCESS: 1, RunStatus.FAILURE: 0}.get(run.status)
    return {
        "src": run.source,
        "domain": run.domain,
        "task": run.task,
        "traj": run.id,
        "goal": run.goal,
        "ok": ok,
        "user": [[turn, text] for turn, text in run.user_turns],
        "steps": [
            {"t": step.turn, "tool": step.tool, "args": dict(step.arguments), "res": step.result, "err": step.failed}
            for step in run.steps
        ],
    }


def _step_from_neutral(raw: Json, number: int) -> Step:
    if not isinstance(raw, dict) or not isinstance(raw.get("tool"), str):
        raise Invalid(
            f"Cannot read a trace line: step {number} has no tool.", where=f"steps[{number}]", problem="no tool"
        )
    arguments = raw.get("args")
    turn = raw.get("t")
    return Step(
        tool=cast(str, raw["tool"]),
        arguments=arguments if isinstance(arguments, dict) else {},
        result=raw.get("res"),
        failed=bool(raw.get("err")),
        turn=turn if isinstance(turn, int) else number,
        started_at=_number(raw.get("at")) or 0.0,
        duration_ms=_number(raw.get("ms")),
        effect=str(raw["effect"]) if raw.get("effect") in ("read", "write") else "unknown",
    )


def _number(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
