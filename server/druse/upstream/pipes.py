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

MAX_LINE_BYTES = 64 * 1024 * 1024
_CHUNK = 1 << 18
_GRACE_SECONDS = 2.0


@asynccontextmanager
async def process_transport(
    command: str,
    args: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None,
    errors: IO[str],
    on_end: Callable[[str], None],
) -> AsyncGenerator[tuple[Any, Any]]:
    """Start the server and give its streams; `on_end` hears why the child's output ended.

    Raises OSError where it cannot be started. At the end the child gets its input closed, then SIGTERM, then SIGKILL,
    with everything it started.
    """
    from mcp.shared._context_streams import create_context_streams
    from mcp.shared.message import SessionMessage

    process = await asyncio.create_subprocess_exec(
        command,
        *args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=errors,
        env=child_environment(os.environ, env),
        cwd=cwd,
        start_new_session=sys.platform != "win32",
        limit=2 * _CHUNK,
    )
    assert process.stdin is not None and process.stdout is not None
    to_client, client_reads = create_context_streams[SessionMessage | Exception](0)
    client_writes, from_client = create_context_streams[SessionMessage](0)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_pump_in, process.stdout, to_client, on_end)
            group.start_soon(_pump_out, process.stdin, from_client)
            yield client_reads, client_writes
            group.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)


async def _pump_in(output: asyncio.StreamReader, to_client: Any, on_end: Callable[[str], None]) -> None:
    import mcp_types as types
    from mcp.shared.message import SessionMessage

    reason = "it ended"
    parts: list[bytes] = []
    size = 0
    async with to_client:
        while chunk := await output.read(_CHUNK):
            *complete, rest = chunk.split(b"\n")
            for piece in complete:
                line = b"".join((*parts, piece)).strip()
                parts, size = [], 0
                if not line:
                    continue
                try:
                    message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    continue  # noise on stdout: many servers print there; it is no message
                await to_client.send(SessionMessage(message))
            parts.append(rest)
            size += len(rest)
            if size > MAX_LINE_BYTES:
                reason = f"it sent a line longer than {MAX_LINE_BYTES:,} bytes"
                break
        on_end(reason)


async def _pump_out(input_: asyncio.StreamWriter, from_client: Any) -> None:
    async with from_client:
        async for outgoing in from_client:
            text = outgoing.message.model_dump_json(by_alias=True, exclude_unset=True)
            input_.write(text.encode("utf-8", "replace") + b"\n")
            try:
                await input_.drain()
            except ConnectionError:
                return


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
