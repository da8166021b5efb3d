"""What use shows: skills that are ripe for a farther volume, and the readable view of memory in a volume."""

from __future__ import annotations

import asyncio
from pathlib import Path

from druse.model import Caller, DruseError, Invalid
from druse.skills.access import VolumeKind, VolumeRef
from druse.skills.desk import SkillDesk
from druse.skills.filetree import read_file
from druse.skills.volume import Message
from druse.store import Store

# From which use on a promotion is proposed: uses in reported runs, and the share of them that went well (L-28).
RIPE = {VolumeKind.USER: (5, 0.8), VolumeKind.TEAM: (10, 0.9)}


async def high_use(desk: SkillDesk, store: Store, caller: Caller, *kinds: VolumeKind) -> list[str]:
    """Propose what is used often and helps, in volumes of these kinds (none: all); the names. A person approves."""
    counts = await store.skills.counts()
    proposed: list[str] = []
    for skill in desk.library.every():
        count = counts.get(f"{skill.origin}/{skill.name}")
        if skill.ref is None or not skill.usable or count is None or skill.ref.kind not in (kinds or RIPE):
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


async def memory_view(desk: SkillDesk, text: str, project: str) -> str:
    """Put a project's memory, rendered as Markdown, into the user's volume; its path. Equal text changes nothing."""
    ref: VolumeRef = desk.volumes.layers()[0]
    path = f"memory/project-{project}.md"
    there = desk.volumes.root / str(ref.kind) / ref.id / path
    body = text.encode()
    if await asyncio.to_thread(_holds, there, body):
        return path
    volume = desk.volumes.open(ref)
    message = Message(f"Update memory of project {project}")
    await asyncio.to_thread(volume.write_file, path, body, message, desk.volumes.me(as_agent="Druse historian"))
    return path


def _holds(path: Path, body: bytes) -> bool:
    try:
        return read_file(path, len(body) + 1) == body
    except Invalid:
        return False
