"""The versions that sessions began with, and the texts of the skills among them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from druse.store.database import Database, Row


@dataclass(frozen=True, slots=True)
class Pinned:
    """What was in service when a session began: version numbers of tools, and origin and digest of skills' texts."""

    session: str
    client: str
    began_at: float
    tools: Mapping[str, int]
    skills: Mapping[str, tuple[str, str]]


class PinRepository:
    """Reads and writes pins."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, pinned: Pinned, texts: Mapping[str, str]) -> Pinned:
        """Note how a session began, unless that is known; what is known. `texts` of skills by digest."""
        now = pinned.began_at
        async with self._database.transaction() as transaction:
            for digest, body in texts.items():
                await transaction.execute(
                    "INSERT OR IGNORE INTO skill_text (digest, body) VALUES (?, ?)", (digest, body)
                )
            await transaction.execute(
                "INSERT INTO session_pin (session, client, began_at, seen_at, tools, skills) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (session) DO UPDATE SET seen_at = max(seen_at, excluded.seen_at)",
                (pinned.session, pinned.client, now, now, json.dumps(pinned.tools), json.dumps(pinned.skills)),
            )
            row = await transaction.one(
                "SELECT session, client, began_at, tools, skills FROM session_pin WHERE session = ?", (pinned.session,)
            )
        return _pinned(row) if row else pinned

    async def known(self, sessions: Iterable[str] | None = None) -> list[Pinned]:
        """The pins of these sessions, or of all, the newest first."""
        rows = await self._database.all(
            "SELECT session, client, began_at, tools, skills FROM session_pin"
            " WHERE ? IS NULL OR session IN (SELECT value FROM json_each(?)) ORDER BY began_at DESC, session",
            (None, "[]") if sessions is None else ("", json.dumps(sorted(sessions))),
        )
        return [_pinned(row) for row in rows]

    async def let_go(self, session: str, tool: str) -> None:
        """Take one tool out of what a session is held to."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "UPDATE session_pin SET tools = json_remove(tools, '$.' || json_quote(?)) WHERE session = ?",
                (tool, session),
            )

    async def release(self, session: str | None) -> int:
        """Forget how a session, or every session, began; how many there were."""
        async with self._database.transaction() as transaction:
            return await transaction.execute(
                "DELETE FROM session_pin WHERE ? IS NULL OR session = ?", (session, session)
            )

    async def prune(self, before: float, keep: Iterable[str]) -> int:
        """Forget sessions not seen since `before`, but those in `keep`, and texts that no session needs; how many."""
        async with self._database.transaction() as transaction:
            gone = await transaction.execute(
                "DELETE FROM session_pin WHERE seen_at < ? AND session NOT IN (SELECT value FROM json_each(?))",
                (before, json.dumps(sorted(keep))),
            )
            if gone:
                await transaction.execute(
                    "DELETE FROM skill_text WHERE digest NOT IN (SELECT json_extract(value, '$[1]')"
                    " FROM session_pin, json_each(session_pin.skills))"
                )
        return gone

    async def texts(self, digests: Iterable[str]) -> dict[str, str]:
        """The texts of these digests, where they are known."""
        rows = await self._database.all(
            "SELECT digest, body FROM skill_text WHERE digest IN (SELECT value FROM json_each(?))",
            (json.dumps(sorted(digests)),),
        )
        return {row[0]: row[1] for row in rows}


def _pinned(row: Row) -> Pinned:
    skills: dict[str, list[str]] = json.loads(row[4])
    return Pinned(row[0], row[1], row[2], json.loads(row[3]), {name: (o, d) for name, (o, d) in skills.items()})
