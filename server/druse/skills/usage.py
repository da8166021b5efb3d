"""What use shows: skills that are ripe for a farther volume, and a readable view of memory beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from druse.model import Caller, DruseError
from druse.skills.access import VolumeKind, VolumeRef
from druse.skills.desk import SkillDesk
from druse.skills.volume import Message
from druse.store import Store
from druse.store.memories import Memory

# From which use on a promotion is proposed: uses in reported runs, and the share of them that went well (L-28).
RIPE = {VolumeKind.USER: (5, 0.8), VolumeKind.TEAM: (10, 0.9)}


async def high_use(desk: SkillDesk, store: Store, caller: Caller) -> list[str]:
    """Propose what is used often and helps; the names. A person approves each."""
    counts = await store.skills.counts()
    proposed: list[str] = []
    for skill in desk.library.every():
        count = counts.get(f"{skill.origin}/{skill.name}")
        if skill.ref is None or not skill.usable or count is None or skill.ref.kind not in RIPE:
            continue
        uses, share = RIPE[skill.ref.kind]
        if count.ended < uses or count.helped < share * count.ended:
            continue
        try:
            reason = f"Used in {count.ended} runs, {count.helped} went well"
            written = await desk.promote(skill.name, desk.volumes.me(), caller, source=skill.ref, reason=reason)
        except DruseError:
            continue  # there is no team, or a proposal of other text waits already
        if written.status == "pending":
            proposed.append(skill.name)
    return proposed


async def memory_view(desk: SkillDesk, memories: Sequence[Memory], project: str) -> str:
    """Write a project's memory as Markdown into the user's volume; its path. The store stays the source (L-08)."""
    lines = [f"# Memory of project {project}", "", "Written by Druse from its store; edits are overwritten.", ""]
    for kind in ("decision", "architecture", "pattern", "correction"):
        rows = [m for m in sorted(memories, key=lambda m: m.id) if m.memory_type == kind]
        if rows:
            lines += [f"## {kind.capitalize()}", ""]
            lines += [f"- {m.content} (score {m.relevance_score:.2f}, source {m.source_session_id})" for m in rows]
            lines.append("")
    ref: VolumeRef = desk.volumes.layers()[0]
    path = f"memory/project-{project}.md"
    volume = desk.volumes.open(ref)
    message = Message(f"Update memory of project {project}")
    body = "\n".join(lines).encode()
    await asyncio.to_thread(volume.write_file, path, body, message, desk.volumes.me(as_agent="Druse historian"))
    return path
