"""JSON-RPC lines over a pipe or socket, as the two streams that the SDK's sessions read and write.

The SDK's own transports put a task and a memory stream between a pipe and a session, in each direction. These are the
session's streams themselves: a message is parsed in the task that waits for it, and written by the one that sends it.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, cast

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage
from pydantic_core import from_json

MAX_LINE_BYTES = 64 * 1024 * 1024
CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class _Bad:
    """A line that is no message; None where it was too long."""

    line: bytes | None
    problem: ValueError | None


class Witness(Protocol):
    """Keeps what came in, so that another process can go on should this one die."""

    def heard(self, chunk: bytes) -> None:
        """Bytes came; nothing has looked at them yet."""
        ...

    def tidy(self) -> None:
        """All lines that began so far are complete."""
        ...


class LineReader:
    """Messages out of bytes that are fed in as they come.

    What `take` takes is dealt with at once, in the event loop's own callback, and never reaches the session: nobody
    has to be woken for it. `on_bad` hears of a line that is no message (None: one over `MAX_LINE_BYTES`, dropped while
    it came in) and may raise EndOfStream; `on_end` hears once that the other side closed, after `linger` returned,
    which may wait for the answers to what came in before.
    """

    def __init__(
        self,
        *,
        on_bad: Callable[[bytes | None, ValueError | None], None],
        on_end: Callable[[], None] = lambda: None,
        linger: Callable[[], Awaitable[None]] | None = None,
        take: Callable[[Any], bool] | None = None,
        context: Context | None = None,
        witness: Witness | None = None,
    ) -> None:
        self._witness = witness
        self.last_context = context  # the session handles each message in a copy of it
        self._take = take
        self._on_bad = on_bad
        self._on_end = on_end
        self._linger = linger
        self._messages: deque[tuple[SessionMessage | _Bad, int]] = deque()  # for the session, with their lengths
        self._held = 0  # bytes of these
        self._transport: asyncio.ReadTransport | None = None
        self._paused = False
        self._parts: list[bytes] = []  # of the line that is not complete yet
        self._size = 0
        self._closed = False  # by the other side
        self._ended = False
        self._stirred: asyncio.Future[None] | None = None  # of the session that waits for a message

    def hold(self, transport: asyncio.ReadTransport) -> None:
        """Where the bytes come from: nothing more is read of it while the session is far behind."""
        self._transport = transport

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        if self._witness is not None and self._size <= MAX_LINE_BYTES:
            self._witness.heard(chunk)
        *complete, rest = chunk.split(b"\n")
        for piece in complete:
            whole = self._size + len(piece)
            line = b"".join((*self._parts, piece)).strip() if whole <= MAX_LINE_BYTES else None
            self._parts, self._size = [], 0
            if line != b"":
                self._hear(line)
        if rest:
            self._size += len(rest)
            if self._size <= MAX_LINE_BYTES:
                self._parts.append(rest)
            else:
                self._parts = []
        elif self._witness is not None:
            self._witness.tidy()

    def end(self) -> None:
        """The other side closed; the session hears of it behind what came before."""
        if self._size and self._linger is not None:
            self.feed(b"\n")  # who waits for answers may leave out the end of the last line
        self._closed = True
        self._stir()

    async def receive(self) -> SessionMessage:
        """The next message. Raises EndOfStream at the end."""
        while True:
            while self._messages:
                message, length = self._messages.popleft()
                self._held -= length
                if self._paused and self._held <= CHUNK and self._transport is not None:
                    self._paused = False
                    self._transport.resume_reading()
                if isinstance(message, SessionMessage):
                    return message
                self._on_bad(message.line, message.problem)
            if self._closed and not self._ended:
                if self._linger is not None:
                    await self._linger()
                self._ended = True
                self._on_end()
            if self._ended:
                raise anyio.EndOfStream
            self._stirred = asyncio.get_running_loop().create_future()
            try:
                await self._stirred
            finally:
                self._stirred = None

    def _hear(self, line: bytes | None) -> None:
        try:
            message = self._message(line) if line is not None else _Bad(None, None)
        except ValueError as problem:
            message = _Bad(line, problem)
        if message is None:
            return
        self._messages.append((message, len(line or b"")))
        self._held += len(line or b"")
        if self._held > 2 * CHUNK and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._stir()

    def _stir(self) -> None:
        if self._stirred is not None and not self._stirred.done():
            self._stirred.set_result(None)

    def _message(self, line: bytes) -> SessionMessage | None:
        if self._take is None:
            return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
        read = _read(line)
        if self._take(read):
            return None
        return SessionMessage(types.jsonrpc_message_adapter.validate_python(read, by_name=False))

    async def aclose(self) -> None:
        """Read no more."""
        self._ended = True
        self._stir()

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


class LineProtocol(asyncio.StreamReaderProtocol):
    """A stream that is read as ever until `divert`, and from then on in lines."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader, loop=asyncio.get_running_loop())
        self._reader = reader
        self._lines: LineReader | None = None
        self._over = False

    async def divert(self, lines: LineReader, transport: asyncio.ReadTransport) -> None:
        """Feed what is not read yet, and all that comes, to `lines`."""
        lines.hold(transport)
        self._lines = lines
        self._reader.feed_eof()
        rest = await self._reader.read()
        transport.resume_reading()
        lines.feed(rest)
        if self._over:
            lines.end()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._lines is not None:
            self._lines.feed(data)
        else:
            super().data_received(data)

    def eof_received(self) -> bool | None:
        """The other side sends no more."""
        self._end()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._end()
        super().connection_lost(exc)

    def _end(self) -> None:
        self._over = True
        if self._lines is not None:
            self._lines.end()


