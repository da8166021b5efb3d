"""Large payloads by their sha256, stored once however many steps hold them (seed id N-35)."""

from __future__ import annotations

import hashlib

from druse.model import StoreDamaged
from druse.store.database import Database, Transaction

INLINE_BYTES = 4096


async def put(transaction: Transaction, body: bytes) -> str:
    """Store `body` unless it is there already; its digest."""
    digest = "sha256:" + hashlib.sha256(body).hexdigest()
    await transaction.execute("INSERT OR IGNORE INTO blob (digest, body) VALUES (?, ?)", (digest, body))
    return digest


async def get(database: Database, digest: str) -> bytes:
    """The payload of a digest. Raises StoreDamaged where it is missing or a byte of it changed."""
    row = await database.one("SELECT body FROM blob WHERE digest = ?", (digest,))
    if row is None or "sha256:" + hashlib.sha256(row[0]).hexdigest() != digest:
        problem = "is missing" if row is None else "does not match its digest"
        raise StoreDamaged(
            f"Cannot read a stored result: payload {digest} {problem}. Its run is not used; delete it with "
            '"druse traces delete".',
            first_bad=digest,
        )
    return row[0]


async def drop_unreferenced(transaction: Transaction) -> int:
    """Delete payloads that no step refers to; how many."""
    return await transaction.execute(
        "DELETE FROM blob WHERE NOT EXISTS (SELECT 1 FROM step WHERE step.result_blob = blob.digest)"
    )
