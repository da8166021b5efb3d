"""`tools/call` straight onto the lines of a handshake-era stdio server, beside the SDK's session.

The session keeps everything else: handshake, listing, notifications, and what the server asks of us. A call by itself
is one line out and one line in, and its way through the session costs about twice what the pipe and the server do.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

from druse.model import JsonObject, Progress

if TYPE_CHECKING:
    import mcp_types as types

_FIRST_ID = 1 << 40  # the session counts its own ids up from 1
_CLOSED: JsonObject = {"error": {"code": -32000, "message": "Connection closed"}}


class DirectCalls:
    """The calls in flight on one connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._waiting: dict[int, asyncio.Queue[JsonObject]] = {}
        self._next = _FIRST_ID
        self._ended = False

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
        queue = self._waiting.get(number) if isinstance(number, int) else None
        if queue is None:
            return False
        queue.put_nowait(received)
        return True

    def end(self) -> None:
        """The server is gone: whoever waits hears of it."""
        self._ended = True
        for queue in self._waiting.values():
            queue.put_nowait(_CLOSED)

    async def call(self, tool: str, arguments: JsonObject, progress: Progress | None) -> types.CallToolResult:
        """One call. Cancelling it tells the server.

        Raises MCPError for an error or a lost connection, ValueError for an answer that is no tool result.
        """
        import mcp_types as types
        from mcp.shared.exceptions import MCPError

        number, self._next = self._next, self._next + 1
        queue = self._waiting[number] = asyncio.Queue[JsonObject]()
        params: JsonObject = {"name": tool, "arguments": arguments}
        if progress is not None:
            params["_meta"] = {"progressToken": number}
        try:
            await self._send({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params})
            received = await queue.get()
            while "method" in received:
                if progress is not None:
                    await progress(*_progress_of(received))
                received = await queue.get()
        except asyncio.CancelledError:
            told: JsonObject = {"requestId": number, "reason": "The call was cancelled."}
            self._write({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": told})
            raise
        finally:
            del self._waiting[number]
        error = received.get("error")
        if isinstance(error, dict):
            code = error.get("code")
            raise MCPError(code if isinstance(code, int) else 0, str(error.get("message")), error.get("data"))
        return types.CallToolResult.model_validate(received.get("result"), by_name=False)

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
            self._writer.write(json.dumps(message, ensure_ascii=False).encode("utf-8", "replace") + b"\n")


def _progress_of(received: JsonObject) -> tuple[float, float | None, str | None]:
    params = cast("dict[str, Any]", received["params"])
    done, total, message = params.get("progress"), params.get("total"), params.get("message")
    return (
        float(done) if isinstance(done, int | float) else 0.0,
        float(total) if isinstance(total, int | float) else None,
        message if isinstance(message, str) else None,
    )
