"""The body of an MCP request over HTTP, looked at before the SDK sees it.

The SDK takes a request under an id that no answer can name for a notification, which nobody answers, and refuses half a
surrogate pair, which JSON may hold. Over pipes `druse.upstream.lines` sees to both.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json

from druse.upstream.lines import check_id, not_a_message, read_json

_MOST = 4 * 1024 * 1024  # bytes that are looked at; the SDK takes no more


async def looked_at(receive: Any, send: Any) -> Any:
    """A `receive` that gives the body, its texts whole, and goes on with the given one; None where it was refused."""
    held: list[dict[str, Any]] = []
    body = b""
    while not held or held[-1].get("more_body"):
        held.append(await receive())
        body += held[-1].get("body", b"")
        if held[-1]["type"] != "http.request" or len(body) > _MOST:
            return _replayed(held, receive)
    try:
        read: Any = from_json(body)
    except ValueError:
        try:
            read = read_json(body)
        except ValueError:
            return _replayed(held, receive)  # the SDK says what is wrong with it
        body = json.dumps(read).encode()
    try:
        check_id(read)
    except ValueError as problem:
        await _refuse(send, not_a_message(body, problem))
        return None
    return _replayed([{"type": "http.request", "body": body, "more_body": False}], receive)


async def _refuse(send: Any, refusal: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(refusal)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": refusal})


def _replayed(held: list[dict[str, Any]], receive: Any) -> Any:
    waiting = list(reversed(held))

    async def replay() -> Any:
        return waiting.pop() if waiting else await receive()

    return replay
