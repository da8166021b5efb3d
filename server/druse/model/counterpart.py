"""The client behind a call, as far as what is called may reach it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from druse.model.json_data import Json, JsonObject


class Counterpart(Protocol):
    """Reaches the client that a call came from: over its connection, or with its next request."""

    @property
    def capabilities(self) -> JsonObject:
        """What the client declared, as `ClientCapabilities` in JSON; an absent key is something it cannot do."""
        ...

    async def ask(self, requests: Mapping[str, JsonObject], *, seconds: float) -> dict[str, JsonObject | None]:
        """Put requests (`method` and `params`, as on the wire) before the client; its answers under the same keys.

        None for a request that it refused, answered with nonsense, or did not answer within `seconds`.
        """
        ...

    async def log(self, level: str, data: Json) -> None:
        """A log message to the client, if it wants any."""
        ...

    async def go_on_alone(self, message: str = "") -> None:
        """Answer the request with a task that the client asks about later, if it can do that."""
        ...

    async def hang_up(self) -> None:
        """End the response stream where the client can come back for the rest of it."""
        ...


def asks_forms(capabilities: Json) -> bool:
    """Whether a client declared that it can put a form before its user."""
    declared = capabilities.get("elicitation") if isinstance(capabilities, dict) else None
    return isinstance(declared, dict) and ("form" in declared or "url" not in declared)


def able(capabilities: Json, method: str, params: JsonObject) -> bool:
    """Whether a client declared that it can answer such a request."""
    declared = capabilities if isinstance(capabilities, dict) else {}
    if method == "elicitation/create":
        elicitation = declared.get("elicitation")
        if params.get("mode") == "url":
            return isinstance(elicitation, dict) and "url" in elicitation
        return asks_forms(capabilities)
    return {"sampling/createMessage": "sampling", "roots/list": "roots"}.get(method) in declared
