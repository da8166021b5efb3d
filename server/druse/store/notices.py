"""What a person should be told, once."""

from __future__ import annotations

from druse.store.database import Database


class NoticeRepository:
    """Notices by kind and subject; the same one is never given twice (seed id H-35)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def give(self, kind: str, subject: str, text: str, *, now: float) -> bool:
        """Leave a notice; False if it had been given before."""
        async with self._database.transaction() as transaction:
            changed = await transaction.execute(
                "INSERT OR IGNORE INTO notice (kind, subject, text, created_at) VALUES (?,?,?,?)",
                (kind, subject, text, now),
            )
        return changed == 1

    async def given_at(self, kind: str, subject: str) -> float | None:
        """When a notice was left; None where it never was."""
        row = await self._database.one("SELECT created_at FROM notice WHERE kind = ? AND subject = ?", (kind, subject))
        return float(row[0]) if row else None

    async def list(self, limit: int = 20) -> list[dict[str, str | float]]:
        """The newest notices."""
        rows = await self._database.all(
            "SELECT kind, subject, text, created_at FROM notice ORDER BY id DESC LIMIT ?", (limit,)
        )
        return [{"kind": row[0], "subject": row[1], "text": row[2], "created_at": row[3]} for row in rows]
