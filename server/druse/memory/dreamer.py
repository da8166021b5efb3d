"""The dreamer: patterns that came up in several sessions, worth a skill (seed id N-27)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from druse.memory.historian import alike
from druse.store import Store
from druse.store.memories import Memory

MIN_SESSIONS = 3
_NEAR = 0.5
_EMPTY = frozenset(
    "a an and always are as at be before by do every for in is it of on or rule the time to we when whenever".split()
)


@dataclass(frozen=True, slots=True)
class Dream:
    """A recurring pattern as the makings of a skill draft."""

    name: str
    description: str
    patterns: tuple[str, ...]
    quotes: tuple[tuple[str, str], ...]  # run id, words
    sessions: int

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs it comes from."""
        return tuple(dict.fromkeys(run_id for run_id, _ in self.quotes))


async def dreams(store: Store, project: str, *, now: float) -> list[Dream]:
    """Patterns and corrections of at least three sessions, alike ones together."""
    memories = [
        *await store.memories.list(project, now=now, memory_type="pattern", limit=500),
        *await store.memories.list(project, now=now, memory_type="correction", limit=500),
    ]
    sessions = await store.memories.sessions_of([memory.id for memory in memories]) if memories else {}
    found: list[Dream] = []
    for group in _groups(memories):
        together: set[str] = set()
        for memory in group:
            together |= sessions.get(memory.id, set())
        if len(together) >= MIN_SESSIONS:
            quotes = [(s.run_id, s.quote) for memory in group for s in await store.memories.sources(memory.id)]
            first = group[0].content
            patterns = tuple(memory.content for memory in group)
            found.append(Dream(_name(first), first[:200], patterns, tuple(sorted(quotes)), len(together)))
    return found


def _groups(memories: list[Memory]) -> list[list[Memory]]:
    groups: list[list[Memory]] = []
    for memory in sorted(memories, key=lambda m: m.id):
        home = next((g for g in groups if alike(g[0].content, memory.content) >= _NEAR), None)
        if home is None:
            groups.append([memory])
        else:
            home.append(memory)
    return groups


def _name(text: str) -> str:
    words = [word for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in _EMPTY]
    return "-".join(words[:5])[:60].strip("-") or "recurring-pattern"
