"""A project's memory as Markdown, for people to read; the store stays the source (seed id L-08)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from druse.store.memories import Memory

ORDER = ("decision", "architecture", "pattern", "correction")


def rendered(memories: Sequence[Memory], project: str) -> str:
    """The memories by type and age. Equal memories give equal text; nothing in them can be a heading or a link."""
    lines = [f"# Memory of project {project}", "", "Written by Druse from its store; edits are overwritten.", ""]
    for kind in ORDER:
        rows = sorted((m for m in memories if m.memory_type == kind), key=lambda m: m.id)
        if rows:
            lines += [f"## {kind.capitalize()}", ""]
            lines += [
                f"- {_plain(m.content)} (score {m.relevance_score:.2f}, source {_plain(_source(m))})" for m in rows
            ]
            lines.append("")
    if not memories:
        lines += ["Nothing is remembered.", ""]
    return "\n".join(lines)


def _source(memory: Memory) -> str:
    return memory.source_session_id or "unknown"


def _plain(text: str) -> str:
    """One line whose markup shows instead of acting."""
    return re.sub(r"([\\`*_\[\]<>])", r"\\\1", " ".join(text.split()))
