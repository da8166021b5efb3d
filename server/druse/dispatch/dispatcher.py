"""Dispatch: from a goal in words to a mode, without a model and without the network (seed id H-29)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from druse.crystal import Shelf, is_whole, previewed
from druse.dispatch.modes import CRYSTALLIZED_FROM, Mode, mode_for
from druse.dispatch.recognition import Recognition, Recognizer
from druse.induction import Induction, bind, calls_of, induce
from druse.model import Caller, CallerKind, Json, JsonObject, Outcome, OutcomeStatus, Progress, ToolVersion
from druse.retrieval import Match, Taught, match_goal
from druse.runtime import EndRun, SandboxHost, ToolCallFailed
from druse.store import RunRecord, Store, WorkflowCount
from druse.traces import Recorder, shape_of

_GUIDE_STEPS = 30
_GUIDED_BY = 5  # runs of a suspended tool that a guide is made of
_TAUGHT_BY = 100  # the newest runs that a workflow is learned from; more of them change a program no more
_LEARNED = 500  # workflows whose program is kept


class Calls(Protocol):
    """The router."""

    async def call(self, name: str, arguments: Json, caller: Caller, *, progress: Progress | None = None) -> Outcome:
        """One decided call."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """The best of what is known for a goal: a tool in service, or what recorded runs teach."""

    match: Match
    tool: ToolVersion | None = None
    induction: Induction | None = None
    records: tuple[RunRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class _Learned:
    """What a workflow's runs teach; good until the counter of its runs moves."""

    made_at: int
    count: WorkflowCount
    induction: Induction
    records: tuple[RunRecord, ...]
    taught: Taught


