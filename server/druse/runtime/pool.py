"""Workers forked ahead: a zygote started by exec, and a few of its children waiting for a job each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from druse.model import SandboxFailure
from druse.runtime.limits import Limits

_START_SECONDS = 20.0


@dataclass(slots=True)
class Worker:
    """One child, for one job."""

    pid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Zygote:
    """The process that forks workers. Use `Zygote.start`."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket, ready: int) -> None:
        self._process = process
        self._control = control
        self._ready: deque[Worker] = deque()
        self._wanted = ready
        self._turn = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def start(cls, limits: Limits, ready: int) -> AsyncGenerator[Zygote]:
        """Start the zygote and keep `ready` workers waiting until the block ends. Raises SandboxFailure."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        process = _spawn(theirs, limits)
        theirs.close()
        zygote = cls(process, ours, ready)
        try:
            loop = asyncio.get_running_loop()
            try:
                async with asyncio.timeout(_START_SECONDS):
                    greeting = await loop.sock_recv(ours, 1)
            except TimeoutError:
                greeting = b""
            if greeting != b"R":
                raise SandboxFailure(
                    "The sandbox could not start: its first process ended or did not answer. "
                    'See "druse sandbox status".'
                )
            yield zygote
        finally:
            ours.close()  # its end of the line: the zygote kills its children and ends
            for worker in zygote._ready:
                worker.writer.close()
            await asyncio.to_thread(_finish, process)

    async def worker(self) -> Worker:
        """A waiting worker; another is forked behind it."""
        async with self._turn:
            while len(self._ready) <= self._wanted:
                self._ready.append(await self._fork())
            return self._ready.popleft()

    def kill(self, worker: Worker) -> None:
        """End a worker; the zygote knows whether the pid is still its child."""
        with contextlib.suppress(OSError):
            self._control.send(b"K" + struct.pack("<I", worker.pid))
        worker.writer.close()

    @property
    def alive(self) -> bool:
        """Whether the zygote runs."""
        return self._process.poll() is None

    async def _fork(self) -> Worker:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            socket.send_fds(self._control, [b"F"], [theirs.fileno()])
            theirs.close()
            head = b""
            async with asyncio.timeout(_START_SECONDS):
                while len(head) < 4:
                    part = await loop.sock_recv(self._control, 4 - len(head))
                    if not part:
                        raise OSError("the zygote ended")
                    head += part
        except (OSError, TimeoutError) as error:
            ours.close()
            raise SandboxFailure(
                f'No worker of the sandbox could be started: {error}. See "druse sandbox status".'
            ) from error
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=1 << 20)
        return Worker(int(struct.unpack("<I", head)[0]), reader, writer)


def _spawn(control: socket.socket, limits: Limits) -> subprocess.Popen[bytes]:
    roots = [_root_of("druse_sandbox"), _root_of("RestrictedPython")]
    # -I -S: no environment, no site; descriptor 3 is the control socket, everything else is closed or empty.
    code = f"import os, sys\nsys.path[:0] = {roots!r}\nfrom druse_sandbox.zygote import main\nmain()\n"
    descriptor = control.fileno()

    def place() -> None:
        import os

        os.dup2(descriptor, 3)

    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code, json.dumps(limits.for_worker())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        pass_fds=(descriptor, 3),
        preexec_fn=place,
        start_new_session=True,
    )


def _root_of(package: str) -> str:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SandboxFailure(f"The sandbox cannot start: the package {package} is not installed. Install Druse anew.")
    return str(Path(spec.origin).parent.parent)


def _finish(process: subprocess.Popen[Any]) -> None:
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
