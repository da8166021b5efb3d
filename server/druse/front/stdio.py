"""The stdio transport: asyncio pipes, nothing but JSON-RPC on stdout.

The SDK's transport hops to a worker thread for every line; reading the pipe on the event loop halves the time of a
call. Where standard input is not a pipe, socket or terminal (a regular file, Windows), the SDK's transport is used.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
from mcp.shared._context_streams import create_context_streams
from mcp.shared.message import SessionMessage

MAX_LINE_BYTES = 64 * 1024 * 1024
_CHUNK = 1 << 18


@asynccontextmanager
async def stdio_transport() -> AsyncGenerator[tuple[Any, Any]]:
    """The read and the write stream of this process's standard input and output, for `Server.run`.

    Inside, descriptor 1 points at stderr: a stray print cannot corrupt the protocol.
    """
    if not _pipes_usable():
        from mcp.server.stdio import stdio_server

        async with stdio_server() as streams:
            yield streams
        return
    async with _pipe_transport() as streams:
        yield streams


def _pipes_usable() -> bool:
    if sys.platform == "win32":
        return False
    modes = [os.fstat(descriptor).st_mode for descriptor in (0, 1)]
    return all(stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode) for mode in modes)


@asynccontextmanager
async def _pipe_transport() -> AsyncGenerator[tuple[Any, Any]]:
    loop = asyncio.get_running_loop()
    incoming, outgoing = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    reader = asyncio.StreamReader(limit=2 * _CHUNK, loop=loop)
    read_transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader, loop=loop), os.fdopen(incoming, "rb", 0)
    )
    write_transport, flow = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(outgoing, "wb", 0)
    )
    writer = asyncio.StreamWriter(write_transport, flow, None, loop)
    to_server, server_reads = create_context_streams[SessionMessage | Exception](0)
    server_writes, from_server = create_context_streams[SessionMessage](0)
    async with anyio.create_task_group() as group:
        group.start_soon(_pump_in, reader, writer, to_server)
        group.start_soon(_pump_out, writer, from_server)
        try:
            yield server_reads, server_writes
        finally:
            group.cancel_scope.cancel()
            read_transport.close()
            write_transport.close()


async def _pump_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to_server: Any) -> None:
    async with to_server:
        async for line in _lines(reader):
            if line is None:
                writer.write(_error(types.INVALID_REQUEST, f"The message is longer than {MAX_LINE_BYTES:,} bytes."))
                continue
            try:
                message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError as problem:
                writer.write(_error(*_diagnosis(line, problem)))
                continue
            await to_server.send(SessionMessage(message))


async def _pump_out(writer: asyncio.StreamWriter, from_server: Any) -> None:
    async with from_server:
        async for outgoing in from_server:
            text = outgoing.message.model_dump_json(by_alias=True, exclude_unset=True)
            writer.write(text.encode("utf-8", "replace") + b"\n")
            try:
                await writer.drain()
            except ConnectionError:
                return  # the client is gone; the read side ends the session


async def _lines(reader: asyncio.StreamReader) -> AsyncGenerator[bytes | None]:
    """Lines without their end; None for each line that was over the limit and was dropped while it came in."""
    parts: list[bytes] = []
    size = 0
    while chunk := await reader.read(_CHUNK):
        *complete, rest = chunk.split(b"\n")
        for piece in complete:
            whole = size + len(piece)
            line = b"".join((*parts, piece)).strip() if whole <= MAX_LINE_BYTES else None
            parts, size = [], 0
            if line != b"":
                yield line
        size += len(rest)
        parts = [*parts, rest] if size <= MAX_LINE_BYTES else []


def _diagnosis(line: bytes, problem: ValueError) -> tuple[int, str]:
    try:
        json.loads(line)
    except (ValueError, RecursionError) as error:
        return types.PARSE_ERROR, f"The line is not JSON: {error}"
    return types.INVALID_REQUEST, f"The line is JSON but no JSON-RPC 2.0 message: {str(problem).splitlines()[0]}"


def _error(code: int, message: str) -> bytes:
    reply = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    return json.dumps(reply).encode() + b"\n"
