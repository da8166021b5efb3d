"""Project memory: the seed's table, where each memory comes from, and full-text search over it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import astuple, dataclass
from typing import TypeAlias

from druse.model import Invalid, digest
from druse.store.database import Database, Row, Transaction
from druse.store.ranked import RankedText

TYPES = ("decision", "pattern", "correction", "architecture")
_COLUMNS = (
    "m.id, m.project_hash, m.memory_type, m.content, m.source_session_id, m.promoted_at, m.relevance_score,"
    " m.expires_at"
)


@dataclass(frozen=True, slots=True)
class Memory:
    """One row. Times in seconds since the epoch; `expires_at` None means that it never expires."""

    id: int
    project_hash: str
    memory_type: str
    content: str
    source_session_id: str
    promoted_at: float
    relevance_score: float
    expires_at: float | None = None

    @property
    def hash(self) -> str:
        """The digest of everything it says."""
        return digest([*astuple(self)])


# Told within the transaction of a change: what was done (memory.kept, memory.forgotten) and the memory as it is now.
Note: TypeAlias = Callable[[Transaction, str, Memory], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a memory comes from: a run and the words there."""

    run_id: str
    quote: str


class MemoryRepository:
    """Reads and writes memories."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._text = RankedText(
            database,
            "memory_text",
            rows="project_memory",
            key="id",
            keep="project_hash = ? AND (expires_at IS NULL OR expires_at > ?)",
        )

    async def add(self, memory: Memory, sources: Sequence[Source], *, note: Note | None = None) -> int:
        """Keep a memory with its sources; its id. The same words of one type are kept once: sources are added then.

        Raises Invalid for an unknown type or a score outside of 0 to 1.
        """
        if memory.memory_type not in TYPES:
            raise Invalid(
                f"Cannot keep a memory of type {memory.memory_type!r}: the types are {', '.join(TYPES)}.",
                where="memory_type",
            )
        if not 0 <= memory.relevance_score <= 1:
            raise Invalid(f"Cannot keep a memory with score {memory.relevance_score}: it is 0 to 1.", where="score")
        async with self._database.transaction() as transaction:
            known = await transaction.one(
                "SELECT id FROM project_memory WHERE project_hash = ? AND memory_type = ? AND content = ?"
                " AND (expires_at IS NULL OR expires_at > ?)",
                (memory.project_hash, memory.memory_type, memory.content, memory.promoted_at),
            )
            if known is None:
                number = await self.insert(transaction, memory)
            else:
                number = int(known[0])
                await transaction.execute(
                    "UPDATE project_memory SET relevance_score = max(relevance_score, ?) WHERE id = ?",
                    (memory.relevance_score, number),
                )
            await transaction.execute_many(
                "INSERT OR IGNORE INTO memory_source (memory_id, run_id, quote) VALUES (?,?,?)",
                [(number, source.run_id, source.quote) for source in sources],
            )
            await self._noted(transaction, "memory.kept", number, note)
        return number

    async def insert(self, transaction: Transaction, memory: Memory) -> int:
        """Insert a memory as it is, inside the caller's transaction; its id."""
        return await transaction.insert(
            "INSERT INTO project_memory (project_hash, memory_type, content, source_session_id, promoted_at,"
            " relevance_score, expires_at) VALUES (?,?,?,?,?,?,?)",
            (
                *(memory.project_hash, memory.memory_type, memory.content, memory.source_session_id),
                *(memory.promoted_at, memory.relevance_score, memory.expires_at),
            ),
        )

    async def list(
        self, project_hash: str, *, now: float, memory_type: str = "", limit: int = 50, expired: bool = False
    ) -> list[Memory]:
        """Memories of a project that have not expired at `now`, most relevant first, ties by recency."""
        rows = await self._database.all(
            f"SELECT {_COLUMNS} FROM project_memory m"
            " WHERE m.project_hash = :project AND (:type = '' OR m.memory_type = :type)"
            " AND (:expired OR m.expires_at IS NULL OR m.expires_at > :now)"
            " ORDER BY m.relevance_score DESC, m.promoted_at DESC, m.id DESC LIMIT :most",
            {"project": project_hash, "type": memory_type, "expired": int(expired), "now": now, "most": limit},
        )
        return [Memory(*row) for row in rows]

    async def get(self, memory_id: int) -> Memory | None:
        """One memory, also an expired one."""
        row = await self._database.one(f"SELECT {_COLUMNS} FROM project_memory m WHERE m.id = ?", (memory_id,))
        return Memory(*row) if row else None

    async def sources(self, memory_id: int) -> list[Source]:
        """Where a memory comes from."""
        rows = await self._database.all(
            "SELECT run_id, quote FROM memory_source WHERE memory_id = ? ORDER BY run_id", (memory_id,)
        )
        return [Source(*row) for row in rows]

    async def search(self, project_hash: str, query: str, *, now: float, limit: int = 10) -> list[Memory]:
        """Memories that have words of a query, best first. Never raises on a user's text."""
        best = await self._text.best(query, limit=limit, values=(project_hash, now))
        marks = ",".join("?" * len(best))
        rows = await self._database.all(
            f"SELECT {_COLUMNS} FROM project_memory m WHERE m.id IN ({marks})", [number for number, _ in best]
        )
        found = {int(row[0]): Memory(*row) for row in rows}
        scored = [(score, found[number]) for number, score in best if number in found]
        return [m for _, m in sorted(scored, key=lambda r: (-round(r[0], 6), -r[1].relevance_score, -r[1].promoted_at))]

    async def expire(self, memory_id: int, *, at: float, note: Note | None = None) -> bool:
        """From then on it is not returned; False for an unknown id."""
        async with self._database.transaction() as transaction:
            changed = await transaction.execute(
                "UPDATE project_memory SET expires_at = ? WHERE id = ?", (at, memory_id)
            )
            if changed:
                await self._noted(transaction, "memory.forgotten", memory_id, note)
        return changed == 1

    async def every(self, page: int) -> AsyncGenerator[Memory]:
        """Every memory of every project, `page` at a time."""
        last = 0
        while rows := await self._database.all(
            f"SELECT {_COLUMNS} FROM project_memory m WHERE m.id > ? ORDER BY m.id LIMIT ?", (last, page)
        ):
            for row in rows:
                yield Memory(*row)
            last = int(rows[-1][0])

    async def _noted(self, transaction: Transaction, action: str, memory_id: int, note: Note | None) -> None:
        row = await transaction.one(f"SELECT {_COLUMNS} FROM project_memory m WHERE m.id = ?", (memory_id,))
        if note is not None and row is not None:
            await note(transaction, action, Memory(*row))

    async def unscanned(self, *, limit: int = 200) -> list[str]:
        """Closed runs that the historian has not looked at, oldest first."""
        rows = await self._database.all(
            "SELECT id FROM run WHERE status != 'open' AND NOT EXISTS (SELECT 1 FROM memory_scan WHERE run_id = run.id)"
            " ORDER BY closed_at, id LIMIT ?",
            (limit,),
        )
        return [str(row[0]) for row in rows]

    async def scanned(self, run_id: str, promoted: int, *, now: float) -> None:
        """The historian has looked at a run."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "INSERT OR REPLACE INTO memory_scan (run_id, scanned_at, promoted) VALUES (?,?,?)",
                (run_id, now, promoted),
            )

    async def sessions_of(self, memory_ids: Sequence[int]) -> dict[int, set[str]]:
        """The sessions that memories come from."""
        marks = ",".join("?" * len(memory_ids))
        rows: list[Row] = await self._database.all(
            "SELECT s.memory_id, coalesce(nullif(r.session, ''), s.run_id) FROM memory_source s"
            f" LEFT JOIN run r ON r.id = s.run_id WHERE s.memory_id IN ({marks})",
            list(memory_ids),
        )
        found: dict[int, set[str]] = {}
        for memory_id, session in rows:
            found.setdefault(int(memory_id), set()).add(str(session))
        return found
