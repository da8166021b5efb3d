"""The audit chain: every decision and effect in order, tamper-evident, signed.

The entry of a write is on disk before the effect begins (D19). Several processes may append to one chain. Every
`TILE` entries, and when an instance ends, the root over all entries is signed; signed roots are kept beside the
database as well, so that cutting off the end of both takes two files and leaves whoever copied a root a proof.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from druse.governance.entries import (
    GENESIS,
    TILE,
    entry_id,
    entry_text,
    hash_of,
    parsed,
    root_as_dict,
    root_from_dict,
    root_statement,
)
from druse.governance.integrity import ChainCheck, Verified
from druse.governance.merkle import leaf_hash, root_of
from druse.governance.references import References
from druse.governance.signing import SigningKey
from druse.model import Caller, Invalid, JsonObject
from druse.store import AuditRow, RootRow, Store, Transaction

log = logging.getLogger("druse.governance")

_PAGE = 2000


class AuditChain:
    """Appends to, seals and verifies the chain of one workspace.

    `policy` gives the hash of the rules in force, which every signed root carries; `copy` is the file that keeps a
    second copy of the signed roots.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float],
        key: SigningKey,
        copy: Path | None = None,
        policy: Callable[[], str] = lambda: "",
    ) -> None:
        self._store = store
        self._clock = clock
        self.key = key
        self._copy = copy
        self.policy = policy
        self._head: tuple[int, str | None] | None = None  # what this process believes the newest entry is
        self._appended = False

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
        about: JsonObject = {"time": round(self._clock(), 6), "instance": self.key.instance, "cause": cause}
        while True:
            last, previous = self._head or await self._read_head(transaction)
            seq = last + 1
            text = entry_text(seq, previous or GENESIS, action, subject, caller, payload, about=about)
            row = AuditRow(seq, text, hash_of(text))
            if await self._store.audit.append(transaction, row, behind=previous):
                break
            self._head = None  # another process appended, or this one's last transaction was undone
        self._head = (seq, row.hash)
        self._appended = True
        if seq % TILE == 0:
            await self._sign(transaction, seq, row.hash)
        return entry_id(seq)

    async def record(
        self,
        action: str,
        subject: str,
        caller: Caller,
        payload: JsonObject,
        *,
        durable: bool = False,
        cause: str = "",
    ) -> str:
        """Append one entry in a transaction of its own; `durable` has it on the disk before this returns."""

        async def entry(transaction: Transaction) -> str:
            return await self.append(transaction, action, subject, caller, payload, cause=cause)

        return await self._store.database.write(entry, durable=durable)

    async def seal(self) -> RootRow | None:
        """Sign the root over all entries, if there are any and it is not signed yet; the newest signed root."""
        async with self._store.database.transaction(durable=True) as transaction:
            head = await self._store.audit.head(transaction)
            signed = await self._store.audit.last_root(transaction)
            if head.hash is not None and (signed is None or signed.size < head.seq):
                await self._sign(transaction, head.seq, head.hash)
                signed = await self._store.audit.last_root(transaction)
        await self._copy_roots()
        return signed

    async def close(self) -> None:
        """Sign what this process appended."""
        if self._appended:
            await self.seal()
            self._appended = False

    async def verify(self, progress: Callable[[str, int], None] = lambda _what, _done: None) -> Verified:
        """Check every entry, its place, every signed root, and the rows in other tables that entries speak of.

        `progress` is told now and then what is being checked (entries, steps) and how many were. Raises StoreDamaged
        naming the first bad entry, or the row that no entry speaks of.
        """
        async with self._store.database.snapshot():
            check = ChainCheck([*await self._store.audit.roots(), *self._copied()], self.key.public)
            references = References()
            after = 0
            while rows := await self._store.audit.page(after, _PAGE):
                for row in rows:
                    references.feed(row.seq, check.feed(row))
                after = rows[-1].seq
                progress("entries", after)
            verified = check.finish(await self._store.audit.issued())
            await references.check(self._store, check.tile_roots, lambda done: progress("steps", done))
        return verified

    async def newest(
        self,
        limit: int = 50,
        matching: Mapping[str, str | float] | None = None,
        transaction: Transaction | None = None,
    ) -> list[JsonObject]:
        """The newest entries that match (see `AuditRepository.newest`), oldest first, with their hashes."""
        rows = await self._store.audit.newest(limit, matching, transaction)
        return [parsed(row.entry) | {"hash": row.hash} for row in rows]

    async def newest_time(self, transaction: Transaction) -> float:
        """When the newest entry was written, in seconds since the epoch; 0 before the first."""
        time = parsed(await self._store.audit.newest_text(transaction)).get("time")
        return float(time) if isinstance(time, int | float) else 0.0

    async def get(self, seq: int) -> JsonObject | None:
        """One entry by its number."""
        row = await self._store.audit.get(seq)
        return parsed(row.entry) | {"hash": row.hash} if row else None

    # inside

    async def _read_head(self, transaction: Transaction) -> tuple[int, str | None]:
        head = await self._store.audit.head(transaction)
        # A number is never given out twice: behind a deleted tail there stays a gap for `verify` to find.
        return max(head.seq, head.issued), head.hash

    async def _sign(self, transaction: Transaction, size: int, head: str) -> None:
        """Sign the root over the first `size` entries; `head` is the hash of the last of them."""
        root = await self._root(transaction, size)
        if root is None:
            log.error("The audit chain has a gap before a%d and is not signed. See: druse audit verify", size)
            return
        statement = root_statement(
            size,
            root,
            head,
            time=round(self._clock(), 6),
            policy=self.policy(),
            instance=self.key.instance,
            public=self.key.public,
        )
        await self._store.audit.add_root(transaction, RootRow(size, statement, self.key.sign(statement)))

    async def _root(self, transaction: Transaction, size: int) -> bytes | None:
        """The Merkle root over the first `size` entries; None where entries are missing."""
        full, rest = divmod(size, TILE)
        known = dict(await self._store.audit.tiles(transaction))
        nodes: list[bytes] = []
        for number in range(full):
            root = known.get(number)
            if root is None:
                leaves = await leaves_between(self._store, number * TILE, TILE, transaction)
                if len(leaves) != TILE:
                    return None
                root = root_of(leaves)
                await self._store.audit.add_tile(transaction, number, root)
            nodes.append(root)
        if rest:
            leaves = await leaves_between(self._store, full * TILE, rest, transaction)
            if len(leaves) != rest:
                return None
            nodes.append(root_of(leaves))
        return root_of(nodes)

    async def _copy_roots(self) -> None:
        """Bring the second copy of the signed roots up to date."""
        if self._copy is None:
            return
        last = max((root.size for root in self._copied()), default=0)
        lines = [json.dumps(root_as_dict(root)) for root in await self._store.audit.roots(after=last)]
        if lines:
            descriptor = os.open(self._copy, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                # A line break first: the line before may be half a line, of a process killed while writing it.
                file.write("".join("\n" + line for line in lines))

    def _copied(self) -> Sequence[RootRow]:
        if self._copy is None or not self._copy.exists():
            return ()
        found: list[RootRow] = []
        for line in self._copy.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError, Invalid):
                found.append(root_from_dict(cast("JsonObject", json.loads(line))))
        return found


async def leaves_between(store: Store, after: int, count: int, transaction: Transaction | None = None) -> list[bytes]:
    """The leaf hashes of up to `count` entries behind number `after`; fewer where one is missing or out of place."""
    rows = await store.audit.page(after, count, transaction)
    return [
        leaf_hash(row.entry.encode("utf-8", "surrogatepass"))
        for number, row in enumerate(rows, after + 1)
        if row.seq == number
    ]
