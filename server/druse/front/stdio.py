"""The stdio transport: asyncio pipes, nothing but JSON-RPC on stdout.

The SDK's transport hops to a worker thread for every line; reading the pipe on the event loop halves the time of a
call. Where standard input is no pipe, socket or terminal (a regular file, /dev/null, Windows), or one socket
is both input and output, the SDK's transport is used.
"""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from druse.front.links import Link
from druse.front.served import Served
from druse.upstream.lines import CHUNK, LineProtocol


async def serve_stdio(served: Served) -> None:
    """Serve this process's standard input and output until the client leaves.

    Meanwhile descriptor 1 points at stderr: a stray print cannot corrupt the protocol.
    """
    if _pipes_usable():
        async with _pipes() as (protocol, reads, writer):
            await served.serve(protocol, reads, writer, Link())
        return
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (reads, writes):
        await served.ready()
        await served.front.server.run(reads, writes, served.front.options())


def _pipes_usable() -> bool:
    if sys.platform == "win32":
        return False
    ends = [os.fstat(descriptor) for descriptor in (0, 1)]
    modes = [end.st_mode for end in ends]
    if stat.S_ISSOCK(modes[1]) and os.path.samestat(*ends):
        return False  # what comes in on one socket for both directions looks like its end to who only writes there
    pipes = [stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) for mode in modes]
    # A loop cannot wait for every character device: /dev/null is never ready to it, and never ends.
    return (pipes[0] or os.isatty(0)) and (pipes[1] or stat.S_ISCHR(modes[1]))


@asynccontextmanager
async def _pipes() -> AsyncGenerator[tuple[LineProtocol, asyncio.ReadTransport, asyncio.StreamWriter]]:
    incoming, outgoing = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    async with on_pipes(incoming, outgoing) as streams:
        yield streams


@asynccontextmanager
async def on_pipes(
    incoming: int, outgoing: int
) -> AsyncGenerator[tuple[LineProtocol, asyncio.ReadTransport, asyncio.StreamWriter]]:
    """What a client is served with on two descriptors, which are closed at the end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2 * CHUNK, loop=loop)
    read_transport, protocol = await loop.connect_read_pipe(lambda: LineProtocol(reader), os.fdopen(incoming, "rb", 0))
    write_transport, flow = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(outgoing, "wb", 0)
    )
    writer = asyncio.StreamWriter(write_transport, flow, None, loop)
    try:
        yield protocol, read_transport, writer
    finally:
        read_transport.close()
        write_transport.close()
