"""Calls that were answered with a task, which the client asks after until it ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from druse.model import JsonObject
from druse.store.database import Database, Row, Transaction

_COLUMNS = (
    "id, created_at, updated_at, expires_at, status, message, caller, call, approval_id, requests, outcome, lease_until"
)


@dataclass(frozen=True, slots=True)
class DeferredCall:
    """One such call. Times in seconds since the epoch.

    `status` is that of the protocol. `call` is what to call, empty where it held a secret and so cannot be made again.
    `outcome` is the result or the error it ended in. Whoever is at work on it holds the lease.
    """

    id: str
    created_at: float
    updated_at: float
    expires_at: float
    status: str = "working"
    message: str = ""
    caller: JsonObject | None = None
    call: JsonObject | None = None
    approval_id: str = ""  # what it waits for, if a person has to approve it
    requests: JsonObject | None = None  # questions to the client
    outcome: JsonObject | None = None
    lease_until: float = 0.0


class DeferredRepository:
    """Reads and writes them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, deferred: DeferredCall) -> None:
        """Store a new one; those that are too old go."""

        async def work(transaction: Transaction) -> None:
            await transaction.execute("DELETE FROM deferred_call WHERE expires_at <= ?", (deferred.created_at,))
            await transaction.execute(
                f"INSERT INTO deferred_call ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(deferred.id, deferred.created_at, deferred.updated_at, deferred.expires_at, deferred.status),
                    *(deferred.message, json.dumps(deferred.caller), json.dumps(deferred.call), deferred.approval_id),
                    *(json.dumps(deferred.requests), json.dumps(deferred.outcome), deferred.lease_until),
                ),
            )

        await self._database.write(work)

    async def change(
        self,
        deferred_id: str,
        *,
        now: float,
        status: str,
        message: str = "",
        requests: JsonObject | None = None,
        outcome: JsonObject | None = None,
    ) -> None:
        """Note how far one is; one that has ended stays as it ended."""

        async def work(transaction: Transaction) -> None:
            await transaction.execute(
                "UPDATE deferred_call SET updated_at = ?, status = ?, message = ?, requests = ?, outcome = ?"
                " WHERE id = ? AND status IN ('working', 'input_required')",
                (now, status, message, json.dumps(requests), json.dumps(outcome), deferred_id),
            )

        await self._database.write(work)

    async def get(self, deferred_id: str) -> DeferredCall | None:
        """One of them."""
        rows = await self._database.all(f"SELECT {_COLUMNS} FROM deferred_call WHERE id = ?", (deferred_id,))
        return _deferred(rows[0]) if rows else None

    async def hold(self, ids: Sequence[str], *, until: float) -> None:
        """Keep the lease of these."""

        async def work(transaction: Transaction) -> None:
            for one in ids:
                await transaction.execute("UPDATE deferred_call SET lease_until = ? WHERE id = ?", (until, one))

        await self._database.write(work)

    async def ends(self) -> dict[str, float]:
        """When the lease of each ends that is at work."""
        rows = await self._database.all(
            "SELECT id, lease_until FROM deferred_call WHERE status IN ('working', 'input_required')"
        )
        return {str(row[0]): float(row[1]) for row in rows}

    async def take_over(self, *, now: float, until: float) -> list[DeferredCall]:
        """Those at which nobody is at work any more; their lease is the caller's now."""

        async def work(transaction: Transaction) -> list[DeferredCall]:
            rows = await transaction.all(
                f"SELECT {_COLUMNS} FROM deferred_call"
                " WHERE status IN ('working', 'input_required') AND lease_until <= ?",
                (now,),
            )
            for row in rows:
                await transaction.execute("UPDATE deferred_call SET lease_until = ? WHERE id = ?", (until, row[0]))
            return [replace(_deferred(row), lease_until=until) for row in rows]

        return await self._database.write(work)


def _deferred(row: Row) -> DeferredCall:
    caller, call, requests, outcome = (cast("JsonObject | None", json.loads(row[at])) for at in (6, 7, 9, 10))
    return DeferredCall(
        row[0], row[1], row[2], row[3], row[4], row[5], caller, call, row[8], requests, outcome, row[11]
    )
