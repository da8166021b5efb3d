"""Who stands behind a request over HTTP, as a token or key proved it; it goes along in the request's scope."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GUEST = "druse.guest"  # under this name in the scope of a request


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody who was let in. `identity` is empty for clients of this account, who have the workspace's own token.

    Equal `identity` means the same person or machine, whatever the token. `role` is one of L-35's.
    """

    identity: str = ""
    role: str = ""
    client: str = ""  # the program that the token was made for, where it says so
    until: float | None = None  # when the token ends, in seconds since the epoch

    def user(self) -> Any:
        """For the SDK, which gives a session to nobody but the one it was opened for."""
        from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
        from mcp.server.auth.provider import AccessToken

        return AuthenticatedUser(AccessToken(token="", client_id=self.client, scopes=[], subject=self.identity))


class Lease:
    """A stream that lasts as long as the token it was opened with: then its client comes again, with another one.

    Answers to calls are not cut off. `seconds` are those that are left.
    """

    def __init__(self, receive: Any, send: Any, seconds: float) -> None:
        self._receive = receive
        self._send = send
        self._until = asyncio.get_running_loop().time() + seconds
        self._over = self._open = False

    async def receive(self) -> Any:
        """What comes; at the end of the time, that the client is gone."""
        try:
            async with asyncio.timeout_at(self._until):
                return await self._receive()
        except TimeoutError:
            self._over = True
            return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """What goes."""
        self._open = message["type"] == "http.response.start" or bool(message.get("more_body"))
        await self._send(message)

    async def close(self) -> None:
        """End the answer as it should be where the time ended it."""
        if self._over and self._open:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def guest_of(context: Any) -> Guest:
    """Who makes the request that a handler of the SDK was given; nobody in particular on a pipe."""
    request = context.request
    scope: Mapping[str, Any] = request.scope if request is not None and hasattr(request, "scope") else {}
    return scope.get(GUEST) or Guest()
