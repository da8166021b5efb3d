"""Work that goes on while the agent does something else (seed id N-31): a script with a bounded life that reports back.

`tasks.start` takes a script as `run_code` does; each of its calls is decided, audited and recorded like any other. It
ends by itself, at its time, at its number of calls, when it is cancelled, or when the server ends: then what it was
doing is cancelled with every process that was started for it, and its report says which of these it was.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from druse.front.skilltools import spec_of
from druse.jobs import Job, Scheduler
from druse.model import (
    CallContext,
    Caller,
    DruseError,
    Invalid,
    JsonObject,
    NotAllowed,
    NotFound,
    Outcome,
    OutcomeStatus,
    ToolSpec,
)
from druse.runtime import EndRun
from druse.store import Store
from druse.store.jobs import JobRun
from druse.traces import Recorder

log = logging.getLogger("druse.front")

MAX_RUNNING = 8
MAX_SECONDS, MAX_STEPS = 3600, 500
DEFAULT_SECONDS, DEFAULT_STEPS = 300, 50
_PREFIX = "task "

_TEXT: JsonObject = {"type": "string"}
SPECS: tuple[ToolSpec, ...] = (
    spec_of(
        "tasks.start",
        None,
        "Run a script (as run_code) in the background within a time and a number of calls; gives an id at once. "
        "It is stopped with its processes at either limit.",
        {
            "goal": {"type": "string", "description": "What it is for, in one line."},
            "code": _TEXT,
            "arguments": {"type": "object"},
            "seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_SECONDS, "default": DEFAULT_SECONDS},
            "steps": {"type": "integer", "minimum": 1, "maximum": MAX_STEPS, "default": DEFAULT_STEPS},
        },
        ["goal", "code"],
        keeps=True,
    ),
    spec_of(
        "tasks.status",
        None,
        "How a background task stands, with its report once it ended; without an id the newest tasks.",
        {"id": _TEXT},
        [],
    ),
    spec_of("tasks.cancel", None, "Stop a background task and what it started.", {"id": _TEXT}, ["id"], keeps=True),
)


class Runner(Protocol):
    """What carries a script out."""

    async def run_code(
        self,
        code: str,
        arguments: JsonObject,
        caller: Caller,
        progress: None,
        *,
        before_call: Callable[[str], None] | None = None,
    ) -> Outcome:
        """A script in the sandbox; `before_call` may end it by raising EndRun."""
        ...


@dataclass(slots=True)
class _Task:
    """One task at work in this process."""

    id: str
    goal: str
    code: str
    arguments: JsonObject
    seconds: float
    steps: int
    caller: Caller
    made: int = 0  # calls so far
    asked: bool = False  # somebody cancelled it
    work: asyncio.Task[None] | None = None
    tools: list[str] = field(default_factory=list[str])

    def so_far(self) -> JsonObject:
        """What a report says in any case."""
        return {"goal": self.goal, "steps": self.made, "tools": [*self.tools[-20:]], "run_id": self.caller.run_id}


class AgentTasks:
    """The background tasks of one application. Nothing is started before `open`."""

    def __init__(
        self, runner: Runner, scheduler: Scheduler, store: Store, recorder: Recorder, *, new_id: Callable[[], str]
    ) -> None:
        self._runner = runner
        self._scheduler = scheduler
        self._store = store
        self._recorder = recorder
        self._new_id = new_id
        self._group: asyncio.TaskGroup | None = None
        self._running: dict[str, _Task] = {}
        self._starting = 0  # that are not in `_running` yet

    def specs(self) -> Sequence[ToolSpec]:
        """The capabilities."""
        return SPECS

    def open(self, group: asyncio.TaskGroup) -> None:
        """Tasks may be started; they live in this group."""
        self._group = group

    def close(self) -> None:
        """The server ends: every task is stopped."""
        self._group = None
        for task in self._running.values():
            if task.work is not None:
                task.work.cancel()

    async def call(self, spec: ToolSpec, arguments: JsonObject, context: CallContext) -> Outcome:
        """Carry out one decided call."""
        try:
            if spec.alias == "tasks.start":
                return Outcome.of(await self._start(arguments, context.caller))
            if spec.alias == "tasks.cancel":
                return Outcome.of(await self._cancel(str(arguments["id"])))
            return Outcome.of(await self._status(str(arguments.get("id") or "")))
        except DruseError as error:
            status = OutcomeStatus.INVALID if isinstance(error, Invalid | NotFound) else OutcomeStatus.FAILED
            return Outcome(status, message=str(error), kind=error.kind)

    async def _start(self, arguments: JsonObject, caller: Caller) -> JsonObject:
        if self._group is None:
            raise NotAllowed("Cannot start a background task here: no server is running that could carry it on.")
        if len(self._running) + self._starting >= MAX_RUNNING:
            raise NotAllowed(
                f"Cannot start another background task: {MAX_RUNNING} are running. Wait for one (tasks.status) or "
                "cancel one (tasks.cancel)."
            )
        self._starting += 1
        try:
            return await self._started(arguments, caller, self._group)
        finally:
            self._starting -= 1

    async def _started(self, arguments: JsonObject, caller: Caller, group: asyncio.TaskGroup) -> JsonObject:
        seconds, steps, given = arguments.get("seconds"), arguments.get("steps"), arguments.get("arguments")
        name = self._new_id()
        own = replace(caller, session=f"{_PREFIX}{name}", run_id="")
        goal = self._recorder.handles.mask_text(str(arguments["goal"]))[:500]
        task = _Task(
            id=name,
            goal=goal,
            code=str(arguments["code"]),
            arguments=given if isinstance(given, dict) else {},
            seconds=float(seconds) if isinstance(seconds, int | float) else DEFAULT_SECONDS,
            steps=steps if isinstance(steps, int) else DEFAULT_STEPS,
            caller=replace(own, run_id=await self._recorder.open(goal, own, mode="TASK")),
        )
        job = Job(f"{_PREFIX}{name}", goal, functools.partial(self._carry_out, task), budget=task.seconds)
        job = replace(job, so_far=task.so_far)
        run = await self._scheduler.claim(job, name, caller.client[:120] or "agent")
        assert run is not None, "ids are new"
        self._running[name] = task
        task.work = group.create_task(self._live(task, job, run))
        return {"id": name, "status": "running", "seconds": task.seconds, "steps": task.steps}

    async def _live(self, task: _Task, job: Job, run: JobRun) -> None:
        try:
            await self._scheduler.work(job, run)
        except asyncio.CancelledError:
            why = "cancelled" if task.asked else "stopped because the server ended"
            await asyncio.shield(self._scheduler.end(run, "stopped", {**task.so_far(), "problem": why}))
            if not task.asked:
                raise
        finally:
            self._running.pop(task.id, None)
            await asyncio.shield(self._recorder.close_session(task.caller.session))

    async def _carry_out(self, task: _Task) -> JsonObject:
        def count(tool: str) -> None:
            if task.made >= task.steps:
                message = f"stopped after its budget of {task.steps} calls; {tool} was to be the next"
                raise EndRun(Outcome(OutcomeStatus.FAILED, message=message, kind="step_limit"))
            task.made += 1
            task.tools.append(tool)

        outcome = await self._runner.run_code(task.code, task.arguments, task.caller, None, before_call=count)
        report: JsonObject = {**task.so_far(), "status": str(outcome.status)}
        if outcome.ok:
            return report | {"result": self._recorder.handles.mask(outcome.data)}
        report |= {"problem": self._recorder.handles.mask_text(outcome.message), "kind": outcome.kind}
        return report | ({"approval_id": outcome.approval_id} if outcome.approval_id else {})

    async def _status(self, name: str) -> JsonObject:
        if not name:
            found = await self._store.jobs.tasks(_PREFIX)
            return {"tasks": [_shown(run) for run in found]}
        return _shown(await self._known(name))

    async def _cancel(self, name: str) -> JsonObject:
        task = self._running.get(name)
        if task is None or task.work is None:
            run = await self._known(name)
            if run.status == "running":
                raise NotAllowed(f"Cannot cancel task {name}: another process carries it out ({run.owner}).")
            return _shown(run)
        task.asked = True
        task.work.cancel()
        await asyncio.wait({task.work})
        return _shown(await self._known(name))

    async def _known(self, name: str) -> JobRun:
        found = await self._store.jobs.history(f"{_PREFIX}{name}", limit=1)
        if not found:
            raise NotFound(f"Cannot find background task {name[:80]!r}. tasks.status without an id lists them.")
        return found[0]


def _shown(run: JobRun) -> JsonObject:
    # A script that met its step limit or failed has ended its job, and is no success for all that.
    status = str(run.report.get("status") or run.status)
    if run.status == "done":
        status = {"ok": "done", "pending": "waits for approval"}.get(status, "stopped")
        if run.report.get("kind") == "tool_error" or run.report.get("status") == "error":
            status = "failed"
    report: JsonObject = {key: value for key, value in run.report.items() if key != "status"}
    return {
        "id": run.slot,
        "status": status if run.status == "done" else run.status,
        "started_at": run.started_at,
        "ended_at": run.finished_at,
        "report": report,
    }
