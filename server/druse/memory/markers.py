"""Memory markers: what of project memory is put into a context, in the seed's exact form (seed id N-28)."""

from __future__ import annotations

from collections.abc import Sequence

from druse.store.memories import Memory

MAX_MARKERS = 10
MAX_CHARACTERS = 2000


def marker(memory: Memory) -> dict[str, str]:
    """One memory as a system message."""
    content = memory.content.strip().rstrip(".")
    text = f"[MEMORY MARKER] {memory.memory_type.capitalize()}: {content}. Source: {memory.source_session_id}."
    return {"role": "system", "content": text}


def markers(
    memories: Sequence[Memory], *, count: int = MAX_MARKERS, characters: int = MAX_CHARACTERS
) -> list[dict[str, str]]:
    """The first markers that fit; one that does not fit is left out whole, later ones may still fit."""
    chosen: list[dict[str, str]] = []
    left = characters
    for memory in memories:
        if len(chosen) == count:
            break
        made = marker(memory)
        if len(made["content"]) <= left:
            chosen.append(made)
            left -= len(made["content"])
    return chosen
