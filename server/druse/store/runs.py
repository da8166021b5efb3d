"""Runs and their steps. What is stored here was masked by `druse.traces` first."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, cast

from druse.model import Json, JsonObject, Run, RunStatus, Step, StoreDamaged
from druse.store import blobs
from druse.store.archive import ArchiveRepository
from druse.store.database import Database, Row, Transaction
from druse.store.steps import insert_step, text_of

_RUN = (
    "id, goal, status, source, domain, task, session, opened_at, closed_at, inputs, tool, tool_version, mode, "
    "confidence, cost, tokens, note, workflow, client, shape"
)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run with what is known about how it went. `cost` is in USD and, like `tokens`, None where nobody told."""

    run: Run
    mode: str = ""
    confidence: float | None = None
    cost: float | None = None
    tokens: int | None = None
    note: str = ""
    workflow: str = ""
    client: str = ""
    shape: str = ""


@dataclass(frozen=True, slots=True)
class ModeCount:
    """Runs of one mode. Medians over the runs for which it is known; None where it is for none.

    `wall_ms` is the time spent in calls of tools, `cost` in USD as the host reported it.
    """

    mode: str
    runs: int
    successes: int
    cost: float | None
    tokens: float | None
    wall_ms: float | None


@dataclass(frozen=True, slots=True)
class WorkflowCount:
    """How often a workflow was run and how that went; two integers, never a rounded ratio (D13)."""

    workflow: str
    runs: int
    successes: int
    goal: str
    cost: float | None
    last_at: float
    tool: str | None
    tool_version: int | None
    shapes: tuple[str, ...] = ()


