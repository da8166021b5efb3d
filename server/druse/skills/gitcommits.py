"""Commits made of bytes: exactly these, whatever a .gitignore, an attribute or another index in the repository says."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence

from druse.model import visible
from druse.skills.gitrunner import Git
from druse.skills.volume import Message

_MAIN = "refs/heads/main"


class Commits:
    """Writes commits of one repository. Whoever calls it holds the volume's turn."""

    def __init__(self, git: Git) -> None:
        self._git = git

    def add(self, files: Mapping[str, bytes | None], message: Message, identity: Mapping[str, str]) -> str:
        """Commit files on main (None takes one away) and have the index know; the commit, empty where none differs."""
        found, out = self._git.result("rev-parse", "-q", "--verify", f"{_MAIN}^{{commit}}", accept=(0, 1))
        head = out.decode().strip() if found == 0 else ""
        made = self.made(head, files, message, identity, [head] if head else [])
        if head and self._tree(made) == self._tree(head):
            return ""
        self._git.run("update-ref", _MAIN, made, head or "0" * len(made))
        self._enter(files, {})
        return made

    def made(
        self,
        base: str,
        files: Mapping[str, bytes | None],
        message: Message,
        identity: Mapping[str, str],
        parents: Sequence[str],
    ) -> str:
        """A commit beside the working tree, which no branch names yet."""
        index = self._git.root / ".git" / f"druse-index-{os.getpid()}-{secrets.token_hex(4)}"
        beside = {"GIT_INDEX_FILE": str(index)}
        try:
            self._git.run("read-tree", base or "--empty", environment=beside)
            self._enter(files, beside)
            tree = self._git.text("write-tree", environment=beside)
        finally:
            index.unlink(missing_ok=True)
        flags = [flag for parent in parents for flag in ("-p", parent)] + (["-S"] if self.signs() else [])
        words = visible(message.text).encode()
        made = self._git.run("commit-tree", *flags, "-F", "-", tree, data=words, environment=identity)
        return made.decode().strip()

    def signs(self) -> bool:
        """Whether the user's git signs commits."""
        return self._git.text("config", "--type=bool", "--get", "commit.gpgsign", accept=(0, 1)) == "true"

    def _tree(self, commit: str) -> str:
        return self._git.text("rev-parse", f"{commit}^{{tree}}")

    def _enter(self, files: Mapping[str, bytes | None], environment: Mapping[str, str]) -> None:
        """Put files into an index; a repository inside that stands where a folder is needed gives way."""
        rows: list[str] = []
        for path, body in files.items():
            blob = "" if body is None else self._git.run("hash-object", "-w", "--stdin", data=body).decode().strip()
            mode = "100755" if os.access(self._git.root / path, os.X_OK) else "100644"
            rows.append(f"{mode} {blob}\t{path}" if blob else f"0 {'0' * 40}\t{path}")
        data = "".join(f"{row}\0" for row in rows).encode("utf-8", "surrogateescape")
        self._git.run("update-index", "--add", "--replace", "-z", "--index-info", data=data, environment=environment)
