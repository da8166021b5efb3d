"""Arguments against a tool's JSON Schema (2020-12), before anything else happens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from druse.model import DEEPEST, Invalid, Json, JsonObject, ToolSpec, nested_deeper

MAX_ARGUMENT_BYTES = 8 * 1024 * 1024
_SHOWN = 80  # characters of a wrong value that an error repeats
_encoded = json.JSONEncoder(ensure_ascii=False).encode  # made once: that takes longer than a few arguments

_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_ASKS_NOTHING = frozenset({"title", "description", "default", "examples", "$schema"})
_ASKED_OF_ALL = frozenset({"type", "properties", "required", "additionalProperties"})


@dataclass(frozen=True, slots=True)
class Fields:
    """What most schemas ask for and no more: which fields there are, which must be there, and of what type each is.

    It accepts at a fortieth of the time of the full check; what it does not accept is left to that.
    """

    kinds: Mapping[str, tuple[type, ...]]
    required: frozenset[str]
    others: bool

    @classmethod
    def of(cls, schema: Mapping[str, Json]) -> Fields | None:
        """Those of a schema; None where it asks for anything else."""
        properties, required = schema.get("properties", {}), schema.get("required", [])
        others = schema.get("additionalProperties", True)
        plain = schema.get("type") == "object" and not set(schema) - _ASKED_OF_ALL - _ASKS_NOTHING
        if (
            not plain
            or not isinstance(properties, dict)
            or not isinstance(required, list)
            or not isinstance(others, bool)
        ):
            return None
        kinds: dict[str, tuple[type, ...]] = {}
        for name, part in properties.items():
            if not isinstance(part, dict) or set(part) - {"type"} - _ASKS_NOTHING:
                return None
            kind = part.get("type")
            if not isinstance(kind, str) or kind not in _KINDS:
                return None
            kinds[name] = _KINDS[kind]
        return cls(kinds, frozenset(str(name) for name in required), others)

    def surely_hold(self, arguments: Mapping[str, Json]) -> bool:
        """Whether the arguments fit without doubt."""
        if not self.required <= arguments.keys():
            return False
        for name, value in arguments.items():
            kinds = self.kinds.get(name)
            if kinds is None:
                if not self.others:
                    return False
            elif type(value) not in kinds:  # not `isinstance`: True is no number in JSON
                return False
        return True


class ArgumentCheck:
    """Validates calls; one compiled validator per schema is kept."""

    def __init__(self) -> None:
        self._validators: dict[str, Any] = {}
        self._fields: dict[str, Fields | None] = {}

    def check(self, spec: ToolSpec, arguments: Json) -> JsonObject:
        """The arguments, if they fit. Raises Invalid that names field, value and what was expected."""
        if not isinstance(arguments, dict):
            raise Invalid(
                f"Cannot call {spec.name}: its arguments are not a JSON object. Send {{}} if there are none.",
                where="arguments",
                problem="not an object",
            )
        size = _size(arguments)
        if size > MAX_ARGUMENT_BYTES:
            raise Invalid(
                f"Cannot call {spec.name}: its arguments are {size:,} bytes, over the limit of "
                f"{MAX_ARGUMENT_BYTES:,}. Pass large data as a file in the workspace.",
                where="arguments",
                problem="too large",
            )
        if self._surely_fits(spec, arguments):
            return arguments
        error = next(iter(sorted(self._validator(spec).iter_errors(arguments), key=_depth_first)), None)
        if error is not None:
            where = _path(error)
            raise Invalid(
                f"Cannot call {spec.name}: {where} {_problem(error)}. Correct it and call again.",
                where=where,
                problem=_problem(error),
            )
        return arguments

    def _surely_fits(self, spec: ToolSpec, arguments: Mapping[str, Json]) -> bool:
        key = spec.schema_hash
        if key not in self._fields:
            self._fields[key] = Fields.of(spec.input_schema)
        fields = self._fields[key]
        return fields is not None and fields.surely_hold(arguments)

    def _validator(self, spec: ToolSpec) -> Any:
        key = spec.schema_hash
        validator = self._validators.get(key)
        if validator is None:
            from jsonschema import Draft202012Validator
            from referencing import Registry as NoRemoteReferences

            # An empty registry: `$ref` to another document is refused, never fetched.
            validator = Draft202012Validator(dict(spec.input_schema), registry=NoRemoteReferences())
            self._validators[key] = validator
        return validator


def _size(arguments: Mapping[str, Json]) -> int:
    if nested_deeper(dict(arguments)):
        raise Invalid(
            f"Cannot use the arguments: they are nested more than {DEEPEST} levels deep. Send plain JSON of ordinary "
            "depth.",
            where="arguments",
            problem="too deep",
        )
    try:
        return len(_encoded(arguments).encode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise Invalid(
            f"Cannot use the arguments: {error}. Send plain JSON of ordinary depth.",
            where="arguments",
            problem=str(error),
        ) from error


def _depth_first(error: Any) -> tuple[int, str]:
    return (len(error.absolute_path), error.message)


def _path(error: Any) -> str:
    parts = [str(part) for part in error.absolute_path]
    if error.validator == "required":
        missing = error.message.split("'")[1] if "'" in error.message else ""
        parts.append(missing)
    return "`" + (".".join(parts) or "arguments") + "`"


def _problem(error: Any) -> str:
    if error.validator == "required":
        return "is missing"
    if error.validator == "additionalProperties":
        properties: dict[str, Any] = error.schema.get("properties", {})
        known = ", ".join(sorted(properties)) or "none"
        return f"has a field that is not known ({error.message}); known fields: {known}"
    shown = json.dumps(error.instance, ensure_ascii=False, default=str)
    shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
    if error.validator == "type":
        return f"is {shown}, expected {_words(error.validator_value)}"
    if error.validator == "enum":
        return f"is {shown}, expected one of {json.dumps(error.validator_value, ensure_ascii=False)[:400]}"
    return f"is {shown}, which does not fit {error.validator}: {json.dumps(error.validator_value, default=str)[:200]}"


def _words(expected: Any) -> str:
    if not isinstance(expected, list):
        return str(expected)
    return " or ".join(str(name) for name in cast("list[object]", expected))
