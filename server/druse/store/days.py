"""What each day was like: how work was done, and how many requests it took an agent."""

from __future__ import annotations

from dataclasses import dataclass

from druse.store.database import Database


@dataclass(frozen=True, slots=True)
class DayCount:
    """The closed runs of one day (UTC) and mode. `asked` counts requests of agents in the `counted` runs of them."""

    day: str
    mode: str
    runs: int
    successes: int
    failures: int
    asked: int
    counted: int


class DayRepository:
    """Reads the days."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def since(self, moment: float) -> list[DayCount]:
        """Every day from `moment` on (seconds since the epoch) that has closed runs, in order, by mode."""
        rows = await self._database.all(
            "SELECT date(opened_at, 'unixepoch'), CASE mode WHEN '' THEN 'BY HAND' ELSE mode END, count(*),"
            " sum(status = 'success'), sum(status = 'failure'), coalesce(sum(asked), 0), count(asked)"
            " FROM run WHERE status != 'open' AND opened_at >= ? GROUP BY 1, 2 ORDER BY 1, 2",
            (moment,),
        )
        return [DayCount(*row) for row in rows]
