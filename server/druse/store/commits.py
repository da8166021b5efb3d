"""Commits of the project's git: which were there at the last look, and which wait for a job."""

from __future__ import annotations

import json
from collections.abc import Sequence

from druse.store.database import Database, Transaction


class CommitRepository:
    """Reads and writes what is known of a repository. `tips` are ends of its branches, now and before."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tips(self, repository: str) -> list[str] | None:
        """The tips at the last look; None before the first."""
        row = await self._database.one("SELECT tips FROM commit_look WHERE repository = ?", (repository,))
        return list(json.loads(row[0])) if row else None

    async def seen(
        self,
        repository: str,
        before: Sequence[str] | None,
        tips: Sequence[str],
        new: Sequence[str],
        jobs: Sequence[str],
    ) -> bool:
        """Keep a look and let its new commits wait for jobs; False where another process looked since `before`."""

        async def keep(transaction: Transaction) -> bool:
            row = await transaction.one("SELECT tips FROM commit_look WHERE repository = ?", (repository,))
            if (list(json.loads(row[0])) if row else None) != (list(before) if before is not None else None):
                return False
            await transaction.execute(
                "INSERT OR REPLACE INTO commit_look (repository, tips) VALUES (?,?)", (repository, json.dumps([*tips]))
            )
            for job in jobs:
                last = await transaction.one(
                    "SELECT coalesce(max(number), 0) FROM commit_waiting WHERE job = ?", (job,)
                )
                first = (int(last[0]) if last else 0) + 1
                await transaction.execute_many(
                    "INSERT OR IGNORE INTO commit_waiting (job, number, commit_id) VALUES (?,?,?)",
                    [(job, first + place, commit) for place, commit in enumerate(new)],
                )
            return True

        return await self._database.write(keep)

    async def next(self, job: str) -> str:
        """The oldest commit that a job was not run for, empty where there is none."""
        rows = await self._database.all(
            "SELECT w.number, w.commit_id, r.id FROM commit_waiting w LEFT JOIN job_run r ON r.job = w.job"
            " AND r.slot = 'commit:' || w.commit_id WHERE w.job = ? ORDER BY w.number LIMIT 200",
            (job,),
        )
        for _, commit, run in rows:
            if run is None:
                return str(commit)
            await self.done(job, str(commit))
        return ""

    async def done(self, job: str, commit: str) -> None:
        """A job need not be run for a commit any more."""
        async with self._database.transaction() as transaction:
            await transaction.execute("DELETE FROM commit_waiting WHERE job = ? AND commit_id = ?", (job, commit))
