"""The audit table: entries in order, each with the hash that chains it to the one before."""

from __future__ import annotations

from dataclasses import dataclass

from druse.store.database import Database, Transaction


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry as it is stored: its number, its canonical text, its hash."""

    seq: int
    entry: str
    hash: str


class AuditRepository:
    """Appends and reads; nothing here changes or deletes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def last(self, transaction: Transaction) -> AuditRow | None:
        """The newest entry."""
        row = await transaction.one("SELECT seq, entry, hash FROM audit ORDER BY seq DESC LIMIT 1")
        return AuditRow(*row) if row else None

    async def append(self, transaction: Transaction, seq: int, entry: str, chained: str) -> None:
        """Insert an entry under its number."""
        await transaction.execute("INSERT INTO audit (seq, entry, hash) VALUES (?,?,?)", (seq, entry, chained))

    async def page(self, after: int, limit: int) -> list[AuditRow]:
        """Entries in order, beginning behind number `after`."""
        rows = await self._database.all(
            "SELECT seq, entry, hash FROM audit WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
        )
        return [AuditRow(*row) for row in rows]

    async def newest(self, limit: int) -> list[AuditRow]:
        """The newest entries, oldest first."""
        rows = await self._database.all("SELECT seq, entry, hash FROM audit ORDER BY seq DESC LIMIT ?", (limit,))
        return [AuditRow(*row) for row in reversed(rows)]
