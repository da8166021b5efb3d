"""JSON-RPC lines over a pipe or socket, as the two streams that the SDK's sessions read and write.

The SDK's own transports put a task and a memory stream between a pipe and a session, in each direction. These are the
session's streams themselves: a message is parsed in the task that waits for it, and written by the one that sends it.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from contextvars import Context
from types import TracebackType
from typing import Any, Self

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage
from pydantic_core import from_json

MAX_LINE_BYTES = 64 * 1024 * 1024
CHUNK = 1 << 18


class LineReader:
    """Messages out of a stream of bytes.

    `on_bad` hears of a line that is no message (None: one over `MAX_LINE_BYTES`, dropped while it came in) and may
    raise EndOfStream; `on_end` hears once that the other side closed. What `take` takes never reaches the session.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        *,
        on_bad: Callable[[bytes | None, ValueError | None], None],
        on_end: Callable[[], None] = lambda: None,
        take: Callable[[Any], bool] | None = None,
        context: Context | None = None,
    ) -> None:
        self.last_context = context  # the session handles each message in a copy of it
        self._reader = reader
        self._take = take
        self._on_bad = on_bad
        self._on_end = on_end
        self._lines: deque[bytes | None] = deque()
        self._parts: list[bytes] = []  # of the line that is not complete yet
        self._size = 0
        self._ended = False

    async def receive(self) -> SessionMessage:
        """The next message. Raises EndOfStream at the end."""
        while True:
            while self._lines:
                line = self._lines.popleft()
                if line is None:
                    self._on_bad(None, None)
                    continue
                try:
                    message = self._message(line)
                except ValueError as problem:
                    self._on_bad(line, problem)
                    continue
                if message is not None:
                    return message
            chunk = b"" if self._ended else await self._reader.read(CHUNK)
            if not chunk:
                if not self._ended:
                    self._ended = True
                    self._on_end()
                raise anyio.EndOfStream
            self._split(chunk)

    def _message(self, line: bytes) -> SessionMessage | None:
        if self._take is None:
            return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
        read = from_json(line)
        if self._take(read):
            return None
        return SessionMessage(types.jsonrpc_message_adapter.validate_python(read, by_name=False))

    def _split(self, chunk: bytes) -> None:
        *complete, rest = chunk.split(b"\n")
        for piece in complete:
            whole = self._size + len(piece)
            line = b"".join((*self._parts, piece)).strip() if whole <= MAX_LINE_BYTES else None
            self._parts, self._size = [], 0
            if line != b"":
                self._lines.append(line)
        self._size += len(rest)
        if self._size <= MAX_LINE_BYTES:
            self._parts.append(rest)
        else:
            self._parts = []

    async def aclose(self) -> None:
        """Read no more."""
        self._ended = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.aclose()


class LineWriter:
    """Messages into a stream of bytes; each is handed over whole, however many tasks send."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._closed = False

    async def send(self, item: SessionMessage, /) -> None:
        """Write one message. Raises BrokenResourceError where the other side is gone."""
        if self._closed:
            raise anyio.ClosedResourceError
        text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        self._writer.write(text.encode("utf-8", "replace") + b"\n")
        try:
            await self._writer.drain()
        except ConnectionError:
            raise anyio.BrokenResourceError from None

    async def aclose(self) -> None:
        """Write no more. The bytes are the owner's to flush and close."""
        self._closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.aclose()


def not_a_message(line: bytes | None, problem: ValueError | None) -> bytes:
    """The answer to a line that `LineReader` found bad."""
    code, said = types.INVALID_REQUEST, f"The message is longer than {MAX_LINE_BYTES:,} bytes."
    if line is not None:
        try:
            json.loads(line)
            first = (str(problem).splitlines() or [""])[0]
            said = f"The line is JSON but no JSON-RPC 2.0 message: {first}"
        except (ValueError, RecursionError) as error:
            code, said = types.PARSE_ERROR, f"The line is not JSON: {error}"
    return json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": said}}).encode() + b"\n"
