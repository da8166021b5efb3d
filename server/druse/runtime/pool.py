"""Workers made ahead: on Linux children of a zygote started by exec, elsewhere processes started one by one."""

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
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from druse.model import SandboxFailure
from druse.runtime.limits import Limits
from druse.runtime.wire import Wire
from druse_sandbox import frames
from druse_sandbox.jail import holds_least

_START_SECONDS = 20.0


@dataclass(slots=True)
class Worker:
    """One child, for one job, locked before anybody talks to it. `layers` is what its lock reported."""

    pid: int
    wire: Wire
    layers: dict[str, str] = field(default_factory=dict[str, str])


class Zygote:
    """The process that forks workers. Use `Zygote.start`."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket, ready: int) -> None:
        self._process = process
        self._control = control
        self._ready: deque[Worker] = deque()
        self._wanted = ready
        self._turn = asyncio.Lock()
        self._making: set[asyncio.Task[Worker]] = set()

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
            making = list(zygote._making)
            for task in making:
                task.cancel()
            await asyncio.gather(*making, return_exceptions=True)
            ours.close()  # its end of the line: the zygote kills its children and ends
            for worker in zygote._ready:
                worker.wire.close()
            await asyncio.to_thread(_finish, process)

    async def worker(self) -> Worker:
        """A locked, waiting worker. Raises SandboxFailure if none can be made."""
        while self._ready:
            worker = self._ready.popleft()
            if not worker.wire.closed:
                return worker
            worker.wire.close()
        making = self._start_fork()
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            # The zygote answers every request in turn: a worker that nobody waits for any more is kept for the next.
            making.add_done_callback(self._keep)
            raise

    def _start_fork(self) -> asyncio.Task[Worker]:
        task = asyncio.get_running_loop().create_task(self._fork_in_turn())
        self._making.add(task)
        task.add_done_callback(self._making.discard)
        return task

    def _keep(self, task: asyncio.Task[Worker]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._ready.append(task.result())

    async def _fork_in_turn(self) -> Worker:
        async with self._turn:
            return await self._fork()

    def kill(self, worker: Worker) -> None:
        """End a worker; the zygote knows whether the pid is still its child. The next ones are made meanwhile."""
        with contextlib.suppress(OSError):
            self._control.send(b"K" + struct.pack("<I", worker.pid))
        worker.wire.close()
        self.refill()

    def refill(self) -> None:
        """Make the next worker ahead, beside what else goes on."""
        if len(self._ready) + len(self._making) < self._wanted:
            # A failure shows at the next run, which makes its own worker and tells.
            self._start_fork().add_done_callback(self._kept_ahead)

    def _kept_ahead(self, task: asyncio.Task[Worker]) -> None:
        self._keep(task)
        if not task.cancelled() and task.exception() is None:
            self.refill()

    @property
    def alive(self) -> bool:
        """Whether the zygote runs."""
        return self._process.poll() is None

    async def _fork(self) -> Worker:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            with theirs:
                socket.send_fds(self._control, [b"F"], [theirs.fileno()])
            head = b""
            async with asyncio.timeout(_START_SECONDS):
                while len(head) < 4:
                    part = await loop.sock_recv(self._control, 4 - len(head))
                    if not part:
                        raise OSError("the zygote ended")
                    head += part
        except asyncio.CancelledError:
            ours.close()
            raise
        except (OSError, TimeoutError) as error:
            ours.close()
            raise SandboxFailure(
                f'No worker of the sandbox could be started: {error}. See "druse sandbox status".'
            ) from error
        _, wire = await loop.create_unix_connection(Wire, sock=ours)
        return await greeted(Worker(int(struct.unpack("<I", head)[0]), wire))


async def greeted(worker: Worker) -> Worker:
    """The worker with its report. Raises SandboxFailure unless the lock holds what every platform must hold."""
    try:
        ready = frames.decode(await worker.wire.receive(_START_SECONDS))
        worker.layers |= {str(key): str(value) for key, value in ready["ready"].items()}
    except asyncio.CancelledError:
        worker.wire.close()
        raise
    except (TimeoutError, OSError, EOFError, KeyError, TypeError, AttributeError, frames.BadFrame) as error:
        worker.wire.close()
        raise SandboxFailure(
            f'A worker of the sandbox did not start: {error or type(error).__name__}. See "druse sandbox status".'
        ) from error
    if not holds_least(worker.layers):
        worker.wire.close()
        raise SandboxFailure(f"The sandbox is not locked ({worker.layers}), so nothing runs in it.")
    return worker


def _spawn(control: socket.socket, limits: Limits) -> subprocess.Popen[bytes]:
    roots = source_roots()
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


def source_roots() -> list[str]:
    """Where a worker finds its own packages. Raises SandboxFailure where one is not installed."""
    return [_root_of("druse_sandbox"), _root_of("RestrictedPython")]


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
