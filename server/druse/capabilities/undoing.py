"""`planner.plan_history` and `planner.undo_plan` as they are called."""

from __future__ import annotations

from dataclasses import replace

from druse.capabilities.workbench import Handler, Workbench
from druse.model import Caller, Invalid, Json, JsonObject, NotFound, Outcome, OutcomeStatus
from druse.planner import UNKNOWN, Holds, digest_of_file, inverses_in, taken_back
from druse.routing import is_read
from druse.store import Execution, KeptInverse

_LISTED = 20


class Undoing:
    """The handlers of what was carried out, and of taking it back."""

    def __init__(self, bench: Workbench, holds: Holds) -> None:
        self._bench = bench
        self._holds = holds
        self.handlers: dict[str, Handler] = {
            "planner.plan_history": self._history,
            "planner.undo_plan": self._undo,
        }

    async def _history(self, arguments: JsonObject, caller: Caller) -> Outcome:
        plans, named, limit = self._bench.store.plans, arguments.get("execution"), arguments.get("limit")
        await self._holds.settle(self._bench.store.plans, self._bench.clock())
        if isinstance(named, str):
            return Outcome.of(await self._told(await self._execution(named)))
        found = await plans.executions(limit if isinstance(limit, int) else _LISTED)
        rows: list[Json] = []
        for execution in found:
            stored = await plans.get(execution.plan)
            rows.append(
                {
                    "execution": execution.id,
                    "plan": execution.plan,
                    "goal": str(stored.content.get("goal") or "") if stored else "",
                    "status": execution.status,
                    "started_at": execution.started_at,
                    "done": sum(step.status == "done" for step in await plans.steps(execution.id)),
                    "undone": sum(part.undone_at is not None for part in await plans.inverses(execution.id)),
                }
            )
        return Outcome.of({"executions": rows})

    async def _told(self, execution: Execution) -> JsonObject:
        kept = await self._bench.store.plans.inverses(execution.id)
        return {
            "execution": execution.id,
            "plan": execution.plan,
            "status": execution.status,
            "undoable": [_shown(part) for part in kept if not part.why_not and part.undone_at is None],
            "not_undoable": [*(_shown(part) for part in kept if part.why_not), *await self._unkept(execution, kept)],
            "undone": [part.place for part in kept if part.undone_at is not None],
        }

    async def _undo(self, arguments: JsonObject, caller: Caller) -> Outcome:
        await self._holds.settle(self._bench.store.plans, self._bench.clock())
        execution = await self._execution(str(arguments["execution"]))
        redo = arguments.get("redo")
        with self._holds.of(execution.id) as mine:
            if not mine:
                said = f"Cannot undo {execution.id}: it is being carried out or taken back. Wait for its end."
                raise Invalid(said, where="execution")
            deeper = replace(caller, depth=caller.depth + 1)
            return await self._taken_back(execution, deeper, redo if isinstance(redo, bool) else None)

    async def _taken_back(self, execution: Execution, caller: Caller, redo: bool | None) -> Outcome:
        """The inverses, the last step's first; where one does not go through it stops and can be called again."""
        bench, undone = self._bench, list[Json]()
        stopped: JsonObject = {}
        for part in await bench.store.plans.inverses(execution.id):
            if part.why_not or part.undone_at is not None:
                continue
            unknown = part.after == UNKNOWN or (part.begun_at is not None and not part.touched)
            if (part.touched and taken_back(part)) or (unknown and redo is False):
                # Done before a process ended that could not note it any more.
                await bench.store.plans.undone(execution.id, part.place, now=bench.clock())
                undone.append(part.place)
                continue
            if unknown and redo is None:
                reason = (
                    f"{part.touched} was being written when the execution ended, and nobody knows whether what stands "
                    'there is of this step: look. Then go on with "redo": true to put back what stood there before it, '
                    "or false to leave it."
                    if part.touched
                    else f"taking {part.place} back ({part.tool}) had begun when that ended, and nobody knows how: "
                    'look whether it happened. Then go on with "redo": false if it did, true if it did not.'
                )
                stopped = {"stopped_at": part.place, "reason": reason}
                break
            if part.touched and part.after != UNKNOWN and digest_of_file(part.touched) != part.after:
                reason = f"{part.touched} was changed since the step wrote it; undoing it takes that away as well"
                stopped = {"stopped_at": part.place, "reason": reason}
                break
            await bench.store.plans.undoing(execution.id, part.place, bench.clock())
            outcome = await bench.desk.call(part.tool, part.arguments, caller)
            if not outcome.ok:
                if not outcome.unsure:
                    await bench.store.plans.undoing(execution.id, part.place, None)
                stopped = {"stopped_at": part.place, "reason": outcome.message}
                if outcome.approval_id:
                    stopped["approval_id"] = outcome.approval_id
                break
            await bench.store.plans.undone(execution.id, part.place, now=bench.clock())
            undone.append(part.place)
        payload: JsonObject = {"undone": undone, "stopped_at": stopped.get("stopped_at")}
        await bench.audit.record("plan.undone", execution.id, caller, payload, cause=caller.cause)
        told = await self._told(execution)
        answer: JsonObject = {**told, **stopped, "undone": undone, "status": "stopped" if stopped else "undone"}
        if not stopped:
            return Outcome.of(answer)
        approval = str(stopped.get("approval_id") or "")
        return Outcome(
            OutcomeStatus.DIVERGED, answer, message=str(stopped["reason"]), kind="stopped", approval_id=approval
        )

    async def _execution(self, named: str) -> Execution:
        execution = await self._bench.store.plans.execution(named)
        if execution is None:
            raise NotFound(f"Cannot find execution {named!r}. List them with planner.plan_history.")
        return execution

    async def _unkept(self, execution: Execution, kept: list[KeptInverse]) -> list[JsonObject]:
        """Steps that wrote, or may have, and of which nothing was kept: the process ended meanwhile."""
        stored = await self._bench.store.plans.get(execution.plan)
        steps = await self._bench.store.plans.steps(execution.id)
        known = {part.place for part in kept}
        specs = await self._bench.desk.specs_of(
            sorted({step.tool for step in steps} | set(inverses_in(stored.content) if stored else ()))
        )
        return [
            {"step": step.place, "tool": step.tool, "why": f"it is {step.status}, and nothing was kept to undo it"}
            for step in steps
            if step.place not in known and not (step.tool in specs and is_read(specs[step.tool]))
        ]


def _shown(part: KeptInverse) -> JsonObject:
    return {"step": part.place, "why": part.why_not} if part.why_not else {"step": part.place, "by": part.tool}
