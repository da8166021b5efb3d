"""What an upstream tool declares now, against what it declared when a learned tool that calls it was approved (D9)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from druse.crystal.candidates import family_of
from druse.model import Json, JsonObject, ToolSpec, ToolVersion
from druse.store import Store

_SHOWN = 5  # differences named; a server that changed everything is no list


@dataclass(frozen=True, slots=True)
class Drift:
    """One upstream tool that is no longer what a version was approved with. `gone`: no server offers it now."""

    tool: str
    text: str
    gone: bool = False
    schema: str = ""  # the hash of what it declares now

    async def noticed(self, store: Store, version: ToolVersion, now: float) -> float:
        """When this drift of a version was first noticed; that is now, where it was not before."""
        subject = f"{version.name} v{version.version}, {self.tool} {self.schema}"
        await store.notices.give("suspended", subject, suspended_text(version, self), now=now)
        return await store.notices.given_at("suspended", subject) or now


def drift_of(version: ToolVersion, known: Mapping[str, ToolSpec]) -> Drift | None:
    """The first upstream tool whose schema is not the approved one. `known`: the tools of now, by name.

    A manifest that names no schemas counts as drifted: nobody can tell.
    """
    approved = version.manifest.get("upstream_schemas")
    if not isinstance(approved, dict):
        return Drift(version.name, "its manifest names no upstream schemas")
    declared = version.manifest.get("declared")
    for tool, expected in approved.items():
        if tool not in known:
            return Drift(tool, f"{tool} is not there", gone=True)
        if known[tool].schema_hash != expected:
            what = difference(declared.get(tool) if isinstance(declared, dict) else None, known[tool])
            more = f": {what}" if what else ""
            text = f"{tool} has another schema now than when the tool was approved{more}"
            return Drift(tool, text, schema=known[tool].schema_hash)
    return None


def suspended_text(version: ToolVersion, drift: Drift) -> str:
    """What everybody is told of a version that may not run."""
    return f"{version.name} v{version.version} is suspended: {drift.text}."


@dataclass(frozen=True, slots=True)
class Outgrown:
    """A tool in service that is suspended, and the runs of its work that went well since."""

    name: str
    version: int
    since: float
    successes: int
    text: str


async def outgrown(
    store: Store,
    versions: Iterable[ToolVersion],
    specs: Callable[[Sequence[str]], Awaitable[Mapping[str, ToolSpec]]],
    now: float,
) -> list[Outgrown]:
    """The tools in service whose upstream schemas changed; each is noticed."""
    found: list[Outgrown] = []
    for version in versions:
        approved = version.manifest.get("upstream_schemas")
        drift = drift_of(version, await specs(list(approved) if isinstance(approved, dict) else []))
        if drift is None or drift.gone:
            continue  # a server that is away may come back as it was
        since = await drift.noticed(store, version, now)
        record = await store.tools.get(version.name, version.version)
        family = await family_of(store, record.workflow) if record is not None else None
        successes = await store.runs.successes(family.workflows, since=since) if family is not None else 0
        found.append(Outgrown(version.name, version.version, since, successes, suspended_text(version, drift)))
    return found


def declared_by(tools: Sequence[str], specs: Mapping[str, ToolSpec]) -> JsonObject:
    """The schemas of every tool called, so that a later difference can be named."""
    declared: JsonObject = {}
    for tool in sorted(tools):
        if tool in specs:
            output = specs[tool].output_schema
            declared[tool] = {
                "input": dict(specs[tool].input_schema),
                "output": None if output is None else dict(output),
            }
    return declared


def difference(before: Json, now: ToolSpec) -> str:
    """What differs, in a sentence without an end; empty where the earlier schemas are not known."""
    if not isinstance(before, dict):
        return ""
    told = [*_arguments(before.get("input"), dict(now.input_schema))]
    if before.get("output") != (None if now.output_schema is None else dict(now.output_schema)):
        told.append("what it returns is declared differently")
    if len(told) > _SHOWN:
        told = [*told[:_SHOWN], f"{len(told) - _SHOWN} more"]
    return ", ".join(told) or "its schema says the same in other words"


def _arguments(before: Json, now: Json) -> list[str]:
    old, new = _properties(before), _properties(now)
    needed_before, needed_now = _required(before), _required(now)
    told: list[str] = []
    for name in sorted(new.keys() - old.keys()):
        told.append(f"argument {name} is new" + (" and required" if name in needed_now else ""))
    told += [f"argument {name} is gone" for name in sorted(old.keys() - new.keys())]
    for name in sorted(old.keys() & new.keys()):
        if _type(old[name]) != _type(new[name]):
            told.append(f"argument {name} is {_type(new[name])}, it was {_type(old[name])}")
        elif old[name] != new[name]:
            told.append(f"argument {name} is described differently")
        if (name in needed_before) != (name in needed_now):
            told.append(f"argument {name} is {'required now' if name in needed_now else 'optional now'}")
    rest = {"properties", "required"}
    if isinstance(before, dict) and isinstance(now, dict):
        others = {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)} - rest
        told += [f"{key} of its arguments differs" for key in sorted(others)]
    return told


def _properties(schema: Json) -> dict[str, Json]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return properties if isinstance(properties, dict) else {}


def _required(schema: Json) -> list[Json]:
    required = schema.get("required") if isinstance(schema, dict) else None
    return required if isinstance(required, list) else []


def _type(schema: Json) -> str:
    kind = schema.get("type") if isinstance(schema, dict) else None
    return " or ".join(map(str, kind)) if isinstance(kind, list) else str(kind or "anything")
