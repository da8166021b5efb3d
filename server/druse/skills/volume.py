"""What a volume is: a place for skills, traces and memory with a history (seed ids L-01 to L-08, L-43).

Any class with these methods that passes `tests/skills/test_volumes.py` is a volume. Every method names its actor and
checks the access matrix itself. A change is one commit; a proposal is a branch, and merging it is its approval.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from druse.model import DruseError, Invalid, NotFound
from druse.skills.access import Actor, VolumeRef
from druse.skills.lookalikes import device

AREAS = ("skills", "traces", "memory")
MAX_FILE = 4 * 1024 * 1024  # bytes of one file beside a SKILL.md
MAX_FILES = 512  # of one skill

_PART = re.compile(r"[^\x00-\x1f/\\:*?\"<>|]{1,120}")


class Conflict(DruseError):
    """Somebody else changed the same text; nothing was written. `diff` shows both sides."""

    kind = "conflict"

    def __init__(self, message: str, *, diff: str) -> None:
        super().__init__(message)
        self.diff = diff


@dataclass(frozen=True, slots=True)
class Message:
    """A commit message: exact subject, body, and trailers that say where the change comes from."""

    subject: str
    body: str = ""
    trailers: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """As git stores it."""
        parts = [_line(self.subject), self.body.replace("\x00", "").strip()]
        parts.append("\n".join(f"{key}: {_line(value)}" for key, value in self.trailers))
        return "\n\n".join(part for part in parts if part) + "\n"


@dataclass(frozen=True, slots=True)
class Commit:
    """One change. `at` in seconds since the epoch."""

    id: str
    subject: str
    body: str
    author: str
    email: str
    at: float
    trailers: Mapping[str, str] = field(default_factory=dict[str, str])
    signed: bool = False


@dataclass(frozen=True, slots=True)
class StoredSkill:
    """A SKILL.md as it lies there. `committed` is False for a text that is not the one of the last commit."""

    id: str
    text: str
    committed: bool
    path: str
    problem: str = ""  # why it could not be read at all


@dataclass(frozen=True, slots=True)
class Proposal:
    """A skill that waits on a branch."""

    branch: str
    skill_id: str
    subject: str
    author: str
    at: float
    diff: str
    commit: str


class Volume(Protocol):
    """One volume. Names of the seed where it has them. All methods raise NotAllowed by the access matrix."""

    @property
    def ref(self) -> VolumeRef:
        """Which one it is."""
        ...

    def write_skill(
        self, skill_id: str, content: str, commit_message: Message, actor: Actor, *, expected: str | None = None
    ) -> str:
        """Save a SKILL.md as one commit; its id, empty where nothing changed.

        `expected` is the text the writer started from: if another stands there now, Conflict is raised. Without it the
        later writer wins, and the text it replaces is in the history in any case.
        """
        ...

    def read_skill(self, skill_id: str, actor: Actor, *, revision: str = "") -> str:
        """The text of a skill, now or at a revision. Raises NotFound with the nearest ids."""
        ...

    def list_skills(self, actor: Actor) -> list[StoredSkill]:
        """Every skill, sorted by id, with what cannot be read."""
        ...

    def skill_files(self, skill_id: str, actor: Actor) -> dict[str, bytes]:
        """All files of a skill by their path inside its folder, SKILL.md among them."""
        ...

    def files_at(self, revision: str, skill_id: str, actor: Actor) -> dict[str, bytes]:
        """The files of a skill at a revision, also one that is proposed only; none where it is not there."""
        ...

    def write_file(self, path: str, content: bytes, message: Message, actor: Actor) -> str:
        """Save any file under skills/, traces/ or memory/ as one commit; its id, empty where nothing changed."""
        ...

    def commit_changes(self, message: Message, actor: Actor, paths: Sequence[str]) -> str:
        """Commit what an editor left in the named paths, and nothing else; empty where nothing changed."""
        ...

    def get_git_log(self, limit: int, actor: Actor, *, path: str = "") -> list[Commit]:
        """The newest changes; an empty volume has none."""
        ...

    def propose(self, branch: str, skill_id: str, files: Mapping[str, bytes], message: Message, actor: Actor) -> str:
        """Put files of a skill on a branch; reading rights are enough, since nothing is served from it."""
        ...

    def proposals(self, actor: Actor) -> list[Proposal]:
        """What waits to be merged."""
        ...

    def merge(self, branch: str, message: Message, actor: Actor) -> str:
        """Take a proposal over; the new commit. Raises Conflict, NotFound."""
        ...

    def discard(self, branch: str, actor: Actor) -> None:
        """Forget a proposal."""
        ...

    def stamp(self) -> tuple[object, ...]:
        """Changes whenever the history or a file does; what caches are keyed by (seed id L-32)."""
        ...


def check_path(path: str) -> tuple[str, ...]:
    """The parts of a path inside a volume. Raises Invalid for anything that could leave it or its three areas."""
    parts = tuple(path.split("/"))
    bad = len(parts) < 2 or parts[0] not in AREAS or len(path) > 400
    if bad or any(not _PART.fullmatch(part) or part.startswith(".") or part.endswith((".", " ")) for part in parts):
        raise Invalid(
            f"Cannot use the path {path[:120]!r} in a volume: it is skills/, traces/ or memory/ and then plain names.",
            where="path",
            problem="bad path",
        )
    return parts


def check_portable(path: str) -> None:
    """Raises Invalid for a path that cannot be on every system a volume is copied to."""
    taken = next((part for part in path.split("/") if device(part.split(".")[0])), "")
    if taken:
        raise Invalid(
            f"Cannot write {path[:120]!r}: Windows takes {taken!r} for a device, and whoever has the volume there "
            "could not pull it. Choose another name.",
            where="name",
            problem="bad name",
        )


def check_skill_id(skill_id: str) -> str:
    """The id, if it is one. Raises Invalid."""
    if not re.fullmatch(r"[^\W_]+(?:-[^\W_]+)*", skill_id) or skill_id != skill_id.lower() or len(skill_id) > 64:
        raise Invalid(
            f"Cannot use {skill_id[:80]!r} as a skill's name: it is 1 to 64 lower case letters, digits and single "
            "inner hyphens.",
            where="name",
            problem="bad name",
        )
    return skill_id


def check_branch(branch: str) -> str:
    """The branch name of a proposal. Raises Invalid."""
    if not re.fullmatch(r"pr/[a-z0-9][a-z0-9-]{0,63}/[^\W_]+(?:-[^\W_]+)*", branch):
        raise Invalid(f"Cannot use {branch[:120]!r} as a proposal: it is pr/OWNER/SKILL.", where="branch")
    return branch


def no_skill(ref: VolumeRef, skill_id: str, known: Sequence[str]) -> NotFound:
    """The error for an unknown id."""
    import difflib

    nearest = difflib.get_close_matches(skill_id, list(known), n=3)
    hint = f"the nearest are {', '.join(nearest)}" if nearest else f"there are {len(known)} others"
    return NotFound(f"Cannot find skill {skill_id[:80]!r} in {ref}: {hint}. See druse skills list.", nearest=nearest)


def no_proposal(ref: VolumeRef, branch: str) -> NotFound:
    """The error for an unknown branch."""
    return NotFound(f"Cannot find proposal {branch[:120]!r} in {ref}. See druse volumes proposals {ref}.")


def _line(text: str) -> str:
    return " ".join(text.replace("\x00", "").split())
