"""Signing in with a JWT that somebody else made: of a workload's platform, or of a company's identity provider.

The files are read anew whenever a token is asked for: platforms renew them in place. What is in them goes to the issuer
of the entry and, for an identity token, to its identity provider, and nowhere else.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from druse.model import UpstreamFailure
from druse.upstream.servers import ServerEntry

if TYPE_CHECKING:
    from httpx2 import Auth
    from mcp.client.auth import TokenStorage

_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # RFC 8693
_ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
_ASSERTION = "urn:ietf:params:oauth:token-type:id-jag"
_SECONDS = 20.0
_LARGEST = 64 * 1024  # bytes of an answer or a file


def workload(entry: ServerEntry, tokens: TokenStorage) -> Auth:
    """Signs with the JWT of `assertionFile`: as the proof of a client, or with `jwt_bearer` as the grant itself."""
    from mcp.client.auth.extensions.client_credentials import PrivateKeyJWTOAuthProvider
    from mcp.shared.auth import JWT_BEARER_GRANT_TYPE

    oauth = entry.oauth

    async def made(audience: str) -> str:
        return _held(entry, "assertionFile")

    class Granted(PrivateKeyJWTOAuthProvider):
        """The SDK has this grant for clients with a secret only; a workload has none."""

        async def _add_client_authentication_jwt(self, *, token_data: dict[str, Any]) -> None:
            token_data["grant_type"] = JWT_BEARER_GRANT_TYPE
            token_data["assertion"] = await made("")
            token_data["client_id"] = oauth["clientId"]
            if "scope" in oauth:  # the SDK forgets it where the server names no scope
                token_data["scope"] = oauth["scope"]

    kind = Granted if oauth.get("grant") == "jwt_bearer" else PrivateKeyJWTOAuthProvider
    return kind(entry.url, tokens, oauth["clientId"], made, scope=oauth.get("scope"), issuer=oauth["issuer"])


def managed(entry: ServerEntry, tokens: TokenStorage) -> Auth:
    """Signs as the client of a company whose identity provider says who uses it (ID-JAG, SEP-990)."""
    from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider

    oauth = entry.oauth

    async def made(audience: str, resource: str) -> str:
        if "assertionFile" in oauth:
            return _held(entry, "assertionFile")
        return await _exchanged(entry, audience, resource)

    return IdentityAssertionOAuthProvider(
        server_url=entry.url,
        storage=tokens,
        client_id=oauth["clientId"],
        client_secret=oauth["clientSecret"],
        issuer=oauth["issuer"],
        assertion_provider=made,
        scope=oauth.get("scope"),
        token_endpoint_auth_method="client_secret_basic",
    )


async def _exchanged(entry: ServerEntry, audience: str, resource: str) -> str:
    """What the identity provider gives for an identity token. Raises UpstreamFailure."""
    import httpx2

    oauth = entry.oauth
    asked = {
        "grant_type": _EXCHANGE,
        "requested_token_type": _ASSERTION,
        "audience": audience,
        "resource": resource,
        "subject_token": _held(entry, "idTokenFile"),
        "subject_token_type": _ID_TOKEN,
        "client_id": oauth["idpClientId"],
        **({"scope": oauth["scope"]} if "scope" in oauth else {}),
        **({"client_secret": oauth["idpClientSecret"]} if "idpClientSecret" in oauth else {}),
    }
    try:
        async with httpx2.AsyncClient(timeout=_SECONDS, follow_redirects=False) as http:
            answer = await http.post(oauth["idpTokenEndpoint"], data=asked, headers={"accept": "application/json"})
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise _failure(entry, f"its identity provider did not answer ({type(error).__name__})") from error
    told = _object(answer.content)
    if answer.status_code != 200:
        why = str(told.get("error", ""))[:100]
        raise _failure(entry, f"its identity provider answered {answer.status_code} {why}".rstrip())
    given = told.get("access_token")
    if not isinstance(given, str) or told.get("issued_token_type") != _ASSERTION:
        raise _failure(entry, "its identity provider gave something else than an identity assertion")
    return given


def _object(content: bytes) -> dict[str, Any]:
    try:
        read: Any = json.loads(content[:_LARGEST])
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", read) if isinstance(read, dict) else {}


def _held(entry: ServerEntry, field: str) -> str:
    """The JWT in a file of the entry."""
    try:
        with Path(entry.oauth[field]).open(encoding="ascii") as file:
            text = file.read(_LARGEST).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _failure(
            entry, f"`oauth.{field}` could not be read ({getattr(error, 'strerror', None) or type(error).__name__})"
        ) from error
    if text.count(".") != 2 or len(text.split()) != 1:
        raise _failure(entry, f"`oauth.{field}` holds no JWT")
    return text


def _failure(entry: ServerEntry, problem: str) -> UpstreamFailure:
    told = f"Server {entry.name!r}: {problem}. Correct it, or `oauth` of its entry in mcp.json."
    return UpstreamFailure(told, server=entry.name)
