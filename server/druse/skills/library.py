"""The skills a project sees: its own folder over the user's, the team's and the system volume, and those of Druse.

Where two have one name the nearer wins, and says which it hides. The cache is keyed by git's HEAD and by file times,
so that what an editor saves, or another process commits, is there at the next look (seed ids L-09, L-32, L-42).
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from druse.model import DruseError, Invalid, NotFound, visible
from druse.skills.access import VolumeKind, VolumeRef
from druse.skills.document import MAX_TEXT, SkillDocument, parse, render
from druse.skills.filetree import folder_stamp, read_file, read_folder
from druse.skills.lookalikes import twin
from druse.skills.volume import StoredSkill
from druse.skills.volumes import Volumes

PROJECT, BUNDLED = "project", "druse"


@dataclass(frozen=True, slots=True)
class Skill:
    """One skill. `text` is its strict form; `problem` says why it cannot be used, with file and line."""

    name: str
    description: str
    text: str
    origin: str  # project, user, team, system or druse
    problem: str = ""
    status: str = "active"  # active, draft, unapproved, retired, invalid
    document: SkillDocument | None = None
    ref: VolumeRef | None = None  # the volume, if it lies in one
    shadows: tuple[str, ...] = ()  # farther layers that have a skill of this name
    raw: str = ""  # as it lies there

    @property
    def uri(self) -> str:
        """Where it is served."""
        return f"skill://{self.origin}/{self.name}/SKILL.md"

    @property
    def usable(self) -> bool:
        """Whether it may be given to an agent."""
        return self.status == "active"


@functools.lru_cache(maxsize=4096)
def digest_of(text: str) -> str:
    """What tells texts of skills apart."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def as_of(skill: Skill, text: str) -> Skill:
    """A skill with an earlier text of its own."""
    document = parse(text, where=skill.uri)
    return replace(skill, text=text, description=document.description, document=document)


class SkillLibrary:
    """The layers of one project."""

    def __init__(self, folder: Path, volumes: Volumes | None = None) -> None:
        self._folder = folder
        self.volumes = volumes
        self._held: tuple[tuple[object, ...], list[Skill]] | None = None

    def stamp(self) -> tuple[object, ...]:
        """Changes whenever a skill of any layer does."""
        stamps: list[object] = [folder_stamp(self._folder)]
        for ref in self._refs():
            try:
                stamps.append((str(ref), self._volumes().open(ref).stamp()))
            except DruseError as error:
                stamps.append((str(ref), str(error)))
        return tuple(stamps)

    def all(self) -> list[Skill]:
        """Every usable skill and every broken one, the nearest where several layers have one name."""
        return [skill for skill in self.every() if skill.usable or skill.status == "invalid"]

    def every(self) -> list[Skill]:
        """Also drafts, retired and unapproved ones; sorted by name."""
        stamp = self.stamp()
        if self._held is None or self._held[0] != stamp:
            self._held = (stamp, self._merge(self._read()))
        return self._held[1]

    def load(self, name: str) -> Skill:
        """One skill by name, or by `ORIGIN/NAME`. Raises NotFound with the nearest names, Invalid for a broken one."""
        origin, _, short = name.rpartition("/")
        found = [s for s in (self._read() if origin else self.every()) if s.name == short and origin in ("", s.origin)]
        if not found:
            names = [skill.name for skill in self.all() if skill.usable]
            nearest = difflib.get_close_matches(short, names, n=3)
            known = ", ".join(nearest or names[:20]) or "none"
            raise NotFound(
                f"Cannot load skill {name[:80]!r}: there are {known}. Search with find_tools.", nearest=nearest
            )
        skill = found[0]
        if not skill.usable:
            why = skill.problem or _WHY.get(skill.status, skill.status)
            raise Invalid(
                f"Cannot load skill {skill.origin}/{skill.name}: {why}.",
                where=skill.uri,
                problem=skill.problem or skill.status,
            )
        return skill

    def files_of(self, skill: Skill) -> dict[str, bytes]:
        """The files of a skill as they are served: SKILL.md in its strict form, others as they are."""
        served = {"SKILL.md": skill.text.encode()}
        if skill.ref is not None:
            volumes = self._volumes()
            return {**volumes.open(skill.ref).skill_files(skill.name, volumes.me()), **served}
        folder = (self._folder if skill.origin == PROJECT else bundled_skills()) / skill.name
        return {**read_folder(folder), **served} if folder.is_dir() and not folder.is_symlink() else served

    def folders(self) -> list[Path]:
        """Where a dropped file is a new skill."""
        volumes = [self._volumes().root / str(ref.kind) / ref.id / "skills" for ref in self._refs()]
        return [folder for folder in (self._folder, *volumes) if folder.is_dir()]

    # inside

    def _volumes(self) -> Volumes:
        if self.volumes is None:
            raise NotFound("There are no volumes here.")
        return self.volumes

    def _refs(self) -> list[VolumeRef]:
        return [ref for ref in self.volumes.layers() if self.volumes.exists(ref)] if self.volumes else []

    def _read(self) -> list[Skill]:
        """All skills of all layers, nearest layer first."""
        found = [_skill(stored, PROJECT, None) for stored in _of_folder(self._folder)]
        for ref in self._refs():
            volumes = self._volumes()
            try:
                found += [_skill(s, str(ref.kind), ref) for s in volumes.open(ref).list_skills(volumes.me())]
            except DruseError as error:  # one broken volume does not take the others with it
                found.append(_skill(StoredSkill(str(ref), "", False, "", str(error)), str(ref.kind), ref))
        found += [_skill(stored, BUNDLED, None) for stored in _of_folder(bundled_skills())]
        names = {skill.name for skill in found if skill.usable and skill.name.isascii()}
        return [_unmasked(skill, twin(skill.name, names)) for skill in found]

    def _merge(self, found: Iterable[Skill]) -> list[Skill]:
        nearest: dict[str, Skill] = {}
        for skill in found:
            held = nearest.get(skill.name)
            if held is None:
                nearest[skill.name] = skill
            elif held.usable or not skill.usable:
                nearest[skill.name] = replace(held, shadows=(*held.shadows, skill.origin))
            else:  # a draft or a broken text does not hide a good one of a farther layer
                nearest[skill.name] = replace(skill, shadows=(*held.shadows, held.origin))
        return [nearest[name] for name in sorted(nearest)]


