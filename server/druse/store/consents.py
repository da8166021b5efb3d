"""Consent of a person that runs may be used as training data (seed id N-36)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from druse.store.database import Database, Transaction


@dataclass(frozen=True, slots=True)
class Consent:
    """What was said, by whom, and when (seconds since the epoch)."""

    given: bool
    by: str
    at: float


class ConsentRepository:
    """Reads and writes consents. Where nothing was said there is none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def say(self, run_ids: Sequence[str], *, given: bool, by: str, now: float) -> int:
        """Note what a person says of runs; how many of them there are."""

        async def work(transaction: Transaction) -> int:
            done = 0
            for run_id in run_ids:
                done += await transaction.execute(
                    "INSERT INTO run_consent (run_id, given, given_by, given_at) SELECT id, :given, :by, :at FROM run"
                    " WHERE id = :run"
                    " ON CONFLICT (run_id) DO UPDATE SET given = :given, given_by = :by, given_at = :at",
                    {"run": run_id, "given": int(given), "by": by, "at": now},
                )
            return done

        return await self._database.write(work)

    async def of(self, run_id: str) -> Consent | None:
        """What was said of a run."""
        row = await self._database.one("SELECT given, given_by, given_at FROM run_consent WHERE run_id = ?", (run_id,))
        return Consent(bool(row[0]), str(row[1]), float(row[2])) if row else None
