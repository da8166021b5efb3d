"""The audit chain: every decision in order, each entry bound to the one before by its hash.

An entry is canonical JSON; its hash covers the previous hash and the entry. The entry of a write is on disk before the
effect begins (D19).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import cast

from druse.model import Caller, Json, JsonObject, StoreDamaged, canonical
from druse.store import Store, Transaction

GENESIS = "sha256:" + "0" * 64
_PAGE = 5000


class AuditChain:
    """Appends to and verifies the chain of one workspace."""

    def __init__(self, store: Store, *, clock: Callable[[], float], instance: str) -> None:
        self._store = store
        self._clock = clock
        self._instance = instance

    async def append(
        self,
        transaction: Transaction,
        action: str,
        subject: str,
        caller: Caller,
        payload: JsonObject,
        *,
        cause: str = "",
    ) -> str:
        """Append one entry inside the caller's transaction; its id. The payload must hold no secret."""
        last = await self._store.audit.last(transaction)
        seq, previous = (last.seq + 1, last.hash) if last else (1, GENESIS)
        entry: JsonObject = {
            "seq": seq,
            "time": round(self._clock(), 6),
            "action": action,
            "subject": subject,
            "actor": str(caller.kind),
            "session": caller.session,
            "client": caller.client,
            "instance": self._instance,
            "cause": cause,
            "payload": payload,
        }
        if caller.tool:
            entry["tool"] = f"{caller.tool} v{caller.version}"
        text = canonical(entry)
        await self._store.audit.append(transaction, seq, text, chained(previous, text))
        return f"a{seq}"

    async def verify(self) -> int:
        """The number of entries, if all are whole and in place. Raises StoreDamaged naming the first that is not."""
        previous, expected = GENESIS, 1
        while True:
            rows = await self._store.audit.page(expected - 1, _PAGE)
            for row in rows:
                if row.seq != expected or _seq_of(row.entry) != expected or chained(previous, row.entry) != row.hash:
                    what = "is missing" if row.seq != expected else "was changed"
                    raise StoreDamaged(
                        f"The audit chain does not verify: entry a{expected} {what}. Nothing before it is touched.",
                        first_bad=f"a{expected}",
                    )
                previous, expected = row.hash, expected + 1
            if len(rows) < _PAGE:
                return expected - 1

    async def newest(self, limit: int = 50) -> list[JsonObject]:
        """The newest entries, oldest first."""
        rows = await self._store.audit.newest(limit)
        return [cast("JsonObject", json.loads(row.entry)) | {"hash": row.hash} for row in rows]


def chained(previous: str, entry: str) -> str:
    """The hash of an entry behind another one."""
    return "sha256:" + hashlib.sha256(f"{previous}\n{entry}".encode()).hexdigest()


def _seq_of(entry: str) -> Json:
    try:
        loaded = json.loads(entry)
    except ValueError:
        return None
    return cast("JsonObject", loaded).get("seq") if isinstance(loaded, dict) else None
