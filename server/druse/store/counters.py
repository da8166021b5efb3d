"""Counters that outlive a connection: how often something was done in a session."""

from __future__ import annotations

from druse.store.database import Database


class CounterRepository:
    """Counts by name and scope."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def spend(self, name: str, scope: str, *, limit: int, now: float, forget_after: float) -> tuple[int, bool]:
        """Count one more, unless that passes `limit`: the count, and whether it was counted.

        A counter that nobody touched for `forget_after` seconds begins anew.
        """
        async with self._database.transaction() as transaction:
            row = await transaction.one(
                "SELECT count, touched_at FROM counter WHERE name = ? AND scope = ?", (name, scope)
            )
            # A clock set back makes nothing old.
            count = int(row[0]) if row and now - row[1] < forget_after else 0
            if count >= limit:
                return count, False
            await transaction.execute(
                "INSERT OR REPLACE INTO counter (name, scope, count, touched_at) VALUES (?, ?, ?, ?)",
                (name, scope, count + 1, max(now, row[1]) if row else now),
            )
        return count + 1, True

    async def count(self, name: str, scope: str, *, now: float, forget_after: float) -> int:
        """How often it was done."""
        row = await self._database.one(
            "SELECT count, touched_at FROM counter WHERE name = ? AND scope = ?", (name, scope)
        )
        return int(row[0]) if row and now - row[1] < forget_after else 0
