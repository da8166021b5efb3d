"""Full-text search over what happened: goals, user turns, calls and their results.

Runs are indexed when somebody searches and by the historian, never while a call is recorded: recording stays fast.
"""

from __future__ import annotations

from dataclasses import dataclass

from druse.store.database import Database
from druse.store.memories import match_of

MAX_TEXT = 4000  # characters of one event that are searched
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Event:
    """Something found: `kind` is goal, turn, note or step."""

    run_id: str
    position: int
    kind: str
    at: float
    text: str


class EventRepository:
    """The index over recorded runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def index(self, *, limit: int = 1_000_000) -> int:
        """Bring the index up to date; how many runs were read."""
        done = 0
        while done < limit:
            rows = await self._database.all(
                "SELECT r.id FROM run r LEFT JOIN event_scan e ON e.run_id = r.id WHERE e.run_id IS NULL"
                " OR (NOT e.complete AND (r.status != 'open' OR e.steps <"
                " (SELECT count(*) FROM step WHERE step.run_id = r.id))) LIMIT ?",
                (min(_BATCH, limit - done),),
            )
            if not rows:
                break
            async with self._database.transaction() as transaction:
                for (run_id,) in rows:
                    await transaction.execute("DELETE FROM event WHERE run_id = ?", (run_id,))
                    parts = await transaction.all(
                        "SELECT 0, 'goal', opened_at, goal FROM run WHERE id = ?1 AND goal != ''"
                        " UNION ALL SELECT 0, 'note', coalesce(closed_at, opened_at), note FROM run WHERE id = ?1"
                        " AND note != '' UNION ALL SELECT u.turn, 'turn', r.opened_at, u.text FROM user_turn u"
                        " JOIN run r ON r.id = u.run_id WHERE u.run_id = ?1 AND u.text != r.goal"
                        " UNION ALL SELECT position, 'step', started_at,"
                        " tool || ' ' || substr(arguments, 1, 2000) || ' ' || coalesce(substr(result, 1, 2000), '')"
                        " FROM step WHERE run_id = ?1",
                        (run_id,),
                    )
                    for position, kind, at, text in parts:
                        number = await transaction.insert(
                            "INSERT INTO event (run_id, position, kind, at) VALUES (?,?,?,?)",
                            (run_id, position, kind, at),
                        )
                        await transaction.execute(
                            "INSERT INTO event_text (rowid, content) VALUES (?,?)", (number, str(text)[:MAX_TEXT])
                        )
                    await transaction.execute(
                        "INSERT OR REPLACE INTO event_scan (run_id, steps, complete) SELECT id,"
                        " (SELECT count(*) FROM step WHERE run_id = ?1), status != 'open' FROM run WHERE id = ?1",
                        (run_id,),
                    )
            done += len(rows)
        return done

    async def search(self, query: str, *, limit: int = 10) -> list[Event]:
        """What has words of a query, best first. Never raises on a user's text."""
        match = match_of(query)
        if not match:
            return []
        rows = await self._database.all(
            "SELECT e.run_id, e.position, e.kind, e.at, f.content FROM"
            " (SELECT rowid, content, rank FROM event_text WHERE event_text MATCH ? ORDER BY rank LIMIT ?) f"
            " JOIN event e ON e.id = f.rowid ORDER BY f.rank, e.id DESC",
            (match, limit),
        )
        return [Event(*row) for row in rows]