class Dispatcher:
    """Chooses and carries out a mode. `find` answers with tools for a goal that nothing is known about."""

    def __init__(
        self,
        store: Store,
        shelf: Shelf,
        recorder: Recorder,
        router: Calls,
        host: SandboxHost,
        *,
        find: Callable[[str, Caller], Awaitable[list[JsonObject]]],
        version_for: Callable[[ToolVersion, Caller | None], ToolVersion],
        suspended: Callable[[ToolVersion, Caller | None], Awaitable[str]],
        follow_runs: int = 5,
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._recorder = recorder
        self._router = router
        self._host = host
        self._find = find
        self._suspended = suspended  # why a version may not run, if it may not
        self._version_for = version_for  # the version that a caller's session goes on with
        self._follow_runs = follow_runs  # successes before recorded work is replayed
        self._recognizer = Recognizer(store, shelf)
        self._learned: dict[str, _Learned] = {}

    async def dispatch(
        self,
        goal: str,
        caller: Caller,
        *,
        arguments: Mapping[str, Json] | None = None,
        dry_run: bool = False,
        replay: bool = False,
        progress: Progress | None = None,
    ) -> Outcome:
        """Work on a goal; opens a run unless `dry_run`. `replay` says yes to a replay that writes."""
        given = dict(arguments or {})
        found = await self._best(goal, given, caller)
        binds = found.tool is not None and not found.match.missing
        suspended = await self._suspended(found.tool, caller) if binds and found.tool is not None else ""
        if suspended:  # its work is done by hand again, and a new version is learned from that
            binds, found = False, replace(found, tool=None, records=await self._runs_behind(found.tool))
        mode = mode_for(found.match.confidence, tool_binds=binds)
        if mode is Mode.FOLLOWER and not self._can_follow(found):
            mode = Mode.MIXED
        if mode is Mode.MIXED and not found.records:
            mode = Mode.LEARNER
        answer: JsonObject = {
            "mode": str(mode),
            "confidence": round(found.match.confidence, 4),
            "arguments": found.match.arguments,
        }
        if found.match.probability is not None:
            answer["probability"] = round(found.match.probability, 4)
        if found.match.missing:
            answer["missing"] = list[Json](found.match.missing)
        why = suspended or found.match.why
        if why:
            answer["why"] = why
        if dry_run:
            return await self._preview(answer, mode, found)
        run_id = await self._said_again(goal, caller) if replay and mode is Mode.FOLLOWER else ""
        run_id = run_id or await self._recorder.open(goal, caller, inputs=given, mode=str(mode))
        await self._store.runs.set_mode(run_id, str(mode), found.match.confidence)
        answer["run_id"] = run_id
        own = replace(caller, run_id=run_id)
        if mode is Mode.CRYSTALLIZED and found.tool is not None:
            return await self._crystallized(answer, found.tool, found.match, own, progress)
        if mode is Mode.FOLLOWER and found.induction is not None:
            if writes(found.induction) and not replay:
                return _ready(answer, found.induction)
            return await self._follow(answer, found.induction, found.match, own)
        if mode is Mode.MIXED:
            answer["guide"] = _guide(found.records)
            answer["next"] = "Work along the guide with run_tool, then call report_outcome with this run_id."
        else:
            answer["tools"] = list[Json](await self._find(goal, caller))
            answer["plan"] = "no plan is known for this goal"
            answer["next"] = "Work with run_tool (find_tools finds more), then call report_outcome with this run_id."
        return Outcome.of(answer)

    async def _runs_behind(self, version: ToolVersion | None) -> tuple[RunRecord, ...]:
        """The newest runs that a tool was made of."""
        made_from = version.manifest.get("made_from") if version is not None else None
        ids = [str(run) for run in made_from[-_GUIDED_BY:]] if isinstance(made_from, list) else []
        found = [await self._store.runs.get(run) for run in ids]
        return tuple(record for record in found if record is not None)

    async def _said_again(self, goal: str, caller: Caller) -> str:
        """The open run of a session that stands at the question whether to replay this goal; empty if none does."""
        record = await self._store.runs.get(self._recorder.held(caller))
        same = record is not None and record.run.goal == self._recorder.handles.mask_text(goal)
        if record is None or not same or record.run.steps or record.mode != Mode.FOLLOWER:
            return ""
        await self._store.runs.count_request(record.run.id)
        return record.run.id

    async def known(self, goal: str, given: Mapping[str, Json], caller: Caller | None = None) -> Known:
        """The best of what is known for a goal; opens no run and calls nothing."""
        return await self._best(goal, given, caller)

    def _can_follow(self, found: Known) -> bool:
        return found.induction is not None and not found.match.missing and len(found.records) >= self._follow_runs

    async def _best(self, goal: str, given: Mapping[str, Json], caller: Caller | None) -> Known:
        """The tool or the recorded runs that fit best; an approved tool wins."""
        recognized = await self._recognizer.recognize(goal)
        best = self._best_tool(goal, given, recognized, caller)
        if best.tool is not None and not best.match.missing and best.match.confidence >= CRYSTALLIZED_FROM:
            return best
        recorded = await self._best_recorded(goal, given, recognized)
        if best.match.confidence > recorded.match.confidence:
            return replace(best, records=recorded.records)
        return recorded

    async def _best_recorded(self, goal: str, given: Mapping[str, Json], recognized: Recognition) -> Known:
        """What recorded runs say: first those whose goal has the same shape, else what their workflows teach."""
        same = await self._store.runs.of_shape(shape_of(self._recorder.handles.mask_text(goal)))
        if same:
            return await self._recorded(goal, given, same)
        best = Known(Match(0.0, exact=False))
        near = [await self._learn(workflow) for workflow in recognized.workflows]
        for learned in sorted(near, key=lambda learned: (-learned.count.last_at, learned.count.workflow)):
            count, induction = learned.count, learned.induction
            if count.successes < 2 or not induction.source:
                continue
            label = self._recognizer.label_of(count.workflow, count.tool)
            taught = replace(learned.taught, worded=recognized.goals_of(label))
            match = match_goal(goal, taught, given, probability=recognized.probability_of(label))
            match = self._if_proven(match, count.runs)
            if match.confidence > best.match.confidence:
                followed = induction if induction.status == "induced" else None
                best = Known(match, None, followed, learned.records)
        return best

    async def _learn(self, workflow: str) -> _Learned:
        """The program of a workflow; made again only when its runs changed."""
        made_at = await self._store.runs.changes(workflow)
        held = self._learned.pop(workflow, None)
        if held is None or held.made_at != made_at:
            newest = await self._store.runs.of_workflow(workflow, newest=max(_TAUGHT_BY, self._follow_runs))
            records = tuple(record for record in newest if record.run.goal)
            induction = induce([record.run for record in records])
            count = await self._store.runs.count_of(workflow) or WorkflowCount(
                workflow, 0, 0, "", None, 0.0, None, None
            )
            held = _Learned(made_at, count, induction, records, _taught_by(induction, records))
        self._learned[workflow] = held  # the one used last stands last
        if len(self._learned) > _LEARNED:
            self._learned.pop(next(iter(self._learned)), None)
        return held

    def _if_proven(self, match: Match, outcomes: int) -> Match:
        """Other words than recorded ones start a replay only where enough outcomes are known."""
        if match.exact or outcomes >= self._follow_runs:
            return match
        return match.held(f"{outcomes} outcomes of this workflow are known, {self._follow_runs} are needed")

    def _best_tool(self, goal: str, given: Mapping[str, Json], recognized: Recognition, caller: Caller | None) -> Known:
        """The approved tool that fits; none where two fit equally well, for then nobody knows which is meant."""
        matches: list[tuple[Match, ToolVersion]] = []
        for name in recognized.tools:
            serving = self._shelf.get(name)
            if serving is None:
                continue
            version = self._version_for(serving, caller)
            if not is_whole(version):
                continue  # its success is not that of the goal
            taught = self._recognizer.taught(version, recognized)
            match = match_goal(goal, taught, given, probability=recognized.probability_of(version.name))
            matches.append((self._if_proven(match, recognized.outcomes_of(version)), version))
        ranked = sorted(matches, key=lambda item: (bool(item[0].missing), -item[0].confidence, item[1].name))
        if not ranked:
            return Known(Match(0.0, exact=False))
        (first, tool), *others = ranked
        rival = next((match for match, _ in others if not match.missing and match.confidence >= first.confidence), None)
        if rival is not None and not first.missing and first.confidence > 0:
            return Known(replace(first, confidence=0.0, why="two tools fit these words equally well"))
        return Known(first, tool=tool)

    async def _recorded(self, goal: str, given: Mapping[str, Json], records: Sequence[RunRecord]) -> Known:
        """What runs with the very same shape of goal say: one workflow, or none if they differ."""
        workflows = {record.workflow for record in records if record.workflow}
        latest = records[0].workflow
        learned = await self._learn(latest)
        induction, full = learned.induction, learned.records
        if len(workflows) != 1:
            # The same words led to different work: that is a guide, no program.
            return Known(Match(0.8, exact=False, why="runs of this goal differ"), records=full)
        if not induction.source or induction.status != "induced":
            return Known(Match(0.9, exact=True, why="; ".join(induction.reasons)), records=full)
        match = match_goal(goal, learned.taught, given)
        return Known(replace(match, confidence=max(match.confidence, 0.9)), None, induction, full)

    async def _crystallized(
        self, answer: JsonObject, tool: ToolVersion, match: Match, caller: Caller, progress: Progress | None
    ) -> Outcome:
        outcome = await self._router.call(tool.name, match.arguments, caller, progress=progress)
        answer["tool"] = f"{tool.name} v{tool.version}"
        run_id = str(answer["run_id"])
        if outcome.ok:
            await self._recorder.close(run_id, success=True, note=f"done by {answer['tool']}")
            answer["status"] = "done"
            answer["result"] = outcome.data
            return Outcome.of(answer)
        if outcome.status is OutcomeStatus.DIVERGED and isinstance(outcome.data, dict):
            answer.update(outcome.data)
            answer["next"] = "Go on from what is done, with run_tool; then call report_outcome with this run_id."
            return replace(outcome, data=answer)
        return replace(outcome, details={**answer, **outcome.details})

    async def _follow(self, answer: JsonObject, induction: Induction, match: Match, caller: Caller) -> Outcome:
        """Replay a bound procedure through router, rules and guards; stop at the first thing that goes otherwise."""
        done: list[JsonObject] = []
        caught: list[JsonObject] = []  # a failure that the code may take for an answer
        replaying = replace(caller, kind=CallerKind.REPLAY)

        async def call(tool: str, arguments: JsonObject) -> Json:
            done.extend(caught)
            caught.clear()
            outcome = await self._router.call(tool, arguments, replaying)
            if outcome.ok:
                done.append({"tool": tool, "arguments": arguments, "result": outcome.data})
                return outcome.data
            if outcome.status is OutcomeStatus.ERROR:
                details: JsonObject = {"result": outcome.data}
                caught.append({"tool": tool, "arguments": arguments, **details})
                raise ToolCallFailed(outcome.message, kind=outcome.kind or "tool_error", details=details)
            raise EndRun(outcome)

        result = await self._host.run(induction.source, match.arguments, call=call)
        answer["done"] = list[Json](done)
        if result.status == "ok":
            await self._recorder.close(str(answer["run_id"]), success=True, note="replayed")
            answer["status"] = "done"
            answer["result"] = result.value
            return Outcome.of(answer)
        reason = result.outcome.message if result.outcome else result.error.message if result.error else result.status
        answer.update(
            {
                "status": "diverged",
                "failed_step": {"line": result.error.line if result.error else 0},
                "reason": reason,
                "remaining": [],
                "next": "Go on from what is done, with run_tool; then call report_outcome with this run_id.",
            }
        )
        approval = result.outcome.approval_id if result.outcome else ""
        return Outcome(OutcomeStatus.DIVERGED, data=answer, message=reason, kind="diverged", approval_id=approval)

    async def _preview(self, answer: JsonObject, mode: Mode, found: Known) -> Outcome:
        """What a dispatch with these words does, without doing it."""
        answer["dry_run"] = True
        if mode is Mode.CRYSTALLIZED and found.tool is not None:
            answer["tool"] = f"{found.tool.name} v{found.tool.version}"
            answer["calls"] = list[Json](previewed(found.tool, found.match.arguments))
        elif mode is Mode.FOLLOWER and found.induction is not None:
            answer["source"] = found.induction.source
        elif mode is Mode.MIXED:
            answer["guide"] = _guide(found.records)
        return Outcome.of(answer)


def writes(induction: Induction) -> bool:
    """Whether a learned program does more than read, as far as anyone knows."""
    return induction.procedure is None or any(call.writes for call in calls_of(induction.procedure.nodes))


def _ready(answer: JsonObject, induction: Induction) -> Outcome:
    """A replay that writes, and that nobody approved as a tool, waits for a second word of the agent."""
    answer["status"] = "ready"
    answer["source"] = induction.source
    answer["next"] = (
        "This goal can be replayed with these arguments, and the replay writes. Call dispatch_goal again with "
        "replay=true to run it, or work by hand with run_tool; then call report_outcome with this run_id."
    )
    return Outcome.of(answer)


def _taught_by(induction: Induction, records: Sequence[RunRecord]) -> Taught:
    bound = [bind(induction, record.run) or {} for record in records]
    names = [part.name for part in induction.parameters]
    examples = {name: [values[name] for values in bound if name in values] for name in names}
    return Taught(induction.goal_patterns, induction.input_schema, examples)


def _guide(records: Sequence[RunRecord]) -> JsonObject:
    """A recorded run as a compact guide: its steps with arguments, and how often it went well (seed id H-26)."""
    if not records:
        return {}
    latest = records[-1]
    steps: list[Json] = [
        {"tool": step.tool, "arguments": dict(step.arguments), **({"failed": True} if step.failed else {})}
        for step in latest.run.steps[:_GUIDE_STEPS]
    ]
    pitfalls: list[Json] = [
        f"{step.tool} failed once: {str(step.result)[:200]}"
        for record in records[-5:]
        for step in record.run.steps
        if step.failed
    ]
    return {"goal": latest.run.goal, "steps": steps, "pitfalls": pitfalls[:5], "made_from": len(records)}
