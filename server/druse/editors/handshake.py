"""A real handshake: the command that stands in a client's file, started as a client starts it."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from druse import __version__
from druse.model import JsonObject

__all__ = ["Handshake", "command_of", "end_daemon", "greeting", "leave", "shake"]

_SECONDS = 60.0
_END_SECONDS = 5.0
# Programs with windows do not get the PATH of a shell.
_BARE_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_PASSED_ON = ("HOME", "LANG", "TMPDIR", "USER", "LOGNAME", "SYSTEMROOT", "APPDATA", "LOCALAPPDATA", "USERPROFILE")


@dataclass(frozen=True, slots=True)
class Handshake:
    """How it went: `milliseconds` to the answer of initialize, `tools` listed, or the `problem`."""

    ok: bool
    milliseconds: float = 0.0
    tools: int = 0
    problem: str = ""

    def as_dict(self) -> JsonObject:
        """For --json."""
        return {
            "ok": self.ok,
            "milliseconds": round(self.milliseconds, 1),
            "tools": self.tools,
            "problem": self.problem,
        }


def command_of(entry: Mapping[str, Any]) -> list[str]:
    """The command with its arguments, as any of the clients writes it."""
    words: list[str] = []
    for part in (entry.get("command", entry.get("cmd", "")), entry.get("args", [])):
        words += map(str, cast("list[Any]", part)) if isinstance(part, list) else [str(part)]
    return words


async def shake(command: Sequence[str], environment: Mapping[str, str], folder: Path | None) -> Handshake:
    """Start the command, initialize, list the tools, end it. Without a folder it starts in an empty one."""
    kept = {name: value for name, value in environment.items() if name in _PASSED_ON or name.startswith("XDG_")}
    kept["PATH"] = environment.get("PATH", "") if os.name == "nt" else _BARE_PATH
    if folder is not None:
        return await _shake(command, kept, folder)
    with tempfile.TemporaryDirectory(prefix="druse-", ignore_cleanup_errors=True) as empty:
        try:
            return await _shake(command, kept, Path(empty))
        finally:
            await end_daemon(Path(empty))


async def _shake(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Handshake:
    began = time.perf_counter()
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=dict(environment),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )
    except OSError as error:
        return Handshake(ok=False, problem=f"{command[0]} cannot be started: {error.strerror}")
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    try:
        async with asyncio.timeout(_SECONDS):
            await _asked(process, 1, "initialize", greeting("druse-install"))
            took = (time.perf_counter() - began) * 1000
            process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
            listed = await _asked(process, 2, "tools/list", {})
        return Handshake(ok=True, milliseconds=took, tools=len(listed["tools"]))
    except TimeoutError:
        return Handshake(ok=False, problem=f"no answer within {_SECONDS:.0f} s")
    except (OSError, ValueError, KeyError, TypeError) as error:
        process.stdin.close()
        said = (await process.stderr.read(2000)).decode("utf-8", "replace").strip()
        return Handshake(ok=False, problem=f"{error}{': ' + said if said else ''}")
    finally:
        await leave(process)


def greeting(client: str) -> JsonObject:
    """What a client of this name says with its first request, `initialize`."""
    return {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": client, "version": __version__},
    }


async def leave(process: asyncio.subprocess.Process) -> None:
    """End a server as clients do: its standard input is closed, and it is killed if it stays all the same."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(_END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _asked(process: asyncio.subprocess.Process, number: int, method: str, parameters: JsonObject) -> Any:
    assert process.stdin is not None and process.stdout is not None
    asked = {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}
    process.stdin.write(json.dumps(asked).encode() + b"\n")
    while line := await process.stdout.readline():
        try:
            answer: Any = json.loads(line)
        except ValueError as error:
            raise ValueError(f"something that is not JSON stands on its standard output: {line[:80]!r}") from error
        if answer.get("id") == number and "method" not in answer:
            if "error" in answer:
                raise ValueError(f"{method} was answered with {answer['error'].get('message')}")
            return answer["result"]
    raise ValueError(f"it ended without an answer to {method}")


async def end_daemon(folder: Path) -> None:
    """End the daemon of a folder, if one runs; clients that are there start the next one with their next request."""
    if os.name == "nt":
        return
    from druse.shim import Place, hello

    connection = Place(str(folder)).connect() if (folder / ".druse" / "run").exists() else None
    if connection is None:
        return
    answer = b""
    try:
        connection.sendall(hello("stop", str(folder)))
        while more := connection.recv(4096):
            answer += more
        process: int = json.loads(answer)["pid"]
        async with asyncio.timeout(10):
            while _lives(process):  # noqa: ASYNC110 - it is nobody's child: there is nothing to wait on
                await asyncio.sleep(0.02)
    except (OSError, ValueError, KeyError, TimeoutError):
        return
    finally:
        connection.close()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True
