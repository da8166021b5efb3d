"""What the capabilities work with: one workspace, put together by the application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from druse.crystal import Candidate, Crystallizer, Report, Shelf
from druse.dispatch import Dispatcher
from druse.governance import Approval, Approvals, AuditChain, Rules
from druse.model import Caller, Json, JsonObject, Outcome, Progress, ToolSpec
from druse.routing import Registry, Router
from druse.runtime import SandboxHost
from druse.skills import SkillLibrary
from druse.store import Store
from druse.succession import Succession
from druse.traces import Recorder


class Desk(Protocol):
    """The use cases of the application."""

    async def call(self, name: str, arguments: Json, caller: Caller) -> Outcome:
        """One call through the router; its server is connected first."""
        ...

    async def connect_all(self) -> None:
        """Connect every server once, so that its tools are known."""
        ...

    async def specs_of(self, names: Sequence[str]) -> Mapping[str, ToolSpec]:
        """The tools of these names."""
        ...

    async def report(self, run_id: str, caller: Caller, *, success: bool, note: str = "") -> Outcome:
        """How a run went."""
        ...

    async def learn(self, caller: Caller, progress: Progress | None) -> JsonObject:
        """Keep memories, draft skills, propose tools, now; joins a run that is under way."""
        ...

    async def candidates(self) -> list[Candidate]:
        """Workflows ready to become tools."""
        ...


class Making(Protocol):
    """How tools come to be."""

    async def crystallize(
        self, signature: str, caller: Caller, *, name: str | None = None, whole: bool = False
    ) -> Report:
        """Propose, or at level 3 register, a tool made of a workflow."""
        ...

    async def compose(self, name: str, parts: Sequence[Json], description: str, caller: Caller) -> Report:
        """Propose, or at level 3 register, a tool made of tools. Raises Invalid."""
        ...

    async def improve(self, tool: str, caller: Caller) -> Report:
        """Propose, or at level 3 register, the next version of a learned tool."""
        ...

    async def spend_synthesis(self, caller: Caller) -> None:
        """Count an attempt to change Druse. Raises NotAllowed where that is off or used up."""
        ...

    async def register(self, approval_id: str) -> Approval | None:
        """Put a proposed tool in service where the trust level lets Druse; None where it does not."""
        ...


@dataclass(slots=True)
class Workbench:
    """Everything the handlers use."""

    desk: Desk
    making: Making
    store: Store
    audit: AuditChain
    approvals: Approvals
    recorder: Recorder
    shelf: Shelf
    rules: Rules
    host: SandboxHost
    registry: Registry
    router: Router
    dispatcher: Dispatcher
    skills: SkillLibrary
    crystallizer: Crystallizer
    succession: Succession
    clock: Callable[[], float]
    new_id: Callable[[], str]
    root: Path  # the workspace


Handler = Callable[[JsonObject, Caller], Awaitable[Outcome]]
