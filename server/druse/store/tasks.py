"""Tasks that a client's sub-agents share: each is held by one of them at a time, for as long as its lease lasts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from druse.model import Json, JsonObject
from druse.store.database import Database, Row, Transaction

_CLOCK_TOLERANCE = 5.0  # seconds that clocks of processes on one machine may differ
_COLUMNS = "graph, id, goal, about, status, holder, lease_until, result"


@dataclass(frozen=True, slots=True)
class Task:
    """One task. `status`: open, held or done; `lease_until` in seconds since the epoch."""

    graph: str
    id: str
    goal: str
    about: JsonObject
    status: str = "open"
    holder: str = ""
    lease_until: float = 0.0
    result: Json = None


class TaskRepository:
    """Reads and writes task graphs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, tasks: Sequence[Task]) -> None:
        """Store a graph, all of it or nothing."""

        async def work(transaction: Transaction) -> None:
            for task in tasks:
                await transaction.execute(
                    "INSERT INTO task (graph, id, goal, about, status) VALUES (?, ?, ?, ?, 'open')",
                    (task.graph, task.id, task.goal, json.dumps(task.about)),
                )

        await self._database.write(work)

    async def claim(self, graph: str, holder: str, *, now: float, seconds: float) -> Task | None:
        """Hand the first free task to a holder; None where there is none.

        A lease that ran out frees its task, and so does one that began later than now: the clock was set back since.
        """

        async def work(transaction: Transaction) -> Task | None:
            row = await transaction.one(
                f"SELECT {_COLUMNS} FROM task WHERE graph = ? AND (status = 'open'"
                " OR (status = 'held' AND (lease_until <= ? OR claimed_at > ?))) ORDER BY id LIMIT 1",
                (graph, now, now + _CLOCK_TOLERANCE),
            )
            if row is None:
                return None
            await transaction.execute(
                "UPDATE task SET status = 'held', holder = ?, lease_until = ?, claimed_at = ?"
                " WHERE graph = ? AND id = ?",
                (holder, now + seconds, now, graph, row[1]),
            )
            return _task((*row[:4], "held", holder, now + seconds, row[7]))

        return await self._database.write(work)

    async def finish(self, graph: str, task_id: str, holder: str, result: Json) -> bool:
        """Note the result of a task that this holder still holds; whether it did."""

        async def work(transaction: Transaction) -> bool:
            changed = await transaction.execute(
                "UPDATE task SET status = 'done', result = ?"
                " WHERE graph = ? AND id = ? AND status = 'held' AND holder = ?",
                (json.dumps(result), graph, task_id, holder),
            )
            return changed == 1

        return await self._database.write(work)

    async def of_graph(self, graph: str) -> list[Task]:
        """All tasks of a graph."""
        rows = await self._database.all(f"SELECT {_COLUMNS} FROM task WHERE graph = ? ORDER BY id", (graph,))
        return [_task(row) for row in rows]


def _task(row: Row) -> Task:
    about = cast("JsonObject", json.loads(row[3]))
    return Task(row[0], row[1], row[2], about, row[4], row[5], row[6], json.loads(row[7]))
