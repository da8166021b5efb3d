"""Who is at work on an execution of a plan: one of all processes, known by a lock that the system lets go with it."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from druse.store import PlanRepository

_LOCKS = find_spec("fcntl") is not None


class Holds:
    """The executions that this process carries out or takes back; `folder` is where the locks of all processes are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._here: set[str] = set()

    @classmethod
    def beside(cls, database: Path) -> Holds:
        """The executions that a database knows."""
        return cls(database.parent / "executions")

    @contextmanager
    def of(self, execution: str) -> Generator[bool]:
        """Hold an execution for the block; False where somebody else does, and then nothing is held."""
        if execution in self._here:
            yield False
            return
        self._here.add(execution)
        descriptor: int | None = None
        try:
            descriptor = self._locked(execution)
            yield descriptor is not None
        finally:
            if descriptor is not None and descriptor >= 0:
                with suppress(OSError):
                    self._path(execution).unlink()
                os.close(descriptor)
            self._here.discard(execution)

    async def settle(self, plans: PlanRepository, now: float) -> None:
        """What was running when its process ended is not running any more."""
        if not _LOCKS:
            return  # nobody can tell
        for execution in await plans.running():
            with self.of(execution) as mine:
                if mine:
                    await plans.end(execution, "stopped", now=now)

    def _path(self, execution: str) -> Path:
        return self._folder / f"{execution}.lock"

    def _locked(self, execution: str) -> int | None:
        """The descriptor that has the lock; None where another process has it, -1 where there are no such locks."""
        if not _LOCKS:
            return -1
        import fcntl

        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            descriptor = os.open(self._path(execution), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                return None
            with suppress(OSError):
                if os.fstat(descriptor).st_ino == self._path(execution).stat().st_ino:
                    return descriptor
            os.close(descriptor)  # whoever had it took the file away with the lock: that lock is nobody's
