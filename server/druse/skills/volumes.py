"""All volumes of a user: where they lie, who the user is, and which of them its projects see."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from druse.model import Invalid
from druse.skills.access import Actor, Role, VolumeKind, VolumeRef
from druse.skills.gitvolume import GitVolume

SYSTEM_ID = "main"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this user is among the volumes; an empty team means that it has none."""

    user: str
    team: str = ""


class Volumes:
    """The folder that holds `user/`, `team/` and `system/`. A volume begins with its first use."""

    def __init__(self, root: Path, *, account: str) -> None:
        self.root = root
        self._account = re.sub(r"[^a-z0-9]+", "-", account.lower()).strip("-")[:64].strip("-") or "user"
        self._name = account
        self._open: dict[VolumeRef, GitVolume] = {}

    @property
    def identity(self) -> Identity:
        """From `layers.json`, else the account's name and no team. Raises Invalid for a broken file."""
        path = self.root / "layers.json"
        try:
            loaded: Any = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Identity(self._account)
        except (OSError, ValueError) as error:
            raise Invalid(f"Cannot read {path}: {error}. Correct or remove it.", where=str(path)) from error
        given = cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else {}
        user, team = str(given.get("user") or self._account), str(given.get("team") or "")
        VolumeRef(VolumeKind.USER, user)
        if team:
            VolumeRef(VolumeKind.TEAM, team)
        return Identity(user, team)

    def join(self, ref: VolumeRef) -> Identity:
        """From now on be this user, or belong to this team."""
        if ref.kind is VolumeKind.SYSTEM:
            raise Invalid("Cannot use another system volume: there is one, system:main, for everybody.", where="volume")
        now = self.identity
        changed = Identity(ref.id, now.team) if ref.kind is VolumeKind.USER else Identity(now.user, ref.id)
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = json.dumps({"user": changed.user, "team": changed.team}, indent=2) + "\n"
        (self.root / "layers.json").write_text(text, encoding="utf-8")
        self.open(ref)
        return changed

    def me(self, *, as_agent: str = "") -> Actor:
        """The user as an actor; `as_agent` names the client that acts for it."""
        user = self.identity.user
        name = f"{as_agent} for {user}" if as_agent else self._name
        return Actor(Role.USER, user, name, f"{user}+agent@druse.invalid" if as_agent else "")

    def maintainer(self, ref: VolumeRef, name: str) -> Actor:
        """Somebody who was approved to write to a volume."""
        return Actor(Role(str(ref.kind)), ref.id, name)

    def observer(self, ref: VolumeRef) -> Actor:
        """Somebody who may look at any volume on this machine: its owner."""
        return self.me() if ref.kind is not VolumeKind.USER else Actor(Role.USER, ref.id, self._name)

    def layers(self) -> list[VolumeRef]:
        """The user's, its team's and the system volume, nearest first, also where they do not exist yet."""
        identity = self.identity
        refs = [VolumeRef(VolumeKind.USER, identity.user)]
        if identity.team:
            refs.append(VolumeRef(VolumeKind.TEAM, identity.team))
        return [*refs, VolumeRef(VolumeKind.SYSTEM, SYSTEM_ID)]

    def above(self, ref: VolumeRef) -> VolumeRef:
        """Where a skill of this volume is promoted to. Raises Invalid at the top or without a team."""
        if ref.kind is VolumeKind.USER:
            team = self.identity.team
            if not team:
                raise Invalid(
                    f"Cannot promote from {ref}: you belong to no team. Join one with "
                    '"druse volumes use team:NAME", or name the target with --to.',
                    where="team",
                )
            return VolumeRef(VolumeKind.TEAM, team)
        if ref.kind is VolumeKind.TEAM:
            return VolumeRef(VolumeKind.SYSTEM, SYSTEM_ID)
        raise Invalid(f"Cannot promote from {ref}: there is nothing above the system volume.", where="volume")

    def exists(self, ref: VolumeRef) -> bool:
        """Whether the volume was ever used."""
        return (self.root / str(ref.kind) / ref.id / ".git").is_dir()

    def existing(self) -> list[VolumeRef]:
        """Every volume on disk."""
        found: list[VolumeRef] = []
        for kind in VolumeKind:
            folder = self.root / kind
            for path in sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []:
                if (
                    (path / ".git").is_dir()
                    and not path.is_symlink()
                    and re.fullmatch(r"[a-z0-9][a-z0-9-]*", path.name)
                ):
                    found.append(VolumeRef(kind, path.name))
        return found

    def open(self, ref: VolumeRef) -> GitVolume:
        """A volume, made where it is missing. Access is checked by what is then called."""
        if ref not in self._open or not self.exists(ref):
            self._open[ref] = GitVolume.open(self.root, ref)
        return self._open[ref]
