"""Full-text search over what happened: goals, user turns, calls and their results.

Runs are indexed when somebody searches and by the historian, never while a call is recorded: recording stays fast.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from druse.store.archive import unpacked
from druse.store.database import Database, Transaction
from druse.store.ranked import RankedText

MAX_TEXT = 4000  # characters of one event that are searched
_BATCH = 200
_ESCAPE = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|\\.")


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
        self._text = RankedText(database, "event_text", rows="event_text", key="rowid")

    async def index(self, *, limit: int = 1_000_000) -> int:
        """Bring the index up to date; how many runs were read. Other writers have their turn between two runs."""
        done = 0
        while done < limit:
            rows = await self._database.all(
                "SELECT e.run_id FROM event_scan e JOIN run r ON r.id = e.run_id WHERE e.complete = 0"
                " AND (e.steps < 0 OR r.status != 'open' OR e.steps <"
                " (SELECT count(*) FROM step WHERE step.run_id = r.id)) LIMIT ?",
                (min(_BATCH, limit - done),),
            )
            if not rows:
                break
            for (run_id,) in rows:

                async def one(transaction: Transaction, run_id: str = str(run_id)) -> None:
                    await _index_run(transaction, run_id)

                await self._database.write(one)
            done += len(rows)
        return done

    async def search(self, query: str, *, limit: int = 10) -> list[Event]:
        """What has words of a query, best first, of equal ones the newest. Never raises on a user's text."""
        best = await self._text.best(query, limit=limit)
        marks = ",".join("?" * len(best))
        rows = await self._database.all(
            "SELECT e.id, e.run_id, e.position, e.kind, e.at, f.content FROM event e"
            f" JOIN event_text f ON f.rowid = e.id WHERE e.id IN ({marks})",
            [number for number, _ in best],
        )
        found = {int(row[0]): Event(*row[1:]) for row in rows}
        return [found[number] for number, _ in best if number in found]


async def _index_run(transaction: Transaction, run_id: str) -> None:
    await transaction.execute("DELETE FROM event WHERE run_id = ?", (run_id,))
    parts = await transaction.all(
        "SELECT 0, 'goal', opened_at, goal FROM run WHERE id = :run AND goal != ''"
        " UNION ALL SELECT 0, 'note', coalesce(closed_at, opened_at), note FROM run WHERE id = :run"
        " AND note != '' UNION ALL SELECT u.turn, 'turn', r.opened_at, u.text FROM user_turn u"
        " JOIN run r ON r.id = u.run_id WHERE u.run_id = :run AND u.text != r.goal"
        " UNION ALL SELECT position, 'step', started_at, tool || ' ' || substr(arguments, 1, :most) || ' ' ||"
        " coalesce(substr(result, 1, :most), (SELECT substr(CAST(substr(body, 1, 4 * :most) AS TEXT), 1, :most)"
        " FROM blob WHERE digest = step.result_blob), '') FROM step WHERE run_id = :run",
        {"run": run_id, "most": MAX_TEXT // 2},
    )
    archived = await transaction.one(
        "SELECT a.digest, a.body FROM run_archive r JOIN archive a ON a.digest = r.digest WHERE r.run_id = ?", (run_id,)
    )
    held = unpacked(*archived) if archived else {}
    for position, kind, at, text in parts:
        if kind == "step" and int(position) in held:
            arguments, result = held[int(position)]
            text = f"{str(text).split(' ', 1)[0]} {arguments[: MAX_TEXT // 2]} {result[: MAX_TEXT // 2]}"
        plain = _unescaped(str(text)) if kind == "step" else str(text)
        number = await transaction.insert(
            "INSERT INTO event (run_id, position, kind, at) VALUES (?,?,?,?)", (run_id, position, kind, at)
        )
        await transaction.execute("INSERT INTO event_text (rowid, content) VALUES (?,?)", (number, plain[:MAX_TEXT]))
    await transaction.execute(
        "INSERT OR REPLACE INTO event_scan (run_id, steps, complete) SELECT id,"
        " (SELECT count(*) FROM step WHERE run_id = :run), status != 'open' FROM run WHERE id = :run",
        {"run": run_id},
    )


def _unescaped(text: str) -> str:
    """JSON as words: what is written as an escape is what it stands for. The text may be cut anywhere."""
    return _ESCAPE.sub(_meant, text)


def _meant(found: re.Match[str]) -> str:
    if found[0][1] in "nrtbf":
        return " "
    return str(json.loads(f'"{found[0]}"')).encode("utf-8", "replace").decode() if found[0][1] == "u" else found[0][1]
