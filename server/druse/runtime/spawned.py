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

from druse.model import SandboxFailure
from druse.runtime.limits import Limits
from druse.runtime.pool import Worker, greeted, source_roots
from druse.runtime.windows import Job

_END_SECONDS = 10.0
_GRACE_SECONDS = 0.25


class SpawnedWorkers:
    """Starts and ends workers. Use `SpawnedWorkers.start`."""

    def __init__(self, limits: Limits, ready: int) -> None:
        self._limits = limits
        self._wanted = ready
        self._ready: deque[Worker] = deque()
        self._running: dict[int, tuple[asyncio.subprocess.Process, Job | None]] = {}
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
            if not worker.reader.at_eof():
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
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", "-c", code, json.dumps(self._limits.for_worker())),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(),
                cwd=os.sep,
                start_new_session=sys.platform != "win32",
                limit=1 << 20,
            )
        except OSError as error:
            raise SandboxFailure(
                f'No worker of the sandbox could be started: {error}. See "druse sandbox status".'
            ) from error
        assert process.stdin is not None and process.stdout is not None
        worker = Worker(process.pid, process.stdout, process.stdin)
        self._running[process.pid] = (process, None)
        try:
            if sys.platform == "win32":
                self._put_in_job(worker, process)
            return await greeted(worker)
        except (SandboxFailure, asyncio.CancelledError):
            self._end(worker)
            raise

    def _put_in_job(self, worker: Worker, process: asyncio.subprocess.Process) -> None:
        """Before the worker is handed anything; a worker without a job does not count as locked."""
        limits = self._limits
        try:
            job = Job(process.pid, cpu_seconds=limits.cpu_seconds, memory_bytes=limits.memory_bytes)
        except OSError as error:
            worker.layers["job"] = f"failed: {error}"
            return
        self._running[process.pid] = (process, job)
        worker.layers["job"] = "active"

    def _end(self, worker: Worker) -> None:
        process, job = self._running.pop(worker.pid, (None, None))
        if process is not None:
            task = asyncio.get_running_loop().create_task(_ended(process, worker, job))
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


async def _ended(process: asyncio.subprocess.Process, worker: Worker, job: Job | None) -> None:
    """See a worker off: most end by themselves now, the others are killed."""
    worker.writer.close()
    # Killing what has just ended would take its exit status away from the event loop, which then complains.
    if not await _gone(process, worker, _GRACE_SECONDS):
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await _gone(process, worker, _END_SECONDS)
    if job is not None:
        job.close()
    with contextlib.suppress(OSError):
        await worker.writer.wait_closed()


async def _gone(process: asyncio.subprocess.Process, worker: Worker, seconds: float) -> bool:
    """Take what the pipe still holds (else its end is never seen) and wait; whether the process ended in time."""
    try:
        async with asyncio.timeout(seconds):
            while await worker.reader.read(1 << 16):
                pass
            await process.wait()
    except (OSError, TimeoutError):
        return process.returncode is not None
    return True


def _environment() -> dict[str, str]:
    """Nothing; on Windows the one variable without which an interpreter does not start."""
    return {"SYSTEMROOT": os.environ.get("SYSTEMROOT", "C:\\Windows")} if sys.platform == "win32" else {}
