"""Streamable HTTP: loopback by default, a bearer token always, Origin and Host checked by the SDK.

Who comes with which token is said by what is served beside MCP (see `druse.web.admission`); a session belongs to whom
it was opened for, and nobody else sees that there is one.
"""

from __future__ import annotations

import errno
import hmac
import os
import secrets
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from druse.front.guests import GUEST, Guest, Lease
from druse.front.server import Front
from druse.model import Invalid

if TYPE_CHECKING:
    from starlette.applications import Starlette

RETRY_MILLISECONDS = 500  # after which a client whose stream broke may come back
_BACKLOG = 2048  # connections that wait to be taken


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """The answer to a request that is not let in."""

    status: int
    detail: str
    kind: str = "no_token"
    headers: dict[str, str] = field(default_factory=dict[str, str])


class Beside(Protocol):
    """What is served at paths of its own beside MCP, and who may come."""

    @property
    def names(self) -> Sequence[str]:
        """Names, with or without a port, by which this server is known beside the address it is bound to."""
        ...

    def owns(self, path: str) -> bool:
        """Whether a request for this path is for it."""
        ...

    async def admit(self, headers: Iterable[tuple[bytes, bytes]]) -> Guest | TurnedAway:
        """Whose request for MCP this is."""
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
    application = _streams(front, host, beside.names if beside is not None else ())
    return BearerToken(application, read_token(token_file), beside)


def _streams(front: Front, host: str, names: Sequence[str]) -> Starlette:
    """MCP at /mcp. Loopback is reached under its own names and those given, so that no page can bind another to it."""
    from mcp.server.streamable_http_manager import StreamableHTTPASGIApp
    from mcp.server.transport_security import TransportSecuritySettings
    from starlette.applications import Starlette
    from starlette.routing import Route

    from druse.front.events import Sessions

    own = ["127.0.0.1:*", "localhost:*", "[::1]:*"]
    checked = TransportSecuritySettings(
        allowed_hosts=[*own, *names],
        allowed_origins=[f"http://{one}" for one in own] + [f"https://{one}" for one in names],
    )
    loopback = host.strip("[]") in ("127.0.0.1", "localhost", "::1")
    security = checked if loopback else None
    sessions = Sessions(front.server, security_settings=security, retry_interval=RETRY_MILLISECONDS)
    route = Route("/mcp", StreamableHTTPASGIApp(sessions))
    return Starlette(routes=[route], lifespan=lambda _: sessions.run())


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
            guest = await self._admit(scope["headers"])
            if isinstance(guest, TurnedAway):
                told = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store", **guest.headers}
                headers = [(name.encode(), value.encode("latin-1")) for name, value in told.items()]
                await send({"type": "http.response.start", "status": guest.status, "headers": headers})
                await send({"type": "http.response.body", "body": f"{guest.detail}\n".encode()})
                return
            scope = {**scope, "user": guest.user(), GUEST: guest}
            if scope["method"] == "POST":
                from druse.front.bodies import looked_at

                receive = await looked_at(receive, send)
                if receive is None:
                    return
            if guest.until is not None and _listens(scope):
                lease = Lease(receive, send, guest.until - time.time())
                await self._application(scope, lease.receive, lease.send)
                await lease.close()
                return
        await self._application(scope, receive, send)

    async def _admit(self, headers: Iterable[tuple[bytes, bytes]]) -> Guest | TurnedAway:
        if self._beside is not None:
            return await self._beside.admit(headers)
        if hmac.compare_digest(bearer_of(headers).encode(), self._token.encode()):
            return Guest()
        detail = "Send the token of .druse/keys/http.token as a bearer token."
        return TurnedAway(401, detail, headers={"www-authenticate": "Bearer"})


def _listens(scope: Any) -> bool:
    """Whether a request opens a stream of notifications, in either era."""
    return scope["method"] == "GET" or (b"mcp-method", b"subscriptions/listen") in scope["headers"]


def bearer_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The bearer token among the headers of a request; empty where there is none, or more than one."""
    given = [value for name, value in headers if name == b"authorization"]
    scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
    return token.strip().decode("latin-1") if scheme.lower() == b"bearer" else ""
