"""The profile: the suite's fixtures as one source of tools, resources and prompts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from druse.conformance import documents, tools
from druse.conformance.forms import ask
from druse.model import CallContext, Counterpart, JsonObject, Outcome, ToolSpec


async def _nobody(_what: str) -> None:
    """Nobody listens yet."""


class Fixtures:
    """Implements `druse.front.profiles.Profile`."""

    def __init__(self) -> None:
        self.announce: Callable[[str], Awaitable[None]] = _nobody

    def specs(self) -> Sequence[ToolSpec]:
        """The suite's tools."""
        return tools.SPECS

    async def call(self, spec: ToolSpec, arguments: JsonObject, context: CallContext) -> Outcome:
        """Carry out one decided call."""
        if spec.name == "test_trigger_tool_change":
            await self.announce("tools")
            return tools.text("tool list changed")
        if spec.name == "test_trigger_prompt_change":
            await self.announce("prompts")
            return tools.text("prompt list changed")
        return await tools.TOOLS[spec.name](arguments, context)

    def resources(self) -> Sequence[JsonObject]:
        """Three resources."""
        return documents.RESOURCES

    def templates(self) -> Sequence[JsonObject]:
        """One template."""
        return documents.TEMPLATES

    def read(self, uri: str) -> JsonObject | None:
        """The contents of one."""
        return documents.read(uri)

    def prompts(self) -> Sequence[JsonObject]:
        """Five prompts."""
        return documents.PROMPTS

    async def prompt(self, name: str, arguments: Mapping[str, str], side: Counterpart | None) -> JsonObject | None:
        """One of them; the last asks its client first."""
        if name == "test_input_required_result_prompt":
            answer = await ask(side, "user_context", "What context should the prompt use?", context="string")
            return documents.message({"type": "text", "text": f"Use the following context: {answer.get('context')}"})
        return documents.prompt(name, arguments)
