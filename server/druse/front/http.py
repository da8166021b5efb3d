"""Streamable HTTP: loopback by default, a bearer token always, Origin and Host checked by the SDK."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path
from typing import Any

from druse.front.events import RecentEvents
from druse.front.server import Front
from druse.model import Invalid

RETRY_MILLISECONDS = 500  # after which a client whose stream broke may come back


async def serve_http(front: Front, address: str, token_file: Path) -> None:
    """Serve until cancelled. Raises Invalid for an address that is none."""
    import uvicorn

    host, _, port = address.rpartition(":")
    if not port.isdigit() or not host:
        raise Invalid(f"Cannot serve on {address!r}: write HOST:PORT, for example 127.0.0.1:8765.", where="--http")
    guarded = http_application(front, host, token_file)
    config = uvicorn.Config(guarded, host=host, port=int(port), log_level="warning", lifespan="on")
    await uvicorn.Server(config).serve()


def http_application(front: Front, host: str, token_file: Path) -> BearerToken:
    """The ASGI application that is served at `host`."""
    application: Any = front.server.streamable_http_app(
        host=host, event_store=RecentEvents(), retry_interval=RETRY_MILLISECONDS
    )
    return BearerToken(application, read_token(token_file))


def read_token(path: Path) -> str:
    """The token of the workspace; made, readable by its owner only, at the first use."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        token = secrets.token_urlsafe(32)
        file.write(token)
    return token


class BearerToken:
    """Lets only requests with the token through."""

    def __init__(self, application: Any, token: str) -> None:
        self._application = application
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One ASGI request."""
        if scope["type"] == "http":
            given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
            if not hmac.compare_digest(given, self._expected):
                headers = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Bearer")]
                await send({"type": "http.response.start", "status": 401, "headers": headers})
                body = b"Send the token of .druse/keys/http.token as a bearer token.\n"
                await send({"type": "http.response.body", "body": body})
                return
        await self._application(scope, receive, send)
