"""Glob and Grep over the workspace: names and contents, `.git` and the like left out, bounded in count and time."""

from __future__ import annotations

import fnmatch
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from druse.model import Invalid

MAX_MATCHES = 1000
MAX_FILE = 2 * 1024 * 1024
_SECONDS = 10.0
_SKIPPED = frozenset((".git", ".druse", ".venv", "node_modules", "__pycache__", ".hg", ".svn"))


def glob_files(pattern: str, root: Path) -> list[str]:
    """Files under `root` whose path relative to it fits a pattern with `*`, `**` and `?`, newest first."""
    expression = re.compile(_translated(pattern))
    found = [path for path in _files(root) if expression.fullmatch(path.relative_to(root).as_posix())]
    found.sort(key=lambda path: (-path.stat().st_mtime, path))
    return [path.relative_to(root).as_posix() for path in found[:MAX_MATCHES]]


def grep_files(pattern: str, root: Path, *, glob: str = "", ignore_case: bool = False) -> list[dict[str, str | int]]:
    """Lines that match a regular expression: file, line number, text. Raises Invalid for a bad pattern."""
    try:
        expression = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except re.error as error:
        raise Invalid(
            f"Cannot search for {pattern[:80]!r}: {error}. Correct the regular expression.", where="pattern"
        ) from error
    deadline = time.monotonic() + _SECONDS
    matches: list[dict[str, str | int]] = []
    for path in [root] if root.is_file() else _files(root):
        relative = path.name if path == root else path.relative_to(root).as_posix()
        if glob and not fnmatch.fnmatch(path.name, glob) and not re.fullmatch(_translated(glob), relative):
            continue
        for number, line in _lines(path):
            if expression.search(line[:2000]):
                matches.append({"file": relative, "line": number, "text": line[:400]})
            if len(matches) >= MAX_MATCHES or time.monotonic() > deadline:
                return matches
    return matches


def _files(root: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(root, followlinks=False):
        names[:] = sorted(name for name in names if name not in _SKIPPED)
        for name in sorted(files):
            path = Path(folder) / name
            if not path.is_symlink() and path.is_file():
                yield path


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        if path.stat().st_size > MAX_FILE:
            return
        text = path.read_bytes()
    except OSError:
        return
    if b"\0" in text[:4096]:
        return
    yield from enumerate(text.decode("utf-8", "replace").splitlines(), 1)


def _translated(pattern: str) -> str:
    """A glob as a regular expression: `**/` any folders, `*` within a name."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.removeprefix("./"))
    table = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(table.get(part, re.escape(part)) for part in parts)
