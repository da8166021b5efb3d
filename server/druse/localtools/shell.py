"""Commands: the agent's through a shell, those of tools and scripts as plain words without one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from druse.model import Invalid
from druse.permissions import read_command
from druse.settings import child_environment

MAX_OUTPUT = 1024 * 1024


# git asks nobody, and takes no folder for a repository that only looks like one: its configuration could run programs.
_GIT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.bareRepository",
    "GIT_CONFIG_VALUE_0": "explicit",
}


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended. `exit_code` is None where it was stopped."""

    stdout: str
    stderr: str
    exit_code: int | None
    cut: bool
    timed_out: bool


async def run_command(
    command: str, workspace: Path, *, timeout: float, shell: bool, environment: Mapping[str, str] = os.environ
) -> Finished:
    """Run a command in the workspace with a scrubbed environment; its whole process group ends with it."""
    words = ["/bin/bash", "--noprofile", "--norc", "-c", command] if shell else plain_words(command)
    if not shell:
        found = shutil.which(words[0], path=environment.get("PATH", os.defpath))
        if found is None:
            raise Invalid(f"Cannot run {words[0]!r}: no such program. Check its name.", where="command")
        words = [found, *words[1:]]
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=workspace,
        env=child_environment(environment, _GIT),
        start_new_session=sys.platform != "win32",
    )
    timed_out = False
    assert process.stdout is not None and process.stderr is not None
    try:
        async with asyncio.timeout(timeout), asyncio.TaskGroup() as group:
            out = group.create_task(_read(process.stdout))
            err = group.create_task(_read(process.stderr))
        await process.wait()
        stdout, stderr = out.result(), err.result()
    except TimeoutError:
        timed_out, stdout, stderr = True, (b"", False), (b"", False)
    finally:
        _kill_group(process)
        await asyncio.shield(process.wait())
    return Finished(
        stdout[0].decode("utf-8", "replace"),
        stderr[0].decode("utf-8", "replace"),
        None if timed_out else process.returncode,
        stdout[1] or stderr[1],
        timed_out,
    )


def plain_words(command: str) -> list[str]:
    """The words of one plain command. Raises Invalid for anything a shell would have to interpret."""
    script = read_command(command)
    commands = script.commands
    plain = (
        not script.obstacles
        and len(commands) == 1
        and not commands[0].redirects
        and not commands[0].assignments
        and all(word.literal and not word.glob for word in commands[0].words)
        and bool(commands[0].words)
    )
    if not plain:
        raise Invalid(
            "Cannot run the command from a tool: it is not one plain program with plain arguments. Make one call for "
            "each command, without pipes, redirects, variables or wildcards.",
            where="command",
            problem="not plain",
        )
    return list(commands[0].texts)


async def _read(stream: asyncio.StreamReader) -> tuple[bytes, bool]:
    """Everything the stream has, the part over the limit thrown away."""
    kept = bytearray()
    cut = False
    while chunk := await stream.read(65536):
        room = MAX_OUTPUT - len(kept)
        kept += chunk[:room]
        cut = cut or len(chunk) > room
    return bytes(kept), cut


def _kill_group(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
