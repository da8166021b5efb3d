"""The client of a handshake-era connection, which can be asked while its call waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from druse.model import Json, JsonObject, able

# Sends one request (method, params, seconds); the client's result as JSON, None where none came in time.
Send: TypeAlias = "Callable[[str, JsonObject, float], Awaitable[JsonObject | None]]"
Log: TypeAlias = "Callable[[str, Json], Awaitable[None]]"


class Direct:
    """Implements `Counterpart` by requests to the client. It knows no tasks: `go_on_alone` changes nothing."""

    def __init__(
        self,
        capabilities: JsonObject,
        send: Send,
        *,
        log: Log | None = None,
        hang_up: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.capabilities = capabilities
        self._send = send
        self._log = log
        self._hang_up = hang_up

    async def ask(self, requests: Mapping[str, JsonObject], *, seconds: float) -> dict[str, JsonObject | None]:
        """All requests at once; each answer under its key, None where there is none."""

        async def one(request: JsonObject) -> JsonObject | None:
            method, params = parts_of(request)
            if not able(self.capabilities, method, params):
                return None
            return await self._send(method, params, seconds)

        async with asyncio.TaskGroup() as group:
            asked = {key: group.create_task(one(request)) for key, request in requests.items()}
        return {key: task.result() for key, task in asked.items()}

    async def log(self, level: str, data: Json) -> None:
        """A log message, where the connection carries them."""
        if self._log is not None:
            await self._log(level, data)

    async def go_on_alone(self, message: str = "") -> None:
        """Nothing: this era has no tasks."""

    async def hang_up(self) -> None:
        """End the response stream, over HTTP."""
        if self._hang_up is not None:
            await self._hang_up()


def parts_of(request: JsonObject) -> tuple[str, JsonObject]:
    """Method and parameters of a request as it stands on the wire."""
    params = request.get("params")
    return str(request.get("method")), params if isinstance(params, dict) else {}
