"""The archive of old runs: their arguments and results, compressed and addressed by content (seed ids N-13, L-31).

A run is archived in one short write, after it was indexed for search and read by the historian; whoever reads the run
afterwards notices nothing. A body is found by the sha256 of its plain text and checked on every read.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from druse.model import StoreDamaged
from druse.store.database import Database, Row, Transaction

_LEVEL = 9
CHANGED = -(2**62)


@dataclass(frozen=True, slots=True)
class Packed:
    """A run ready for the archive. `before` are the bytes it takes now, `events` its steps."""

    run_id: str
    digest: str
    body: bytes
    before: int
    events: int
    seen: str  # what stood there when it was packed


class ArchiveRepository:
    """Moves runs into the archive and reads them there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, *, before: float, limit: int, read: bool = True) -> list[str]:
        """Runs closed before a time and indexed that hold their payloads, oldest first.

        `read`: only those that the historian has read.
        """
        rows = await self._database.all(
            "SELECT r.id FROM run r JOIN event_scan e ON e.run_id = r.id AND e.complete = 1"
            " WHERE r.closed_at < ? AND r.status != 'open'"
            " AND (NOT ? OR EXISTS (SELECT 1 FROM memory_scan m WHERE m.run_id = r.id))"
            " AND EXISTS (SELECT 1 FROM step WHERE run_id = r.id)"
            " AND NOT EXISTS (SELECT 1 FROM run_archive a WHERE a.run_id = r.id) ORDER BY r.closed_at, r.id LIMIT ?",
            (before, int(read), limit),
        )
        return [str(row[0]) for row in rows]

    async def read(self, run_id: str) -> list[Row]:
        """What is to be packed: position, arguments, result and the digest of a large one, its body."""
        return await self._database.all(
            "SELECT position, arguments, result, result_blob, body FROM step LEFT JOIN blob ON digest = result_blob"
            " WHERE run_id = ? ORDER BY position",
            (run_id,),
        )

    async def keep(self, packed: Packed, *, now: float) -> int:
        """Put a packed run in place of its payloads; bytes gained (less than none for tiny runs), or
        CHANGED where the run is not as it was when it was packed.
        """

        async def work(transaction: Transaction) -> int:
            rows = await transaction.all(
                "SELECT position, arguments, result, result_blob FROM step WHERE run_id = ? ORDER BY position",
                (packed.run_id,),
            )
            if _seen(rows) != packed.seen:
                return CHANGED
            new = await transaction.execute(
                "INSERT OR IGNORE INTO archive (digest, body) VALUES (?,?)", (packed.digest, packed.body)
            )
            await transaction.execute(
                "INSERT INTO run_archive (run_id, digest, archived_at) VALUES (?,?,?)",
                (packed.run_id, packed.digest, now),
            )
            await transaction.execute(
                "UPDATE step SET arguments = '{}', result = NULL, result_blob = NULL WHERE run_id = ?", (packed.run_id,)
            )
            freed = packed.before
            for digest in {str(row[3]) for row in rows if row[3]}:
                size = await transaction.one("SELECT length(body) FROM blob WHERE digest = ?", (digest,))
                gone = await transaction.execute(
                    "DELETE FROM blob WHERE digest = :digest"
                    " AND NOT EXISTS (SELECT 1 FROM step WHERE step.result_blob = :digest)",
                    {"digest": digest},
                )
                freed += int(size[0]) if gone and size else 0
            return freed - (len(packed.body) if new > 0 else 0)

        return await self._database.write(work)

    async def of_run(self, run_id: str) -> dict[int, tuple[str, str]] | None:
        """Arguments and result of each step of an archived run, as JSON texts. Raises StoreDamaged."""
        row = await self._database.one(
            "SELECT a.digest, a.body FROM run_archive r JOIN archive a ON a.digest = r.digest WHERE r.run_id = ?",
            (run_id,),
        )
        return unpacked(row[0], row[1]) if row else None

    async def payload(self, digest: str) -> bytes | None:
        """The plain bytes of anything stored by its hash: a large result, or an archived run."""
        row = await self._database.one("SELECT body FROM blob WHERE digest = ?", (digest,))
        if row is not None:
            return checked(digest, row[0])
        row = await self._database.one("SELECT body FROM archive WHERE digest = ?", (digest,))
        return checked(digest, _inflated(digest, row[0])) if row is not None else None

    async def bodies(self, page: int) -> AsyncGenerator[tuple[str, bytes]]:
        """Every archived run's digest and plain text, `page` at a time; what cannot be unpacked as it lies there."""
        last = ""
        while rows := await self._database.all(
            "SELECT digest, body FROM archive WHERE digest > ? ORDER BY digest LIMIT ?", (last, page)
        ):
            for digest, body in rows:
                try:
                    yield digest, zlib.decompress(body)
                except zlib.error:
                    yield digest, body
            last = str(rows[-1][0])

    async def told(self, run_id: str) -> tuple[str, float] | None:
        """Hash and time of an archived run."""
        row = await self._database.one("SELECT digest, archived_at FROM run_archive WHERE run_id = ?", (run_id,))
        return (str(row[0]), float(row[1])) if row else None

    async def free_bytes(self) -> int:
        """Bytes inside the file that hold nothing; new data is put there first."""
        row = await self._database.one("SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size")
        return int(row[0]) if row else 0

    async def shrink(self) -> None:
        """Give free bytes back to the disk. Raises StoreBusy while another process writes."""
        await self._database.all("VACUUM")


def pack(run_id: str, rows: Sequence[Row]) -> Packed:
    """Compress what `read` gave. Raises StoreDamaged where a large result is not what its hash says."""
    steps: list[tuple[int, str, str]] = []
    before = 0
    for position, arguments, result, blob, body in rows:
        text = str(result) if blob is None else checked(str(blob), body).decode("utf-8", "surrogatepass")
        steps.append((int(position), str(arguments), text))
        before += len(arguments) + len(result or "") + (len(blob) if blob else 0)
    plain = json.dumps({"run": run_id, "steps": steps}, separators=(",", ":")).encode()
    digest = "sha256:" + hashlib.sha256(plain).hexdigest()
    return Packed(run_id, digest, zlib.compress(plain, _LEVEL), before, len(steps), _seen([row[:4] for row in rows]))


def unpacked(digest: str, body: bytes) -> dict[int, tuple[str, str]]:
    """Arguments and results of an archived run by the positions of its steps. Raises StoreDamaged."""
    loaded = json.loads(checked(digest, _inflated(digest, body)))
    return {int(position): (str(arguments), str(result)) for position, arguments, result in loaded["steps"]}


def checked(digest: str, plain: bytes | None) -> bytes:
    """The bytes, if their hash is this one. Raises StoreDamaged."""
    if plain is None or "sha256:" + hashlib.sha256(plain).hexdigest() != digest:
        raise StoreDamaged(
            f"Cannot read a stored payload: {digest} is missing or does not match its hash. Its run is not used; "
            'delete it with "druse traces delete", or restore a checkpoint.',
            first_bad=digest,
        )
    return plain


def _inflated(digest: str, body: bytes) -> bytes | None:
    try:
        return zlib.decompress(body)
    except zlib.error:
        return checked(digest, None)


def _seen(rows: Sequence[Row]) -> str:
    return hashlib.sha256(repr([tuple(row) for row in rows]).encode()).hexdigest()
