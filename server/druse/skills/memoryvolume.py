"""A volume held in memory: for embedding and for tests; what it holds ends with the process."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from druse.model import Invalid, NotFound
from druse.skills.access import Actor, VolumeRef, require
from druse.skills.document import MAX_TEXT
from druse.skills.githistory import text_diff
from druse.skills.volume import (
    MAX_FILE,
    Commit,
    Conflict,
    Message,
    Proposal,
    StoredSkill,
    check_branch,
    check_path,
    check_portable,
    check_skill_id,
    no_proposal,
    no_skill,
)

_Files = dict[str, bytes]


class MemoryVolume:
    """Files, commits and branches in dictionaries."""

    def __init__(self, ref: VolumeRef, *, clock: Callable[[], float] = time.time) -> None:
        self._ref = ref
        self._clock = clock
        self._files: _Files = {}
        self._commits: list[tuple[Commit, _Files, tuple[str, ...]]] = []
        self._branches: dict[str, tuple[Commit, _Files, _Files]] = {}  # commit, base, proposed files
        self._turn = threading.RLock()

    @property
    def ref(self) -> VolumeRef:
        """Which one it is."""
        return self._ref

    def write_skill(
        self, skill_id: str, content: str, commit_message: Message, actor: Actor, *, expected: str | None = None
    ) -> str:
        """Save a SKILL.md as one commit; its id, empty where nothing changed."""
        path = f"skills/{check_skill_id(skill_id)}/SKILL.md"
        check_portable(path)
        require(self._ref, actor, write=True)
        with self._turn:
            there = self._files.get(path)
            if expected is not None and there != expected.encode():
                raise Conflict(
                    f"Cannot save skill {skill_id!r} in {self._ref}: somebody changed it since you read it. Put both "
                    "texts together and save again.",
                    diff=text_diff((there or b"").decode(), content),
                )
            return self._save({path: content.encode()}, commit_message, actor)

    def read_skill(self, skill_id: str, actor: Actor, *, revision: str = "") -> str:
        """The text of a skill, now or at a revision. Raises NotFound with the nearest ids."""
        require(self._ref, actor, write=False)
        path = f"skills/{check_skill_id(skill_id)}/SKILL.md"
        files = self._files
        if revision:
            held = [files for commit, files, _ in self._commits if commit.id == revision]
            if not held or path not in held[0]:
                raise NotFound(f"Cannot read skill {skill_id!r} of {self._ref} at {revision[:60]!r}: it is not there.")
            files = held[0]
        if path not in files:
            raise no_skill(self._ref, skill_id, [skill.id for skill in self.list_skills(actor)])
        return files[path].decode()

    def list_skills(self, actor: Actor) -> list[StoredSkill]:
        """Every skill, sorted by id."""
        require(self._ref, actor, write=False)
        paths = [path for path in self._files if path.startswith("skills/") and path.endswith("/SKILL.md")]
        return [
            StoredSkill(path.split("/")[1], self._files[path].decode("utf-8", "replace"), True, path)
            for path in sorted(paths)
        ]

    def skill_files(self, skill_id: str, actor: Actor) -> dict[str, bytes]:
        """All files of a skill by their path inside its folder."""
        self.read_skill(skill_id, actor)
        prefix = f"skills/{skill_id}/"
        return {path.removeprefix(prefix): body for path, body in self._files.items() if path.startswith(prefix)}

    def files_at(self, revision: str, skill_id: str, actor: Actor) -> dict[str, bytes]:
        """The files of a skill at a revision, also one that is proposed only; none where it is not there."""
        require(self._ref, actor, write=False)
        held = [files for commit, files, _ in self._commits if commit.id == revision]
        held += [{**base, **changed} for commit, base, changed in self._branches.values() if commit.id == revision]
        prefix = f"skills/{check_skill_id(skill_id)}/"
        found = held[0] if held else {}
        return {path.removeprefix(prefix): body for path, body in found.items() if path.startswith(prefix)}

    def write_file(self, path: str, content: bytes, message: Message, actor: Actor) -> str:
        """Save any file under skills/, traces/ or memory/ as one commit; its id, empty where nothing changed."""
        check_path(path)
        check_portable(path)
        require(self._ref, actor, write=True)
        with self._turn:
            return self._save({path: content}, message, actor)

    def commit_changes(self, message: Message, actor: Actor, paths: Sequence[str]) -> str:
        """There is no working tree an editor could change: nothing to commit."""
        require(self._ref, actor, write=True)
        for path in paths:
            check_path(path)
        return ""

    def get_git_log(self, limit: int, actor: Actor, *, path: str = "") -> list[Commit]:
        """The newest changes."""
        require(self._ref, actor, write=False)
        fitting = [
            c for c, _, changed in reversed(self._commits) if not path or any(p.startswith(path) for p in changed)
        ]
        return fitting[: max(0, limit)]

    def propose(self, branch: str, skill_id: str, files: Mapping[str, bytes], message: Message, actor: Actor) -> str:
        """Put files of a skill on a branch."""
        require(self._ref, actor, write=False)
        check_branch(branch)
        check_skill_id(skill_id)
        changed = {f"skills/{skill_id}/{name}": body for name, body in files.items()}
        for path in changed:
            check_path(path)
            check_portable(path)
        with self._turn:
            commit = self._commit_of(message, actor, changed)
            self._branches[branch] = (commit, dict(self._files), changed)
            return commit.id

    def proposals(self, actor: Actor) -> list[Proposal]:
        """What waits to be merged."""
        require(self._ref, actor, write=False)
        return [
            Proposal(name, name.rsplit("/", 1)[-1], c.subject, c.author, c.at, self._diff(changed), c.id)
            for name, (c, _, changed) in sorted(self._branches.items())
        ]

    def merge(self, branch: str, message: Message, actor: Actor) -> str:
        """Take a proposal over; the new commit. Raises Conflict, NotFound."""
        require(self._ref, actor, write=True)
        with self._turn:
            if check_branch(branch) not in self._branches:
                raise no_proposal(self._ref, branch)
            _, base, changed = self._branches[branch]
            clash = [p for p, body in changed.items() if self._files.get(p) not in (base.get(p), body)]
            if clash:
                raise Conflict(
                    f"Cannot merge {branch} into {self._ref}: {', '.join(clash)} changed there meanwhile. Propose it "
                    "again from the present text, or discard the proposal.",
                    diff=self._diff({path: changed[path] for path in clash}),
                )
            del self._branches[branch]
            return self._save(changed, message, actor) or self._commits[-1][0].id

    def discard(self, branch: str, actor: Actor) -> None:
        """Forget a proposal; the actor made it or may write here."""
        require(self._ref, actor, write=branch.split("/")[1:2] != [actor.id])
        if self._branches.pop(check_branch(branch), None) is None:
            raise no_proposal(self._ref, branch)

    def stamp(self) -> tuple[object, ...]:
        """Changes with every commit."""
        return (len(self._commits),)

    def _save(self, files: Mapping[str, bytes], message: Message, actor: Actor) -> str:
        for path, body in files.items():
            limit = MAX_TEXT if path.endswith("SKILL.md") else MAX_FILE
            if len(body) > limit:
                raise Invalid(f"Cannot save {path} in {self._ref}: it is larger than {limit} bytes.", where=path)
        if all(self._files.get(path) == body for path, body in files.items()):
            return ""
        self._files = {**self._files, **files}
        commit = self._commit_of(message, actor, files)
        self._commits.append((commit, self._files, tuple(files)))
        return commit.id

    def _commit_of(self, message: Message, actor: Actor, files: Mapping[str, bytes]) -> Commit:
        content = b"\0".join(path.encode() + b"\0" + body for path, body in sorted(files.items()))
        seed = content + message.text.encode() + str(len(self._commits)).encode()
        subject, _, body = message.text.partition("\n")
        return Commit(
            hashlib.sha1(seed, usedforsecurity=False).hexdigest(),
            subject,
            body.strip(),
            actor.name,
            actor.mail,
            self._clock(),
            dict(message.trailers),
        )

    def _diff(self, files: Mapping[str, bytes]) -> str:
        return "\n".join(
            text_diff(self._files.get(path, b"").decode("utf-8", "replace"), body.decode("utf-8", "replace"))
            for path, body in files.items()
        )
