"""Tools as everyone speaks of them: what can be called, and the versions of what was crystallized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from druse.model.json_data import Json, JsonObject, digest


class Effect(StrEnum):
    """What a call does to the world, from our own knowledge; a server's hint alone never makes it READ."""

    READ = "read"
    WRITE = "write"
    UNKNOWN = "unknown"  # treated as a write


class Source(StrEnum):
    """Where a tool comes from."""

    UPSTREAM = "upstream"
    LOCAL = "local"
    CRYSTAL = "crystal"
    CAPABILITY = "capability"


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One callable tool. `name` is the wire name `[a-z0-9_]{1,40}` (local tools keep `Bash`, `Read`, ...)."""

    name: str
    source: Source
    description: str = ""
    input_schema: Mapping[str, Json] = field(default_factory=lambda: dict[str, Json](type="object"))
    output_schema: Mapping[str, Json] | None = None
    effect: Effect = Effect.UNKNOWN
    read_only_hint: bool = False  # what the server claims; used for scheduling only together with our own table
    server: str = ""  # upstream server id of mcp.json
    upstream_name: str = ""  # the name on that server
    version: int | None = None  # crystallized tools
    alias: str = ""  # dotted id of a capability, e.g. planner.decompose
    action: str = ""  # what a capability does to Druse itself, see `druse.governance.trust`
    security: str = ""  # low, medium or high; follows from the action
    _schema_hash: list[str] = field(default_factory=list[str], init=False, repr=False, compare=False)  # once computed

    @property
    def schema_hash(self) -> str:
        """Digest over what the upstream declared; a change suspends tools built on it (D9)."""
        if not self._schema_hash:
            output = None if self.output_schema is None else dict(self.output_schema)
            declared: JsonObject = {"name": self.upstream_name or self.name, "input": dict(self.input_schema)}
            self._schema_hash.append(digest({**declared, "output": output}))
        return self._schema_hash[0]


def object_schema(properties: JsonObject, required: Sequence[str] = ()) -> JsonObject:
    """The JSON Schema of a tool's arguments: an object with these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list[Json](required),
        "additionalProperties": False,
    }


class VersionStatus(StrEnum):
    """The life of a crystallized version."""

    PROPOSED = "proposed"  # waits for a person; not callable
    ACTIVE = "active"
    SUPERSEDED = "superseded"
    SUSPENDED = "suspended"  # a hash no longer matches what was approved
    RETIRED = "retired"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class ToolVersion:
    """One version of a crystallized tool: the source that runs and its manifest."""

    name: str
    version: int
    source: str
    manifest: JsonObject
    status: VersionStatus = VersionStatus.PROPOSED

    @property
    def approval_hash(self) -> str:
        """What an approval binds to: code, permissions and upstream schemas (D9)."""
        return digest(
            {
                "code": self.source,
                "permissions": self.manifest.get("permissions"),
                "upstream_schemas": self.manifest.get("upstream_schemas"),
                "input_schema": self.manifest.get("input_schema"),
            }
        )
