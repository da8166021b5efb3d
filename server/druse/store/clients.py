"""What clients tell of their own work: their sessions, the calls known already, and steps put where they belong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from druse.model import Json, Step
from druse.store.database import Database, Transaction
from druse.store.steps import insert_step, text_of


@dataclass(frozen=True, slots=True)
class ClientSession:
    """A session of a client. `told` says that the prompt stands in a run already; no `run_id`: no run yet."""

    client: str
    session: str
    prompt: str = ""
    prompt_key: str = ""
    prompt_at: float = 0.0
    told: bool = False
    run_id: str = ""
    touched_at: float = 0.0


@dataclass(frozen=True, slots=True)
class RunHead:
    """What has to be known of a run to put a step into it."""

    id: str
    goal: str
    status: str
    owner: str
    opened_at: float
    closed_at: float | None
    archived: bool  # what its steps held is packed away: nothing comes between them any more


class ClientRepository:
    """All within the caller's transaction, so that what was read of a source and how far land together."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def session(self, transaction: Transaction, client: str, session: str) -> ClientSession:
        """The session as it stands; a new one where nothing is known of it."""
        row = await transaction.one(
            "SELECT prompt, prompt_key, prompt_at, told, run_id, touched_at FROM client_session"
            " WHERE client = ? AND session = ?",
            (client, session),
        )
        if row is None:
            return ClientSession(client, session)
        return ClientSession(client, session, row[0], row[1], float(row[2]), bool(row[3]), row[4], float(row[5]))

    async def save(self, transaction: Transaction, session: ClientSession) -> None:
        """Keep a session."""
        await transaction.execute(
            "INSERT OR REPLACE INTO client_session (client, session, prompt, prompt_key, prompt_at, told, run_id,"
            " touched_at) VALUES (?,?,?,?,?,?,?,?)",
            (
                *(session.client, session.session, session.prompt, session.prompt_key, session.prompt_at),
                *(int(session.told), session.run_id, session.touched_at),
            ),
        )

    async def forget(self, transaction: Transaction, *, before: float) -> None:
        """Drop sessions that nothing was heard of since `before`."""
        await transaction.execute("DELETE FROM client_session WHERE touched_at < ?", (before,))

    async def know(self, transaction: Transaction, client: str, session: str, key: str) -> bool:
        """Take note of a call; False where it was known."""
        added = await transaction.execute(
            "INSERT OR IGNORE INTO client_call (client, session, key) VALUES (?,?,?)", (client, session, key)
        )
        return added == 1

    async def count(self, transaction: Transaction, client: str, session: str, what: str, *, upto: str = "") -> bool:
        """Count one more of something; with `upto` only while fewer were counted than of that, else False."""
        row = await transaction.one(
            "SELECT coalesce(max(told) FILTER (WHERE what = :what), 0),"
            " coalesce(max(told) FILTER (WHERE what = :upto), 0)"
            " FROM client_count WHERE client = :client AND session = :session AND what IN (:what, :upto)",
            {"client": client, "session": session, "what": what, "upto": upto},
        )
        assert row is not None
        if upto and int(row[0]) >= int(row[1]):
            return False
        await transaction.execute(
            "INSERT OR REPLACE INTO client_count (client, session, what, told) VALUES (?,?,?,?)",
            (client, session, what, int(row[0]) + 1),
        )
        return True

    async def knows(self, client: str, session: str, key: str) -> bool:
        """Whether a call is known."""
        row = await self._database.one(
            "SELECT 1 FROM client_call WHERE client = ? AND session = ? AND key = ?", (client, session, key)
        )
        return row is not None

    async def served(
        self, transaction: Transaction, tool: str, arguments: Mapping[str, Json], at: float, *, within: float = 10.0
    ) -> bool:
        """Whether Druse itself recorded this call at about that time; arguments masked."""
        row = await transaction.one(
            "SELECT 1 FROM step WHERE tool = ? AND arguments = ? AND told_by = '' AND abs(started_at - ?) < ? LIMIT 1",
            (tool, text_of(arguments), at, within),
        )
        return row is not None

    async def settle(self, transaction: Transaction, run_id: str, status: str, note: str) -> None:
        """How a run went of which nobody had known."""
        await transaction.execute(
            "UPDATE run SET status = ?, note = ? WHERE id = ? AND status = 'unfinished'", (status, note, run_id)
        )

    async def key_call(self, transaction: Transaction, key: str, run_id: str) -> None:
        """Keep the client's id of a call that was recorded in a run."""
        await transaction.execute("INSERT OR IGNORE INTO call_key (key, run_id) VALUES (?,?)", (key, run_id))

    async def run_of_key(self, transaction: Transaction, key: str) -> str:
        """The run in which the call of this id was recorded; empty where there is none."""
        row = await transaction.one("SELECT run_id FROM call_key WHERE key = ?", (key,))
        return str(row[0]) if row else ""

    async def head(self, transaction: Transaction, run_id: str) -> RunHead | None:
        """A run without its steps."""
        row = await transaction.one(
            "SELECT id, goal, status, owner, opened_at, closed_at, EXISTS (SELECT 1 FROM run_archive WHERE run_id = id)"
            " FROM run WHERE id = ?",
            (run_id,),
        )
        return RunHead(*row[:6], archived=bool(row[6])) if row else None

    async def name_goal(self, transaction: Transaction, run_id: str, goal: str, shape: str) -> None:
        """Give a run that began without a goal the one its user had told the client."""
        await transaction.execute(
            "UPDATE run SET goal = ?, shape = ? WHERE id = ? AND goal = ''", (goal, shape, run_id)
        )
        await transaction.execute("INSERT INTO user_turn (run_id, turn, text) VALUES (?, 0, ?)", (run_id, goal))

    async def add_turn(self, transaction: Transaction, run_id: str, text: str, at: float) -> None:
        """A later word of the user, before the first step that began after it."""
        turn, _ = await self._place(transaction, run_id, at)
        await transaction.execute("INSERT INTO user_turn (run_id, turn, text) VALUES (?,?,?)", (run_id, turn, text))

    async def add_step(self, transaction: Transaction, run_id: str, step: Step, client: str) -> None:
        """A step that a client told, where it belongs by the time of its start; the later told of two is the later."""
        turn, position = await self._place(transaction, run_id, step.started_at)
        await transaction.execute(
            "UPDATE step SET position = -position - 2, turn = turn + 1 WHERE run_id = ? AND position >= ?",
            (run_id, position),
        )
        await transaction.execute(
            "UPDATE step SET position = -position - 1 WHERE run_id = ? AND position < 0", (run_id,)
        )
        await transaction.execute(
            "UPDATE user_turn SET turn = turn + 1 WHERE run_id = ? AND turn > ? AND turn > 0", (run_id, turn)
        )
        await insert_step(transaction, run_id, step, position=position, turn=turn, told_by=client)
        await transaction.execute(
            "UPDATE run SET touched_at = max(touched_at, ?) WHERE id = ?", (step.started_at, run_id)
        )

    async def merge(self, transaction: Transaction, source: str, target: str) -> None:
        """Move the steps of one run into another, by their times, and drop the first."""
        rows = await transaction.all(
            "SELECT tool, arguments, result, result_blob, failed, effect, started_at, duration_ms, told_by"
            " FROM step WHERE run_id = ? ORDER BY position",
            (source,),
        )
        for tool, arguments, result, blob, failed, effect, started, duration, client in rows:
            if blob is not None:
                body = await transaction.one("SELECT body FROM blob WHERE digest = ?", (blob,))
                result = bytes(body[0]).decode("utf-8", "surrogatepass") if body else "null"
            step = Step(
                *(tool, json.loads(arguments), json.loads(result), bool(failed)),
                started_at=started,
                duration_ms=duration,
                effect=effect,
            )
            await self.add_step(transaction, target, step, str(client))
        await transaction.execute("DELETE FROM run WHERE id = ?", (source,))

    async def read_so_far(self, transaction: Transaction, name: str) -> int:
        """How many bytes of a file of the spool were read."""
        row = await transaction.one("SELECT done FROM spool_file WHERE name = ?", (name,))
        return int(row[0]) if row else 0

    async def read_on(self, transaction: Transaction, name: str, done: int) -> None:
        """So many bytes of it are read now."""
        await transaction.execute("INSERT OR REPLACE INTO spool_file (name, done) VALUES (?,?)", (name, done))

    async def read_up(self, transaction: Transaction, name: str) -> None:
        """The file is gone."""
        await transaction.execute("DELETE FROM spool_file WHERE name = ?", (name,))

    async def _place(self, transaction: Transaction, run_id: str, at: float) -> tuple[int, int]:
        """Turn and position of what began at this time."""
        row = await transaction.one(
            "SELECT turn, position FROM step WHERE run_id = ? AND started_at > ? ORDER BY position LIMIT 1",
            (run_id, at),
        )
        if row is not None:
            return int(row[0]), int(row[1])
        row = await transaction.one(
            "SELECT (SELECT coalesce(max(turn), -1) FROM step WHERE run_id = :run),"
            " (SELECT coalesce(max(turn), -1) FROM user_turn WHERE run_id = :run),"
            " (SELECT coalesce(max(position), -1) FROM step WHERE run_id = :run)",
            {"run": run_id},
        )
        assert row is not None
        last_step, last_turn, last = int(row[0]), int(row[1]), int(row[2])
        return max(last_step + 1, last_turn), last + 1
