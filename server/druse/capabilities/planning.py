"""`planner.*` as it is called."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import cast

from druse.capabilities.workbench import Handler, Workbench
from druse.crystal.commands import undo_of_command
from druse.model import Caller, Invalid, Json, JsonObject, NotFound, Outcome, OutcomeStatus, Source, ToolSpec
from druse.planner import (
    LIKELY,
    PLAN_SCHEMA,
    Capability,
    Conductor,
    Holds,
    Issue,
    Stopped,
    calls_in,
    command_inverse,
    decompose,
    file_inverse,
    inverses_in,
    issues_of,
    plan_hash,
    plan_of,
    plan_of_intents,
    ranked,
    undo_listed,
)
from druse.routing import is_read
from druse.settings import agent_of
from druse.store import Execution, StoredPlan
from druse.traces import differences

_RESULTS_COMPARED = 50


class Planning:
    """The handlers of `planner.*`."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self.holds = Holds.beside(bench.store.database.path)
        self.handlers: dict[str, Handler] = {
            "planner.decompose": self._decompose,
            "planner.resolve_intent": self._resolve_intent,
            "planner.generate_plan": self._generate,
            "planner.validate_plan": self._validate,
            "planner.transform_plan": self._transform,
            "planner.execute_plan": self._execute,
            "planner.introspect_result": self._introspect_result,
            "planner.synthesize_capability": self._synthesize,
            "planner.compose_capability": self._compose,
            "planner.register_capability": self._register,
        }

    async def issues(self, plan: JsonObject, caller: Caller) -> list[Issue]:
        """Every fault of a plan for this caller, by the tools and rules of this moment."""
        await self._bench.desk.specs_of([*calls_in(plan), *inverses_in(plan)])  # their servers are connected
        known = {spec.name: spec for spec in self._bench.registry.specs(caller)}
        return issues_of(
            plan,
            known,
            decide=lambda spec, arguments: self._bench.rules.decide(spec, spec.name, arguments, caller),
            max_depth=self._bench.rules.config.self_programming.max_plan_depth,
        )

    # handlers

    async def _decompose(self, arguments: JsonObject, caller: Caller) -> Outcome:
        goal = str(arguments["goal"])
        given = arguments.get("arguments")
        known = await self._bench.dispatcher.known(goal, given if isinstance(given, dict) else {}, caller)
        intents, source = await decompose(goal, known, self._ranked)
        answer: JsonObject = {"goal": goal, "from": source, "intents": [intent.as_dict() for intent in intents]}
        answer["arguments"] = known.match.arguments
        if not intents:
            answer["message"] = (
                "Nothing recorded, learned or listed here speaks of this goal, so there is nothing to split it by. Do "
                "it once with run_tool, or name the parts yourself."
            )
        return Outcome.of(answer)

    async def _resolve_intent(self, arguments: JsonObject, caller: Caller) -> Outcome:
        found = await self._ranked(str(arguments["intent"]))
        best = found[0] if found else None
        return Outcome.of(
            {
                "intent": str(arguments["intent"]),
                "best": best.as_dict() if best else None,
                "runner_up": found[1].as_dict() if len(found) > 1 else None,
                "needs_synthesis": best is None or best.score < LIKELY or best.kind in ("skill", "run"),
                "threshold": LIKELY,
            }
        )

    async def _generate(self, arguments: JsonObject, caller: Caller) -> Outcome:
        goal, listed, values = str(arguments.get("goal") or ""), arguments.get("intents"), arguments.get("arguments")
        given = values if isinstance(values, dict) else {}
        if isinstance(listed, list) and listed:
            plan = plan_of_intents([part for part in listed if isinstance(part, dict)], goal, given)
        else:
            plan = await self._plan_for(goal, given)
        issues = await self.issues(plan, caller)
        return Outcome.of(
            {"plan": plan, "hash": plan_hash(plan), "valid": not issues, "issues": [i.as_dict() for i in issues]}
        )

    async def _plan_for(self, goal: str, given: Mapping[str, Json]) -> JsonObject:
        known = await self._bench.dispatcher.known(goal, given)
        values = {**known.match.arguments, **given}
        if known.match.confidence >= LIKELY and known.tool is not None:
            schema = known.tool.manifest.get("input_schema")
            properties = schema.get("properties") if isinstance(schema, dict) else None
            inputs: JsonObject = dict(properties) if isinstance(properties, dict) else {}
            for name in inputs:
                declared = inputs[name]
                if name in values and isinstance(declared, dict):
                    inputs[name] = {**declared, "default": values[name]}
            step: JsonObject = {"id": "step1", "call": known.tool.name}
            step["arguments"] = {name: {"$input": name} for name in inputs}
            made: JsonObject = {"format": 1, "goal": goal, "inputs": inputs, "steps": [step]}
            made["permissions"] = [known.tool.name]
            return made
        if known.match.confidence >= LIKELY and known.induction is not None:
            return plan_of(known.induction, goal, values, [record.run.id for record in known.records])
        raise Invalid(
            f"Cannot plan {goal!r}: no learned tool and no recorded runs are near enough to it. Give intents that name "
            "their tools, or do the work once with run_tool.",
            where="goal",
            problem="nothing is known",
        )

    async def _validate(self, arguments: JsonObject, caller: Caller) -> Outcome:
        plan = arguments.get("plan")
        if not isinstance(plan, dict) or not plan:
            return Outcome.of({"schema": PLAN_SCHEMA})
        issues = await self.issues(plan, caller)
        answer: JsonObject = {"valid": not issues, "issues": [issue.as_dict() for issue in issues]}
        if not issues:
            answer["hash"] = await self._keep(plan, caller)
            can, cannot = await self._undo_listed(plan)
            answer["undo"] = {"undoable": list[Json](can), "not_undoable": list[Json](cannot)}
        return Outcome.of(answer)

    async def _transform(self, arguments: JsonObject, caller: Caller) -> Outcome:
        plan = cast("JsonObject", arguments["plan"])
        # No broker is given: a call ends the run. That is what makes this a transformation, not what it says of itself.
        result = await self._bench.host.run(str(arguments["code"]), {"plan": plan})
        if result.status != "ok" or not isinstance(result.value, dict):
            problems = "; ".join(part.message for part in result.problems)
            why = result.outcome.message if result.outcome else result.error.message if result.error else problems
            return Outcome(
                OutcomeStatus.ERROR,
                message=f"The plan was not changed: {why or 'run must return the plan as a dict'}",
                kind=result.status if result.status != "ok" else "no_plan",
            )
        changed = result.value
        issues = await self.issues(changed, caller)
        answer: JsonObject = {"plan": changed, "diff": diff(plan, changed), "valid": not issues}
        answer["issues"] = [issue.as_dict() for issue in issues]
        if not issues:
            answer["hash"] = await self._keep(changed, caller, parent=plan_hash(plan))
        return Outcome.of(answer)

    async def _undo_listed(self, plan: JsonObject) -> tuple[list[JsonObject], list[JsonObject]]:
        specs = await self._bench.desk.specs_of(calls_in(plan))
        return undo_listed(plan, reads=lambda tool: tool in specs and is_read(specs[tool]), inverse_of=undo_of_command)

    async def _keep(self, plan: JsonObject, caller: Caller, parent: str = "") -> str:
        made = StoredPlan(plan_hash(plan), plan, parent, self._bench.clock(), caller.client)
        await self._bench.store.plans.keep(made)
        return made.hash

    async def _execute(self, arguments: JsonObject, caller: Caller) -> Outcome:
        plan, named = cast("JsonObject", arguments["plan"]), str(arguments["hash"])
        stored = await self._bench.store.plans.get(named)
        if stored is None:
            raise Invalid(f"Cannot execute plan {named[:23]}: it was not validated. Call planner.validate_plan first.")
        if plan_hash(plan) != named or plan_hash(stored.content) != named:
            raise Invalid(
                f"Cannot execute the plan: it is not the one that was validated as {named[:23]}. Validate it anew.",
                where="hash",
                problem="the plan was changed",
            )
        issues = await self.issues(plan, caller)
        if issues:
            first = issues[0]
            raise Invalid(
                f"Cannot execute the plan: {first.where}: {first.detail}. Correct it and validate it anew.",
                where=first.where,
                problem=first.kind,
            )
        _, cannot = await self._undo_listed(plan)
        if arguments.get("undoable_only") and cannot:
            raise Invalid(
                f"Cannot execute the plan: step {cannot[0]['step']} cannot be undone: {cannot[0]['why']}. Name its "
                "inverse as `undo`, or execute it without undoable_only.",
                where=str(cannot[0]["step"]),
                problem="not undoable",
            )
        with ExitStack() as held:
            execution, known = await self._opened(arguments, named, caller, held)
            return await self._conduct(plan, execution, known, caller, redo=bool(arguments.get("redo")))

    async def _opened(
        self, arguments: JsonObject, named: str, caller: Caller, stack: ExitStack
    ) -> tuple[Execution, dict[str, object]]:
        """The execution, held by this process from now on, and what is known of its steps."""
        plans = self._bench.store.plans
        again = arguments.get("execution")
        if isinstance(again, str):
            held = await (plans.unfinished(named) if again == "last" else plans.execution(again))
            if held is None or held.plan != named:
                raise NotFound(f"Cannot go on with execution {again!r}: there is none of this plan.")
            mine = stack.enter_context(self.holds.of(held.id))
            now = await plans.execution(held.id)  # it may have ended before it was ours
            if not mine or now is None or now.status == "done":
                status = "being carried out or taken back" if not mine else "done"
                raise Invalid(f"Cannot go on with execution {held.id}: it is {status}.", where="execution")
            return held, {step.place: step for step in await plans.steps(held.id)}
        given = arguments.get("inputs")
        inputs = _with_defaults(cast("JsonObject", arguments["plan"]), given if isinstance(given, dict) else {})
        masked = self._bench.recorder.handles.mask_object(inputs)
        run_id = await self._bench.recorder.run_of(caller)
        made = Execution(
            f"exec-{self._bench.new_id()}",
            *(named, masked, "running", caller.session, run_id, self._bench.clock()),
            agent=agent_of(caller.client),
        )
        stack.enter_context(self.holds.of(made.id))
        await plans.begin(made)
        return replace(made, inputs=inputs), {}

    async def _conduct(
        self, plan: JsonObject, execution: Execution, known: Mapping[str, object], caller: Caller, *, redo: bool
    ) -> Outcome:
        bench = self._bench
        specs = await bench.desk.specs_of(calls_in(plan))
        conductor = Conductor(
            execution.id,
            bench.store.plans,
            bench.desk,
            replace(caller, depth=caller.depth + 1),
            lambda tool: tool in specs and is_read(specs[tool]),
            bench.recorder.handles.mask,
            bench.clock,
            cast("dict[str, object]", known),  # type: ignore[arg-type]
            redo,
            lambda tool, given: file_inverse(tool, given, bench.root) or command_inverse(tool, given, undo_of_command),
        )
        status = "stopped"
        try:
            result = await conductor.carry_out(plan, execution.inputs)
            status = "done"
        except Stopped as stopped:
            steps = await bench.store.plans.steps(execution.id)
            payload: JsonObject = {
                "status": "stopped",
                "execution": execution.id,
                "failed_step": stopped.place,
                "reason": stopped.reason,
                "done": [step.place for step in steps if step.status == "done"],
                "next": "Set right what stopped it, then call planner.execute_plan again with this execution.",
            }
            approval = stopped.outcome.approval_id if stopped.outcome else ""
            if approval:
                payload["approval_id"] = approval
            return Outcome(
                OutcomeStatus.DIVERGED, payload, message=stopped.reason, kind="stopped", approval_id=approval
            )
        finally:
            await bench.store.plans.end(execution.id, status, now=bench.clock())
        return Outcome.of({"status": "done", "execution": execution.id, "result": result, "calls": conductor.made})

    async def _introspect_result(self, arguments: JsonObject, caller: Caller) -> Outcome:
        tool, result = str(arguments["tool"]), arguments["result"]
        spec = (await self._bench.desk.specs_of([tool])).get(tool)
        samples = await self._bench.store.runs.results_of(tool, limit=_RESULTS_COMPARED)
        places = [part.as_dict() for part in differences(result, samples)]
        declared = _against_schema(result, spec)
        shapes = [*declared, *(part for part in places if part["kind"] == "shape")]
        verdict = "shape differs" if shapes else "suspicious" if places else "ok" if samples or spec else "unknown"
        return Outcome.of(
            {"verdict": verdict, "places": list[Json]([*declared, *places]), "compared_with": len(samples)}
        )

    async def _synthesize(self, arguments: JsonObject, caller: Caller) -> Outcome:
        signature, goal, name = arguments.get("signature"), arguments.get("goal"), arguments.get("name")
        if not isinstance(signature, str):
            known = await self._bench.dispatcher.known(str(goal or ""), {})
            if not known.records or known.match.confidence < LIKELY:
                raise NotFound(
                    f"Cannot make a tool for {goal!r}: no recorded runs are near enough to it. Do the work at least "
                    "twice, or hand in code with propose_tool."
                )
            from druse.crystal import signature_of

            signature = signature_of(known.records[-1].workflow)
        report = await self._bench.making.crystallize(signature, caller, name=name if isinstance(name, str) else None)
        return report_outcome(report.status, report.as_dict(), report.message, report.approval_id)

    async def _compose(self, arguments: JsonObject, caller: Caller) -> Outcome:
        name, parts = str(arguments["name"]), cast("list[Json]", arguments["parts"])
        report = await self._bench.making.compose(name, parts, str(arguments.get("description") or ""), caller)
        return report_outcome(report.status, report.as_dict(), report.message, report.approval_id)

    async def _register(self, arguments: JsonObject, caller: Caller) -> Outcome:
        approval = await self._bench.approvals.get(str(arguments["approval_id"]))
        if approval.kind != "tool":
            raise Invalid(f"Cannot register {approval.id}: it asks for a {approval.kind}, not for a tool.")
        if approval.status == "approved":
            return Outcome.of({"status": "registered", "tool": str(approval.details.get("name"))})
        granted = await self._bench.making.register(approval.id) if approval.status == "pending" else None
        if granted is not None:
            return Outcome.of({"status": "registered", "tool": str(granted.details.get("name"))})
        message = (
            f"{approval.title} is {approval.status}: at trust level {self._bench.rules.trust_level} a person decides, "
            f'with "druse approvals approve {approval.id}".'
        )
        status = OutcomeStatus.PENDING if approval.status == "pending" else OutcomeStatus.DENIED
        return Outcome(status, message=message, kind="needs_approval", approval_id=approval.id)

    async def _ranked(self, intent: str) -> Sequence[Capability]:
        await self._bench.desk.connect_all()
        specs = [spec for spec in self._bench.registry.specs() if spec.source is not Source.CAPABILITY]
        skills = {skill.name: skill.description for skill in self._bench.skills.all() if not skill.problem}
        records = await self._bench.store.runs.list(status="success", limit=200)
        goals = list(dict.fromkeys(record.run.goal for record in records if record.run.goal))
        return ranked(intent, specs, self._bench.shelf.active, skills, goals)


