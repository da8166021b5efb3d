"""Requests that wait for a person, and what became of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import cast

from druse.model import JsonObject
from druse.store.database import Database, Row, Transaction

_COLUMNS = (
    "id, kind, subject_hash, title, details, requested_by, requested_at, expires_at, status, decided_by, decided_how,"
    " decided_at, note"
)


@dataclass(frozen=True, slots=True)
class Approval:
    """One request. Times in seconds since the epoch."""

    id: str
    kind: str
    subject_hash: str
    title: str
    details: JsonObject
    requested_by: JsonObject
    requested_at: float
    expires_at: float
    status: str = "pending"
    decided_by: str | None = None
    decided_how: str | None = None
    decided_at: float | None = None
    note: str = ""


class ApprovalRepository:
    """Reads and writes approvals."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, transaction: Transaction, approval: Approval) -> None:
        """Insert a request."""
        await transaction.execute(
            "INSERT INTO approval (id, kind, subject_hash, title, details, requested_by, requested_at, expires_at,"
            " status)"
            " VALUES (?,?,?,?,?,?,?,?,?)",
            (
                *(approval.id, approval.kind, approval.subject_hash, approval.title, json.dumps(approval.details)),
                *(json.dumps(approval.requested_by), approval.requested_at, approval.expires_at, approval.status),
            ),
        )

    async def open_for(self, transaction: Transaction, kind: str, subject_hash: str, now: float) -> Approval | None:
        """The pending or approved request for this subject that has not expired."""
        row = await transaction.one(
            f"SELECT {_COLUMNS} FROM approval WHERE kind = ? AND subject_hash = ? AND status IN ('pending', 'approved')"
            " AND expires_at > ? ORDER BY requested_at DESC LIMIT 1",
            (kind, subject_hash, now),
        )
        return _approval(row) if row else None

    async def decide(
        self, transaction: Transaction, approval_id: str, *, status: str, by: str, how: str, now: float, note: str
    ) -> bool:
        """Decide a pending request; False if it was decided by then."""
        changed = await transaction.execute(
            "UPDATE approval SET status = ?, decided_by = ?, decided_how = ?, decided_at = ?, note = ?"
            " WHERE id = ? AND status = 'pending'",
            (status, by, how, now, note, approval_id),
        )
        return changed == 1

    async def use(self, transaction: Transaction, approval_id: str) -> bool:
        """Use an approval up; False if somebody else did."""
        changed = await transaction.execute(
            "UPDATE approval SET status = 'used' WHERE id = ? AND status = 'approved'", (approval_id,)
        )
        return changed == 1

    async def get(self, approval_id: str) -> Approval | None:
        """One request."""
        row = await self._database.one(f"SELECT {_COLUMNS} FROM approval WHERE id = ?", (approval_id,))
        return _approval(row) if row else None

    async def list(self, *, status: str | None = None, limit: int = 100) -> list[Approval]:
        """Requests, newest first."""
        where, values = ("WHERE status = ?", [status]) if status else ("", [])
        rows = await self._database.all(
            f"SELECT {_COLUMNS} FROM approval {where} ORDER BY requested_at DESC, id LIMIT ?", [*values, limit]
        )
        return [_approval(row) for row in rows]


def _approval(row: Row) -> Approval:
    details = cast("JsonObject", json.loads(row[4]))
    requested = cast("JsonObject", json.loads(row[5]))
    return Approval(row[0], row[1], row[2], row[3], details, requested, *row[6:])
