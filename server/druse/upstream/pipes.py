"""The client side of stdio on asyncio pipes: one child process, lines of JSON-RPC, nothing on worker threads.

Beside speed, it knows what the SDK's transport does not tell: that the child ended, and that a line grew too long.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, cast

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest

from druse.settings import child_environment
from druse.upstream.direct import DirectCalls
from druse.upstream.lines import CHUNK, MAX_LINE_BYTES, LineReader, LineWriter

_GRACE_SECONDS = 2.0
_WHO = "io.modelcontextprotocol/"  # what the fields begin with that say who makes a request


@asynccontextmanager
async def process_transport(
    command: str,
    args: Sequence[str],
    *,
    env: Mapping[str, str],
    environment: Mapping[str, str],
    cwd: Path | None,
    errors: IO[str],
    on_start: Callable[[DirectCalls], None],
    on_end: Callable[[str], None],
) -> AsyncGenerator[tuple[Any, Any]]:
    """Start the server and give its streams; `on_start` gets the direct way to its tools, `on_end` hears why its
    output ended.

    Raises OSError where it cannot be started. At the end the child gets its input closed, then SIGTERM, then SIGKILL,
    with everything it started.
    """
    told = False
    calls: DirectCalls | None = None

    def end(reason: str = "it ended") -> None:
        nonlocal told
        if not told:
            told = True
            if calls is not None:
                calls.end()
            on_end(reason)

    def bad(line: bytes | None, _problem: ValueError | None) -> None:
        if line is None:
            end(f"it sent a line longer than {MAX_LINE_BYTES:,} bytes")
            raise anyio.EndOfStream
        # Any other is noise on stdout: many servers print there; it is no message.

    def take(message: Any) -> bool:
        return calls is not None and calls.take(message)

    lines = LineReader(on_bad=bad, on_end=end, take=take)
    loop = asyncio.get_running_loop()
    transport, output = await loop.subprocess_exec(
        lambda: _Output(lines, loop),
        command,
        *args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=errors,
        env=child_environment(environment, env),
        cwd=cwd,
        start_new_session=sys.platform != "win32",
    )
    process = asyncio.subprocess.Process(transport, output, loop)
    assert process.stdin is not None
    try:
        calls = DirectCalls(process.stdin)
        on_start(calls)
        yield lines, _SessionWriter(process.stdin, calls)
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process, transport)


class _SessionWriter(LineWriter):
    """What the session writes; its listings tell who makes requests."""

    def __init__(self, writer: asyncio.StreamWriter, calls: DirectCalls) -> None:
        super().__init__(writer)
        self._calls = calls

    async def send(self, item: SessionMessage, /) -> None:
        """Write one message. Raises BrokenResourceError where the other side is gone."""
        message = item.message
        if isinstance(message, JSONRPCRequest) and message.method == "tools/list":
            said: Any = (message.params or {}).get("_meta") or {}
            self._calls.who = {key: value for key, value in said.items() if key.startswith(_WHO)}
        await super().send(item)


class _Output(asyncio.subprocess.SubprocessStreamProtocol):
    """The child's standard output, in lines as it comes."""

    def __init__(self, lines: LineReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=CHUNK, loop=loop)
        self._lines = lines

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The child was started."""
        super().connection_made(transport)
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._lines.hold(cast("asyncio.ReadTransport", transport.get_pipe_transport(1)))

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        """It wrote something."""
        if fd == 1 and isinstance(data, bytes):
            self._lines.feed(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """It closed a pipe."""
        if fd == 1:
            self._lines.end()
        super().pipe_connection_lost(fd, exc)


async def _end(process: asyncio.subprocess.Process, transport: asyncio.BaseTransport) -> None:
    if process.stdin is not None:
        process.stdin.close()
    for stop in (None, signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        if stop is not None:
            _signal_group(process, stop)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_SECONDS if stop is not None else 0.3):
                await process.wait()
            break
    # Whatever the server started and left behind goes with it.
    _signal_group(process, getattr(signal, "SIGKILL", signal.SIGTERM))
    transport.close()


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.send_signal(number)
        else:
            os.killpg(process.pid, number)