class RunRepository:
    """Reads and writes runs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._archive = ArchiveRepository(database)

    async def open(self, transaction: Transaction, record: RunRecord, *, owner: str, asked: int | None = None) -> None:
        """Insert a run that has just begun; `owner` names the process that keeps it open.

        `asked` is how many requests of an agent it took so far; None where that is not known.
        """
        run = record.run
        await transaction.execute(
            "INSERT INTO run (id, goal, shape, status, source, domain, task, session, client, owner, mode, confidence,"
            " inputs, opened_at, touched_at, closed_at, cost, tokens, note, workflow, asked)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                *(run.id, run.goal, record.shape, str(run.status), run.source, run.domain, run.task, run.session),
                *(record.client, owner, record.mode, record.confidence, text_of(dict(run.inputs)), run.opened_at),
                *(run.opened_at, run.closed_at, record.cost, record.tokens, record.note, record.workflow),
                asked,
            ),
        )
        for turn, text in run.user_turns:
            await transaction.execute("INSERT INTO user_turn (run_id, turn, text) VALUES (?,?,?)", (run.id, turn, text))

    async def add_step(
        self, transaction: Transaction, run_id: str, step: Step, *, now: float, asked: bool = False
    ) -> int:
        """Append a step; its position in the run, -1 where the run is gone: somebody went back to a checkpoint.

        `asked`: an agent made a request for it, not a program of its own.
        """
        there = await transaction.execute(
            "UPDATE run SET touched_at = ?, asked = asked + ? WHERE id = ?", (now, int(asked), run_id)
        )
        if not there:
            return -1
        row = await transaction.one("SELECT coalesce(max(position), -1) + 1 FROM step WHERE run_id = ?", (run_id,))
        position = int(row[0]) if row else 0
        await insert_step(transaction, run_id, step, position=position, turn=step.turn or position)
        return position

    async def close(
        self,
        transaction: Transaction,
        run_id: str,
        status: RunStatus,
        *,
        now: float,
        note: str = "",
        workflow: str = "",
        cost: float | None = None,
        tokens: int | None = None,
    ) -> bool:
        """Close an open run; False if it was closed before (then nothing changes)."""
        changed = await transaction.execute(
            "UPDATE run SET status = ?, closed_at = ?, note = ?, workflow = ?, cost = coalesce(?, cost),"
            " tokens = coalesce(?, tokens) WHERE id = ? AND status = 'open'",
            (str(status), now, note, workflow, cost, tokens, run_id),
        )
        return changed == 1

    async def mark(self, run_id: str, status: RunStatus, workflow: str) -> bool:
        """A person's word on a closed run."""
        async with self._database.transaction() as transaction:
            changed = await transaction.execute(
                "UPDATE run SET status = ?, workflow = ? WHERE id = ? AND status != 'open'",
                (str(status), workflow, run_id),
            )
        return changed == 1

    async def count_request(self, run_id: str) -> None:
        """An agent made one more request for this run."""
        async with self._database.transaction() as transaction:
            await transaction.execute("UPDATE run SET asked = asked + 1 WHERE id = ?", (run_id,))

    async def set_mode(self, run_id: str, mode: str, confidence: float | None) -> None:
        """How dispatch decided."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "UPDATE run SET mode = ?, confidence = ? WHERE id = ?", (mode, confidence, run_id)
            )

    async def get(self, run_id: str) -> RunRecord | None:
        """One run with all its steps."""
        row = await self._database.one(f"SELECT {_RUN} FROM run WHERE id = ?", (run_id,))
        return await self._record(row) if row else None

    async def told(self, run_id: str) -> JsonObject:
        """What else is kept of a run: which process recorded it, the feedback given, what the historian made of it."""
        row = await self._database.one(
            "SELECT r.owner, f.outcome, f.note, f.given_by, f.given_at, m.scanned_at, m.promoted FROM run r"
            " LEFT JOIN feedback f ON f.run_id = r.id LEFT JOIN memory_scan m ON m.run_id = r.id WHERE r.id = ?",
            (run_id,),
        )
        if row is None:
            return {}
        archived = await self._archive.told(run_id)
        owner, outcome, note, given_by, given_at, scanned_at, promoted = row
        feedback: JsonObject = {"outcome": outcome, "note": note, "by": given_by, "at": given_at}
        return {
            "recorded_by": owner,
            "archived": {"digest": archived[0], "at": archived[1]} if archived else None,
            "feedback": feedback if outcome is not None else None,
            "memory": {"read_at": scanned_at, "promoted": promoted} if scanned_at is not None else None,
        }

    async def list(self, *, status: str | None = None, limit: int = 50, offset: int = 0) -> list[RunRecord]:
        """Runs without their steps, newest first."""
        where = "WHERE status = ?" if status else ""
        values = [status] if status else []
        rows = await self._database.all(
            f"SELECT {_RUN} FROM run {where} ORDER BY opened_at DESC, id LIMIT ? OFFSET ?", [*values, limit, offset]
        )
        return [_record_of(row, (), ()) for row in rows]

    async def filtered(
        self,
        *,
        goal: str = "",
        tool: str = "",
        status: str = "",
        since: float = 0.0,
        until: float = 1e12,
        limit: int = 50,
        offset: int = 0,
    ) -> list[RunRecord]:
        """Runs without their steps, newest first: `goal` and `tool` are parts of the goal and of a step's tool name."""
        rows = await self._database.all(
            f"SELECT {_RUN} FROM run WHERE instr(lower(goal), lower(:goal)) AND (:status = '' OR status = :status)"
            " AND opened_at BETWEEN :since AND :until AND (:tool = '' OR EXISTS (SELECT 1 FROM step"
            " WHERE step.run_id = run.id AND instr(step.tool, :tool)))"
            " ORDER BY opened_at DESC, id LIMIT :most OFFSET :first",
            {
                **{"goal": goal, "status": status, "since": since, "until": until, "tool": tool},
                **{"most": limit, "first": offset},
            },
        )
        return [_record_of(row, (), ()) for row in rows]

    async def of_workflow(
        self, workflow: str, *, status: RunStatus = RunStatus.SUCCESS, newest: int = -1
    ) -> list[RunRecord]:
        """The runs of one workflow with their steps, oldest first; only the `newest` so many, if it is given."""
        rows = await self._database.all(
            f"SELECT {_RUN} FROM run WHERE workflow = ? AND status = ? ORDER BY opened_at DESC, id DESC LIMIT ?",
            (workflow, str(status), newest),
        )
        return [await self._record(row) for row in reversed(rows)]

    async def successes(self, workflows: Sequence[str], *, since: float) -> int:
        """How many runs of these workflows that began after `since` went well."""
        row = await self._database.one(
            "SELECT count(*) FROM run WHERE status = 'success' AND opened_at > ?"
            " AND workflow IN (SELECT value FROM json_each(?))",
            (since, json.dumps(list(workflows))),
        )
        return int(row[0]) if row else 0

    async def changes(self, workflow: str = "") -> int:
        """A number that moves whenever a closed run of this workflow does, or of any; 0 where there never was one."""
        row = await self._database.one("SELECT changes FROM run_change WHERE workflow = ?", (workflow,))
        return int(row[0]) if row else 0

    async def of_shape(self, shape: str) -> list[RunRecord]:
        """Successful runs whose goal has this shape, newest first, without steps."""
        rows = await self._database.all(
            f"SELECT {_RUN} FROM run WHERE shape = ? AND status = 'success' ORDER BY opened_at DESC LIMIT 200", (shape,)
        )
        return [_record_of(row, (), ()) for row in rows]

    async def results_of(self, tool: str, *, limit: int) -> list[Json]:
        """The newest results of a tool in steps that went well, newest first, as they were stored: masked."""
        rows = await self._database.all(
            "SELECT tool, arguments, result, result_blob, failed, turn, started_at, duration_ms, effect FROM step"
            " WHERE tool = ? AND failed = 0 AND NOT (result IS NULL AND result_blob IS NULL)"
            " ORDER BY started_at DESC LIMIT ?",
            (tool, limit),
        )
        return [(await self._step(row)).result for row in rows]

    async def using(self, tool: str, *, limit: int = 50) -> list[RunRecord]:
        """The newest closed runs with a step of this tool, newest first."""
        rows = await self._database.all(
            f"SELECT {_RUN} FROM run WHERE status != 'open' AND id IN (SELECT run_id FROM step WHERE tool = ?)"
            " ORDER BY opened_at DESC, id LIMIT ?",
            (tool, limit),
        )
        return [await self._record(row) for row in rows]

    async def count_of(self, workflow: str) -> WorkflowCount | None:
        """The counts of one workflow; None where it has no closed runs."""
        counts = await self.workflows(beginning=workflow, alone=True)
        return counts[0] if counts else None

    async def workflows(self, *, beginning: str = "", alone: bool = False) -> list[WorkflowCount]:
        """Every workflow that has closed runs, with its counts.

        With `beginning` only those that begin like this; with `alone` only the one that is just this.
        """
        rows = await self._database.all(
            "SELECT workflow, count(*), sum(status = 'success'), max(cost), max(closed_at),"
            " (SELECT goal FROM run AS r WHERE r.workflow = run.workflow ORDER BY opened_at DESC LIMIT 1),"
            " max(tool), max(tool_version), json_group_array(DISTINCT shape)"
            " FROM run WHERE workflow >= :beginning AND workflow != ''"
            " AND (:beginning = '' OR workflow <= :beginning || :rest)"
            " AND status IN ('success', 'failure') GROUP BY workflow ORDER BY workflow",
            {"beginning": beginning, "rest": "" if alone else chr(0x10FFFF)},
        )
        return [
            WorkflowCount(
                row[0], int(row[1]), int(row[2]), row[5], row[3], float(row[4] or 0), row[6], row[7], _shapes(row[8])
            )
            for row in rows
        ]

    async def modes(self) -> list[ModeCount]:
        """What dispatch did, by mode: how many runs, their outcomes, medians of what was measured (seed id H-32)."""
        rows = await self._database.all(
            "SELECT mode, status, cost, tokens, (SELECT sum(duration_ms) FROM step WHERE run_id = run.id)"
            " FROM run WHERE status != 'open' ORDER BY mode"
        )
        grouped: dict[str, list[Row]] = {}
        for row in rows:
            grouped.setdefault(str(row[0] or "BY HAND"), []).append(row)
        return [
            ModeCount(
                mode,
                len(part),
                sum(row[1] == "success" for row in part),
                _median([row[2] for row in part]),
                _median([row[3] for row in part]),
                _median([row[4] for row in part]),
            )
            for mode, part in grouped.items()
        ]

    async def costs(self, ids: Sequence[str]) -> list[float | None]:
        """The costs of runs as reported, None where nobody told."""
        marks = ",".join("?" * len(ids))
        rows = await self._database.all(f"SELECT cost FROM run WHERE id IN ({marks})", tuple(ids)) if ids else []
        return [None if row[0] is None else float(row[0]) for row in rows]

    async def crystallized(self, transaction: Transaction, workflow: str, tool: str, version: int) -> None:
        """Mark the runs of a workflow with the tool made of them (seed id H-01)."""
        await transaction.execute(
            "UPDATE run SET tool = ?, tool_version = ? WHERE workflow = ?", (tool, version, workflow)
        )

    async def uncrystallized(self, transaction: Transaction, tool: str) -> None:
        """Take the mark back when a tool is retired, so that its workflow is a candidate again."""
        await transaction.execute("UPDATE run SET tool = NULL, tool_version = NULL WHERE tool = ?", (tool,))

    async def idle(self, *, before: float) -> list[str]:
        """Open runs that nobody touched since `before`."""
        rows = await self._database.all("SELECT id FROM run WHERE status = 'open' AND touched_at < ?", (before,))
        return [str(row[0]) for row in rows]

    async def delete(self, run_id: str) -> bool:
        """Delete a run and the payloads that only it held."""
        async with self._database.transaction() as transaction:
            changed = await transaction.execute("DELETE FROM run WHERE id = ?", (run_id,))
            await blobs.drop_unreferenced(transaction)
        return changed == 1

    async def oldest(self, status: str = "") -> list[str]:
        """The ids of all runs, or of those with a status, oldest first."""
        rows = await self._database.all(
            "SELECT id FROM run WHERE :status = '' OR status = :status ORDER BY opened_at, rowid", {"status": status}
        )
        return [str(row[0]) for row in rows]

    async def clients(self) -> list[str]:
        """Every client that ever opened a run."""
        return [str(row[0]) for row in await self._database.all("SELECT DISTINCT client FROM run ORDER BY client")]

    async def patterns(self, clients: Sequence[str], *, limit: int) -> list[tuple[str, int, int]]:
        """The workflows that these clients ran most: a goal of each, its runs, and how many of them went well."""
        marks = ", ".join("?" for _ in clients)
        rows = await self._database.all(
            "SELECT max(goal), count(*), sum(status = 'success') FROM run WHERE status IN ('success', 'failure')"
            f" AND workflow != '' AND client IN ({marks}) GROUP BY workflow ORDER BY 2 DESC, workflow LIMIT ?",
            [*clients, limit],
        )
        return [(str(row[0]), int(row[1]), int(row[2])) for row in rows]

    async def statuses(self) -> dict[str, RunStatus]:
        """How every run stands, by its id."""
        return {str(row[0]): RunStatus(row[1]) for row in await self._database.all("SELECT id, status FROM run")}

    async def every_step(self, page: int) -> AsyncGenerator[tuple[str, str, JsonObject, Json, bool]]:
        """Every step that Druse carried out, `page` at a time: run, tool, arguments, result, and whether it failed."""
        last: tuple[str, int] = ("", -1)
        run_id, held = "", dict[int, tuple[str, str]]()  # the archived run that is being read
        while rows := await self._database.all(
            "SELECT run_id, position, tool, arguments, coalesce(result, CAST(body AS TEXT)), failed FROM step"
            " LEFT JOIN blob ON digest = result_blob WHERE told_by = '' AND (run_id, position) > (?, ?)"
            " ORDER BY run_id, position LIMIT ?",
            (*last, page),
        ):
            for row in rows:
                arguments, result = row[3], row[4]
                if result is None:
                    if row[0] != run_id:
                        run_id, held = row[0], await self._held(row[0])
                    arguments, result = held.get(int(row[1]), (arguments, "null"))
                yield row[0], row[2], json.loads(arguments), json.loads(result), bool(row[5])
            last = (str(rows[-1][0]), int(rows[-1][1]))

    async def _held(self, run_id: str) -> dict[int, tuple[str, str]]:
        """What the archive has of a run; nothing where it is damaged, which whoever compares it with the chain sees."""
        try:
            return await self._archive.of_run(run_id) or {}
        except StoreDamaged:
            return {}

    async def payloads(self, page: int) -> AsyncGenerator[tuple[str, bytes]]:
        """Every large payload and every archived run with its digest, `page` at a time."""
        last = ""
        while rows := await self._database.all(
            "SELECT digest, body FROM blob WHERE digest > ? ORDER BY digest LIMIT ?", (last, page)
        ):
            for row in rows:
                yield row[0], row[1]
            last = str(rows[-1][0])
        async for digest, plain in self._archive.bodies(page):
            yield digest, plain

    async def count(self) -> dict[str, int]:
        """Number of runs by status."""
        rows = await self._database.all("SELECT status, count(*) FROM run GROUP BY status")
        return {str(row[0]): int(row[1]) for row in rows}

    async def _record(self, row: Row) -> RunRecord:
        rows = await self._database.all(
            "SELECT tool, arguments, result, result_blob, failed, turn, started_at, duration_ms, effect FROM step"
            " WHERE run_id = ? ORDER BY position",
            (row[0],),
        )
        turns = await self._database.all("SELECT turn, text FROM user_turn WHERE run_id = ? ORDER BY turn", (row[0],))
        if any(step[2] is None and step[3] is None for step in rows):
            rows = await self._from_archive(str(row[0]), rows)
        steps = [await self._step(step) for step in rows]
        return _record_of(row, tuple(steps), tuple((int(turn), str(text)) for turn, text in turns))

    async def _from_archive(self, run_id: str, rows: list[Row]) -> list[Row]:
        """Steps with what the archive holds of them. Raises StoreDamaged where it is not there."""
        held = await self._archive.of_run(run_id) or {}
        places = await self._database.all("SELECT position FROM step WHERE run_id = ? ORDER BY position", (run_id,))
        found: list[Row] = []
        for (place,), row in zip(places, rows, strict=True):
            if row[2] is None and row[3] is None:
                if int(place) not in held:
                    raise StoreDamaged(
                        f"Cannot read run {run_id}: the archive does not have its step {place}. Restore a checkpoint, "
                        'or delete it with "druse traces delete".',
                        first_bad=run_id,
                    )
                row = (row[0], *held[int(place)], *row[3:])
            found.append(row)
        return found

    async def _step(self, row: Row) -> Step:
        tool, arguments, result, blob, failed, turn, started, duration, effect = row
        if blob is not None:
            result = (await blobs.get(self._database, blob)).decode("utf-8", "surrogatepass")
        return Step(
            tool=tool,
            arguments=json.loads(arguments),
            result=json.loads(result),
            failed=bool(failed),
            turn=turn,
            started_at=started,
            duration_ms=duration,
            effect=effect,
        )


def _shapes(text: str) -> tuple[str, ...]:
    return tuple(shape for shape in json.loads(text) if shape)


def _record_of(row: Row, steps: tuple[Step, ...], turns: tuple[tuple[int, str], ...]) -> RunRecord:
    (run_id, goal, status, source, domain, task, session, opened, closed, inputs, tool, version) = row[:12]
    run = Run(
        id=run_id,
        goal=goal,
        status=RunStatus(status),
        steps=steps,
        user_turns=turns,
        source=source,
        domain=domain,
        task=task,
        session=session,
        opened_at=opened,
        closed_at=closed,
        inputs=cast("dict[str, Any]", json.loads(inputs)),
        crystallized_into=(tool, version) if tool is not None else None,
    )
    return RunRecord(run, *row[12:])


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(median(known)) if known else None
