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

import mcp_types as types

from druse.upstream.lines import CHUNK, MAX_LINE_BYTES, LineReader, LineWriter


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
    reader = asyncio.StreamReader(limit=2 * CHUNK, loop=loop)
    read_transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader, loop=loop), os.fdopen(incoming, "rb", 0)
    )
    write_transport, flow = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(outgoing, "wb", 0)
    )
    writer = asyncio.StreamWriter(write_transport, flow, None, loop)
    try:
        yield streams_of(reader, writer)
    finally:
        read_transport.close()
        write_transport.close()


def streams_of(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[LineReader, LineWriter]:
    """A connection as `Server.run` wants it; a line that is no message is answered with what is wrong with it."""

    def bad(line: bytes | None, problem: ValueError | None) -> None:
        if line is None or problem is None:
            writer.write(_error(types.INVALID_REQUEST, f"The message is longer than {MAX_LINE_BYTES:,} bytes."))
        else:
            writer.write(_error(*_diagnosis(line, problem)))

    return LineReader(reader, on_bad=bad), LineWriter(writer)


def _diagnosis(line: bytes, problem: ValueError) -> tuple[int, str]:
    try:
        json.loads(line)
    except (ValueError, RecursionError) as error:
        return types.PARSE_ERROR, f"The line is not JSON: {error}"
    return types.INVALID_REQUEST, f"The line is JSON but no JSON-RPC 2.0 message: {str(problem).splitlines()[0]}"


def _error(code: int, message: str) -> bytes:
    reply = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    return json.dumps(reply).encode() + b"\n"
