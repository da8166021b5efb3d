"""A volume's remote: pull and push through git, conflicts shown, nothing lost on either side."""

from __future__ import annotations

import re

from druse.model import Invalid
from druse.skills import githistory
from druse.skills.access import Actor, require
from druse.skills.gitguard import refused_pull
from druse.skills.gitrunner import REACHING_OUT, GitFailed
from druse.skills.gitvolume import HEADS_MAIN, MAIN, GitVolume
from druse.skills.volume import AREAS, Message

_URL = re.compile(r"(?:https://|ssh://|file://|git@[\w.-]+:|/|\.{1,2}/)[^\s\x00]+")


class Remote:
    """The remote called origin of one git volume."""

    def __init__(self, volume: GitVolume) -> None:
        self._volume = volume

    def set_remote(self, actor: Actor, url: str) -> dict[str, str]:
        """Name it. Raises Invalid for anything that is no path and no ssh or https URL."""
        require(self._volume.ref, actor, write=True)
        if not _URL.fullmatch(url):
            raise Invalid(f"Cannot use {url[:120]!r} as a remote: give a path, an https or an ssh URL.", where="url")
        git = self._volume.git
        known = git.text("remote").split()
        git.run("remote", "set-url" if "origin" in known else "add", "origin", url)
        return {"remote": url}

    def pull(self, actor: Actor, prefer: str = "") -> dict[str, str]:
        """Merge the remote's main. `status`: unchanged, pulled or conflict (with its diff; nothing moved then)."""
        require(self._volume.ref, actor, write=True)
        volume, git = self._volume, self._volume.git
        self._check()
        with volume.turn():
            # No tags: one called main is what git takes for the branch of that name.
            git.run(
                *("fetch", "-q", "--prune", "--no-tags", "--no-recurse-submodules", "origin"),
                "+refs/heads/*:refs/remotes/origin/*",
                environment=REACHING_OUT,
            )
            theirs = f"refs/remotes/origin/{MAIN}"
            if git.result("rev-parse", "-q", "--verify", theirs, accept=(0, 1))[0]:
                return {"status": "unchanged"}
            broken = githistory.misplaced(git, theirs, AREAS)
            if broken:
                raise refused_pull(str(volume.ref), broken)
            volume.make_way(theirs, actor)
            before = git.text("rev-parse", HEADS_MAIN)
            message = Message(f"Merge {volume.ref} from its remote").text
            strategy = ["-X", prefer] if prefer else []
            identity = volume.identity(actor)
            code, _ = git.result(
                *("merge", "-q", "--no-edit", "--allow-unrelated-histories", *strategy, "-m", message, theirs),
                environment={**identity, **_committer(identity)},
                accept=(0, 1),
            )
            if code:
                files = git.text("diff", "--name-only", "--diff-filter=U")
                diff = git.text("diff", "--no-ext-diff")
                git.run("merge", "--abort")
                return {"status": "conflict", "files": files, "diff": diff}
            return {"status": "unchanged" if git.text("rev-parse", HEADS_MAIN) == before else "pulled"}

    def push(self, actor: Actor) -> dict[str, str]:
        """Push main and the proposals. Raises Invalid while the remote has changes that are not here."""
        require(self._volume.ref, actor, write=True)
        self._check()
        with self._volume.turn():
            self._give(f"refs/heads/{MAIN}:refs/heads/{MAIN}")
            waiting = [f"+refs/heads/{p.branch}:refs/heads/{p.branch}" for p in self._volume.proposals(actor)]
            if waiting:
                self._give(*waiting)
        return {"status": "pushed"}

    def _give(self, *refs: str) -> None:
        """Push some branches. Raises Invalid with what the remote says; everything is kept here in any case."""
        ref = self._volume.ref
        try:
            self._volume.git.run("push", "-q", "origin", *refs, environment=REACHING_OUT)
        except GitFailed as error:
            if "non-fast-forward" in str(error) or "fetch first" in str(error):
                raise Invalid(
                    f'Cannot push {ref}: its remote has other changes. Take them first with "druse volumes pull {ref}".'
                ) from error
            raise Invalid(
                f"Cannot push {ref}: its remote did not take it: {error.said[-1200:]}. All changes are kept here; push "
                "again when the remote takes them.",
                problem="refused by the remote",
            ) from error

    def _check(self) -> None:
        if "origin" not in self._volume.git.text("remote").split():
            raise Invalid(
                f"Cannot reach a remote of {self._volume.ref}: it has none. Name one with "
                f'"druse volumes remote {self._volume.ref} URL".'
            )


def _committer(identity: dict[str, str]) -> dict[str, str]:
    return {key.replace("AUTHOR", "COMMITTER"): value for key, value in identity.items() if "AUTHOR" in key}
