"""`tools/call` straight onto the lines of a stdio server, beside the SDK's session.

The session keeps everything else: handshake, listing, notifications, and what the server asks of us. A call by itself
is one line out and one line in, and its way through the session costs about twice what the pipe and the server do.
In the era of 2026-07-28 each request says who makes it: a call says what the session's own last listing said.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any, cast

from druse.model import Json, JsonObject, Progress

_FIRST_ID = 1 << 40  # the session counts its own ids up from 1
_CLOSED: JsonObject = {"error": {"code": -32000, "message": "Connection closed"}}
_encoded = json.JSONEncoder(ensure_ascii=False).encode  # made once: that takes longer than a short message


class _Answer:
    """What one call waits for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.comes: asyncio.Future[JsonObject] = loop.create_future()
        self._told: deque[JsonObject] = deque()  # of its progress
        self._stirred: asyncio.Event | None = None  # where somebody wants to hear of that

    def take(self, received: JsonObject) -> None:
        """A message for this call."""
        if "method" not in received:
            if not self.comes.done():
                self.comes.set_result(received)
        elif self._stirred is not None:
            self._told.append(received)
        if self._stirred is not None:
            self._stirred.set()

    async def telling(self, progress: Progress) -> JsonObject:
        """The answer; `progress` hears of everything before it."""
        self._stirred = asyncio.Event()
        while True:
            while self._told:
                await progress(*_progress_of(self._told.popleft()))
            if self.comes.done():
                return self.comes.result()
            self._stirred.clear()
            await self._stirred.wait()


class DirectCalls:
    """The calls in flight on one connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._waiting: dict[int, _Answer] = {}
        self._next = _FIRST_ID
        self._ended = False
        self.who: JsonObject = {}  # goes with every call

    def take(self, message: Any) -> bool:
        """Whether an incoming message belongs to one of these calls; then it is dealt with."""
        if not self._waiting or not isinstance(message, dict):
            return False
        received = cast("JsonObject", message)
        number = received.get("id")
        if "method" in received:
            params = received.get("params")
            if received["method"] != "notifications/progress" or not isinstance(params, dict):
                return False
            number = params.get("progressToken")
        answer = self._waiting.get(number) if isinstance(number, int) else None
        if answer is None:
            return False
        answer.take(received)
        return True

    def end(self) -> None:
        """The server is gone: whoever waits hears of it."""
        self._ended = True
        for answer in self._waiting.values():
            answer.take(_CLOSED)

    async def call(self, tool: str, arguments: JsonObject, progress: Progress | None) -> Json:
        """One call; its result as it came. Cancelling it tells the server.

        Raises MCPError for an error or a lost connection.
        """
        number, self._next = self._next, self._next + 1
        answer = self._waiting[number] = _Answer(asyncio.get_running_loop())
        params: JsonObject = {"name": tool, "arguments": arguments}
        if progress is not None:
            params["_meta"] = {**self.who, "progressToken": number}
        elif self.who:
            params["_meta"] = self.who
        try:
            await self._send({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params})
            if progress is None:
                received = await answer.comes
            else:
                received = await answer.telling(progress)
        except asyncio.CancelledError:
            told: JsonObject = {"requestId": number, "reason": "The call was cancelled."}
            self._write({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": told})
            raise
        finally:
            del self._waiting[number]
        error = received.get("error")
        if isinstance(error, dict):
            from mcp.shared.exceptions import MCPError

            code = error.get("code")
            raise MCPError(code if isinstance(code, int) else 0, str(error.get("message")), error.get("data"))
        return received.get("result")

    async def _send(self, message: JsonObject) -> None:
        if self._ended:
            from mcp.shared.exceptions import MCPError

            raise MCPError(-32000, "Connection closed")
        self._write(message)
        try:
            await self._writer.drain()
        except ConnectionError:
            self.end()

    def _write(self, message: JsonObject) -> None:
        if not self._ended:
            self._writer.write(_encoded(message).encode("utf-8", "replace") + b"\n")


def _progress_of(received: JsonObject) -> tuple[float, float | None, str | None]:
    params = cast("dict[str, Any]", received["params"])
    done, total, message = params.get("progress"), params.get("total"), params.get("message")
    return (
        float(done) if isinstance(done, int | float) else 0.0,
        float(total) if isinstance(total, int | float) else None,
        message if isinstance(message, str) else None,
    )
