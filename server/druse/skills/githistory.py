"""Reading a repository: log, trees, branches. Fields are divided by NUL: no subject can break them (seed id L-06)."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Sequence

from druse.skills.gitrunner import Git
from druse.skills.volume import Commit

_FORMAT = "%H%x00%an%x00%ae%x00%at%x00%s%x00%b%x00%(trailers:only,unfold)%x00"
_FIELDS = 7


def log(git: Git, limit: int, path: str = "", *, start: str = "HEAD") -> list[Commit]:
    """The newest commits, newest first; none of a repository without any."""
    if git.result("rev-parse", "-q", "--verify", f"{start}^{{commit}}", accept=(0, 1))[0]:
        return []
    named = ["--", path] if path else ["--"]
    out = git.run("log", "--topo-order", f"--max-count={max(0, limit)}", f"--format=tformat:{_FORMAT}", start, *named)
    parts = out.decode("utf-8", "replace").split("\0")
    signed = signed_of(git, [part.strip() for part in parts[: len(parts) - _FIELDS + 1 : _FIELDS]])
    commits: list[Commit] = []
    for first in range(0, len(parts) - _FIELDS + 1, _FIELDS):
        commit, author, email, at, subject, body, trailers = parts[first : first + _FIELDS]
        commits.append(
            Commit(
                commit.strip(),
                subject,
                body.strip(),
                author,
                email,
                float(at),
                _trailers(trailers),
                commit.strip() in signed,
            )
        )
    return commits


def signed_of(git: Git, commits: Sequence[str]) -> set[str]:
    """Those commits that carry a signature, whether it can be checked here or not."""
    found: set[str] = set()
    out = git.run("cat-file", "--batch", data="\n".join([*commits, ""]).encode()) if commits else b""
    at = 0
    while at < len(out):
        head, _, _ = out[at:].partition(b"\n")
        name, _, size = head.decode("ascii", "replace").split(" ")[:3]
        start = at + len(head) + 1
        header = out[start : start + int(size)].partition(b"\n\n")[0]
        if b"\ngpgsig" in header:
            found.add(name)
        at = start + int(size) + 1
    return found


def signatures(git: Git) -> list[tuple[str, str, str, str]]:
    """Every commit of the volume with its state: good, bad, unchecked (its key is not known here) or unsigned.

    Rows of commit, state, author and subject, newest first.
    """
    if git.result("rev-parse", "-q", "--verify", "HEAD^{commit}", accept=(0, 1))[0]:
        return []
    out = git.run("log", "--format=tformat:%H%x00%an%x00%s%x00", "HEAD", "--").decode("utf-8", "replace").split("\0")
    rows = [(out[n].strip(), out[n + 1], out[n + 2]) for n in range(0, len(out) - 3, 3)]
    signed = signed_of(git, [commit for commit, _, _ in rows])
    state: dict[str, str] = {}
    if signed:
        checked = git.text(
            "log", "--format=tformat:%H %G?", "--no-walk", "--stdin", data="\n".join([*signed, ""]).encode()
        )
        words = {"G": "good", "U": "good", "B": "bad", "R": "bad", "X": "bad", "Y": "bad"}
        state = {line[:-2]: words.get(line[-1], "unchecked") for line in checked.splitlines() if len(line) > 41}
    return [(c, state.get(c, "unchecked") if c in signed else "unsigned", who, what) for c, who, what in rows]


def tree(git: Git, at: str, prefix: str) -> dict[str, str]:
    """Regular files of a revision under a prefix: path -> blob."""
    code, out = git.result("ls-tree", "-r", "-z", "--full-tree", at, "--", prefix, accept=(0, 128))
    found: dict[str, str] = {}
    for entry in out.decode("utf-8", "replace").split("\0") if code == 0 else []:
        match = re.fullmatch(r"100(?:644|755) blob ([0-9a-f]+)\t(.+)", entry, re.DOTALL)
        if match:
            found[match[2]] = match[1]
    return found


def misplaced(git: Git, at: str, areas: Sequence[str]) -> str:
    """Which folder of a volume is something else at a revision; empty if none is."""
    listed = git.run("ls-tree", "-z", "--full-tree", at, "--", *areas).decode("utf-8", "replace")
    wrong = (entry.partition("\t")[2] for entry in listed.split("\0") if entry and " tree " not in entry)
    return next((f"{path} is no folder" for path in wrong), "")


def blob_at(git: Git, at: str, path: str) -> bytes | None:
    """A file at a revision, None where it is not there."""
    if not revision(at):
        return None
    blob = tree(git, at, path).get(path)
    return git.run("cat-file", "blob", blob) if blob else None


def revision(text: str) -> bool:
    """Whether a text names a revision and can be no option of git."""
    return re.fullmatch(r"[0-9a-zA-Z][\w./~^-]{0,120}", text) is not None


def blob_id(body: bytes) -> str:
    """The id git gives these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(body) + body, usedforsecurity=False).hexdigest()


def branches(git: Git, prefix: str) -> list[tuple[str, str]]:
    """Local branches under a prefix with their commits."""
    # Not the short name: a tag of the same name makes git write it otherwise.
    listed = git.text("for-each-ref", "--format=%(refname) %(objectname)", f"refs/heads/{prefix}")
    rows = (line.removeprefix("refs/heads/").partition(" ") for line in listed.splitlines())
    return [(name, commit) for name, _, commit in rows if commit]


def branch_commit(git: Git, branch: str) -> str | None:
    """The commit of a local branch."""
    code, out = git.result("rev-parse", "-q", "--verify", f"refs/heads/{branch}^{{commit}}", accept=(0, 1))
    return out.decode().strip() if code == 0 else None


def text_diff(before: str, after: str) -> str:
    """A unified diff of two texts."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "there now", "yours", lineterm="")
    return "\n".join(lines)


def _trailers(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}
