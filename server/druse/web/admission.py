"""Who is let in over HTTP: with the workspace's token, a key of it, or an access token of OAuth.

MCP and the API beside it ask here. What OAuth needs is loaded when config.toml has `[oauth]`, and in force from the
moment a person approved it to the moment the table is taken out: each request is judged by what governs then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from druse.front.guests import Guest
from druse.front.http import TurnedAway, bearer_of
from druse.governance import Rules
from druse.settings import OAuth
from druse.settings.oauth import on_loopback
from druse.web.visitors import HttpRole, Keyring, Visitor

if TYPE_CHECKING:
    from druse.web.accesstokens import AccessTokens

WELL_KNOWN = "/.well-known/oauth-protected-resource"  # RFC 9728
_RETRY_AFTER = "10"  # seconds; keys are looked at no sooner


class Admission:
    """The door of one server. `served`: its address, as http://HOST:PORT. `team`: whose volume a team_admin keeps."""

    def __init__(self, keyring: Keyring, rules: Rules, served: str, *, team: str) -> None:
        self._keyring = keyring
        self._rules = rules
        self._served = served
        self._team = team
        self._tokens: AccessTokens | None = None

    @property
    def oauth(self) -> OAuth | None:
        """What governs; nothing where neither the settings nor the address served say whom tokens must be for."""
        oauth = self._rules.fresh().oauth
        return oauth if oauth is not None and (oauth.resource or on_loopback(self._served)) else None

    @property
    def names(self) -> list[str]:
        """The names in the address by which clients know this server, where that is not the one it is bound to."""
        oauth = self.oauth
        host = urlsplit(oauth.resource).netloc.lower() if oauth is not None else ""
        return [host] if host else []

    async def visitor(self, headers: Iterable[tuple[bytes, bytes]]) -> Visitor | TurnedAway:
        """Whose request this is."""
        token = bearer_of(headers)
        visitor = await self._keyring.visitor(token)
        if visitor is not None:
            return visitor
        oauth = self.oauth
        if oauth is None:
            detail = "Send the token of .druse/keys/http.token, or a key, as a bearer token."
            return TurnedAway(401, detail, headers={"www-authenticate": "Bearer"})
        return await self._by_token(oauth, token)

    async def admit(self, headers: Iterable[tuple[bytes, bytes]]) -> Guest | TurnedAway:
        """The same, for MCP."""
        visitor = await self.visitor(headers)
        return visitor if isinstance(visitor, TurnedAway) else visitor.guest()

    def metadata(self, path: str) -> dict[str, Any] | None:
        """The protected resource metadata, if that is what a path asks for and there is OAuth."""
        if not path.startswith(WELL_KNOWN):
            return None
        oauth = self.oauth
        if oauth is None:
            return None
        resource = self._resource(oauth)
        if path[len(WELL_KNOWN) :].rstrip("/") not in ("", "/mcp", urlsplit(resource).path):
            return None
        scopes = oauth.roles.get("user", ()) if not oauth.claim else ()
        return {
            "resource": resource,
            "authorization_servers": [*oauth.issuers],
            "bearer_methods_supported": ["header"],
            "resource_name": "Druse",
            **({"scopes_supported": [*scopes]} if scopes else {}),
        }

    def needs(self, role: HttpRole, detail: str) -> dict[str, str]:
        """The header of an answer to a visitor whose token does not give enough: which scope does."""
        oauth = self.oauth
        if oauth is None:
            return {}
        return self._challenge(oauth, role, error="insufficient_scope", why=detail)

    async def _by_token(self, oauth: OAuth, token: str) -> Visitor | TurnedAway:
        from druse.web.accesstokens import AccessTokens, TokenRefused, looks_like_one
        from druse.web.issuers import KeysMissing

        if not token:
            detail = "Send an access token, the token of .druse/keys/http.token, or a key, as a bearer token."
            return TurnedAway(401, detail, headers=self._challenge(oauth, HttpRole.USER))
        if self._tokens is None or self._tokens.settings != oauth:
            self._tokens = AccessTokens(oauth, self._resource(oauth))
        try:
            if not looks_like_one(token):
                raise TokenRefused("The token is none of this server's, and no access token that it can check.")
            bearer = await self._tokens.bearer(token)
        except TokenRefused as refused:
            why = str(refused)
            headers = self._challenge(oauth, HttpRole.USER, error="invalid_token", why=why)
            return TurnedAway(401, why, headers=headers)
        except KeysMissing:
            detail = "The token cannot be checked now: its issuer does not show its keys. Try again."
            return TurnedAway(503, detail, "no_keys", {"retry-after": _RETRY_AFTER})
        role = bearer.role
        if role == HttpRole.TEAM_ADMIN and not self._team:
            role = str(HttpRole.USER)
        if not role:
            why = "The token gives no role here."
            headers = self._challenge(oauth, HttpRole.USER, error="insufficient_scope", why=why)
            return TurnedAway(403, why, "not_allowed", headers)
        team = self._team if role == HttpRole.TEAM_ADMIN else ""
        return Visitor(
            *(bearer.name, HttpRole(role), team),
            identity=bearer.name,
            client=bearer.client,
            by_token=True,
            until=bearer.until,
        )

    def _resource(self, oauth: OAuth) -> str:
        return oauth.resource or f"{self._served}/mcp"

    def _challenge(self, oauth: OAuth, role: HttpRole, *, error: str = "", why: str = "") -> dict[str, str]:
        parts = urlsplit(self._resource(oauth))
        told = {"resource_metadata": f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{parts.path}"}
        scopes = oauth.roles.get(str(role), ()) if not oauth.claim else ()
        if scopes:
            told["scope"] = scopes[0]  # one of them is enough
        if error:
            told |= {"error": error, "error_description": re.sub(r"[^\x20\x21\x23-\x5b\x5d-\x7e]", "'", why)}
        return {"www-authenticate": "Bearer " + ", ".join(f'{name}="{value}"' for name, value in told.items())}
