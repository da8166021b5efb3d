"""The historian: reads runs that ended and promotes what is worth remembering (seed id N-26).

Per run at most `MAX_PER_RUN` memories, each with its quote. A run is read once; reading it again adds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from druse.memory.signals import Signal, signals_of, supersedes
from druse.model import Run
from druse.store import Store
from druse.store.memories import Memory, Note, Source

MAX_PER_RUN = 5
LEAST_SCORE = 0.6
SAME = 0.8  # share of words from which on two contents are one memory
LESSON_DAYS = 180  # what was learned from a failing call is forgotten after so long


@dataclass(frozen=True, slots=True)
class Promoted:
    """What one run of the historian did."""

    runs: int
    memories: int
    expired: int


class Historian:
    """Works on one project's memory."""

    def __init__(self, store: Store, project: str, *, clock: Callable[[], float], note: Note | None = None) -> None:
        self._note = note
        self._store = store
        self._project = project
        self._clock = clock

    async def work(self, *, limit: int = 500) -> Promoted:
        """Read what ended since the last time."""
        runs = memories = expired = 0
        for run_id in await self._store.memories.unscanned(limit=limit):
            record = await self._store.runs.get(run_id)
            if record is None:
                continue
            kept = 0
            for signal in signals_of(record.run, record.note)[:MAX_PER_RUN]:
                if signal.score >= LEAST_SCORE:
                    expired += await self._keep(signal, run_id, record.run.session or run_id)
                    kept += 1
            await self._store.memories.scanned(run_id, kept, now=self._clock())
            runs, memories = runs + 1, memories + kept
        return Promoted(runs, memories, expired)

    async def commit(self, commit: str, message: str) -> int:
        """Keep what a commit's message says; how many memories."""
        source = f"commit {commit[:12]}"
        found = [s for s in signals_of(Run(source, user_turns=((0, message),))) if s.score >= LEAST_SCORE][:MAX_PER_RUN]
        for signal in found:
            await self._keep(signal, source, source)
        return len(found)

    async def _keep(self, signal: Signal, run_id: str, session: str) -> int:
        now = self._clock()
        known = await self._store.memories.list(self._project, now=now, memory_type=signal.memory_type, limit=500)
        same = next((m for m in known if alike(m.content, signal.content) >= SAME), None)
        expired = 0
        for memory in known:
            if signal.memory_type == "decision" and supersedes(signal.content, memory.content):
                expired += await self._store.memories.expire(memory.id, at=now, note=self._note)
        learned = signal.memory_type == "correction" and " works; " in signal.content
        made = Memory(
            id=0,
            project_hash=self._project,
            memory_type=signal.memory_type,
            content=same.content if same else signal.content,
            source_session_id=session,
            promoted_at=now,
            relevance_score=signal.score,
            expires_at=now + LESSON_DAYS * 86400 if learned else None,
        )
        await self._store.memories.add(made, [Source(run_id, signal.quote)], note=self._note)
        return expired


def alike(left: str, right: str) -> float:
    """The share of words that two contents have in common."""
    mine, theirs = (set(re.findall(r"[^\W_]+", text.lower())) for text in (left, right))
    return len(mine & theirs) / len(mine | theirs) if mine and theirs else 0.0
