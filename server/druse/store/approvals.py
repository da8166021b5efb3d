"""Requests that wait for a person, and what became of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import cast

from druse.model import JsonObject
from druse.store.database import Database, Row, Transaction

_COLUMNS = (
    "id, kind, subject_hash, title, details, requested_by, requested_at, expires_at, status, decided_by, decided_how,"
    " decided_at, note, scope, requested_entry, decided_entry, applied_at"
)


@dataclass(frozen=True, slots=True)
class Approval:
    """One request. Times in seconds since the epoch; entries are those of the audit chain."""

    id: str
    kind: str
    subject_hash: str
    title: str
    details: JsonObject
    requested_by: JsonObject
    requested_at: float
    expires_at: float
    status: str = "pending"  # pending, approved, rejected, used, expired
    decided_by: str | None = None
    decided_how: str | None = None
    decided_at: float | None = None
    note: str = ""
    scope: str = "once"  # once: used up by one call; session: good for the asking session until it expires
    requested_entry: str = ""
    decided_entry: str = ""
    applied_at: float | None = None  # when what follows from the decision was done

    @property
    def session(self) -> str:
        """The session that asked."""
        return str(self.requested_by.get("session") or "")


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision to be written down."""

    status: str
    by: str
    how: str
    note: str
    scope: str
    expires_at: float
    entry: str


class ApprovalRepository:
    """Reads and writes approvals."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, transaction: Transaction, approval: Approval) -> None:
        """Insert a request."""
        await transaction.execute(
            "INSERT INTO approval (id, kind, subject_hash, title, details, requested_by, requested_at, expires_at,"
            " status, requested_entry) VALUES (?,?,?,?,?,?,?,?,?,?)",
            (
                *(approval.id, approval.kind, approval.subject_hash, approval.title, json.dumps(approval.details)),
                *(json.dumps(approval.requested_by), approval.requested_at, approval.expires_at, approval.status),
                approval.requested_entry,
            ),
        )

    async def standing(
        self, kind: str, subject_hash: str, now: float, transaction: Transaction | None = None
    ) -> list[Approval]:
        """What is pending, approved or rejected for exactly this subject and has not expired, newest first."""
        rows = await (transaction or self._database).all(
            f"SELECT {_COLUMNS} FROM approval WHERE kind = ? AND subject_hash = ?"
            " AND status IN ('pending', 'approved', 'rejected') AND expires_at > ? ORDER BY requested_at DESC, id",
            (kind, subject_hash, now),
        )
        return [_approval(row) for row in rows]

    async def decide(
        self, transaction: Transaction, approval_id: str, decided: Decided, *, now: float, before: str
    ) -> bool:
        """Write a decision over the status `before`; False if the request has another one by now, or has expired."""
        changed = await transaction.execute(
            "UPDATE approval SET status = ?, decided_by = ?, decided_how = ?, decided_at = ?, note = ?, scope = ?,"
            " expires_at = ?, decided_entry = ?, applied_at = NULL WHERE id = ? AND status = ?"
            " AND (status != 'pending' OR expires_at > ?)",
            (
                *(decided.status, decided.by, decided.how, now, decided.note, decided.scope),
                *(decided.expires_at, decided.entry, approval_id, before, now),
            ),
        )
        return changed == 1

    async def set_status(self, transaction: Transaction, approval_id: str, status: str, *, before: str) -> bool:
        """Change a status; False if it was not `before` any more."""
        changed = await transaction.execute(
            "UPDATE approval SET status = ? WHERE id = ? AND status = ?", (status, approval_id, before)
        )
        return changed == 1

    async def applied(self, approval_id: str, decided_entry: str, *, now: float) -> None:
        """Note that what follows from this decision has been done; nothing where there is a newer one."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "UPDATE approval SET applied_at = ? WHERE id = ? AND decided_entry = ?",
                (now, approval_id, decided_entry),
            )

    async def unapplied(self, kind: str, *, decided_before: float) -> list[Approval]:
        """Decisions of a kind, oldest first, whose consequences were never noted as done."""
        rows = await self._database.all(
            f"SELECT {_COLUMNS} FROM approval WHERE kind = ? AND status IN ('approved', 'rejected')"
            " AND applied_at IS NULL AND decided_at < ? ORDER BY decided_at",
            (kind, decided_before),
        )
        return [_approval(row) for row in rows]

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