def report_outcome(status: str, data: JsonObject, message: str, approval_id: str) -> Outcome:
    """The report of a proposal as the end of a call."""
    if status == "registered":
        return Outcome.of(data)
    details = {key: value for key, value in data.items() if key not in ("status", "message")}
    if status == "proposed":
        return Outcome(
            OutcomeStatus.PENDING, message=message, kind="needs_approval", approval_id=approval_id, details=details
        )
    return Outcome(OutcomeStatus.INVALID, message=message, kind=status, details=details)


def diff(before: JsonObject, after: JsonObject) -> str:
    """Two plans as a unified diff of their text."""
    texts = [json.dumps(plan, indent=2, ensure_ascii=False, sort_keys=True).splitlines() for plan in (before, after)]
    return "\n".join(difflib.unified_diff(texts[0], texts[1], "before", "after", lineterm=""))


def _with_defaults(plan: JsonObject, given: JsonObject) -> JsonObject:
    """The inputs of an execution. Raises Invalid for one that is missing or not declared."""
    declared = plan.get("inputs")
    inputs = declared if isinstance(declared, dict) else {}
    made: JsonObject = {}
    for name, schema in inputs.items():
        if name in given:
            made[name] = given[name]
        elif isinstance(schema, dict) and "default" in schema:
            made[name] = schema["default"]
        else:
            raise Invalid(f"Cannot execute the plan: input `{name}` is missing. Give it in `inputs`.", where=name)
    unknown = sorted(set(given) - set(inputs))
    if unknown:
        raise Invalid(f"Cannot execute the plan: it has no input `{unknown[0]}`; it has {', '.join(inputs) or 'none'}.")
    return made


def _against_schema(result: Json, spec: ToolSpec | None) -> list[JsonObject]:
    if spec is None or spec.output_schema is None:
        return []
    from jsonschema import Draft202012Validator
    from referencing import Registry as NoRemoteReferences

    validator = Draft202012Validator(dict(spec.output_schema), registry=NoRemoteReferences())
    errors = validator.iter_errors(result)  # type: ignore[no-untyped-call]
    found: list[JsonObject] = []
    for error in errors:
        where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in error.absolute_path)
        found.append({"path": f"${where}", "kind": "shape", "detail": f"declared otherwise: {error.message[:200]}"})
    return found[:20]
