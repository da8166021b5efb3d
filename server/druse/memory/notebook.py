"""Project memory as its readers and writers use it."""

from __future__ import annotations

from collections.abc import Callable

from druse.governance import AuditChain
from druse.memory.historian import Historian, Promoted
from druse.memory.markers import markers
from druse.model import Caller, CallerKind, Invalid, JsonObject, NotFound
from druse.store import Store, Transaction
from druse.store.events import Event
from druse.store.memories import Memory, Note, Source

HISTORIAN = Caller(CallerKind.JOB, session="jobs", connection="jobs", client="historian")


class Notebook:
    """The memory of one project. `project` is its hash."""

    def __init__(
        self,
        store: Store,
        project: str,
        *,
        clock: Callable[[], float],
        shown: bool = True,
        audit: AuditChain | None = None,
    ) -> None:
        """With `audit` every change is an entry, in the transaction of the change."""
        self._audit = audit
        self._store = store
        self.project = project
        self._clock = clock
        self._shown = shown  # False: memory is switched off, and no context has markers

    async def add(
        self,
        memory_type: str,
        content: str,
        *,
        source: str,
        score: float = 1.0,
        expires_at: float | None = None,
        supersedes: int | None = None,
        caller: Caller = HISTORIAN,
    ) -> Memory:
        """Keep a memory by hand. Raises Invalid, and NotFound for a superseded one that is not there."""
        plain = " ".join(content.split())
        if not 3 <= len(plain) <= 2000:
            raise Invalid("Cannot keep this memory: its text is 3 to 2000 characters.", where="content")
        now = self._clock()
        if supersedes is not None:
            await self.forget(supersedes, caller)
        made = Memory(0, self.project, memory_type, plain, source, now, score, expires_at)
        number = await self._store.memories.add(made, [Source(source, plain)], note=self._note(caller))
        kept = await self._store.memories.get(number)
        assert kept is not None
        return kept

    async def forget(self, memory_id: int, caller: Caller = HISTORIAN) -> None:
        """Let a memory expire now. Raises NotFound."""
        if not await self._store.memories.expire(memory_id, at=self._clock(), note=self._note(caller)):
            raise NotFound(f"Cannot forget memory {memory_id}: there is none of that id. See druse memory list.")

    async def list(self, *, memory_type: str = "", limit: int = 50, expired: bool = False) -> list[Memory]:
        """What is remembered, most relevant first."""
        return await self._store.memories.list(
            self.project, now=self._clock(), memory_type=memory_type, limit=limit, expired=expired
        )

    async def search(self, query: str, *, limit: int = 10) -> list[Memory]:
        """Memories with words of a query."""
        return await self._store.memories.search(self.project, query, now=self._clock(), limit=limit)

    async def events(self, query: str, *, limit: int = 10) -> list[Event]:
        """Recorded events with words of a query; what is not indexed yet is, first."""
        await self._store.events.index()
        return await self._store.events.search(query, limit=limit)

    async def markers(self, query: str = "") -> list[dict[str, str]]:
        """The markers of a context: what fits a query first, then what is most relevant."""
        if not self._shown:
            return []
        fitting = await self.search(query, limit=10) if query else []
        held = {memory.id for memory in fitting}
        return markers([*fitting, *(m for m in await self.list(limit=30) if m.id not in held)])

    async def remember_commit(self, commit: str, message: str) -> int:
        """Let the historian read a commit's message; how many memories it kept."""
        return await self._historian(HISTORIAN).commit(commit, message)

    async def remember(self, caller: Caller = HISTORIAN) -> Promoted:
        """Let the historian read what ended."""
        return await self._historian(caller).work()

    def _historian(self, caller: Caller) -> Historian:
        return Historian(self._store, self.project, clock=self._clock, note=self._note(caller))

    def _note(self, caller: Caller) -> Note | None:
        audit = self._audit
        if audit is None:
            return None

        async def entry(transaction: Transaction, action: str, memory: Memory) -> None:
            payload: JsonObject = {"type": memory.memory_type, "source": memory.source_session_id, "hash": memory.hash}
            await audit.append(transaction, action, str(memory.id), caller, payload, cause=caller.cause)

        return entry
