"""What results looked like when they were recorded, as a JSON Schema, and where another one differs.

A schema made here fits every sample it was made from and is no wider than their types, keys and ranges ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from druse.model import Json, JsonObject

_MAX_DEPTH = 12
_MAX_KEYS = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where a value is not like the samples. `kind`: shape (another type, key gone or new) or value."""

    path: str
    kind: str
    detail: str

    def as_dict(self) -> JsonObject:
        """For answers."""
        return {"path": self.path, "kind": self.kind, "detail": self.detail}


def schema_of(samples: Sequence[Json], depth: int = 0) -> JsonObject:
    """The narrowest schema of types and keys that fits all samples."""
    kinds = sorted({_kind(sample) for sample in samples})
    if "integer" in kinds and "number" in kinds:
        kinds.remove("integer")
    schema: JsonObject = {"type": kinds[0] if len(kinds) == 1 else list[Json](kinds)}
    if depth >= _MAX_DEPTH:
        return schema
    objects = [sample for sample in samples if isinstance(sample, dict)]
    if objects:
        keys = {key: None for sample in objects for key in sample}
        if len(keys) <= _MAX_KEYS:
            schema["properties"] = {
                key: schema_of([sample[key] for sample in objects if key in sample], depth + 1) for key in sorted(keys)
            }
            schema["required"] = [key for key in sorted(keys) if all(key in sample for sample in objects)]
    elements = [element for sample in samples if isinstance(sample, list) for element in sample]
    if elements:
        schema["items"] = schema_of(elements, depth + 1)
    return schema


def differences(value: Json, samples: Sequence[Json], path: str = "$") -> list[Difference]:
    """Where a value is not like any sample: shapes first to be told, then values far outside of what was seen."""
    if not samples:
        return []
    kinds = {_kind(sample) for sample in samples}
    kind = _kind(value)
    if kind not in kinds and not (kind == "integer" and "number" in kinds):
        return [Difference(path, "shape", f"is {kind}, was {' or '.join(sorted(kinds))}")]
    found: list[Difference] = []
    if isinstance(value, dict):
        objects = [sample for sample in samples if isinstance(sample, dict)]
        always = _common(objects)
        seen = set[str]().union(*(set(sample) for sample in objects))
        found += [Difference(f"{path}.{key}", "shape", "is missing") for key in sorted(always - set(value))]
        if len(seen) <= _MAX_KEYS and not _keyed_by_value(objects):
            found += [Difference(f"{path}.{key}", "shape", "was never there") for key in sorted(set(value) - seen)]
        for key in sorted(set(value) & seen):
            found += differences(value[key], [one[key] for one in objects if key in one], f"{path}.{key}")
    elif isinstance(value, list):
        lists = [sample for sample in samples if isinstance(sample, list)]
        elements = [element for sample in lists for element in sample]
        if not value and all(lists):
            found.append(Difference(path, "value", "is empty and never was"))
        for index, element in enumerate(value):
            inner = differences(element, elements, f"{path}[{index}]")
            if inner:
                return [*found, *inner]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        numbers = [one for one in samples if isinstance(one, int | float) and not isinstance(one, bool)]
        low, high = min(numbers), max(numbers)
        reach = 9 * max(abs(low), abs(high), high - low)
        if len(numbers) >= 3 and not low - reach <= value <= high + reach:
            found.append(Difference(path, "value", f"is {value}, was {low} to {high}"))
        elif value < 0 <= low and len(numbers) >= 3:
            found.append(Difference(path, "value", f"is {value}, never was below zero"))
    elif isinstance(value, str) and not value and all(samples):
        found.append(Difference(path, "value", "is empty and never was"))
    return found


def _keyed_by_value(objects: Sequence[JsonObject]) -> bool:
    """Whether keys are ids or names: then a new key is nothing to tell."""
    return len(objects) > 1 and not _common(objects)


def _common(objects: Sequence[JsonObject]) -> set[str]:
    return {key for key in objects[0] if all(key in other for other in objects)} if objects else set[str]()


def _kind(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
