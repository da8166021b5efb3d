"""The context an agent begins with: memory markers and the skills that fit, within a token budget (N-40, L-13).

A token is counted as four characters. Equal state gives equal text: no times, no random order. A quarter of the budget
is for markers; what they leave is for skills, whole texts first as long as they fit, then descriptions only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from druse.memory import MAX_CHARACTERS, Notebook
from druse.model import Json, JsonObject
from druse.skills import Skill, SkillFinder

CHARACTERS_PER_TOKEN = 4
DEFAULT_TOKENS = 2000
MAX_TOKENS = 100_000
SKILLS = 5


@dataclass(frozen=True, slots=True)
class Context:
    """The text, and the skills whose text is in it."""

    text: str
    skills: tuple[Skill, ...]
    markers: int

    @property
    def tokens(self) -> int:
        """An estimate."""
        return -(-len(self.text) // CHARACTERS_PER_TOKEN)

    def as_dict(self) -> JsonObject:
        """For answers."""
        used: list[Json] = [f"{skill.origin}/{skill.name}" for skill in self.skills]
        return {"context": self.text, "skills_used": used, "markers": self.markers, "tokens": self.tokens}


async def build_context(
    notebook: Notebook,
    skills: Sequence[Skill],
    query: str = "",
    *,
    tokens: int = DEFAULT_TOKENS,
    finder: SkillFinder | None = None,
    most: int = SKILLS,
) -> Context:
    """Markers and at most so many skills for a query; without one the most relevant markers and all names."""
    budget = max(0, min(tokens, MAX_TOKENS)) * CHARACTERS_PER_TOKEN
    parts: list[str] = []
    room = min(MAX_CHARACTERS, budget // 4)
    lines: list[str] = []
    for marker in await notebook.markers(query):
        if len(marker["content"]) + 1 <= room:
            lines.append(marker["content"])
            room -= len(marker["content"]) + 1
    if lines:
        parts.append("\n".join(lines))
    left = budget - sum(len(part) + 2 for part in parts)
    whole: list[Skill] = []
    for skill in _ranked(skills, query, finder or SkillFinder(), most):
        body = skill.document.body.strip() if skill.document else ""
        text = f"## Skill: {skill.name}\n\n{skill.description}\n\n{body}"
        short = f"Skill {skill.name}: {skill.description}"
        if query and len(text) + 2 <= left:
            parts.append(text)
            whole.append(skill)
        elif len(short) + 2 <= left:
            text = short
            parts.append(text)
        else:
            continue
        left -= len(text) + 2
    return Context("\n\n".join(parts), tuple(whole), len(lines))


def _ranked(skills: Sequence[Skill], query: str, finder: SkillFinder, most: int) -> list[Skill]:
    """The skills that fit a query best; all by name without one."""
    usable = {f"{skill.origin}/{skill.name}": skill for skill in skills if skill.usable}
    if not query:
        return [usable[key] for key in sorted(usable, key=lambda key: usable[key].name)]
    return [skill for skill, _ in finder.find(list(usable.values()), query, limit=most)] if most else []