class LineWriter:
    """Messages into a stream of bytes; each is handed over whole, however many tasks send.

    `on_first` hears once that a message is on its way, `on_answer` of the id of every request that is answered.
    """

    def __init__(
        self,
        writer: asyncio.StreamWriter,
        on_first: Callable[[], None] | None = None,
        on_answer: Callable[[types.RequestId], None] | None = None,
    ) -> None:
        self._writer = writer
        self._on_first = on_first
        self._on_answer = on_answer
        self._closed = False

    async def send(self, item: SessionMessage, /) -> None:
        """Write one message. Raises BrokenResourceError where the other side is gone."""
        if self._closed:
            raise anyio.ClosedResourceError
        message = item.message
        text = message.model_dump_json(by_alias=True, exclude_unset=True)
        self._writer.write(text.encode("utf-8", "replace") + b"\n")
        if self._on_answer is not None and isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
            self._on_answer(cast("types.RequestId", message.id))
        try:
            await self._writer.drain()
        except ConnectionError:
            raise anyio.BrokenResourceError from None
        if self._on_first is not None:
            on_first, self._on_first = self._on_first, None
            on_first()

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
    number: Any = None
    if line is not None:
        try:
            read = json.loads(line)
            first = (str(problem).splitlines() or [""])[0]
            if isinstance(read, list):
                first = "several in one line are not taken (MCP has no batches since 2025-06-18); send each by itself"
            elif isinstance(read, dict) and identifies(told := cast("dict[str, Any]", read).get("id")):
                number = told  # who asked is not left waiting
            said = f"The line is JSON but no JSON-RPC 2.0 message: {first}"
        except (ValueError, RecursionError) as error:
            code, said = types.PARSE_ERROR, f"The line is not JSON: {error}"
    return json.dumps({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": said}}).encode() + b"\n"


def read_json(text: bytes) -> Any:
    """The value of a JSON text, its characters whole. Raises ValueError.

    Half a surrogate pair, as of a text cut within an emoji, is legal in JSON and in no Unicode text: it is U+FFFD.
    """
    try:
        return from_json(text)
    except ValueError:
        try:
            return _with_whole_characters(json.loads(text, parse_constant=_refuse))
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error


def _read(line: bytes) -> Any:
    """The JSON of a line. Raises ValueError, also where it asks under an id that no answer can name."""
    read = read_json(line)
    check_id(read)
    return read


def check_id(read: Any) -> None:
    """Raises ValueError for a request whose id no answer can name."""
    message = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
    if "id" in message and "method" in message and not identifies(message["id"]):
        raise ValueError("the id of a request is a text or a whole number")


def identifies(number: Any) -> bool:
    """Whether an answer can name this id."""
    return isinstance(number, str | int) and not isinstance(number, bool)


def _with_whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return {str(_with_whole_characters(key)): _with_whole_characters(part) for key, part in table.items()}
    return [_with_whole_characters(part) for part in cast("list[Any]", value)] if isinstance(value, list) else value


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
