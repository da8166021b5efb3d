"""A volume that is a git repository: `volumes/{user|team|system}/{id}/` with skills/, traces/, memory/, metadata.json.

Writers of all processes take turns by a lock inside `.git`. What an editor left uncommitted is committed first, under
its own message, so that no text is ever lost. A proposal is made without touching the working tree.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

from druse.model import DruseError, Invalid, NotFound, visible
from druse.skills import githistory
from druse.skills.access import Actor, Role, VolumeKind, VolumeRef, require
from druse.skills.document import MAX_TEXT
from druse.skills.filetree import folder_stamp, read_file, read_folder, regular_files
from druse.skills.gitcommits import Commits
from druse.skills.gitguard import areas_of, folder_of, make_plain, refused, settings_of
from druse.skills.gitrunner import Git
from druse.skills.volume import (
    AREAS,
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

MAIN = "main"
HEADS_MAIN = f"refs/heads/{MAIN}"  # in full: git takes a tag called main before the branch
_TRIES = 2  # of a change, while an editor saves the same file again and again
_PATIENCE = 3.0  # seconds that are waited for a person's git
_STALE = 300.0  # seconds after which a lock of git's index is that of a dead process
_BUSY = {
    "MERGE_HEAD": "a merge",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
}


class GitVolume:
    """One repository. Use `GitVolume.open`, which makes it where it is missing."""

    def __init__(self, root: Path, ref: VolumeRef) -> None:
        self.root = root
        self._ref = ref
        self.git = Git(root, trusted=self._trusted)
        self._commits = Commits(self.git)
        self._looked: tuple[object, ...] = ()

    @property
    def ref(self) -> VolumeRef:
        """Which one it is."""
        return self._ref

    @classmethod
    def open(cls, volumes: Path, ref: VolumeRef) -> GitVolume:
        """The volume under the root of all volumes. Raises Invalid without git or where a link stands in the way."""
        root = volumes / str(ref.kind) / ref.id
        for folder in (root.parent, root):
            if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
                raise Invalid(f"Cannot open volume {ref}: {folder} is no folder. Remove it.", where=str(folder))
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        volume = cls(root, ref)
        if not (root / ".git").is_dir():
            with volume.turn():
                if not (root / ".git" / "HEAD").exists():
                    volume._create()
        wrong = areas_of(root, AREAS)
        if wrong:
            raise Invalid(
                f"Cannot open volume {ref}: {wrong} in {root}. Put the folder back, as with "
                f'"git -C {root} log -- {wrong.split()[0]}" and "git -C {root} checkout COMMIT -- {wrong.split()[0]}".',
                where=str(root),
                problem=wrong,
            )
        for area in AREAS:
            (root / area).mkdir(exist_ok=True)
        make_plain(root / ".git")
        return volume

    def _trusted(self) -> None:
        """Raises Invalid where the repository's own settings could start a program or lead elsewhere."""
        git = self.root / ".git"
        try:
            found = (git / "config").lstat()
        except OSError:
            return  # it is being made
        looked = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
        wrong = folder_of(git)
        if not wrong and looked != self._looked:
            plain = Git(Path(self.root.anchor))  # from inside, git follows the file before it lists it
            wrong = settings_of(
                plain.text("config", "--file", str(git / "config"), "--no-includes", "--list", "--name-only", "-z")
            )
        if wrong:
            raise refused(self.root, wrong)
        self._looked = looked

    def _create(self) -> None:
        self.git.run("init", "-q", "-b", MAIN)
        # The same bytes on every machine, so that two copies of a team's volume can be merged.
        metadata = {"type": str(self._ref.kind), "id": self._ref.id, "format": 1}
        (self.root / "metadata.json").write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
        maker = _maker(self._ref)
        self._commit(Message(f"Create volume {self._ref}"), maker, ["metadata.json"])

    # skills

    def write_skill(
        self, skill_id: str, content: str, commit_message: Message, actor: Actor, *, expected: str | None = None
    ) -> str:
        """Save a SKILL.md as one commit; its id, empty where nothing changed."""
        path = f"skills/{check_skill_id(skill_id)}/SKILL.md"
        check_portable(path)
        require(self._ref, actor, write=True)
        with self.turn():
            if expected is not None:
                there = self._working(path)
                if there != expected.encode():
                    raise _conflict(self._ref, skill_id, (there or b"").decode("utf-8", "replace"), content)
            return self._save(path, content.encode(), commit_message, actor)

    def read_skill(self, skill_id: str, actor: Actor, *, revision: str = "") -> str:
        """The text of a skill, now or at a revision. Raises NotFound with the nearest ids."""
        require(self._ref, actor, write=False)
        path = f"skills/{check_skill_id(skill_id)}/SKILL.md"
        if revision:
            body = githistory.blob_at(self.git, revision, path)
            if body is None:
                raise NotFound(f"Cannot read skill {skill_id!r} of {self._ref} at {revision[:60]!r}: it is not there.")
        else:
            body = self._working(path)
        if body is None:
            flat = self._working(f"skills/{skill_id}.md")
            if flat is None:
                raise no_skill(self._ref, skill_id, [skill.id for skill in self.list_skills(actor)])
            body = flat
        return body.decode("utf-8", "replace")

    def list_skills(self, actor: Actor) -> list[StoredSkill]:
        """Every skill: folders with a SKILL.md, and single `.md` files dropped into skills/."""
        require(self._ref, actor, write=False)
        committed = githistory.tree(self.git, "HEAD", "skills/")
        found: dict[str, StoredSkill] = {}
        for entry in sorted(os.scandir(self.root / "skills"), key=lambda e: e.name):
            if entry.is_dir(follow_symlinks=False):
                skill_id, path = entry.name, f"skills/{entry.name}/SKILL.md"
            elif entry.name.endswith(".md"):
                skill_id, path = entry.name.removesuffix(".md"), f"skills/{entry.name}"
            else:
                continue
            if skill_id in found or entry.name.startswith("."):
                continue
            text, problem, same = self._look(path, committed)
            if text is None and not problem:
                continue  # a folder without SKILL.md holds no skill
            found[skill_id] = StoredSkill(skill_id, text or "", same, path, problem)
        return [found[name] for name in sorted(found)]

    def _look(self, path: str, committed: Mapping[str, str]) -> tuple[str | None, str, bool]:
        try:
            body = self._working(path, limit=MAX_TEXT)
        except Invalid as error:
            return None, str(error), False
        if body is None:
            return None, "", False
        same = committed.get(path) == githistory.blob_id(body)
        try:
            return body.decode("utf-8"), "", same
        except UnicodeDecodeError as error:
            return None, f"{path}:{body.count(bytes([10]), 0, error.start) + 1}: it is not UTF-8", same

    def skill_files(self, skill_id: str, actor: Actor) -> dict[str, bytes]:
        """All files of a skill by their path inside its folder, SKILL.md among them."""
        require(self._ref, actor, write=False)
        folder = self.root / "skills" / check_skill_id(skill_id)
        if not folder.is_dir() and self._working(f"skills/{skill_id}.md") is not None:
            return {"SKILL.md": self._working(f"skills/{skill_id}.md") or b""}
        files = read_folder(folder)
        if "SKILL.md" not in files:
            raise no_skill(self._ref, skill_id, [skill.id for skill in self.list_skills(actor)])
        return files

    def files_at(self, revision: str, skill_id: str, actor: Actor) -> dict[str, bytes]:
        """The files of a skill at a revision, also one that is proposed only; none where it is not there."""
        require(self._ref, actor, write=False)
        prefix = f"skills/{check_skill_id(skill_id)}/"
        listed = githistory.tree(self.git, revision, prefix) if githistory.revision(revision) else {}
        return {path.removeprefix(prefix): self.git.run("cat-file", "blob", blob) for path, blob in listed.items()}

    def write_file(self, path: str, content: bytes, message: Message, actor: Actor) -> str:
        """Save any file under skills/, traces/ or memory/ as one commit; its id, empty where nothing changed."""
        check_path(path)
        check_portable(path)
        require(self._ref, actor, write=True)
        with self.turn():
            return self._save(path, content, message, actor)

    def commit_changes(self, message: Message, actor: Actor, paths: Sequence[str]) -> str:
        """Commit what an editor left in the named paths, and nothing else; empty where nothing changed."""
        require(self._ref, actor, write=True)
        for path in paths:
            self._inside(path)
        with self.turn():
            return self._commit(message, actor, [path for path in paths if self._differs(path)])

    def dirty(self, actor: Actor) -> list[str]:
        """Paths of files that differ from the last commit."""
        require(self._ref, actor, write=False)
        committed: dict[str, str] = {}
        for area in AREAS:
            committed |= githistory.tree(self.git, "HEAD", f"{area}/")
        there = [path for area in AREAS for path in regular_files(self.root / area, area)]
        gone = [path for path in committed if not os.path.lexists(self.root / path)]
        return sorted([*gone, *(path for path in there if self._differs(path, committed))])

    # history

    def get_git_log(self, limit: int, actor: Actor, *, path: str = "") -> list[Commit]:
        """The newest changes; an empty volume has none."""
        require(self._ref, actor, write=False)
        return githistory.log(self.git, limit, path)

    def head(self) -> str:
        """The newest commit, which names the whole history."""
        return self.git.text("rev-parse", HEADS_MAIN)

    def stamp(self) -> tuple[object, ...]:
        """Changes whenever the history or a file under skills/ does."""
        git = self.root / ".git"
        stamps: list[object] = []
        for path in (git / "HEAD", git / "refs" / "heads" / MAIN, git / "packed-refs", git / "config"):
            with contextlib.suppress(OSError):
                found = path.stat()
                stamps.append((found.st_mtime_ns, found.st_size, found.st_ino))
        return (*stamps, *folder_stamp(self.root / "skills"))

    # proposals

    def propose(self, branch: str, skill_id: str, files: Mapping[str, bytes], message: Message, actor: Actor) -> str:
        """Put files of a skill on a branch; the working tree is not touched."""
        require(self._ref, actor, write=False)
        check_branch(branch)
        check_skill_id(skill_id)
        changed = {f"skills/{skill_id}/{name}": body for name, body in files.items()}
        for path in changed:
            check_path(path)
            check_portable(path)
        with self.turn():
            base = self.git.text("rev-parse", HEADS_MAIN)
            made = self._tree_commit(base, changed, message, actor, [base])
            self.git.run("update-ref", f"refs/heads/{branch}", made)
            return made

    def proposals(self, actor: Actor) -> list[Proposal]:
        """Branches pr/* that are not merged yet."""
        require(self._ref, actor, write=False)
        found: list[Proposal] = []
        for branch, commit in githistory.branches(self.git, "pr/"):
            if not self._merged(commit):
                (entry,) = githistory.log(self.git, 1, "", start=commit)
                diff = self.git.text("diff", "--no-ext-diff", f"{HEADS_MAIN}...{commit}", "--", "skills")
                skill_id = branch.rsplit("/", 1)[-1]
                found.append(Proposal(branch, skill_id, entry.subject, entry.author, entry.at, diff, commit))
        return found

    def merge(self, branch: str, message: Message, actor: Actor) -> str:
        """Take a proposal over as a merge commit; the new commit. Raises Conflict, NotFound."""
        require(self._ref, actor, write=True)
        check_branch(branch)
        with self.turn():
            commit = githistory.branch_commit(self.git, branch)
            if commit is None:
                raise no_proposal(self._ref, branch)
            head = self.git.text("rev-parse", HEADS_MAIN)
            if self._merged(commit):
                self.git.run("branch", "-q", "-D", branch)
                return head
            base = self.git.text("merge-base", head, commit)
            theirs, before = (githistory.tree(self.git, at, "skills/") for at in (commit, base))
            changed = [path for path, blob in theirs.items() if before.get(path) != blob]
            self._make_way(changed, branch, actor)
            head = self.git.text("rev-parse", HEADS_MAIN)
            ours = githistory.tree(self.git, head, "skills/")
            clash = [path for path in changed if ours.get(path) not in (before.get(path), theirs[path])]
            if clash:
                diff = self.git.text("diff", "--no-ext-diff", head, commit, "--", *clash)
                raise Conflict(
                    f"Cannot merge {branch} into {self._ref}: {', '.join(clash)} changed there meanwhile. Both texts "
                    "are kept; propose it again from the present text, or discard the proposal.",
                    diff=diff,
                )
            files = {path: self.git.run("cat-file", "blob", theirs[path]) for path in changed}
            made = self._tree_commit(head, files, message, actor, [head, commit])
            self.git.run("merge", "-q", "--ff-only", made)
            self.git.run("branch", "-q", "-D", branch)
            return made

    def discard(self, branch: str, actor: Actor) -> None:
        """Forget a proposal; the actor made it or may write here."""
        require(self._ref, actor, write=branch.split("/")[1:2] != [actor.id])
        if githistory.branch_commit(self.git, check_branch(branch)) is None:
            raise no_proposal(self._ref, branch)
        with self.turn():
            self.git.run("branch", "-q", "-D", branch)

    def _merged(self, commit: str) -> bool:
        return self.git.result("merge-base", "--is-ancestor", commit, HEADS_MAIN, accept=(0, 1))[0] == 0

    # inside

    def _save(self, path: str, content: bytes, message: Message, actor: Actor) -> str:
        limit = MAX_TEXT if path.endswith("SKILL.md") else MAX_FILE
        if len(content) > limit:
            raise Invalid(f"Cannot save {path} in {self._ref}: it is larger than {limit} bytes.", where=path)
        target = self._inside(path)
        commit = ""
        for _ in range(_TRIES):
            self._adopt([path], actor)
            before = self._working(path)
            if before == content and not self._differs(path):
                return commit
            commit = self._put(path, target, before, content, message, actor) or commit
            if commit:
                return commit
        return self._put_beside(path, target, content, message, actor)

    def _put(
        self, path: str, target: Path, before: bytes | None, content: bytes, message: Message, actor: Actor
    ) -> str:
        """Replace a file and commit it; empty where an editor was quicker."""
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            with fresh.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if self._working(path) != before:
                return ""
            fresh.replace(target)
            return self._commits.add({path: content}, message, self.identity(actor))
        except (DruseError, OSError):
            if self._working(path) != content:
                return ""  # an editor saved meanwhile: its text stays
            # What could not be committed is not left lying there as if it had been.
            if before is None:
                target.unlink(missing_ok=True)
            else:
                target.write_bytes(before)
            raise
        finally:
            fresh.unlink(missing_ok=True)

    def _put_beside(self, path: str, target: Path, content: bytes, message: Message, actor: Actor) -> str:
        """Commit a text without the working tree, for an editor that saves all the time; what it saves last stays."""
        self._adopt([path], actor)
        before = self._working(path)
        made = self._commits.add({path: content}, message, self.identity(actor))
        fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        fresh.write_bytes(content)
        if self._working(path) == before:
            fresh.replace(target)
        fresh.unlink(missing_ok=True)
        return made

    def _adopt(self, paths: Sequence[str], actor: Actor) -> None:
        """Commit what an editor left in these paths, before we change them."""
        for path in paths:
            if self._working(path, limit=MAX_FILE) is not None and self._differs(path):
                name = visible(path.removeprefix("skills/").split("/")[0].removesuffix(".md"))
                kept = Message(f"Keep edited {name}", "Found uncommitted in the working tree.", (("Source", "editor"),))
                self._commit(kept, actor, [path])

    def _make_way(self, paths: Sequence[str], what: str, actor: Actor) -> None:
        """Keep what an editor left in these paths. Where a text needs approval it is not committed by the way."""
        if self._ref.kind is VolumeKind.USER:
            self._adopt(paths, actor)
            return
        left = [path for path in paths if os.path.lexists(self.root / path) and self._differs(path)]
        if left:
            there, known = (self._working(left[0]) or b""), githistory.blob_at(self.git, "HEAD", left[0]) or b""
            raise Conflict(
                f"Cannot take {what} over in {self._ref}: {', '.join(left[:5])} was edited in the working tree, and "
                "that text is not approved. Propose it, or take the edit back, and try again.",
                diff=githistory.text_diff(known.decode("utf-8", "replace"), there.decode("utf-8", "replace")),
            )

    def _differs(self, path: str, committed: Mapping[str, str] | None = None) -> bool:
        """Whether the file that lies there is another than the committed one. Raises Invalid for no regular file."""
        known = githistory.tree(self.git, "HEAD", path) if committed is None else committed
        try:
            body = self._working(path)
        except Invalid:
            if committed is None:
                raise
            return False  # links and what is too large stay as they are
        return (None if body is None else githistory.blob_id(body)) != known.get(path)

    def _commit(self, message: Message, actor: Actor, paths: Sequence[str]) -> str:
        """Commit these files as they lie there; empty where there are none."""
        if not paths:
            return ""
        bodies = {path: read_file(self.root / path, MAX_FILE) for path in paths}
        return self._commits.add(bodies, message, self.identity(actor))

    def _tree_commit(
        self, base: str, files: Mapping[str, bytes], message: Message, actor: Actor, parents: Sequence[str]
    ) -> str:
        """A commit made beside the working tree."""
        return self._commits.made(base, files, message, self.identity(actor), parents)

    def signs(self) -> bool:
        """Whether the user's git signs commits."""
        return self._commits.signs()

    def signatures(self, actor: Actor) -> list[tuple[str, str, str, str]]:
        """Every commit with its state (good, bad, unchecked, unsigned), author and subject, newest first."""
        require(self._ref, actor, write=False)
        return githistory.signatures(self.git)

    def make_way(self, theirs: str, actor: Actor) -> None:
        """Before a merge of that revision: commit what an editor left, each file on its own.

        In a team's or the system volume that would put texts into service that nobody approved: there an edit stays as
        it is, and Conflict is raised where the merge changes the same file. Links and what is too large are left alone.
        """
        if self._ref.kind is VolumeKind.USER:
            for path in self.dirty(actor):
                with contextlib.suppress(Invalid):
                    self._adopt([path], actor)
            return
        base = self.git.result("merge-base", HEADS_MAIN, theirs, accept=(0, 1))[1].decode().strip()
        old = githistory.tree(self.git, base, "skills/") if base else {}
        new = githistory.tree(self.git, theirs, "skills/")
        self._make_way([p for p in self.dirty(actor) if new.get(p) != old.get(p)], "the remote's changes", actor)

    def stats(self, actor: Actor) -> dict[str, object]:
        """Counts of what is there (seed id L-24)."""
        require(self._ref, actor, write=False)
        files = {area: sum(path.is_file() for path in (self.root / area).rglob("*")) for area in AREAS}
        commits = self.git.text("rev-list", "--count", "HEAD", accept=(0, 128)) or "0"
        return {
            "volume": str(self._ref),
            "path": str(self.root),
            "skills": len(self.list_skills(actor)),
            "files": files,
            "commits": int(commits),
            "proposals": len(self.proposals(actor)),
        }

    def identity(self, actor: Actor) -> dict[str, str]:
        """The author is the actor; the committer is the user's own git identity, if there is one."""
        clean = actor.name.translate({ord(c): None for c in "<>\n\r\0"}).strip() or actor.id
        identity = {"GIT_AUTHOR_NAME": clean, "GIT_AUTHOR_EMAIL": actor.mail}
        if not self.git.text("config", "--get", "user.email", accept=(0, 1)):
            identity |= {"GIT_COMMITTER_NAME": clean, "GIT_COMMITTER_EMAIL": actor.mail}
        return identity

    def _inside(self, path: str) -> Path:
        """The place of a path; no part of the way is a link."""
        at = self.root
        for part in check_path(path):
            at = at / part
            if at.is_symlink():
                raise Invalid(f"Cannot use {path} in {self._ref}: {at} is a link. Remove it.", where=str(at))
        return at

    def _working(self, path: str, *, limit: int = MAX_FILE) -> bytes | None:
        """A file as it lies there; None where there is none. Raises Invalid for links and what is too large."""
        return read_file(self._inside(path), limit)

    @contextlib.contextmanager
    def turn(self) -> Generator[None]:
        """One writer at a time over all processes."""
        import fcntl  # here: the rest of Druse is imported on systems that have no such locks

        (self.root / ".git").mkdir(exist_ok=True)
        with (self.root / ".git" / "druse.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._check_free()
            yield

    def _check_free(self) -> None:
        """Raises Invalid where a person is in the middle of something in this repository."""
        git = self.root / ".git"
        if not (git / "HEAD").is_file():
            return  # it is being made
        doing = next((what for name, what in _BUSY.items() if (git / name).exists()), "")
        if doing:
            raise Invalid(
                f"Cannot change volume {self._ref}: {doing} is under way in {self.root}. End it there with git, or "
                f'give it up ("git -C {self.root} status" says how).',
                where=str(self.root),
                problem=doing,
            )
        head = (git / "HEAD").read_text(encoding="utf-8", errors="replace").strip()
        if head != f"ref: refs/heads/{MAIN}":
            raise Invalid(
                f"Cannot change volume {self._ref}: {head.removeprefix('ref: refs/heads/')[:60]} is checked out in "
                f'{self.root}, and only {MAIN} is served. Go back with "git -C {self.root} switch {MAIN}".',
                where=str(self.root),
                problem="another branch",
            )
        held = git / "index.lock"
        with contextlib.suppress(OSError):
            if time.time() - held.stat().st_mtime > _STALE:
                held.unlink()  # left behind by a git that was killed
        deadline = time.monotonic() + _PATIENCE
        while held.exists() and time.monotonic() < deadline:
            time.sleep(0.05)  # a person's git is at work; this runs on a thread of its own


def _maker(ref: VolumeRef) -> Actor:
    """Who makes a volume."""
    return Actor(Role.SYSTEM, ref.id, "Druse")


def _conflict(ref: VolumeRef, skill_id: str, theirs: str, ours: str) -> Conflict:
    return Conflict(
        f"Cannot save skill {skill_id!r} in {ref}: somebody changed it since you read it. Put both texts "
        "together and save again.",
        diff=githistory.text_diff(theirs, ours),
    )
