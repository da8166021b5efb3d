"""Plans set right where there is one way to do it: a slip in a name, steps out of order, a text for a number."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping, Sequence
from typing import cast

from druse.model import Json, JsonObject, ToolSpec
from druse.planner import Issue, calls_in, steps_of
from druse.planner.plans import needs


def repaired(plan: JsonObject, issues: Sequence[Issue], specs: Mapping[str, ToolSpec]) -> JsonObject | None:
    """The plan without these faults, as far as there is one way to mend them; None where nothing could be mended."""
    made = copy.deepcopy(plan)
    kinds = {issue.kind for issue in issues}
    for step in steps_of(made):
        name = step.get("call")
        if isinstance(name, str) and name not in specs:
            nearest = difflib.get_close_matches(name, list(specs), n=2, cutoff=0.8)
            if len(nearest) == 1:
                step["call"] = nearest[0]
        spec = specs.get(str(step.get("call")))
        if spec is not None and "wrong_type" in kinds:
            _retype(step, spec)
    if "use_before_definition" in kinds:
        _reorder(made)
    if kinds & {"undeclared_call", "unknown_tool"} and "permissions" in made:
        made["permissions"] = list[Json](calls_in(made))
    return made if made != plan else None


def _retype(step: JsonObject, spec: ToolSpec) -> None:
    properties = spec.input_schema.get("properties")
    given = step.get("arguments")
    if not isinstance(properties, dict) or not isinstance(given, dict):
        return
    for key, value in given.items():
        schema = properties.get(key)
        kind = schema.get("type") if isinstance(schema, dict) else None
        if kind == "string" and isinstance(value, int | float) and not isinstance(value, bool):
            given[key] = str(value)
        elif kind == "integer" and isinstance(value, str) and value.strip().lstrip("-").isdigit():
            given[key] = int(value)


def _reorder(plan: JsonObject) -> None:
    """Put every step behind those it refers to, else keep the order."""
    waiting, placed, done = steps_of(plan), list[JsonObject](), set[str]()
    while waiting:
        ready = next((step for step in waiting if not needs(step) & {str(s["id"]) for s in waiting} - done), None)
        if ready is None:
            return  # a circle; nothing to set right
        waiting.remove(ready)
        placed.append(ready)
        done.add(str(ready["id"]))
    plan["steps"] = cast("list[Json]", placed)
