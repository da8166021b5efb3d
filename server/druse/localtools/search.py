"""Glob and Grep: names and contents beneath a root, `.git` and the like left out, bounded in count and time.

No link is followed on the way. A regular expression can run for ever, and the interpreter cannot be interrupted in
one: it is matched in a locked child (`druse_sandbox.lines`) that is killed when the time is up. A plain text is no
danger and is sought here, without the cost of a process.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast

from druse.localtools.beneath import Found, files_beneath, open_regular, root_folder
from druse.localtools.globs import path_filter
from druse.model import Invalid
from druse_sandbox import frames
from druse_sandbox.lines import matching_lines

MAX_MATCHES = 1000
MAX_FILE = 2 * 1024 * 1024
_SECONDS = 10.0
_MEMORY = 512 * 1024 * 1024
_SKIPPED = frozenset((".git", ".druse", ".venv", "node_modules", "__pycache__", ".hg", ".svn"))
_PLAIN = re.compile(r"[\w\s!\"#%&',/:;<=>@`~-]*")  # nothing that means something in a regular expression

Shows: TypeAlias = Callable[[str], bool]
_Matcher: TypeAlias = Callable[[bytes, int], list[list[Any]]]


@dataclass(slots=True)
class Search:
    """What a search found. `note` says what is missing, if anything is."""

    files: list[str] = field(default_factory=list[str])
    matches: list[dict[str, str | int]] = field(default_factory=list[dict[str, "str | int"]])
    note: str = ""


def everything(_: str) -> bool:
    """Where no rule keeps a file back."""
    return True


def glob_files(pattern: str, root: Path, *, shows: Shows = everything, seconds: float = _SECONDS) -> Search:
    """Files under `root` whose path relative to it fits a pattern with `*`, `**`, `?` and `[...]`, newest first.

    `shows` is asked for each file (its path relative to the root) before it is named.
    """
    fits = path_filter(pattern)
    found: list[tuple[float, str]] = []
    search = Search()
    with _rooted(root) as descriptor:
        try:
            for file in files_beneath(descriptor, without=_SKIPPED, until=time.monotonic() + seconds):
                if fits(file.relative):
                    found.append((-file.modified, file.relative))
        except TimeoutError:
            search.note = f"stopped after {seconds:.0f} s; name a smaller folder"
    found.sort()
    for _, relative in found:
        if len(search.files) == MAX_MATCHES:
            search.note = search.note or f"the newest {MAX_MATCHES}"
            break
        if shows(relative):
            search.files.append(relative)
    return search


def grep_files(
    pattern: str,
    root: Path,
    *,
    glob: str = "",
    ignore_case: bool = False,
    shows: Shows = everything,
    seconds: float = _SECONDS,
) -> Search:
    """Lines that match a regular expression: file, line number, text. Raises Invalid for a bad or endless pattern.

    `shows` is asked for each file with a match (its path relative to the root) before a word of it is told.
    """
    until = time.monotonic() + seconds
    fits = path_filter(glob if "/" in glob else f"**/{glob}") if glob else None
    search = Search()
    name = "" if root.is_dir() else root.name
    with (
        _rooted(root, is_file=bool(name)) as descriptor,
        _matcher(pattern, ignore_case=ignore_case, until=until) as matcher,
    ):
        try:
            for data, relative in _contents(descriptor, name, fits, until):
                lines = matcher(data, MAX_MATCHES - len(search.matches))
                if lines and not shows("" if name else relative):
                    continue
                for number, line in lines:
                    search.matches.append({"file": relative, "line": number, "text": line})
                if len(search.matches) >= MAX_MATCHES:
                    search.note = f"the first {MAX_MATCHES} matches"
                    break
        except TimeoutError:
            search.note = f"stopped after {seconds:.0f} s; name a smaller folder"
    return search


def _contents(root: int, only: str, fits: Callable[[str], bool] | None, until: float) -> Generator[tuple[bytes, str]]:
    files = [Found(only, only, root, 0, 0.0)] if only else files_beneath(root, without=_SKIPPED, until=until)
    for file in files:
        if (fits is None or fits(file.relative)) and file.size <= MAX_FILE:
            data = _read(file)
            if data and b"\0" not in data[:4096] and len(data) <= MAX_FILE:
                yield data, file.relative


def _read(file: Found) -> bytes:
    try:
        with os.fdopen(open_regular(file.folder, file.name), "rb") as opened:
            return opened.read(MAX_FILE + 1) or b""
    except OSError:
        return b""


@contextmanager
def _rooted(root: Path, *, is_file: bool = False) -> Generator[int]:
    with contextlib.ExitStack() as stack:
        try:
            descriptor = stack.enter_context(root_folder(str(root.parent if is_file else root)))
            if is_file:
                os.close(open_regular(descriptor, root.name))
        except OSError as error:
            raise Invalid(
                f"Cannot search in {root}: {error.strerror or error}. Name a folder or a file that is there.",
                where="path",
                problem=str(error),
            ) from error
        yield descriptor


@contextmanager
def _matcher(pattern: str, *, ignore_case: bool, until: float) -> Generator[_Matcher]:
    if _PLAIN.fullmatch(pattern):
        expression = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
        yield lambda data, most: matching_lines(expression, data, most)
        return
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = _start(theirs.fileno())
        try:
            child = _Child(ours, pattern, until)
            child.begin(ignore_case=ignore_case)
            yield child.match
        finally:
            process.kill()
            process.wait()


class _Child:
    """The line to the locked child. What it says is as little trusted as the pattern."""

    def __init__(self, pipe: socket.socket, pattern: str, until: float) -> None:
        self._pipe = pipe
        self._pattern = pattern
        self._until = until

    def begin(self, *, ignore_case: bool) -> None:
        """Hand the pattern over. Raises Invalid where it is no regular expression."""
        job = {"pattern": self._pattern, "ignore_case": ignore_case, "most": MAX_MATCHES}
        answer = self._asked(frames.encode(job))
        if "problem" in answer:
            raise self._refused(str(answer["problem"]), "Correct the regular expression.")

    def match(self, data: bytes, most: int) -> list[list[Any]]:
        """The matching lines of one file."""
        answer = self._asked(struct.pack("<I", len(data)) + data).get("matches")
        found = cast("list[Any]", answer) if isinstance(answer, list) else []
        return [[number, str(line)] for number, line in map(_pair, found[:most]) if isinstance(number, int)]

    def _asked(self, message: bytes) -> dict[str, Any]:
        try:
            self._pipe.settimeout(max(0.01, self._until - time.monotonic()))
            self._pipe.sendall(message)
            answer = frames.decode(self._exactly(frames.length_of(self._exactly(4))))
        except (TimeoutError, EOFError, ConnectionError, frames.BadFrame) as error:
            raise self._refused(
                "matching it took too long or too much memory",
                "Write it without repetition inside repetition, or search in a smaller folder.",
            ) from error
        return cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}

    def _exactly(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size:
            self._pipe.settimeout(max(0.01, self._until - time.monotonic()))
            part = self._pipe.recv(min(size, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _refused(self, problem: str, advice: str) -> Invalid:
        return Invalid(
            f"Cannot search for {self._pattern[:80]!r}: {problem}. {advice}", where="pattern", problem=problem
        )


def _pair(part: Any) -> tuple[Any, Any]:
    pair = cast("list[Any]", part) if isinstance(part, list) else []
    return (pair[0], pair[1]) if len(pair) == 2 else (None, None)


def _start(descriptor: int) -> subprocess.Popen[bytes]:
    import druse_sandbox

    root = str(Path(druse_sandbox.__file__).parent.parent)
    limits = json.dumps({"cpu_seconds": int(_SECONDS) + 1, "memory_bytes": _MEMORY})
    code = (
        f"import sys\nsys.path[:0] = [{root!r}]\nfrom druse_sandbox.lines import serve\nserve({descriptor}, {limits})"
    )
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        pass_fds=(descriptor,),
    )
