"""Who stands behind a request over HTTP, as a token or key proved it; it goes along in the request's scope."""

from __future__ import annotations

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

    def user(self) -> Any:
        """For the SDK, which gives a session to nobody but the one it was opened for."""
        from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
        from mcp.server.auth.provider import AccessToken

        return AuthenticatedUser(AccessToken(token="", client_id=self.client, scopes=[], subject=self.identity))


def guest_of(context: Any) -> Guest:
    """Who makes the request that a handler of the SDK was given; nobody in particular on a pipe."""
    request = context.request
    scope: Mapping[str, Any] = request.scope if request is not None and hasattr(request, "scope") else {}
    return scope.get(GUEST) or Guest()
