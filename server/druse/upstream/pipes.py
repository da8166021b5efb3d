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
from typing import IO, Any

import anyio

from druse.settings import child_environment
from druse.upstream.direct import DirectCalls

_GRACE_SECONDS = 2.0


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
    from druse.upstream.lines import CHUNK, MAX_LINE_BYTES, LineReader, LineWriter

    process = await asyncio.create_subprocess_exec(
        command,
        *args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=errors,
        env=child_environment(environment, env),
        cwd=cwd,
        start_new_session=sys.platform != "win32",
        limit=2 * CHUNK,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        told = False
        calls = DirectCalls(process.stdin)

        def end(reason: str = "it ended") -> None:
            nonlocal told
            if not told:
                told = True
                calls.end()
                on_end(reason)

        def bad(line: bytes | None, _problem: ValueError | None) -> None:
            if line is None:
                end(f"it sent a line longer than {MAX_LINE_BYTES:,} bytes")
                raise anyio.EndOfStream
            # Any other is noise on stdout: many servers print there; it is no message.

        reader = LineReader(process.stdout, on_bad=bad, on_end=end, take=calls.take)
        on_start(calls)
        yield reader, LineWriter(process.stdin)
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
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
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.send_signal(number)
        else:
            os.killpg(process.pid, number)
