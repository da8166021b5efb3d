"""The host's end of a worker's pipe: whole frames in, whole frames out, never more held than one frame of each.

A worker may be under foreign control: it may send without end, announce what it never sends, or read nothing. Reading
pauses while a frame waits to be taken, and both directions wait no longer than the caller says.
"""

from __future__ import annotations

import asyncio

from druse_sandbox import frames

_HELD = frames.MAX_FRAME + (1 << 16)


class Wire(asyncio.Protocol):
    """Over one socket, made by `loop.create_unix_connection`; or over two pipes, see `ProcessWire`."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._source: asyncio.ReadTransport | None = None
        self._sink: asyncio.WriteTransport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._reading = True
        self._writable = True
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        assert isinstance(transport, asyncio.Transport)
        self.attach(transport, transport)

    def attach(self, source: asyncio.ReadTransport, sink: asyncio.WriteTransport) -> None:
        """Where frames come from and go to."""
        self._source, self._sink = source, sink

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._buffer += data
        if len(self._buffer) > _HELD and self._reading and self._source is not None:
            self._reading = False
            self._source.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self.closed = True
        self._wake()

    def pause_writing(self) -> None:
        """Called by the event loop: the worker does not read what was sent."""
        self._writable = False

    def resume_writing(self) -> None:
        """Called by the event loop."""
        self._writable = True
        self._wake()

    async def receive(self, seconds: float) -> bytes:
        """The body of the next frame. Raises TimeoutError, EOFError if the worker ended, BadFrame for its length."""
        body = self._taken()
        if body is not None:
            return body
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while body is None:
            if self.closed:
                raise EOFError
            await self._woken(loop, until)
            body = self._taken()
        return body

    async def send(self, frame: bytes, seconds: float) -> None:
        """Hand a frame over; waits while the worker reads nothing. Raises TimeoutError."""
        if self._sink is None or self.closed:
            return  # what is read next is the end
        self._sink.write(frame)
        if self._writable:
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not self._writable and not self.closed:
            await self._woken(loop, until)

    def close(self) -> None:
        """Drop the connection and what was not sent."""
        if self._sink is not None and not self._sink.is_closing():
            self._sink.abort()
        if self._source is not None and not self._source.is_closing():
            self._source.close()

    def _taken(self) -> bytes | None:
        held = self._buffer
        if len(held) < 4:
            return None
        end = 4 + frames.length_of(bytes(held[:4]))
        if len(held) < end:
            return None
        body = bytes(held[4:end])
        del held[:end]
        if not self._reading and len(held) <= _HELD and self._source is not None:
            self._reading = True
            self._source.resume_reading()
        return body

    async def _woken(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        self._waiter = waiter = loop.create_future()
        timer = loop.call_at(until, _expire, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class ProcessWire(asyncio.SubprocessProtocol):
    """The wire of a process that was started by itself, over its standard input and output."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.ended = asyncio.Event()  # the process is gone and its pipes are closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        assert isinstance(transport, asyncio.SubprocessTransport)
        source, sink = transport.get_pipe_transport(1), transport.get_pipe_transport(0)
        assert isinstance(source, asyncio.ReadTransport) and isinstance(sink, asyncio.WriteTransport)
        self.wire.attach(source, sink)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Called by the event loop."""
        self.wire.data_received(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Called by the event loop: the worker closed one of the pipes."""
        self.wire.connection_lost(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self.wire.connection_lost(exc)
        self.ended.set()

    def pause_writing(self) -> None:
        """Called by the event loop."""
        self.wire.pause_writing()

    def resume_writing(self) -> None:
        """Called by the event loop."""
        self.wire.resume_writing()


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
