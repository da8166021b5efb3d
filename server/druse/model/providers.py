"""What the router needs of anything that can carry out a call: upstream servers, local tools, crystallized tools."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from druse.model.decisions import Caller, Decision, Outcome
from druse.model.json_data import JsonObject
from druse.model.tools import ToolSpec

Progress: TypeAlias = "Callable[[float, float | None, str | None], Awaitable[None]]"  # done, total, message


@dataclass(frozen=True, slots=True)
class CallContext:
    """What travels with a call. Cancelling the task that awaits the call cancels the call and its children."""

    caller: Caller
    progress: Progress | None = None
    cause: str = ""  # id of the audit entry that led here
    decision: Decision | None = None  # what allowed the call; an effect keeps to the path and host it was made for


class Provider(Protocol):
    """A source of tools. `call` is reached through the router only, after the decision."""

    def specs(self) -> Sequence[ToolSpec]:
        """The tools known at this moment; changes are announced through `on_change`."""
        ...

    async def call(self, spec: ToolSpec, arguments: JsonObject, context: CallContext) -> Outcome:
        """Carry out one decided call. Failures of the tool come back as an Outcome; bugs raise."""
        ...
