"""Crystallized versions: their status, and two integers and more about how they did. The files hold the rest."""

from __future__ import annotations

from dataclasses import dataclass

from druse.model import OutcomeStatus, VersionStatus
from druse.store.database import Database, Row, Transaction

_COLUMNS = (
    "name, version, status, approval_hash, workflow, created_at, changed_at, reason, made_runs, made_successes, runs,"
    " failures, divergences, last_used_at, last_verified_at, wall_ms, steps_saved, approved_by, streak, withdrawn"
)


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """What the store knows of one version. `wall_ms` is the sum over its runs, `steps_saved` counts round trips."""

    name: str
    version: int
    status: VersionStatus
    approval_hash: str
    workflow: str
    created_at: float
    changed_at: float
    reason: str
    made_runs: int
    made_successes: int
    runs: int = 0
    failures: int = 0
    divergences: int = 0
    last_used_at: float | None = None
    last_verified_at: float | None = None
    wall_ms: float = 0.0
    steps_saved: int = 0
    approved_by: str = "person"  # or "trust": put in service by the trust level
    streak: int = 0  # failed runs since the last good one
    withdrawn: bool = False  # somebody went back from it: no session goes on with it


@dataclass(frozen=True, slots=True)
class ToolDay:
    """One day of UTC, as `YYYY-MM-DD`: runs of learned tools, how they ended, round trips saved, time spent in them."""

    day: str
    runs: int
    failures: int
    divergences: int
    round_trips_saved: int
    wall_ms: float


class ToolRepository:
    """Reads and writes versions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, transaction: Transaction, record: VersionRecord) -> None:
        """Insert a version; the number must be free."""
        await transaction.execute(
            "INSERT INTO tool_version (name, version, status, approval_hash, workflow, created_at, changed_at, reason,"
            " made_runs, made_successes, last_verified_at) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            (
                *(record.name, record.version, str(record.status), record.approval_hash, record.workflow),
                *(record.created_at, record.changed_at, record.reason, record.made_runs, record.made_successes),
                record.last_verified_at,
            ),
        )

    async def next_version(self, name: str) -> int:
        """The first free version number of a tool."""
        row = await self._database.one("SELECT coalesce(max(version), 0) + 1 FROM tool_version WHERE name = ?", (name,))
        return int(row[0]) if row else 1

    async def set_status(
        self, transaction: Transaction, name: str, version: int, status: VersionStatus, *, now: float, reason: str = ""
    ) -> None:
        """Change the status of one version."""
        await transaction.execute(
            "UPDATE tool_version SET status = ?, changed_at = ?, reason = ?, withdrawn = withdrawn AND ? WHERE name = ?"
            " AND version = ?",
            (str(status), now, reason, status is not VersionStatus.ACTIVE, name, version),
        )

    async def withdraw(self, transaction: Transaction, name: str, *, after: int, until: int | None = None) -> None:
        """No session goes on with the versions above `after`, up to `until`; what is in service stays there."""
        await transaction.execute(
            "UPDATE tool_version SET withdrawn = 1 WHERE name = ? AND version > ? AND version <= coalesce(?, version)"
            " AND status != 'active'",
            (name, after, until),
        )

    async def get(self, name: str, version: int, transaction: Transaction | None = None) -> VersionRecord | None:
        """One version."""
        rows = await self._select("WHERE name = ? AND version = ?", name, version, transaction=transaction)
        return rows[0] if rows else None

    async def versions(self, name: str, transaction: Transaction | None = None) -> list[VersionRecord]:
        """All versions of a tool, oldest first."""
        return await self._select("WHERE name = ? ORDER BY version", name, transaction=transaction)

    async def all(self) -> list[VersionRecord]:
        """All versions of all tools."""
        return await self._select("ORDER BY name, version")

    async def of_workflow(self, workflow: str) -> list[VersionRecord]:
        """All versions made from one workflow, newest first."""
        return await self._select("WHERE workflow = ? ORDER BY created_at DESC, version DESC", workflow)

    async def set_approved_by(self, transaction: Transaction, name: str, version: int, approved_by: str) -> None:
        """Note who put a version in service: `person` or `trust`."""
        await transaction.execute(
            "UPDATE tool_version SET approved_by = ?, streak = 0 WHERE name = ? AND version = ?",
            (approved_by, name, version),
        )

    async def count_use(
        self,
        name: str,
        version: int,
        status: OutcomeStatus,
        *,
        now: float,
        wall_ms: float,
        steps_saved: int,
        own_failure: bool = True,
    ) -> int:
        """Count one run of a version; how many in a row failed through its own doing (`own_failure`) by now."""

        async def counted(transaction: Transaction) -> int:
            await transaction.execute(
                "UPDATE tool_version SET runs = runs + 1, failures = failures + ?, divergences = divergences + ?,"
                " last_used_at = ?, wall_ms = wall_ms + ?, steps_saved = steps_saved + ?,"
                " streak = CASE WHEN ? THEN 0 ELSE streak + ? END"
                " WHERE name = ? AND version = ?",
                (
                    *(int(status not in (OutcomeStatus.OK, OutcomeStatus.DIVERGED)), int(status == "diverged")),
                    *(now, wall_ms, steps_saved, status is OutcomeStatus.OK, int(own_failure), name, version),
                ),
            )
            await transaction.execute(
                "INSERT INTO tool_day (day, runs, failures, divergences, round_trips_saved, wall_ms)"
                " VALUES (date(?, 'unixepoch'), 1, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET runs = runs + 1,"
                " failures = failures + excluded.failures, divergences = divergences + excluded.divergences,"
                " round_trips_saved = round_trips_saved + excluded.round_trips_saved,"
                " wall_ms = wall_ms + excluded.wall_ms",
                (
                    *(now, int(status not in (OutcomeStatus.OK, OutcomeStatus.DIVERGED))),
                    *(int(status == "diverged"), steps_saved, wall_ms),
                ),
            )
            row = await transaction.one(
                "SELECT streak FROM tool_version WHERE name = ? AND version = ?", (name, version)
            )
            return int(row[0]) if row else 0

        return await self._database.write(counted)

    async def days(self, *, limit: int = 90) -> list[ToolDay]:
        """What all tools together did on each of the newest days on which one ran, oldest first."""
        rows = await self._database.all(
            "SELECT day, runs, failures, divergences, round_trips_saved, wall_ms FROM tool_day"
            " ORDER BY day DESC LIMIT ?",
            (limit,),
        )
        return [ToolDay(*row) for row in reversed(rows)]

    async def _select(
        self, rest: str, *values: str | int, transaction: Transaction | None = None
    ) -> list[VersionRecord]:
        rows = await (transaction or self._database).all(f"SELECT {_COLUMNS} FROM tool_version {rest}", values)
        return [_record(row) for row in rows]


def _record(row: Row) -> VersionRecord:
    return VersionRecord(row[0], row[1], VersionStatus(row[2]), *row[3:-1], withdrawn=bool(row[-1]))
