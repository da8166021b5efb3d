"""The types that flow through a plan: declared ones where a tool declares them, else those of recorded results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from druse.model import Json, JsonObject, ToolSpec
from druse.planner import references, steps_of
from druse.traces import schema_of

_ANY: JsonObject = {}


def type_analysis(
    plan: JsonObject, specs: Mapping[str, ToolSpec], recorded: Mapping[str, Sequence[Json]]
) -> JsonObject:
    """`bindings` (what each step's arguments are made of, with types) and `mismatch`, the first two ends that differ.

    `recorded`: results of tools as they were recorded, for those that declare no output.
    """
    inputs = plan.get("inputs")
    declared = inputs if isinstance(inputs, dict) else {}
    results: dict[str, JsonObject] = {}
    bindings: list[JsonObject] = []
    mismatch: JsonObject | None = None
    for step in steps_of(plan):
        name, tool = str(step.get("id")), str(step.get("call") or "")
        spec = specs.get(tool)
        wanted = spec.input_schema.get("properties") if spec else None
        element = _element(step, declared, results)
        given = step.get("arguments")
        for argument, value in (given if isinstance(given, dict) else {}).items():
            expected = wanted.get(argument) if isinstance(wanted, dict) else None
            expected_type = _kinds(expected if isinstance(expected, dict) else _ANY)
            source, found = _source(value, declared, results, element)
            found_type = _kinds(found)
            fits = not expected_type or not found_type or bool(_widened(found_type) & _widened(expected_type))
            bindings.append(
                {
                    "step": name,
                    "argument": argument,
                    "from": source,
                    "type": _shown(found_type),
                    "expected": _shown(expected_type),
                    "fits": fits,
                }
            )
            if not fits and mismatch is None:
                mismatch = {
                    "from": f"{source} is {_shown(found_type)}",
                    "to": f"{argument} of {tool} in step {name} takes {_shown(expected_type)}",
                }
        made = _result_of(spec, recorded.get(tool, ()))
        results[name] = {"type": "array", "items": made} if "for_each" in step else made
    return {
        "bindings": list[Json](bindings),
        "results": {name: _shown(_kinds(schema)) for name, schema in results.items()},
        "mismatch": mismatch,
    }


def _result_of(spec: ToolSpec | None, samples: Sequence[Json]) -> JsonObject:
    if spec is not None and spec.output_schema is not None:
        return dict(spec.output_schema)
    return schema_of(samples) if samples else {}


def _element(step: JsonObject, declared: JsonObject, results: Mapping[str, JsonObject]) -> JsonObject:
    if "for_each" not in step:
        return {}
    _, found = _source(step["for_each"], declared, results, {})
    items = found.get("items")
    return items if isinstance(items, dict) else {}


def _source(
    value: Json, declared: JsonObject, results: Mapping[str, JsonObject], element: JsonObject
) -> tuple[str, JsonObject]:
    """Where a value comes from in words, and its schema as far as it is known."""
    if isinstance(value, dict) and "$text" in value:
        return "text", {"type": "string"}
    found = list(references(value)) if isinstance(value, dict) and any(key.startswith("$") for key in value) else []
    if not found:
        literal = value["$literal"] if isinstance(value, dict) and "$literal" in value else value
        return "literal", {"type": schema_of([literal])["type"]}
    reference = found[0]
    at = declared.get(reference.name) if reference.kind == "input" else None
    schema = element if reference.kind == "item" else results.get(reference.name, {}) if at is None else at
    place = reference.name or "element"
    current: Json = schema
    for key in reference.path:
        place += f".{key}"
        inner = current.get("properties" if isinstance(key, str) else "items") if isinstance(current, dict) else None
        current = inner.get(key) if isinstance(key, str) and isinstance(inner, dict) else inner
    return f"{reference.kind} {place}", current if isinstance(current, dict) else {}


def _kinds(schema: JsonObject) -> frozenset[str]:
    kind = schema.get("type")
    if isinstance(kind, list):
        return frozenset(map(str, kind))
    if isinstance(kind, str):
        return frozenset((kind,))
    options = schema.get("enum")
    return (
        frozenset(str(schema_of([option])["type"]) for option in options) if isinstance(options, list) else frozenset()
    )


def _widened(kinds: frozenset[str]) -> frozenset[str]:
    return kinds | {"integer"} if "number" in kinds else kinds


def _shown(kinds: frozenset[str]) -> str:
    return " or ".join(sorted(kinds)) or "any"
