"""Streamable HTTP: loopback by default, a bearer token always, Origin and Host checked by the SDK."""

from __future__ import annotations

import errno
import hmac
import os
import secrets
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from druse.front.events import RecentEvents
from druse.front.server import Front
from druse.model import Invalid

RETRY_MILLISECONDS = 500  # after which a client whose stream broke may come back
_BACKLOG = 2048  # connections that wait to be taken


class Beside(Protocol):
    """What is served at paths of its own beside MCP, and who else may come."""

    def owns(self, path: str) -> bool:
        """Whether a request for this path is for it."""
        ...

    async def accepts(self, token: str) -> bool:
        """Whether this token lets its bearer in."""
        ...

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One ASGI request; it looks at the token, Host and Origin itself."""
        ...


def bound(address: str) -> list[socket.socket]:
    """What listens at HOST:PORT, a socket for each address of the host; port 0 takes a free one. Raises Invalid."""
    host, _, port = address.rpartition(":")
    if not port.isdigit() or not host:
        raise Invalid(f"Cannot serve on {address!r}: write HOST:PORT, for example 127.0.0.1:8765.", where="--http")
    made: list[socket.socket] = []
    missing: OSError | None = None
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        for family, place in dict.fromkeys((family, place[0]) for family, _, _, _, place in found):
            number = port_of(made) if made else int(port)
            try:
                made.append(socket.create_server((str(place), number), family=family, backlog=_BACKLOG))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                missing = error  # as where localhost has an address of a family that this machine has not
        if missing is not None and not made:
            raise missing
    except (OSError, OverflowError) as error:
        for one in made:
            one.close()
        stopped = str(getattr(error, "strerror", None) or error).partition(" (")[0]
        raise Invalid(f"Cannot serve on {address}: {stopped}. Name another HOST:PORT.", where="--http") from error
    return made


def port_of(sockets: Sequence[socket.socket]) -> int:
    """The port that they have in common."""
    return int(sockets[0].getsockname()[1])


async def serve_http(
    front: Front, sockets: Sequence[socket.socket], host: str, token_file: Path, *, beside: Beside | None = None
) -> None:
    """Serve what comes to `bound` sockets until cancelled."""
    import uvicorn

    guarded = http_application(front, host, token_file, beside)
    config = uvicorn.Config(guarded, log_level="warning", lifespan="on")
    await uvicorn.Server(config).serve(list(sockets))


def http_application(front: Front, host: str, token_file: Path, beside: Beside | None = None) -> BearerToken:
    """The ASGI application that is served at `host`."""
    application: Any = front.server.streamable_http_app(
        host=host, event_store=RecentEvents(), retry_interval=RETRY_MILLISECONDS
    )
    return BearerToken(application, read_token(token_file), beside)


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

    def __init__(self, application: Any, token: str, beside: Beside | None = None) -> None:
        self._application = application
        self._token = token
        self._beside = beside

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One ASGI request."""
        if scope["type"] == "http":
            if self._beside is not None and self._beside.owns(scope["path"]):
                await self._beside(scope, receive, send)
                return
            if not await self._lets_in(bearer_of(scope["headers"])):
                headers = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Bearer")]
                await send({"type": "http.response.start", "status": 401, "headers": headers})
                body = b"Send the token of .druse/keys/http.token as a bearer token.\n"
                await send({"type": "http.response.body", "body": body})
                return
            if scope["method"] == "POST":
                from druse.front.bodies import looked_at

                receive = await looked_at(receive, send)
                if receive is None:
                    return
        await self._application(scope, receive, send)

    async def _lets_in(self, token: str) -> bool:
        if hmac.compare_digest(token.encode(), self._token.encode()):
            return True
        return self._beside is not None and await self._beside.accepts(token)


def bearer_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The bearer token among the headers of a request; empty where there is none, or more than one."""
    given = [value for name, value in headers if name == b"authorization"]
    scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
    return token.strip().decode("latin-1") if scheme.lower() == b"bearer" else ""
