"""`introspect.*` as it is called. Nothing here writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from druse.capabilities.planning import Planning, diff
from druse.capabilities.workbench import Handler, Workbench
from druse.crystal import signature_of
from druse.governance import causes, seq_of, why_tool
from druse.introspect import capability_graph, repaired, type_analysis
from druse.model import Caller, Json, JsonObject, NotFound, Outcome, ToolSpec
from druse.planner import calls_in

_ENTRIES = 2000


class Inspecting:
    """The handlers of `introspect.*`."""

    def __init__(self, bench: Workbench, planning: Planning) -> None:
        self._bench = bench
        self._planning = planning
        self.handlers: dict[str, Handler] = {
            "introspect.capability_graph": self._graph,
            "introspect.plan_trace": self._trace,
            "introspect.type_analysis": self._types,
            "introspect.causal_chain": self._chain,
            "introspect.debug_plan": self._debug,
        }

    async def _graph(self, arguments: JsonObject, caller: Caller) -> Outcome:
        store = self._bench.store
        workflows = await store.runs.workflows()
        skills = [skill.name for skill in self._bench.skills.all() if not skill.problem]
        signatures = {count.workflow: signature_of(count.workflow) for count in workflows}
        graph = capability_graph(await store.tools.all(), self._bench.shelf.active, workflows, skills, signatures)
        if arguments.get("format") == "mermaid":
            return Outcome.of({"mermaid": graph.as_mermaid()})
        return Outcome.of(graph.as_dict())

    async def _trace(self, arguments: JsonObject, caller: Caller) -> Outcome:
        identifier = str(arguments["id"])
        execution = await self._bench.store.plans.execution(identifier)
        if execution is not None:
            steps = await self._bench.store.plans.steps(identifier)
            shown: list[Json] = [
                {
                    "step": step.place,
                    "tool": step.tool,
                    "status": step.status,
                    "result": step.result,
                    "message": step.message,
                    "started_at": step.started_at,
                    "ms": None if step.ended_at is None else round((step.ended_at - step.started_at) * 1000, 3),
                }
                for step in steps
            ]
            rules = await self._rules_of(execution.run_id, execution.started_at)
            return Outcome.of(
                {
                    "execution": identifier,
                    "plan": execution.plan,
                    "status": execution.status,
                    "steps": _ruled(shown, rules),
                }
            )
        record = await self._bench.store.runs.get(identifier)
        if record is None:
            raise NotFound(f"Cannot trace {identifier!r}: no run and no execution has that id. See druse traces list.")
        rules = await self._rules_of(identifier, record.run.opened_at)
        told: list[Json] = [
            {
                "step": number,
                "tool": step.tool,
                "arguments": dict(step.arguments),
                "result": step.result,
                "status": "failed" if step.failed else "done",
                "started_at": step.started_at,
                "ms": step.duration_ms,
            }
            for number, step in enumerate(record.run.steps)
        ]
        return Outcome.of(
            {"run": identifier, "goal": record.run.goal, "status": str(record.run.status), "steps": _ruled(told, rules)}
        )

    async def _rules_of(self, run_id: str, since: float) -> list[tuple[str, str, str]]:
        """Of each call of a run in order: the tool, the rule that let it happen, the entry that says so."""
        ends = await self._bench.audit.newest(_ENTRIES, {"action": "call.end", "since": since - 1})
        found: list[tuple[str, str, str]] = []
        for end in ends:
            payload, cause = end.get("payload"), end.get("cause")
            if not isinstance(payload, dict) or payload.get("run") != run_id or not isinstance(cause, str) or not cause:
                continue
            begun = await self._bench.audit.get(seq_of(cause))
            about = begun.get("payload") if begun else None
            rule = str(about.get("rule") or "a person was asked") if isinstance(about, dict) else "unknown"
            found.append((str(end.get("subject")), rule, cause))
        return found

    async def _types(self, arguments: JsonObject, caller: Caller) -> Outcome:
        plan = cast("JsonObject", arguments["plan"])
        return Outcome.of(type_analysis(plan, await self._specs(plan), await self._recorded(plan)))

    async def _specs(self, plan: JsonObject) -> Mapping[str, ToolSpec]:
        return await self._bench.desk.specs_of(calls_in(plan))

    async def _recorded(self, plan: JsonObject) -> dict[str, list[Json]]:
        return {tool: await self._bench.store.runs.results_of(tool, limit=20) for tool in calls_in(plan)}

    async def _chain(self, arguments: JsonObject, caller: Caller) -> Outcome:
        why = arguments.get("why")
        if isinstance(why, str) and why:
            return Outcome.of({"why": why, "entries": list[Json](await why_tool(self._bench.audit, why))})
        matching: dict[str, str | float] = {}
        for given, known in (
            ("actor", "actor"),
            ("action", "action"),
            ("tool", "subject"),
            ("since", "since"),
            ("until", "until"),
        ):
            value = arguments.get(given)
            if isinstance(value, str | int | float) and value != "":
                matching[known] = value
        limit = arguments.get("limit")
        entries = await self._bench.audit.newest(limit if isinstance(limit, int) else 50, matching)
        answer: JsonObject = {"entries": list[Json](entries)}
        if len(entries) == 1:
            answer["causes"] = list[Json](await causes(self._bench.audit, entries[0]))
        return Outcome.of(answer)

    async def _debug(self, arguments: JsonObject, caller: Caller) -> Outcome:
        plan, issue = cast("JsonObject", arguments["plan"]), str(arguments.get("issue") or "")
        issues = await self._planning.issues(plan, caller)
        entries = {name: entry.spec for name, entry in self._bench.registry.entries().items()}
        diagnosis: list[Json] = [f"{one.where}: {one.kind}: {one.detail}" for one in issues]
        types = type_analysis(plan, entries, await self._recorded(plan))
        mismatch = types["mismatch"]
        if isinstance(mismatch, dict):
            diagnosis.append(f"{mismatch['from']}, but {mismatch['to']}")
        execution = await self._bench.store.plans.execution(issue) if issue else None
        if execution is not None:
            stopped = [step for step in await self._bench.store.plans.steps(issue) if step.status != "done"]
            diagnosis += [f"{step.place}: {step.tool} {step.status}: {step.message}" for step in stopped]
        answer: JsonObject = {"diagnosis": diagnosis or ["nothing is wrong with the plan as it stands"]}
        fix = repaired(plan, issues, entries) if issues else None
        left = await self._planning.issues(fix, caller) if fix is not None else issues
        if fix is not None and len(left) < len(issues):
            answer["fix"] = fix
            answer["diff"] = diff(plan, fix)
            answer["remaining"] = [one.as_dict() for one in left]
        return Outcome.of(answer)


def _ruled(steps: list[Json], rules: list[tuple[str, str, str]]) -> list[Json]:
    """Steps with the rule that let each happen; the calls of one tool come in one order in both."""
    waiting = list(rules)
    for step in steps:
        if not isinstance(step, dict):
            continue
        index = next((number for number, (tool, _, _) in enumerate(waiting) if tool == step["tool"]), None)
        if index is not None:
            _, step["rule"], step["audit"] = waiting.pop(index)
    return steps
