"""What every request of the web passes first: Host, Origin, size, and a bearer token that somebody answers for.

A page of another origin that a browser was lured to can neither read nor write here: a name that was bound anew to
this address fails at Host, a script of elsewhere at Origin, and both have no token.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Awaitable, Callable
from typing import Any

LARGEST_BODY = 2 * 1024 * 1024

Receive = Callable[[], Awaitable[dict[str, Any]]]


def hosts_of(host: str, port: int) -> frozenset[str] | None:
    """The Host headers that name this address; None where it is not bound to loopback, as then nobody can list them."""
    bare = host.strip("[]")
    try:
        loopback = ipaddress.ip_address(bare).is_loopback
    except ValueError:
        loopback = bare == "localhost"
    return frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]", host)) if loopback else None


def refusal_of(scope: Any, hosts: frozenset[str] | None) -> tuple[int, str] | None:
    """Why a request is refused by its Host or Origin, before anything else is looked at."""
    given = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
    if len(given) != 1 or (hosts is not None and given[0] not in hosts):
        return 421, "This server answers to its own address only; the Host of the request is another."
    origins = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"origin"]
    if origins and origins not in ([f"http://{given[0]}"], [f"https://{given[0]}"]):
        return 403, "Requests of pages of another origin are not served."
    return None


async def answer(send: Any, status: int, payload: Any, headers: dict[str, str] | None = None) -> None:
    """A JSON answer on the bare protocol."""
    body = json.dumps(payload, ensure_ascii=False).encode()
    told = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        **(headers or {}),
    }
    raw = [(name.encode(), value.encode("latin-1")) for name, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def body_of(receive: Receive) -> bytes | None:
    """The whole body; None where it is larger than `LARGEST_BODY`."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return body
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            return None
        if not message.get("more_body"):
            return body
