"""What became of each skill: made on, offered, used, helped (X-02). A skill is keyed by `ORIGIN/NAME`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from druse.store.database import Database


@dataclass(frozen=True, slots=True)
class SkillCount:
    """Counts of one skill. `helped`: runs that used it and were reported a success; `ended`: all that were reported."""

    skill: str
    made_at: float
    offered: int
    last_offered_at: float | None
    used: int
    ended: int
    helped: int
    last_used_at: float | None
    retire_asked_at: float | None


class SkillRepository:
    """Reads and writes the counts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def seen(self, skills: Sequence[str], *, now: float) -> None:
        """Begin the counts of skills that have none yet."""
        async with self._database.transaction() as transaction:
            await transaction.execute_many(
                "INSERT OR IGNORE INTO skill_offer (skill, made_at) VALUES (?,?)", [(skill, now) for skill in skills]
            )

    async def offered(self, skills: Sequence[str], *, now: float) -> None:
        """An agent was shown these skills."""
        async with self._database.transaction() as transaction:
            await transaction.execute_many(
                "INSERT INTO skill_offer (skill, made_at, offered, last_offered_at) VALUES (:skill, :now, 1, :now)"
                " ON CONFLICT (skill) DO UPDATE SET offered = offered + 1, last_offered_at = :now,"
                " retire_asked_at = NULL",
                [{"skill": skill, "now": now} for skill in skills],
            )

    async def used(self, skill: str, run_id: str, *, now: float) -> None:
        """An agent read this skill for a run."""
        async with self._database.transaction() as transaction:
            await transaction.execute("INSERT OR IGNORE INTO skill_offer (skill, made_at) VALUES (?,?)", (skill, now))
            await transaction.execute(
                "INSERT INTO skill_use (skill, run_id, used_at) VALUES (?,?,?)"
                " ON CONFLICT (skill, run_id) DO UPDATE SET used_at = excluded.used_at",
                (skill, run_id, now),
            )

    async def retire_asked(self, skill: str, *, now: float) -> None:
        """A person was asked whether to retire it."""
        async with self._database.transaction() as transaction:
            await transaction.execute("UPDATE skill_offer SET retire_asked_at = ? WHERE skill = ?", (now, skill))

    async def counts(self) -> dict[str, SkillCount]:
        """The counts of every skill that was ever seen."""
        rows = await self._database.all(
            "SELECT o.skill, o.made_at, o.offered, o.last_offered_at, count(u.run_id),"
            " coalesce(sum(r.status IN ('success', 'failure')), 0), coalesce(sum(r.status = 'success'), 0),"
            " max(u.used_at), o.retire_asked_at FROM skill_offer o LEFT JOIN skill_use u ON u.skill = o.skill"
            " LEFT JOIN run r ON r.id = u.run_id GROUP BY o.skill ORDER BY o.skill"
        )
        return {str(row[0]): SkillCount(*row) for row in rows}

    async def used_in(self, run_id: str) -> list[str]:
        """The skills a run used."""
        rows = await self._database.all("SELECT skill FROM skill_use WHERE run_id = ? ORDER BY skill", (run_id,))
        return [str(row[0]) for row in rows]
