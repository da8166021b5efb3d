"""`planner.fork_successor` and `planner.apply_successor` as they are called."""

from __future__ import annotations

from druse.capabilities.workbench import Handler, Workbench
from druse.model import Caller, JsonObject, NeedsApproval, Outcome, OutcomeStatus
from druse.succession import Budget, Patch


class Succeeding:
    """The handlers of successors."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self.handlers: dict[str, Handler] = {
            "planner.fork_successor": self._fork,
            "planner.apply_successor": self._apply,
        }

    async def _fork(self, arguments: JsonObject, caller: Caller) -> Outcome:
        given, seconds, runs = arguments["patch"], arguments.get("seconds"), arguments.get("runs")
        patch = Patch.of(given if isinstance(given, dict) else {})
        plain = Budget()
        budget = Budget(
            float(seconds) if isinstance(seconds, int | float) else plain.seconds,
            runs if isinstance(runs, int) else plain.runs,
        )
        await self._bench.making.spend_synthesis(caller)
        answer = await self._bench.succession.fork(
            patch, str(arguments.get("task") or ""), budget, caller, specs=self._bench.desk.specs_of
        )
        return Outcome.of(answer.as_dict())

    async def _apply(self, arguments: JsonObject, caller: Caller) -> Outcome:
        try:
            approval = await self._bench.succession.apply(str(arguments["approval_id"]), caller)
        except NeedsApproval as error:
            return Outcome(
                OutcomeStatus.PENDING, message=str(error), kind="needs_approval", approval_id=error.approval_id
            )
        return Outcome.of({"status": "applied", "approval_id": approval.id, "decided_by": approval.decided_by})
