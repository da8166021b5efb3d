"""Who may read and write which volume (seed id L-07): nine cells, held by the volume itself, never by its caller."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from druse.model import Invalid, NotAllowed

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class VolumeKind(StrEnum):
    """The three kinds of volume, from the nearest to the farthest."""

    USER = "user"
    TEAM = "team"
    SYSTEM = "system"


class Role(StrEnum):
    """In which role somebody comes: a user or agent, a team's job or maintainer, the system's."""

    USER = "user"
    TEAM = "team"
    SYSTEM = "system"


_WRITERS = {
    VolumeKind.USER: frozenset({Role.USER, Role.SYSTEM}),
    VolumeKind.TEAM: frozenset({Role.TEAM, Role.SYSTEM}),
    VolumeKind.SYSTEM: frozenset({Role.SYSTEM}),
}


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. `id` is the volume id it belongs to (its user or team); `name` and `email` author its commits."""

    role: Role
    id: str
    name: str
    email: str = ""

    @property
    def mail(self) -> str:
        """An address for git, which wants one."""
        return self.email or f"{self.id}@{self.role}.druse.invalid"

    def __str__(self) -> str:
        return f"{self.name} ({self.role} {self.id})"


@dataclass(frozen=True, slots=True)
class VolumeRef:
    """Which volume. Raises Invalid for an id that could leave the volumes' root or confuse git."""

    kind: VolumeKind
    id: str

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise Invalid(
                f"Cannot open volume {self.kind}:{self.id[:80]!r}: an id is 1 to 64 of a-z, 0-9 and -, and does not "
                "begin with -. Choose another.",
                where="volume",
                problem="bad id",
            )

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> VolumeRef:
        """`user:alice` and the like. Raises Invalid."""
        kind, _, name = text.partition(":")
        if kind not in list(VolumeKind) or not name:
            raise Invalid(f"Cannot open volume {text[:80]!r}: write user:ID, team:ID or system:ID.", where="volume")
        return cls(VolumeKind(kind), name)


def require(ref: VolumeRef, actor: Actor, *, write: bool) -> None:
    """Raises NotAllowed naming actor, volume and needed role, unless the matrix lets the actor in."""
    own = ref.kind is not VolumeKind.USER or actor.role is not Role.USER or actor.id == ref.id
    if own and (not write or actor.role in _WRITERS[ref.kind]):
        return
    needed = f"the user {ref.id} itself" if not own else " or ".join(sorted(_WRITERS[ref.kind]))
    verb = "write" if write else "read"
    raise NotAllowed(
        f"{actor} may not {verb} volume {ref}: that needs the role {needed}. Propose the change with "
        '"druse skills promote", or ask somebody with that role.',
        rule=f"access matrix: {ref.kind}",
        how_to_allow=f"role {needed}",
    )
