"""What sessions are held to, told to people and to the sessions themselves."""

from __future__ import annotations

from collections.abc import Iterable

from druse.crystal import Shelf
from druse.model import Json, JsonObject
from druse.skills import SkillLibrary, digest_of
from druse.store import Pinned, Store


async def told(
    store: Store, shelf: Shelf, library: SkillLibrary, sessions: Iterable[str] | None = None
) -> list[JsonObject]:
    """The pins of sessions, the newest first; `behind` names what is older than what is in service and still runs."""
    texts = {skill.name: (skill.origin, digest_of(skill.text)) for skill in library.all() if skill.usable}
    return [_told(pinned, shelf, texts) for pinned in await store.pins.known(sessions)]


def _told(pinned: Pinned, shelf: Shelf, texts: dict[str, tuple[str, str]]) -> JsonObject:
    tools: JsonObject = {}
    behind: list[Json] = []
    for name, number in sorted(pinned.tools.items()):
        serving, runs = shelf.get(name), shelf.version(name, number)
        tools[name] = {
            "began_with": number,
            "runs": runs.version if runs is not None else serving.version if serving is not None else None,
            "in_service": serving.version if serving is not None else None,
        }
        if runs is not None and serving is not None and runs.version != serving.version:
            behind.append(f"{name} v{runs.version} (v{serving.version} is in service)")
    changed = [name for name, text in sorted(pinned.skills.items()) if name in texts and texts[name] != text]
    behind += [f"skill {name} as it was" for name in changed]
    return {
        "session": pinned.session,
        "client": pinned.client,
        "began_at": pinned.began_at,
        "tools": tools,
        "skills": {name: {"origin": origin, "text": text} for name, (origin, text) in sorted(pinned.skills.items())},
        "behind": behind,
    }
