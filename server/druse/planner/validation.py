"""What is wrong with a plan, found without running it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from druse.model import Decision, Json, JsonObject, ToolSpec, Verdict
from druse.planner.plans import (
    MAX_STEPS,
    PLAN_SCHEMA,
    arguments_of,
    calls_in,
    count_steps,
    depth_of,
    is_reference,
    literal_of,
    needs,
    references,
    steps_of,
)


@dataclass(frozen=True, slots=True)
class Issue:
    """One fault. `kind` is a stable word, `where` the step or place, `detail` what to change."""

    kind: str
    where: str
    detail: str

    def as_dict(self) -> JsonObject:
        """For answers."""
        return {"kind": self.kind, "where": self.where, "detail": self.detail}


def issues_of(
    plan: JsonObject,
    specs: Mapping[str, ToolSpec],
    *,
    decide: Callable[[ToolSpec, JsonObject], Decision],
    max_depth: int,
) -> list[Issue]:
    """Every fault of a plan; empty where it can be carried out.

    `specs`: the tools that there are. `decide` is the one decision function: a call it denies is a fault, one it asks
    about is not.
    """
    malformed = _malformed(plan)
    if malformed:
        return malformed
    found: list[Issue] = []
    depth = depth_of(plan)
    if depth > max_depth:
        raised = f'put fewer plans into plans, or a person raises "max_plan_depth" ({max_depth})'
        found.append(Issue("too_deep", "plan", f"plans stand {depth} deep in one another: {raised}"))
    steps = count_steps(plan)
    if steps > MAX_STEPS:
        found.append(Issue("too_many_steps", "plan", f"{steps} steps, {MAX_STEPS} is the limit"))
    if isinstance(plan.get("permissions"), list):
        listed = plan["permissions"]
        named = set(map(str, listed if isinstance(listed, list) else []))
        for tool in calls_in(plan):
            if tool not in named:
                found.append(Issue("undeclared_call", tool, "the plan calls it and does not name it in `permissions`"))
    found += _of_one(plan, specs, decide, "")
    return found


def _of_one(
    plan: JsonObject, specs: Mapping[str, ToolSpec], decide: Callable[[ToolSpec, JsonObject], Decision], outer: str
) -> list[Issue]:
    found: list[Issue] = []
    steps = steps_of(plan)
    names = [str(step["id"]) for step in steps]
    inputs = plan.get("inputs")
    declared = set(inputs) if isinstance(inputs, dict) else set[str]()
    for name in {name for name in names if names.count(name) > 1}:
        found.append(Issue("duplicate_id", outer + name, "two steps have this id"))
    circular = _circular(steps)
    earlier: set[str] = set()
    for step in steps:
        where = outer + str(step["id"])
        for need in sorted(needs(step)):
            if need not in names:
                found.append(Issue("undefined", where, f"it refers to step {need!r}, which is not there"))
            elif need in circular and str(step["id"]) in circular:
                found.append(Issue("cycle", where, f"it waits for {need!r}, which waits for it"))
            elif need not in earlier:
                found.append(Issue("use_before_definition", where, f"step {need!r} stands behind it"))
        for reference in [*references(step.get("arguments")), *references(step.get("for_each"))]:
            if reference.kind == "input" and reference.name not in declared:
                found.append(Issue("undefined", where, f"input {reference.name!r} is not declared in `inputs`"))
            if reference.kind == "item" and "for_each" not in step:
                found.append(Issue("undefined", where, "it uses $item without for_each"))
        inner = step.get("plan")
        if isinstance(inner, dict):
            wanted = inner.get("inputs")
            for name in wanted if isinstance(wanted, dict) else ():
                if name not in arguments_of(step):
                    found.append(Issue("missing_argument", where, f"the inner plan's input {name!r} is not given"))
            found += _of_one(inner, specs, decide, f"{where}.")
        else:
            found += _of_call(step, where, specs, decide)
        undo = step.get("undo")
        if isinstance(undo, dict):
            found += _of_undo(step, undo, where, earlier, declared)
            found += _of_call({**undo, "id": step["id"]}, f"{where}.undo", specs, decide)
        earlier.add(str(step["id"]))
    for reference in references(plan.get("result")):
        known = names if reference.kind == "from" else declared
        if reference.name not in known:
            found.append(Issue("undefined", f"{outer}result", f"{reference.name!r} is not there"))
    return found


def _of_undo(step: JsonObject, undo: JsonObject, where: str, earlier: set[str], declared: set[str]) -> list[Issue]:
    if "call" not in step:
        return [Issue("malformed", where, "only a step with `call` has an `undo`; name it inside the inner plan")]
    found: list[Issue] = []
    for reference in references(undo.get("arguments")):
        known = earlier | {str(step["id"])} if reference.kind == "from" else declared
        if reference.kind != "item" and reference.name not in known:
            found.append(Issue("undefined", f"{where}.undo", f"{reference.name!r} is not known when it is undone"))
        if reference.kind == "item" and "for_each" not in step:
            found.append(Issue("undefined", f"{where}.undo", "it uses $item without for_each"))
    return found


def _of_call(
    step: JsonObject, where: str, specs: Mapping[str, ToolSpec], decide: Callable[[ToolSpec, JsonObject], Decision]
) -> list[Issue]:
    name, given = str(step["call"]), arguments_of(step)
    spec = specs.get(name)
    if spec is None:
        import difflib

        nearest = difflib.get_close_matches(name, list(specs), n=1)
        hint = f"; the nearest is {nearest[0]}" if nearest else "; search with find_tools"
        return [Issue("unknown_tool", where, f"there is no tool {name}{hint}")]
    found: list[Issue] = []
    properties, required = spec.input_schema.get("properties"), spec.input_schema.get("required")
    known = properties if isinstance(properties, dict) else {}
    for key in required if isinstance(required, list) else []:
        if key not in given:
            found.append(Issue("missing_argument", where, f"{name} needs `{key}`"))
    for key, value in given.items():
        if key not in known and spec.input_schema.get("additionalProperties") is False:
            found.append(Issue("unknown_argument", where, f"{name} has no `{key}`; it has {', '.join(sorted(known))}"))
        elif key in known and not any(True for _ in references(value)) and not is_reference(value):
            problem = _mismatch(literal_of(value), known[key])
            if problem:
                found.append(Issue("wrong_type", where, f"`{key}` of {name}: {problem}"))
    literal: JsonObject = {key: literal_of(value) for key, value in given.items() if not any(references(value))}
    decision = decide(spec, literal)
    if decision.verdict is Verdict.DENY:
        at = f" at {decision.origin}" if decision.origin else ""
        found.append(Issue("forbidden", where, f"{name} is denied by {decision.rule or decision.why}{at}"))
    return found


def _mismatch(value: Json, schema: Json) -> str:
    from jsonschema import Draft202012Validator
    from referencing import Registry

    if not isinstance(schema, dict) or "$ref" in str(schema):
        return ""  # checked when the call is made
    validator: Any = Draft202012Validator(schema, registry=Registry())
    error = next(validator.iter_errors(value), None)
    return str(error.message)[:200] if error is not None else ""


def _malformed(plan: JsonObject) -> list[Issue]:
    from jsonschema import Draft202012Validator
    from referencing import Registry

    validator: Any = Draft202012Validator(PLAN_SCHEMA, registry=Registry())
    errors = sorted(validator.iter_errors(plan), key=lambda error: (len(error.absolute_path), str(error.message)))
    return [
        Issue("malformed", ".".join(map(str, error.absolute_path)) or "plan", str(error.message)[:300])
        for error in errors[:10]
    ]


def _circular(steps: Sequence[JsonObject]) -> set[str]:
    """The steps that wait for themselves, over others or directly."""
    waits = {str(step["id"]): needs(step) for step in steps}
    found: set[str] = set()
    for start in waits:
        seen: set[str] = set()
        open_ = list(waits[start])
        while open_:
            name = open_.pop()
            if name == start:
                found.add(start)
                break
            if name not in seen:
                seen.add(name)
                open_ += waits.get(name, ())
    return found
