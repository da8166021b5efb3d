"""What tools of servers had declared when they were first allowed."""

from __future__ import annotations

from collections.abc import Mapping

from druse.store.database import Database


class DeclarationRepository:
    """Schema hashes by (server, tool)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> dict[tuple[str, str], tuple[str, float]]:
        """Every pinned declaration, and when it was pinned (seconds since the epoch)."""
        rows = await self._database.all("SELECT server, tool, schema_hash, pinned_at FROM declaration")
        return {(str(row[0]), str(row[1])): (str(row[2]), float(row[3])) for row in rows}

    async def pin(self, declared: Mapping[tuple[str, str], str], *, now: float, replace: bool = False) -> None:
        """Keep declarations; one that is known stays unless `replace`."""
        clash = "REPLACE" if replace else "IGNORE"
        async with self._database.transaction(durable=True) as transaction:
            for (server, tool), schema in declared.items():
                await transaction.execute(
                    f"INSERT OR {clash} INTO declaration (server, tool, schema_hash, pinned_at) VALUES (?,?,?,?)",
                    (server, tool, schema, now),
                )
