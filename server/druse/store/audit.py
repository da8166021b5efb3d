"""The audit tables: entries in order, the roots of full tiles of their Merkle tree, and signed roots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from druse.store.database import Database, Transaction, Value

_MATCHES = {
    "action": "json_extract(entry, '$.action') GLOB ?",
    "actor": "json_extract(entry, '$.actor') = ?",
    "subject": "json_extract(entry, '$.subject') GLOB ?",
    "session": "json_extract(entry, '$.session') = ?",
    "cause": "json_extract(entry, '$.cause') = ?",
    "since": "json_extract(entry, '$.time') >= ?",
    "until": "json_extract(entry, '$.time') < ?",
}


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry as it is stored: its number, its canonical text, its hash."""

    seq: int
    entry: str
    hash: str


@dataclass(frozen=True, slots=True)
class RootRow:
    """A signed root: the number of entries it covers, what is signed, and the signature."""

    size: int
    statement: str
    signature: str


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The end of the chain. `issued` is the highest number ever given out, which a deleted tail does not lower."""

    seq: int  # 0 before the first entry
    hash: str | None
    issued: int


class AuditRepository:
    """Appends and reads; nothing here changes or deletes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def head(self, transaction: Transaction) -> AuditHead:
        """The end of the chain as the transaction sees it."""
        row = await transaction.one(
            "SELECT (SELECT max(seq) FROM audit), (SELECT hash FROM audit ORDER BY seq DESC LIMIT 1),"
            " (SELECT seq FROM sqlite_sequence WHERE name = 'audit')"
        )
        seq, last, issued = row or (None, None, None)
        return AuditHead(seq or 0, last, issued or 0)

    async def newest_text(self, transaction: Transaction) -> str:
        """The text of the newest entry; empty before the first."""
        row = await transaction.one("SELECT entry FROM audit ORDER BY seq DESC LIMIT 1")
        return str(row[0]) if row else ""

    async def issued(self) -> int:
        """The highest entry number ever given out."""
        row = await self._database.one("SELECT seq FROM sqlite_sequence WHERE name = 'audit'")
        return int(row[0]) if row else 0

    async def append(self, transaction: Transaction, row: AuditRow, *, behind: str | None) -> bool:
        """Insert an entry if the newest one still has the hash `behind` (None: if there is none); whether it had."""
        changed = await transaction.execute(
            "INSERT INTO audit (seq, entry, hash) SELECT ?, ?, ?"
            " WHERE (SELECT hash FROM audit ORDER BY seq DESC LIMIT 1) IS ?",
            (row.seq, row.entry, row.hash, behind),
        )
        return changed == 1

    async def page(self, after: int, limit: int, transaction: Transaction | None = None) -> list[AuditRow]:
        """Entries in order, beginning behind number `after`."""
        rows = await (transaction or self._database).all(
            "SELECT seq, entry, hash FROM audit WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
        )
        return [AuditRow(*row) for row in rows]

    async def get(self, seq: int) -> AuditRow | None:
        """One entry."""
        row = await self._database.one("SELECT seq, entry, hash FROM audit WHERE seq = ?", (seq,))
        return AuditRow(*row) if row else None

    async def newest(
        self,
        limit: int,
        matching: Mapping[str, str | float] | None = None,
        transaction: Transaction | None = None,
    ) -> list[AuditRow]:
        """The newest entries that match, oldest first.

        Keys: action and subject (globs), actor, session, cause, since and until (seconds since the epoch).
        """
        given = matching or {}
        # An entry that somebody damaged is no JSON; it must not stop the search for others.
        conditions = ["json_valid(entry)", *(_MATCHES[key] for key in given)]
        values: list[Value] = [*given.values(), limit]
        rows = await (transaction or self._database).all(
            f"SELECT seq, entry, hash FROM audit WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT ?", values
        )
        return [AuditRow(*row) for row in reversed(rows)]

    async def add_tile(self, transaction: Transaction, number: int, root: bytes) -> None:
        """Keep the root over one full tile of entries."""
        await transaction.execute("INSERT OR REPLACE INTO audit_tile (number, root) VALUES (?, ?)", (number, root))

    async def tiles(self, transaction: Transaction | None = None) -> list[tuple[int, bytes]]:
        """All full tiles, in order."""
        rows = await (transaction or self._database).all("SELECT number, root FROM audit_tile ORDER BY number")
        return [(int(row[0]), bytes(row[1])) for row in rows]

    async def add_root(self, transaction: Transaction, root: RootRow) -> None:
        """Keep a signed root."""
        await transaction.execute(
            "INSERT OR IGNORE INTO audit_root (size, statement, signature) VALUES (?, ?, ?)",
            (root.size, root.statement, root.signature),
        )

    async def roots(self, *, after: int = 0, transaction: Transaction | None = None) -> list[RootRow]:
        """Signed roots over more than `after` entries, in order."""
        rows = await (transaction or self._database).all(
            "SELECT size, statement, signature FROM audit_root WHERE size > ? ORDER BY size", (after,)
        )
        return [RootRow(*row) for row in rows]

    async def last_root(self, transaction: Transaction | None = None) -> RootRow | None:
        """The signed root over the most entries."""
        row = await (transaction or self._database).one(
            "SELECT size, statement, signature FROM audit_root ORDER BY size DESC LIMIT 1"
        )
        return RootRow(*row) if row else None
