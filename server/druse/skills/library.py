"""The project's own skills: folders with a SKILL.md, in the Agent Skills format."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from druse.model import NotFound

MAX_SKILL = 64 * 1024


@dataclass(frozen=True, slots=True)
class Skill:
    """One skill; `problem` says why it cannot be used."""

    name: str
    description: str
    text: str
    origin: str
    problem: str = ""


class SkillLibrary:
    """The skills of the project over the ones that ship with Druse; read anew at each call."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> list[Skill]:
        """Every skill, the project's first where two have one name."""
        found: dict[str, Skill] = {}
        for origin, root in (("project", self._folder), ("druse", bundled_skills())):
            for path in sorted(root.glob("*/SKILL.md")) if root.is_dir() else []:
                if path.parent.name not in found and not path.is_symlink() and not path.parent.is_symlink():
                    found[path.parent.name] = _read(path, origin)
        return sorted(found.values(), key=lambda skill: skill.name)

    def load(self, name: str) -> Skill:
        """One skill by name. Raises NotFound with the nearest names."""
        skills = {skill.name: skill for skill in self.all()}
        if name in skills:
            return skills[name]
        nearest = difflib.get_close_matches(name, list(skills), n=3)
        raise NotFound(f"Cannot load skill {name[:80]!r}: there are {', '.join(skills) or 'none'}.", nearest=nearest)


def bundled_skills() -> Path:
    """The skills that ship with Druse: in the wheel, else at the top of the checkout."""
    inside = Path(str(files("druse"))) / "_bundled" / "skills"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[3] / "skills"


def _read(path: Path, origin: str) -> Skill:
    name = path.parent.name
    try:
        if path.stat().st_size > MAX_SKILL:
            return Skill(name, "", "", origin, f"{path}: larger than {MAX_SKILL} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return Skill(name, "", "", origin, f"{path}: {error}")
    head = re.match(r"---\r?\n(.*?)\r?\n---\r?\n", text, re.DOTALL)
    if head is None:
        return Skill(name, "", text, origin, f"{path}:1: there is no front matter between two lines of ---")
    import yaml

    try:
        loaded: Any = yaml.safe_load(head[1])
    except yaml.YAMLError as error:
        return Skill(name, "", text, origin, f"{path}: the front matter is not YAML: {error}")
    fields = cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else {}
    description = fields.get("description")
    if not isinstance(description, str) or not description.strip():
        return Skill(name, "", text, origin, f"{path}: `description` is missing")
    return Skill(name, description.strip(), text, origin)
