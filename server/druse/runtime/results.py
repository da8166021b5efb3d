"""How a run in the sandbox ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from druse.model import Json, JsonObject, Outcome


@dataclass(frozen=True, slots=True)
class SandboxError:
    """What stopped the code, with the line of tool code it stood at (0 = unknown)."""

    kind: str
    message: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """`status`: ok, rejected (not compiled), error (it raised), killed (a limit), diverged (a guard), ended (by us)."""

    status: str
    value: Json = None
    error: SandboxError | None = None
    problems: tuple[SandboxError, ...] = ()
    outcome: Outcome | None = None  # with which the broker ended the run
    calls: int = 0
    prints: str = ""
    wall_ms: float = 0.0
    layers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class CompileReport:
    """Whether a source compiles, why not, and which tools it names in `call(...)`."""

    problems: tuple[SandboxError, ...]
    tools: tuple[str, ...]
    dynamic_calls: bool

    @property
    def ok(self) -> bool:
        """Whether it compiles."""
        return not self.problems


class ToolCallFailed(Exception):
    """Raised by a broker: the tool code sees a ToolError."""

    def __init__(self, message: str, *, kind: str = "tool_error", details: JsonObject | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.details = details


class EndRun(Exception):
    """Raised by a broker: the run ends here with this outcome, and tool code cannot catch it."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome
