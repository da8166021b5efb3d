"""Workers started one by one and kept warm, where no process can safely fork them: macOS and Windows.

Each is an interpreter of its own that talks over its standard input and output. It costs some 100 ms to start, so as
many as wanted wait ready, locked, for the next run. A worker serves one job, as everywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from druse.model import SandboxFailure
from druse.runtime.limits import Limits
from druse.runtime.pool import Worker, greeted, source_roots
from druse.runtime.windows import Job
from druse.runtime.wire import ProcessWire

_END_SECONDS = 10.0
_GRACE_SECONDS = 0.25


@dataclass(slots=True)
class _Running:
    transport: asyncio.SubprocessTransport
    process: ProcessWire
    job: Job | None = None


class SpawnedWorkers:
    """Starts and ends workers. Use `SpawnedWorkers.start`."""

    def __init__(self, limits: Limits, ready: int) -> None:
        self._limits = limits
        self._wanted = ready
        self._ready: deque[Worker] = deque()
        self._running: dict[int, _Running] = {}
        self._making: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def start(cls, limits: Limits, ready: int) -> AsyncGenerator[SpawnedWorkers]:
        """Keep `ready` workers waiting until the block ends; then none is left."""
        workers = cls(limits, ready)
        try:
            yield workers
        finally:
            await workers._close()

    @property
    def alive(self) -> bool:
        """Whether workers can be had. There is no process in between that could have died."""
        return not self._closed

    async def worker(self) -> Worker:
        """A locked, waiting worker. Raises SandboxFailure if none can be made."""
        while self._ready:
            worker = self._ready.popleft()
            if not worker.wire.closed:
                return worker
            self._end(worker)
        return await self._spawn()

    def kill(self, worker: Worker) -> None:
        """End a worker. The next ones are made meanwhile."""
        self._end(worker)
        self.refill()

    def refill(self) -> None:
        """Make the next workers ahead, beside what else goes on."""
        while not self._closed and len(self._ready) + len(self._making) < self._wanted:
            task = asyncio.get_running_loop().create_task(self._make_ready())
            self._making.add(task)
            task.add_done_callback(self._making.discard)

    async def _make_ready(self) -> None:
        # A failure shows at the next run, which makes its own worker and tells.
        with contextlib.suppress(SandboxFailure):
            self._ready.append(await self._spawn())

    async def _spawn(self) -> Worker:
        code = f"import sys\nsys.path[:0] = {source_roots()!r}\nfrom druse_sandbox.alone import main\nmain()\n"
        try:
            transport, process = await asyncio.get_running_loop().subprocess_exec(
                ProcessWire,
                *(sys.executable, "-I", "-S", "-c", code, json.dumps(self._limits.for_worker())),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(),
                cwd=os.sep,
                start_new_session=sys.platform != "win32",
            )
        except OSError as error:
            raise SandboxFailure(
                f'No worker of the sandbox could be started: {error}. See "druse sandbox status".'
            ) from error
        worker = Worker(transport.get_pid(), process.wire)
        running = self._running[worker.pid] = _Running(transport, process)
        try:
            if sys.platform == "win32":
                self._put_in_job(worker, running)
            return await greeted(worker)
        except (SandboxFailure, asyncio.CancelledError):
            self._end(worker)
            raise

    def _put_in_job(self, worker: Worker, running: _Running) -> None:
        """Before the worker is handed anything; a worker without a job does not count as locked."""
        limits = self._limits
        try:
            job = Job(worker.pid, cpu_seconds=limits.cpu_seconds, memory_bytes=limits.memory_bytes)
        except OSError as error:
            worker.layers["job"] = f"failed: {error}"
            return
        running.job = job
        worker.layers["job"] = "active"

    def _end(self, worker: Worker) -> None:
        running = self._running.pop(worker.pid, None)
        if running is not None:
            task = asyncio.get_running_loop().create_task(_ended(running))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _close(self) -> None:
        self._closed = True
        for task in list(self._making):
            task.cancel()
        await asyncio.gather(*self._making, return_exceptions=True)
        while self._ready:
            self._end(self._ready.popleft())
        await asyncio.gather(*self._ending, return_exceptions=True)


async def _ended(running: _Running) -> None:
    """See a worker off: most end by themselves once their pipes are closed, the others are killed."""
    running.process.wire.close()
    # Killing what has just ended would take its exit status away from the event loop, which then complains.
    if not await _gone(running, _GRACE_SECONDS):
        with contextlib.suppress(ProcessLookupError):
            running.transport.kill()
        await _gone(running, _END_SECONDS)
    if running.job is not None:
        running.job.close()
    running.transport.close()


async def _gone(running: _Running, seconds: float) -> bool:
    """Whether the process ended in time."""
    try:
        async with asyncio.timeout(seconds):
            await running.process.ended.wait()
    except TimeoutError:
        return running.transport.get_returncode() is not None
    return True


def _environment() -> dict[str, str]:
    """Nothing; on Windows the one variable without which an interpreter does not start."""
    return {"SYSTEMROOT": os.environ.get("SYSTEMROOT", "C:\\Windows")} if sys.platform == "win32" else {}
