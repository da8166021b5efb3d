"""The rules a person approved, one row for each time; the last one is in force."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import cast

from druse.model import JsonObject
from druse.store.database import Database, Row, Transaction

_COLUMNS = "number, hash, content, adopted_at, adopted_by, approval"


@dataclass(frozen=True, slots=True)
class Adopted:
    """Approved rules. `number` counts up, `adopted_at` is in seconds since the epoch."""

    number: int
    hash: str
    content: JsonObject
    adopted_at: float
    adopted_by: str
    approval: str


class PolicyRepository:
    """Reads and adds approved rules; nothing here changes or deletes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, transaction: Transaction, adopted: Adopted) -> None:
        """Insert rules under their number, which must be free."""
        await transaction.execute(
            f"INSERT INTO policy ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
            (
                *(adopted.number, adopted.hash, json.dumps(adopted.content), adopted.adopted_at),
                *(adopted.adopted_by, adopted.approval),
            ),
        )

    async def newest(self, transaction: Transaction | None = None) -> Adopted | None:
        """The rules approved last."""
        row = await (transaction or self._database).one(f"SELECT {_COLUMNS} FROM policy ORDER BY number DESC LIMIT 1")
        return _adopted(row) if row else None

    async def all(self) -> list[Adopted]:
        """All rules ever approved, oldest first."""
        rows = await self._database.all(f"SELECT {_COLUMNS} FROM policy ORDER BY number")
        return [_adopted(row) for row in rows]


def _adopted(row: Row) -> Adopted:
    return Adopted(row[0], row[1], cast("JsonObject", json.loads(row[2])), *row[3:])
