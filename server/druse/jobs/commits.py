"""Noticing commits (seed id N-30): each commit that is new in the project's git lets its jobs run once.

New is what a branch or HEAD reaches and none reached at the last look: a rebase or an amended commit makes new ones,
a changed branch does not. Linked worktrees share their branches, so a commit in any of them counts. Git itself is asked
only when a file changed in which it keeps its references; these are looked at once a second. What was committed while
nothing was running is found by the next look; commits that were there before the first look are nobody's.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from druse.memory import git_folders
from druse.model import DruseError
from druse.skills import Git
from druse.store import Store

log = logging.getLogger("druse.jobs")

LOOK_SECONDS = 1.0
MAX_TIPS = 500  # commits that are remembered as the ends of branches there are and were
MAX_NEW = 1000  # commits of one look; of more, as after a large pull, the newest count


@dataclass(frozen=True, slots=True)
class CommitText:
    """A commit as its readers see it. `own`: its author is who this repository is configured for."""

    id: str
    message: str
    own: bool


class CommitWatch:
    """The commits of the repository that a folder lies in. `jobs` are the names of those that wait for commits."""

    def __init__(self, root: Path, store: Store, jobs: Sequence[str]) -> None:
        self._root = root
        self._store = store
        self._jobs = tuple(jobs)
        self._stamp: tuple[object, ...] = ()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                stamp = await asyncio.to_thread(self._look_at_files)
                if stamp != self._stamp:
                    if stamp:
                        await self.look()
                    self._stamp = stamp
            except DruseError as error:
                self._stamp = stamp = await asyncio.to_thread(self._look_at_files)  # asked again after the next change
                log.warning("the project's commits were not looked at: %s", error)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> list[str]:
        """Ask git what is new and let it wait for the jobs; the new commits, oldest first."""
        folders = await asyncio.to_thread(git_folders, self._root)
        if folders is None:
            return []
        repository = str(folders[0])
        while True:
            before = await self._store.commits.tips(repository)
            tips, new = await asyncio.to_thread(self._ask, before)
            if tips == before or await self._store.commits.seen(repository, before, tips, new, self._jobs):
                return new if tips != before else []

    def read(self, commit: str) -> CommitText:
        """One commit's message. Raises GitFailed where it is gone."""
        git = Git(self._root)
        author, _, message = git.text("show", "-s", "--format=%ae%n%B", commit, "--").partition("\n")
        own = git.text("config", "--get", "user.email", accept=(0, 1))
        return CommitText(commit, message.strip(), bool(own) and author == own)

    def _ask(self, before: Sequence[str] | None) -> tuple[list[str], list[str]]:
        git = Git(self._root)
        listed = git.text("for-each-ref", "--format=%(objectname)", "refs/heads").split()
        head = git.text("rev-parse", "-q", "--verify", "HEAD^{commit}", accept=(0, 1)).split()
        now = sorted({*listed, *head})
        # What a rebase or a reset left behind is remembered: it can come back and is not new then.
        tips = [*now, *(tip for tip in before or [] if tip not in set(now))][: max(len(now), MAX_TIPS)]
        if before is None or {*now} <= {*before}:
            return tips if before is None else [*before], []
        asked = "\n".join([*now, *(f"^{tip}" for tip in before)]) + "\n"
        new = git.run(
            *("rev-list", "--ignore-missing", "--topo-order", f"--max-count={MAX_NEW}", "--reverse", "--stdin"),
            data=asked.encode(),
        )
        return tips, new.decode().split()

    def _look_at_files(self) -> tuple[object, ...]:
        """Changes whenever a reference does; empty where there is no repository."""
        folders = git_folders(self._root)
        if folders is None:
            return ()
        own, shared = folders
        stamps: list[object] = [str(own)]
        for path in (own / "HEAD", own / "logs" / "HEAD", shared / "packed-refs", shared / "reftable" / "tables.list"):
            stamps.append(_stamp(path))
        for folder, _, files in os.walk(shared / "refs" / "heads"):
            stamps += [_stamp(Path(folder) / name) for name in sorted(files)]
        return tuple(stamps)


def _stamp(path: Path) -> tuple[object, ...]:
    try:
        found = path.stat()
    except OSError:
        return (str(path),)
    return (str(path), found.st_mtime_ns, found.st_size, found.st_ino)
