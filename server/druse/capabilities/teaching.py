"""`learning.*` as it is called."""

from __future__ import annotations

import difflib

from druse.capabilities.planning import report_outcome
from druse.capabilities.workbench import Handler, Workbench
from druse.learning import Diagnosis, diagnose
from druse.model import Caller, Invalid, Json, JsonObject, NotFound, Outcome, Progress, RunStatus
from druse.store import RunRecord
from druse.traces import schema_of, shape_of

PROPOSED_AT_ONCE = 3  # candidates that one run of the job proposes (H-37)
SCHEMA_RUNS = 20
_COMPARED = 20


class Teaching:
    """The handlers of `learning.*`."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self.handlers: dict[str, Handler] = {
            "learning.record_feedback": self._feedback,
            "learning.analyze_failure": self._analyze,
            "learning.suggest_improvement": self._suggest,
            "learning.apply_improvement": self._apply,
            "learning.refine_schema": self._refine,
        }

    async def diagnosis(self, record: RunRecord) -> Diagnosis:
        """Why a run failed, next to the newest good runs of its workflow or of its goal's shape."""
        runs = self._bench.store.runs
        key = record.workflow
        good = await runs.of_workflow(key) if key else []
        if len(good) < 2:
            shape = record.shape or shape_of(record.run.goal)
            alike = await runs.of_shape(shape) if shape else []
            full = [await runs.get(other.run.id) for other in alike[:_COMPARED]]
            good = [*good, *(other for other in full if other is not None)]
        kept = {other.run.id: other.run for other in good[-_COMPARED:] if other.run.id != record.run.id}
        return diagnose(record.run, list(kept.values()))

    # handlers

    async def _feedback(self, arguments: JsonObject, caller: Caller) -> Outcome:
        run_id, outcome, note = str(arguments["run_id"]), str(arguments["outcome"]), str(arguments.get("note") or "")
        record = await self._record(run_id)
        bench = self._bench
        masked = bench.recorder.handles.mask_text(note)
        diagnosis = await self.diagnosis(record) if outcome != "success" else None
        environment = diagnosis is not None and diagnosis.environment
        given = await bench.store.plans.give_feedback(run_id, outcome, masked, caller.client, now=bench.clock())
        if given:
            success = outcome == "success"
            if record.run.status is RunStatus.OPEN:
                await bench.recorder.close(run_id, success=success, note=note, counts=not environment)
            else:
                await bench.recorder.mark(run_id, success=success, counts=not environment)
            payload: JsonObject = {"outcome": outcome, "counts": not environment}
            await bench.audit.record("run.feedback", run_id, caller, payload, cause=caller.cause)
        after = await self._record(run_id)
        answer: JsonObject = {"run_id": run_id, "status": str(after.run.status), "changed": given}
        if environment and diagnosis is not None:
            answer["note"] = f"the surroundings failed ({diagnosis.kind}): this counts neither for nor against anything"
        return Outcome.of(answer)

    async def _analyze(self, arguments: JsonObject, caller: Caller) -> Outcome:
        record = await self._record(str(arguments["run_id"]))
        return Outcome.of(
            {"run_id": record.run.id, "status": str(record.run.status)} | (await self.diagnosis(record)).as_dict()
        )

    async def _suggest(self, arguments: JsonObject, caller: Caller) -> Outcome:
        tool = str(arguments["tool"])
        version = self._bench.shelf.active.get(tool)
        if version is None:
            raise NotFound(f'Cannot improve {tool!r}: no such tool is in service. See "druse tools list".')
        failed = await self._failures(tool)
        record = await self._bench.store.tools.get(tool, version.version)
        answer: JsonObject = {
            "tool": f"{tool} v{version.version}",
            "runs": record.runs if record else 0,
            "failed": list[Json](failed),
        }
        report = await self._bench.crystallizer.improve(tool, caller, propose=False)
        source = report.induction.source if report.induction else ""
        if report.status == "suggested" and source != version.source:
            answer["change"] = "new version"
            answer["diff"] = "\n".join(
                difflib.unified_diff(
                    version.source.splitlines(),
                    source.splitlines(),
                    f"{tool} v{version.version}",
                    f"{tool} next",
                    lineterm="",
                )
            )
            answer["expected"] = f"{report.message}, those that v{version.version} did not fit among them"
            answer["next"] = "learning.apply_improvement proposes it."
        elif failed and record is not None and record.runs and len(failed) * 2 > record.runs:
            answer["change"] = "retire"
            answer["expected"] = f"{len(failed)} of {record.runs} runs did not end well, and no runs show a better way"
            answer["next"] = f"A person takes it out of service with druse tools retire {tool}."
        else:
            answer["change"] = None
            answer["why"] = report.message if report.status != "suggested" else "its runs teach what it does already"
        return Outcome.of(answer)

    async def _failures(self, tool: str) -> list[JsonObject]:
        """The runs in which a tool failed or stopped at a guard, with what it said."""
        found: list[JsonObject] = []
        for record in await self._bench.store.runs.using(tool):
            for step in record.run.steps:
                if step.tool == tool and step.failed:
                    said = step.result.get("reason") if isinstance(step.result, dict) else step.result
                    found.append({"run": record.run.id, "arguments": dict(step.arguments), "reason": str(said)[:300]})
        return found

    async def _apply(self, arguments: JsonObject, caller: Caller) -> Outcome:
        tool = str(arguments["tool"])
        version = self._bench.shelf.active.get(tool)
        suggested = await self._bench.crystallizer.improve(tool, caller, propose=False)
        if version is not None and suggested.induction and suggested.induction.source == version.source:
            raise Invalid(f"Cannot improve {tool}: its runs teach what it does already. Record runs that go otherwise.")
        report = await self._bench.making.improve(tool, caller)
        return report_outcome(report.status, report.as_dict(), report.message, report.approval_id)

    async def _refine(self, arguments: JsonObject, caller: Caller) -> Outcome:
        tool = str(arguments["tool"])
        samples = await self._bench.store.runs.results_of(tool, limit=1000)
        if len(samples) < SCHEMA_RUNS:
            raise Invalid(
                f"Cannot refine the schema of {tool}: {len(samples)} results are recorded, {SCHEMA_RUNS} are needed."
            )
        spec = (await self._bench.desk.specs_of([tool])).get(tool)
        declared = dict(spec.output_schema) if spec is not None and spec.output_schema is not None else None
        return Outcome.of({"tool": tool, "proposed": schema_of(samples), "declared": declared, "fits": len(samples)})

    async def propose(self, caller: Caller) -> list[JsonObject]:
        """Propose the best candidates as tools, at most `PROPOSED_AT_ONCE`; what came of each."""
        proposed: list[JsonObject] = []
        for candidate in (await self._bench.desk.candidates())[:PROPOSED_AT_ONCE]:
            report = await self._bench.making.crystallize(candidate.signature, caller, whole=True)
            told: JsonObject = {"signature": candidate.signature, "goal": candidate.goal, "status": report.status}
            told["message"] = report.message
            if report.approval_id:
                told["approval_id"] = report.approval_id
            proposed.append(told)
        return proposed

    async def run_now(self, caller: Caller, progress: Progress | None) -> Outcome:
        """Let Druse learn now; a call while that is under way waits for it and gets the same answer."""
        return Outcome.of({**await self._bench.desk.learn(caller, progress), "limit": PROPOSED_AT_ONCE})

    async def _record(self, run_id: str) -> RunRecord:
        record = await self._bench.store.runs.get(run_id)
        if record is None:
            raise NotFound(f"Cannot find run {run_id!r}. List runs with druse traces list.")
        return record
