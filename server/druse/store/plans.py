"""Plans as they were validated, and how far their executions came."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import cast

from druse.model import Json, JsonObject
from druse.store.database import Database, Row, Transaction

_STEP = "place, tool, status, result, whole, message, started_at, ended_at"


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A plan under its hash. `parent` is the hash of the plan it was made from, empty if from none."""

    hash: str
    content: JsonObject
    parent: str
    made_at: float
    made_by: str


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of a plan. `status`: running, done, stopped. Times in seconds since the epoch."""

    id: str
    plan: str
    inputs: JsonObject
    status: str
    session: str
    run_id: str
    started_at: float
    ended_at: float | None = None
    agent: str = ""  # who asked for it


@dataclass(frozen=True, slots=True)
class ExecutedStep:
    """One call of an execution. `place` names it; `status`: begun, done, failed.

    `whole` is False where the stored result holds handles in place of secrets, so that it cannot be built upon.
    """

    place: str
    tool: str
    status: str
    result: Json = None
    whole: bool = True
    message: str = ""
    started_at: float = 0.0
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class KeptInverse:
    """What takes a step back that was done, or why nothing does. `after`: digest of the file as the step left it."""

    place: str
    tool: str
    arguments: JsonObject
    why_not: str = ""
    touched: str = ""
    after: str = ""
    undone_at: float | None = None
    begun_at: float | None = None  # when taking it back began, as long as no end of that is noted


class PlanRepository:
    """Reads and writes plans and executions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, plan: StoredPlan) -> None:
        """Store a plan under its hash; the same plan again changes nothing."""

        async def work(transaction: Transaction) -> None:
            await transaction.execute(
                "INSERT OR IGNORE INTO plan (hash, content, parent, made_at, made_by) VALUES (?, ?, ?, ?, ?)",
                (plan.hash, json.dumps(plan.content), plan.parent, plan.made_at, plan.made_by),
            )

        await self._database.write(work)

    async def get(self, plan_hash: str) -> StoredPlan | None:
        """A plan by its hash."""
        row = await self._database.one(
            "SELECT hash, content, parent, made_at, made_by FROM plan WHERE hash = ?", (plan_hash,)
        )
        return StoredPlan(row[0], cast("JsonObject", json.loads(row[1])), *row[2:]) if row else None

    async def all(self) -> list[StoredPlan]:
        """Every stored plan, newest first."""
        rows = await self._database.all(
            "SELECT hash, content, parent, made_at, made_by FROM plan ORDER BY made_at DESC, hash"
        )
        return [StoredPlan(row[0], cast("JsonObject", json.loads(row[1])), *row[2:]) for row in rows]

    async def begin(self, execution: Execution) -> None:
        """Note an execution before its first step."""

        async def work(transaction: Transaction) -> None:
            await transaction.execute(
                "INSERT INTO execution (id, plan, inputs, status, session, run_id, started_at, agent)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(execution.id, execution.plan, json.dumps(execution.inputs), execution.status),
                    *(execution.session, execution.run_id, execution.started_at, execution.agent),
                ),
            )

        await self._database.write(work)

    async def end(self, execution_id: str, status: str, *, now: float) -> None:
        """Note how an execution ended."""

        async def work(transaction: Transaction) -> None:
            await transaction.execute(
                "UPDATE execution SET status = ?, ended_at = ? WHERE id = ?", (status, now, execution_id)
            )

        await self._database.write(work)

    async def running(self) -> list[str]:
        """The executions that are said to be running, also those whose process ended."""
        rows = await self._database.all("SELECT id FROM execution WHERE status = 'running'")
        return [str(row[0]) for row in rows]

    async def execution(self, execution_id: str) -> Execution | None:
        """One execution."""
        row = await self._database.one(
            "SELECT id, plan, inputs, status, session, run_id, started_at, ended_at FROM execution WHERE id = ?",
            (execution_id,),
        )
        return _execution(row) if row else None

    async def unfinished(self, plan_hash: str) -> Execution | None:
        """The newest execution of a plan that is not done."""
        row = await self._database.one(
            "SELECT id, plan, inputs, status, session, run_id, started_at, ended_at FROM execution"
            " WHERE plan = ? AND status != 'done' ORDER BY started_at DESC, id LIMIT 1",
            (plan_hash,),
        )
        return _execution(row) if row else None

    async def note_step(self, execution_id: str, step: ExecutedStep, *, durable: bool = False) -> None:
        """Write down where a step stands; `durable` has it on the disk before this returns."""

        async def work(transaction: Transaction) -> None:
            await transaction.execute(
                f"INSERT OR REPLACE INTO execution_step (execution, {_STEP}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(execution_id, step.place, step.tool, step.status, json.dumps(step.result), int(step.whole)),
                    *(step.message, step.started_at, step.ended_at),
                ),
            )

        await self._database.write(work, durable=durable)

    async def steps(self, execution_id: str) -> list[ExecutedStep]:
        """The steps of an execution in the order they began."""
        rows = await self._database.all(
            f"SELECT {_STEP} FROM execution_step WHERE execution = ? ORDER BY started_at, place", (execution_id,)
        )
        return [
            ExecutedStep(row[0], row[1], row[2], json.loads(row[3]), bool(row[4]), row[5], row[6], row[7])
            for row in rows
        ]

    async def executions(self, limit: int, *, agent: str | None = None) -> list[Execution]:
        """The newest executions, newest first; only those an agent asked for, where one is named."""
        rows = await self._database.all(
            "SELECT id, plan, inputs, status, session, run_id, started_at, ended_at FROM execution"
            " WHERE ? IS NULL OR agent = ? ORDER BY started_at DESC, id LIMIT ?",
            (agent, agent, limit),
        )
        return [_execution(row) for row in rows]

    async def keep_inverse(self, execution_id: str, inverse: KeptInverse) -> None:
        """Note what takes a step back; a step that was made again has a new one."""

        async def work(transaction: Transaction) -> None:
            await transaction.execute(
                "INSERT OR REPLACE INTO plan_undo (execution, place, tool, arguments, why_not, touched, after)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    *(execution_id, inverse.place, inverse.tool, json.dumps(inverse.arguments), inverse.why_not),
                    *(inverse.touched, inverse.after),
                ),
            )

        await self._database.write(work)

    async def inverses(self, execution_id: str) -> list[KeptInverse]:
        """What takes the steps of an execution back, the last one done first."""
        rows = await self._database.all(
            "SELECT place, tool, arguments, why_not, touched, after, undone_at, begun_at FROM plan_undo"
            " WHERE execution = ? ORDER BY number DESC",
            (execution_id,),
        )
        return [KeptInverse(row[0], row[1], cast("JsonObject", json.loads(row[2])), *row[3:]) for row in rows]

    async def undoing(self, execution_id: str, place: str, begun_at: float | None) -> None:
        """Note that a step is being taken back, on the disk before this returns; None: it was not."""

        async def work(transaction: Transaction) -> None:
            await transaction.execute(
                "UPDATE plan_undo SET begun_at = ? WHERE execution = ? AND place = ?", (begun_at, execution_id, place)
            )

        await self._database.write(work, durable=True)

    async def undone(self, execution_id: str, place: str, *, now: float) -> None:
        """Note that a step was taken back."""

        async def work(transaction: Transaction) -> None:
            await transaction.execute(
                "UPDATE plan_undo SET undone_at = ? WHERE execution = ? AND place = ?", (now, execution_id, place)
            )

        await self._database.write(work, durable=True)

    async def give_feedback(self, run_id: str, outcome: str, note: str, by: str, *, now: float) -> bool:
        """Keep the word on a run; False if the same was said of it before."""

        async def work(transaction: Transaction) -> bool:
            row = await transaction.one("SELECT outcome FROM feedback WHERE run_id = ?", (run_id,))
            if row is not None and row[0] == outcome:
                return False
            await transaction.execute(
                "INSERT OR REPLACE INTO feedback (run_id, outcome, note, given_at, given_by) VALUES (?, ?, ?, ?, ?)",
                (run_id, outcome, note, now, by),
            )
            return True

        return await self._database.write(work)


def _execution(row: Row) -> Execution:
    return Execution(row[0], row[1], cast("JsonObject", json.loads(row[2])), *row[3:])
