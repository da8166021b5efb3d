"""Signing in at servers that want OAuth: tokens in files of the workspace's keys, readable by their owner only.

`druse login SERVER` carries out the flow with a browser; from then on calls use the tokens and renew them. While
serving there is nobody to sign in: a server that wants it again is a problem that names the command.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from druse.model import UpstreamFailure
from druse.upstream.servers import ServerEntry

if TYPE_CHECKING:
    from httpx2 import Auth
    from mcp.client.auth import AuthorizationCodeResult
    from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

REDIRECT = "http://127.0.0.1:{port}/callback"
FIRST_PORT = 8976

# Shows the address where a person signs in; waits for what the server sends back to the redirect address.
Show: TypeAlias = "Callable[[str], Awaitable[None]]"
Wait: TypeAlias = "Callable[[], Awaitable[AuthorizationCodeResult]]"


class KeptTokens:
    """Implements the SDK's `TokenStorage` in one file."""

    def __init__(self, file: Path, registered: Mapping[str, str] | None = None) -> None:
        self.file = file
        self._registered = registered or {}  # `oauth` of the server's entry

    async def get_tokens(self) -> OAuthToken | None:
        """The tokens, if there are any."""
        from mcp.shared.auth import OAuthToken

        held = self._read().get("tokens")
        return OAuthToken.model_validate(held) if held else None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep them."""
        self._write("tokens", tokens.model_dump(mode="json", exclude_none=True))

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """What the authorization server knows us as."""
        from mcp.shared.auth import OAuthClientInformationFull
        from pydantic import AnyUrl

        if self._registered:
            secret = self._registered.get("clientSecret")
            return OAuthClientInformationFull(
                client_id=self._registered["clientId"],
                client_secret=secret,
                redirect_uris=[AnyUrl(REDIRECT.format(port=self.port()))],
                token_endpoint_auth_method="client_secret_basic" if secret else "none",
            )
        held = self._read().get("client")
        return OAuthClientInformationFull.model_validate(held) if held else None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep it."""
        self._write("client", client_info.model_dump(mode="json", exclude_none=True))

    def port(self) -> int:
        """The port of the redirect address that was registered, else the usual one."""
        found = re.search(r":(\d+)/callback", json.dumps(self._read().get("client")))
        return int(found[1]) if found else FIRST_PORT

    def _read(self) -> dict[str, Any]:
        try:
            loaded: Any = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else {}

    def _write(self, key: str, value: dict[str, Any]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        whole = json.dumps({**self._read(), key: value})
        partial = self.file.with_suffix(".new")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(whole)
        partial.replace(self.file)


def tokens_of(entry: ServerEntry, folder: Path) -> KeptTokens:
    """Where the tokens of a server are kept: by its name and address, so that neither gets those of another."""
    from druse.model import digest

    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", entry.name)[:40]
    about = digest({"name": entry.name, "url": entry.url, "client": entry.oauth.get("clientId", "")})
    return KeptTokens(folder / f"{plain}-{about[-12:]}.json", entry.oauth)


def signing(keys: Path) -> Callable[[ServerEntry], Auth | None]:
    """What signs the requests to any server with the tokens kept under `keys`; nobody can sign in meanwhile."""
    return lambda entry: authorization(entry, tokens_of(entry, keys / "oauth"))


def authorization(
    entry: ServerEntry,
    tokens: KeptTokens,
    show: Show | None = None,
    wait: Wait | None = None,
    *,
    metadata_url: str = "",
) -> Auth | None:
    """What signs the requests to a server, by OAuth; None for one with an Authorization header of its own.

    Without `show` and `wait` nobody can sign in: then a request that would need it raises UpstreamFailure.
    """
    if not entry.url or any(name.lower() == "authorization" for name in entry.headers):
        return None
    # It writes a traceback for each login that was wanted and not made; the problem of the server says the same.
    logging.getLogger("mcp.client.auth.oauth2").setLevel(logging.CRITICAL)
    if entry.oauth.get("grant", "client_credentials") != "authorization_code":
        machine = _machine(entry, tokens)
        if machine is not None:
            return machine
    from mcp.client.auth import OAuthClientProvider
    from mcp.shared.auth import OAuthClientMetadata
    from pydantic import AnyUrl

    async def nobody(_address: str) -> None:
        raise UpstreamFailure(
            f"Server {entry.name!r}: it wants somebody to sign in. Ask the user to run "
            f'"druse login {entry.name}" in a terminal, then call again.',
            server=entry.name,
        )

    async def never() -> AuthorizationCodeResult:
        raise UpstreamFailure(f"Server {entry.name!r}: nobody signed in.", server=entry.name)

    metadata = OAuthClientMetadata(
        client_name="Druse",
        redirect_uris=[AnyUrl(REDIRECT.format(port=tokens.port()))],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
    )
    return OAuthClientProvider(
        server_url=entry.url,
        client_metadata=metadata,
        storage=tokens,
        redirect_handler=show or nobody,
        callback_handler=wait or never,
        client_metadata_url=metadata_url or None,
    )


def _machine(entry: ServerEntry, tokens: KeptTokens) -> Auth | None:
    """Signs without anybody who signs in, with what the entry has for that; None where it has nothing."""
    if entry.oauth.get("grant") == "identity_assertion":
        from druse.upstream.assertions import managed

        return managed(entry, tokens)
    if "assertionFile" in entry.oauth:
        from druse.upstream.assertions import workload

        return workload(entry, tokens)
    from mcp.client.auth.extensions.client_credentials import (
        ClientCredentialsOAuthProvider,
        PrivateKeyJWTOAuthProvider,
        SignedJWTParameters,
    )

    given = entry.oauth
    scope, issuer = given.get("scope"), given.get("issuer")
    if "clientSecret" in given:
        return ClientCredentialsOAuthProvider(
            entry.url, tokens, given["clientId"], given["clientSecret"], scope=scope, issuer=issuer
        )
    if "privateKeyFile" not in given:
        return None
    try:
        key = Path(given["privateKeyFile"]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UpstreamFailure(
            f"Server {entry.name!r}: its private key could not be read ({error}). Correct `oauth.privateKeyFile` in "
            "mcp.json.",
            server=entry.name,
        ) from error
    parameters = SignedJWTParameters(
        issuer=given["clientId"],
        subject=given["clientId"],
        signing_algorithm=given.get("algorithm", "ES256"),
        signing_key=key,
    )
    prove = parameters.create_assertion_provider()
    return PrivateKeyJWTOAuthProvider(entry.url, tokens, given["clientId"], prove, scope=scope, issuer=issuer)
