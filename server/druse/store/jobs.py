"""Runs of background jobs, each held by a lease: one process works, and when it dies another goes on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import cast

from druse.model import JsonObject
from druse.store.database import Database, Row

_COLUMNS = "id, job, slot, cause, status, owner, attempt, started_at, lease_until, finished_at, report"


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run of one job. `slot` names what it was for: the due time of a schedule, or one event."""

    id: int
    job: str
    slot: str
    cause: str
    status: str  # running, done, failed, stopped, skipped
    owner: str
    attempt: int
    started_at: float
    lease_until: float
    finished_at: float | None
    report: JsonObject


class JobRepository:
    """Reads and writes job runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, job: str, slot: str, cause: str, owner: str, *, now: float, lease: float) -> JobRun | None:
        """Begin a run, or take over one whose owner died; None where somebody works on the job or the slot is done."""
        async with self._database.transaction() as transaction:
            busy = await transaction.one(
                "SELECT 1 FROM job_run WHERE job = ? AND status = 'running' AND lease_until >= ? LIMIT 1", (job, now)
            )
            if busy is not None:
                return None
            fresh = await transaction.execute(
                "INSERT OR IGNORE INTO job_run (job, slot, cause, status, owner, attempt, started_at, lease_until)"
                " VALUES (?,?,?,'running',?,1,?,?)",
                (job, slot, cause, owner, now, now + lease),
            )
            taken = fresh or await transaction.execute(
                "UPDATE job_run SET owner = ?, attempt = attempt + 1, started_at = ?, lease_until = ?"
                " WHERE job = ? AND slot = ? AND status = 'running' AND lease_until < ?",
                (owner, now, now + lease, job, slot, now),
            )
            row = await transaction.one(f"SELECT {_COLUMNS} FROM job_run WHERE job = ? AND slot = ?", (job, slot))
        return _run(row) if taken and row else None

    async def skip(self, job: str, slot: str, *, now: float) -> None:
        """Note a slot that lies before the job was first seen here."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "INSERT OR IGNORE INTO job_run (job, slot, cause, status, owner, attempt, started_at, lease_until,"
                " finished_at) VALUES (?,?,'schedule','skipped','',0,?,?,?)",
                (job, slot, now, now, now),
            )

    async def renew(self, run: JobRun, *, now: float, lease: float) -> bool:
        """Keep the lease; False if another process took the run over."""
        async with self._database.transaction() as transaction:
            changed = await transaction.execute(
                "UPDATE job_run SET lease_until = ? WHERE id = ? AND owner = ? AND attempt = ? AND status = 'running'",
                (now + lease, run.id, run.owner, run.attempt),
            )
        return changed == 1

    async def finish(self, run: JobRun, status: str, report: JsonObject, *, now: float) -> bool:
        """Write down how it went; False if another process took the run over."""
        async with self._database.transaction() as transaction:
            changed = await transaction.execute(
                "UPDATE job_run SET status = ?, report = ?, finished_at = ? WHERE id = ? AND owner = ? AND attempt = ?"
                " AND status = 'running'",
                (status, json.dumps(report), now, run.id, run.owner, run.attempt),
            )
        return changed == 1

    async def unfinished(self) -> list[JobRun]:
        """Runs that are held by somebody, or were when their process ended."""
        rows = await self._database.all(f"SELECT {_COLUMNS} FROM job_run WHERE status = 'running' ORDER BY id")
        return [_run(row) for row in rows]

    async def let_go(self, run: JobRun) -> None:
        """End a lease that stands as it was read."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "UPDATE job_run SET lease_until = 0 WHERE id = ? AND lease_until = ?", (run.id, run.lease_until)
            )

    async def running(self, job: str, *, now: float) -> JobRun | None:
        """The run somebody works on at this moment."""
        row = await self._database.one(
            f"SELECT {_COLUMNS} FROM job_run WHERE job = ? AND status = 'running' AND lease_until >= ?", (job, now)
        )
        return _run(row) if row else None

    async def get(self, run_id: int) -> JobRun | None:
        """One run."""
        row = await self._database.one(f"SELECT {_COLUMNS} FROM job_run WHERE id = ?", (run_id,))
        return _run(row) if row else None

    async def history(self, job: str = "", *, limit: int = 50) -> list[JobRun]:
        """Runs, newest first."""
        rows = await self._database.all(
            f"SELECT {_COLUMNS} FROM job_run WHERE :job = '' OR job = :job"
            " ORDER BY started_at DESC, id DESC LIMIT :most",
            {"job": job, "most": limit},
        )
        return [_run(row) for row in rows]

    async def tasks(self, prefix: str, *, limit: int = 20) -> list[JobRun]:
        """Runs of jobs whose names begin like this, newest first."""
        rows = await self._database.all(
            f"SELECT {_COLUMNS} FROM job_run WHERE job >= :prefix AND job < :prefix || :highest"
            " ORDER BY started_at DESC, id DESC LIMIT :most",
            {"prefix": prefix, "highest": chr(0x10FFFF), "most": limit},
        )
        return [_run(row) for row in rows]

    async def slots(self, job: str) -> set[str]:
        """The slots of a job that were ever seen, newest thousand."""
        rows = await self._database.all("SELECT slot FROM job_run WHERE job = ? ORDER BY id DESC LIMIT 1000", (job,))
        return {str(row[0]) for row in rows}


def _run(row: Row) -> JobRun:
    *plain, report = row
    return JobRun(*plain, report=cast("JsonObject", json.loads(report)))
