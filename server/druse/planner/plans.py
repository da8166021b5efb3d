"""Plans: JSON data that says which tools are called with what, and nothing else. No code stands in a plan.

```json
{"format": 1, "goal": "refund the newest order",
 "inputs": {"email": {"type": "string"}},
 "steps": [{"id": "user", "call": "shop__get_user", "arguments": {"email": {"$input": "email"}}},
           {"id": "quotes", "for_each": {"$from": "user", "path": ["orders"]},
            "call": "shop__quote", "arguments": {"order_id": {"$item": []}}}],
 "result": {"$from": "quotes"}}
```

A value is literal JSON or a reference: `$input` (an input), `$from` with `path` (a place in an earlier step's result),
`$item` (a place in the element of `for_each`), `$text` (a list of texts and references, joined), `$literal` (JSON as it
stands). A step calls a tool (`call`) or carries out a plan (`plan`).
`undo` names the call that takes a step back. `permissions`, where given, is what the plan says
it calls; what it really calls is decided at each call all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from druse.model import Invalid, Json, JsonObject, digest

FORMAT = 1
MAX_STEPS = 200
_REFERENCES = ("$input", "$from", "$item", "$text", "$literal")

_PATH: JsonObject = {"type": "array", "items": {"type": ["string", "integer"]}}
_NAME: JsonObject = {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,39}$"}
_STEP: JsonObject = {
    "type": "object",
    "properties": {
        "id": _NAME,
        "call": {"type": "string", "minLength": 1, "description": "The tool."},
        "plan": {"$ref": "#/$defs/plan"},
        "arguments": {"type": "object", "description": "Literal JSON and references."},
        "for_each": {"$ref": "#/$defs/from"},
        "after": {
            "type": "array",
            "items": _NAME,
            "description": "Steps that must have ended, beyond those referred to.",
        },
        "undo": {
            "type": "object",
            "description": "The call that takes this step back; it may refer to the step's own result.",
            "properties": {"call": {"type": "string", "minLength": 1}, "arguments": {"type": "object"}},
            "required": ["call"],
            "additionalProperties": False,
        },
        "why": {"type": "string"},
    },
    "required": ["id"],
    "oneOf": [{"required": ["call"]}, {"required": ["plan"]}],
    "additionalProperties": False,
}
_PLAN: JsonObject = {
    "type": "object",
    "properties": {
        "format": {"const": FORMAT},
        "goal": {"type": "string"},
        "inputs": {
            "type": "object",
            "additionalProperties": {"type": "object"},
            "description": "JSON Schemas by name.",
        },
        "steps": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}},
        "result": {"description": "Literal JSON and references; default: the result of the last step."},
        "permissions": {"type": "array", "items": {"type": "string"}},
        "evidence": {"type": "array", "items": {"type": "string"}, "description": "Runs and tools it was made from."},
    },
    "required": ["format", "steps"],
    "additionalProperties": False,
}
PLAN_SCHEMA: JsonObject = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Druse plan",
    "$ref": "#/$defs/plan",
    "$defs": {
        "plan": _PLAN,
        "step": _STEP,
        "from": {
            "type": "object",
            "properties": {"$from": _NAME, "path": _PATH},
            "required": ["$from"],
            "additionalProperties": False,
        },
    },
}


@dataclass(frozen=True, slots=True)
class Reference:
    """One place a value comes from. `kind`: input, from or item; `name` is empty for an item."""

    kind: str
    name: str = ""
    path: tuple[str | int, ...] = ()


def plan_hash(plan: JsonObject) -> str:
    """What an execution binds to: the hash of the canonical form. Raises Invalid for what is no JSON."""
    try:
        return digest(plan)
    except (ValueError, TypeError) as error:
        raise Invalid(f"Cannot hash the plan: {error}. Send plain JSON.", where="plan") from error


def steps_of(plan: JsonObject) -> list[JsonObject]:
    """The steps of a plan in order; nothing for what is no plan."""
    listed = plan.get("steps")
    return [step for step in listed if isinstance(step, dict)] if isinstance(listed, list) else []


def arguments_of(step: JsonObject) -> JsonObject:
    """The arguments of a step."""
    given = step.get("arguments")
    return given if isinstance(given, dict) else {}


def references(value: Json) -> Iterator[Reference]:
    """Every reference in a value."""
    if isinstance(value, list):
        for part in value:
            yield from references(part)
    elif isinstance(value, dict):
        if "$literal" in value:
            return
        if "$input" in value:
            yield Reference("input", str(value["$input"]), _path(value.get("path")))
        elif "$from" in value:
            yield Reference("from", str(value["$from"]), _path(value.get("path")))
        elif "$item" in value:
            yield Reference("item", "", _path(value["$item"]))
        else:
            for part in value.values():
                yield from references(part)


def is_reference(value: Json) -> bool:
    """Whether a value is not known before the plan runs."""
    return isinstance(value, dict) and any(key in value for key in _REFERENCES if key != "$literal")


def literal_of(value: Json) -> Json:
    """A literal as it stands, `$literal` taken off."""
    return value["$literal"] if isinstance(value, dict) and "$literal" in value else value


def resolve(value: Json, *, inputs: Mapping[str, Json], results: Mapping[str, Json], item: Json = None) -> Json:
    """The value with its references filled in. Raises Invalid where a place is not there."""
    if isinstance(value, list):
        return [resolve(part, inputs=inputs, results=results, item=item) for part in value]
    if not isinstance(value, dict):
        return value
    if "$literal" in value:
        return value["$literal"]
    if "$text" in value:
        parts = value["$text"]
        made = [resolve(part, inputs=inputs, results=results, item=item) for part in _listed(parts)]
        return "".join(part if isinstance(part, str) else str(part) for part in made)
    for reference in references(value) if is_reference(value) else ():
        if reference.kind == "item":
            return _place(item, reference.path, "the element")
        known = inputs if reference.kind == "input" else results
        if reference.name not in known:
            raise Invalid(f"Cannot fill in {reference.name}: there is no such {reference.kind}.", where=reference.name)
        return _place(known[reference.name], reference.path, reference.name)
    return {key: resolve(part, inputs=inputs, results=results, item=item) for key, part in value.items()}


def needs(step: JsonObject) -> set[str]:
    """The steps that a step refers to or names in `after`."""
    found = {reference.name for reference in references(step.get("arguments")) if reference.kind == "from"}
    found |= {reference.name for reference in references(step.get("for_each")) if reference.kind == "from"}
    return found | set(map(str, _listed(step.get("after"))))


def depth_of(plan: JsonObject, *, limit: int = 100) -> int:
    """How deep plans stand in plans: 1 without an inner plan."""
    if limit <= 0:
        return 1
    inner = [depth_of(part, limit=limit - 1) for step in steps_of(plan) if isinstance(part := step.get("plan"), dict)]
    return 1 + max(inner, default=0)


def count_steps(plan: JsonObject) -> int:
    """All steps, those of inner plans included."""
    inner = sum(count_steps(part) for step in steps_of(plan) if isinstance(part := step.get("plan"), dict))
    return len(steps_of(plan)) + inner


def calls_in(plan: JsonObject) -> list[str]:
    """The tools that a plan calls, inner plans included, sorted."""
    found: set[str] = set()
    for step in steps_of(plan):
        inner = step.get("plan")
        found |= set(calls_in(inner)) if isinstance(inner, dict) else {str(step.get("call"))}
    return sorted(found)


def inverses_in(plan: JsonObject) -> list[str]:
    """The tools that take steps back, as the plan names them, sorted; they are called only where it is undone."""
    found: set[str] = set()
    for step in steps_of(plan):
        inner, undo = step.get("plan"), step.get("undo")
        found |= set(inverses_in(inner)) if isinstance(inner, dict) else set()
        found |= {str(undo.get("call"))} if isinstance(undo, dict) else set()
    return sorted(found)


def _place(value: Json, path: tuple[str | int, ...], name: str) -> Json:
    for key in path:
        found: Json = None
        there = False
        if isinstance(value, dict) and isinstance(key, str):
            found, there = value.get(key), key in value
        elif isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
            found, there = value[key], True
        if not there:
            shown = ".".join(map(str, path))
            raise Invalid(f"Cannot fill in {name}.{shown}: there is no {key!r}.", where=f"{name}.{shown}")
        value = found
    return value


def _path(value: Json) -> tuple[str | int, ...]:
    return tuple(key for key in _listed(value) if isinstance(key, str | int))


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
