"""The capabilities as a provider: reached like any tool, decided, audited, and never recorded as work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from druse.capabilities.catalogue import SPECS
from druse.capabilities.inspecting import Inspecting
from druse.capabilities.orchestrating import Orchestrating
from druse.capabilities.planning import Planning
from druse.capabilities.succeeding import Succeeding
from druse.capabilities.teaching import Teaching
from druse.capabilities.undoing import Undoing
from druse.capabilities.workbench import Handler, Workbench
from druse.model import CallContext, JsonObject, Outcome, ToolSpec


class Capabilities:
    """Carries out `planner.*`, `learning.*` and `introspect.*`. Call `furnish` first."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] | None = None

    def furnish(self, bench: Workbench) -> None:
        """Give the handlers what they work with."""
        planning = Planning(bench)
        self.teaching = Teaching(bench)
        self.orchestrating = Orchestrating(bench)
        inspecting = Inspecting(bench, planning)
        self._handlers = {
            **Succeeding(bench).handlers,
            **planning.handlers,
            **Undoing(bench, planning.holds).handlers,
            **self.teaching.handlers,
            **self.orchestrating.handlers,
            **inspecting.handlers,
        }

    def specs(self) -> Sequence[ToolSpec]:
        """All capabilities, always: their names cannot be taken by a tool."""
        return SPECS

    async def call(self, spec: ToolSpec, arguments: JsonObject, context: CallContext) -> Outcome:
        """Carry out one decided call."""
        assert self._handlers is not None, "furnish comes first"
        caller = replace(context.caller, cause=context.cause)
        if spec.alias == "learning.run_now":
            return await self.teaching.run_now(caller, context.progress)
        return await self._handlers[spec.alias](arguments, caller)
