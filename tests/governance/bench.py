"""A store in a folder of its own, with a clock that the test turns."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from druse.governance import Approvals, AuditChain, SigningKey
from druse.model import Caller, CallerKind
from druse.store import Store

AGENT = Caller(CallerKind.AGENT, session="s1", connection="c1", client="claude-code 2.1")
PERSON = Caller(CallerKind.PERSON, session="cli", connection="cli", client="ada (cli)")


@dataclass
class Clock:
    now: float = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Bench:
    """One workspace's governance."""

    folder: Path
    store: Store
    clock: Clock
    chain: AuditChain
    approvals: Approvals
    ids: list[str] = field(default_factory=list)

    async def write(self, count: int, action: str = "call.begin") -> None:
        async with self.store.database.transaction() as transaction:
            for number in range(count):
                self.clock.now += 0.25
                await self.chain.append(transaction, action, f"shop__tool_{number % 7}", AGENT, {"number": number})

    def tamper(self, *statements: str) -> None:
        """Edit the database by hand, as somebody with the file can."""
        connection = sqlite3.connect(self.folder / "druse.db")
        try:
            for statement in statements:
                assert connection.execute(statement).rowcount != 0, statement
            connection.commit()
        finally:
            connection.close()


def chain_over(store: Store, folder: Path, clock: Clock) -> AuditChain:
    key = SigningKey.from_file(folder / "keys" / "audit.key")
    return AuditChain(store, clock=clock, key=key, copy=folder / "audit.roots")