_WHY = {
    "draft": 'it is a draft that a person has not approved; see "druse approvals list"',
    "unapproved": "its text is not the one that was approved for this volume",
    "retired": "it was retired",
}


def _unmasked(skill: Skill, other: str) -> Skill:
    """The skill; not in service where its name looks like the name of another one."""
    if not other:
        return skill
    return replace(skill, status="invalid", problem=f"the letters of its name only look like {other!r}; rename it")


def bundled_skills() -> Path:
    """The skills that ship with Druse: in the wheel, else at the top of the checkout."""
    inside = Path(str(files("druse"))) / "_bundled" / "skills"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[3] / "skills"


def _of_folder(folder: Path) -> list[StoredSkill]:
    """Skills of a plain folder: `NAME/SKILL.md` or `NAME.md`."""
    found: dict[str, StoredSkill] = {}
    if not folder.is_dir() or folder.is_symlink():
        return []
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        path = Path(entry.path)
        if entry.is_symlink() or entry.name.startswith(".") or entry.name.lower() == "readme.md":
            continue
        name = entry.name.removesuffix(".md")
        if entry.is_dir(follow_symlinks=False):
            path = path / "SKILL.md"
        elif name == entry.name:
            continue
        stored = _stored(name, path)
        if stored is not None:
            found.setdefault(name, stored)
    return list(found.values())


def _stored(name: str, path: Path) -> StoredSkill | None:
    try:
        body = read_file(path, MAX_TEXT)
        return None if body is None else StoredSkill(name, body.decode("utf-8"), True, str(path))
    except Invalid as error:
        return StoredSkill(name, "", False, str(path), str(error))
    except UnicodeDecodeError as error:
        return StoredSkill(name, "", False, str(path), f"{path}:1: it is not UTF-8 at byte {error.start}")


def _skill(stored: StoredSkill, origin: str, ref: VolumeRef | None) -> Skill:
    # A file's name can be any bytes: what is no text is written out, as it goes into answers and into the store.
    stored = replace(stored, id=visible(stored.id).replace("\n", "\\n"), problem=visible(stored.problem))
    where = visible(f"{ref}/{stored.path}" if ref else stored.path)
    problem, document = stored.problem, None
    if not problem:
        try:
            document = parse(stored.text, where=where, folder=stored.id if stored.path.endswith("/SKILL.md") else "")
        except Invalid as error:
            problem = f"{error.where}: {error.problem}"
    if document is None:
        return Skill(stored.id, "", stored.text, origin, problem, "invalid", None, ref, raw=stored.text)
    text = stored.text if document.strict and stored.path.endswith("/SKILL.md") else render(document)
    status = document.own("status") or "active"
    if ref is not None and ref.kind is not VolumeKind.USER and not stored.committed:
        status = "unapproved"
    elif status not in ("active", "draft", "retired"):
        status = "draft"
    name = stored.id if stored.path.endswith("/SKILL.md") else document.name
    return Skill(name, document.description, text, origin, "", status, document, ref, raw=stored.text)
