"""Reading files that others put there: regular ones only, never through a link, never more than a limit."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from druse.model import Invalid
from druse.skills.volume import MAX_FILE, MAX_FILES


def read_file(path: Path, limit: int) -> bytes | None:
    """A regular file's bytes; None where there is none. Raises Invalid for a link, a device or too many bytes."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Invalid(f"Cannot read {path}: {error.strerror}; it may be a link.", where=str(path)) from error
    if not stat.S_ISREG(kind := os.fstat(descriptor).st_mode):
        os.close(descriptor)
        if stat.S_ISDIR(kind):
            return None
        raise Invalid(f"Cannot read {path}: it is no regular file.", where=str(path))
    with os.fdopen(descriptor, "rb") as file:
        body = file.read(limit + 1)
    if len(body) > limit:
        raise Invalid(f"Cannot read {path}:1: it is larger than {limit} bytes.", where=f"{path}:1")
    return body


def read_folder(folder: Path) -> dict[str, bytes]:
    """The regular files under a folder by their relative path; links and hidden ones are left out. Raises Invalid."""
    files: dict[str, bytes] = {}
    for path in _shown(folder):
        body = None if path.is_symlink() else read_file(path, MAX_FILE)
        if body is not None:
            files[path.relative_to(folder).as_posix()] = body
        if len(files) > MAX_FILES:
            raise Invalid(f"Cannot use {folder}: it holds more than {MAX_FILES} files.", where=str(folder))
    return files


def _shown(folder: Path) -> Iterator[Path]:
    """What lies under a folder and is no folder itself, of whatever kind, without what is hidden; in a stable order."""
    for current, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(current) / name for name in sorted(names) if not name.startswith("."))


def regular_files(folder: Path, prefix: str) -> list[str]:
    """Paths of the regular files under a folder, as `prefix/...`; what is hidden or a link is left out."""
    found: list[str] = []
    for path in _shown(folder):
        with contextlib.suppress(OSError):
            if stat.S_ISREG(path.lstat().st_mode):
                found.append(f"{prefix}/{path.relative_to(folder).as_posix()}")
    return found


def folder_stamp(folder: Path) -> tuple[object, ...]:
    """Times and sizes of the skills in a folder, one level deep; reads no contents."""
    stamps: list[object] = []
    with contextlib.suppress(OSError):
        for entry in sorted(os.scandir(folder), key=lambda e: e.name):
            with contextlib.suppress(OSError):
                directory = entry.is_dir(follow_symlinks=False)
                found = os.lstat(Path(entry.path) / "SKILL.md") if directory else entry.stat(follow_symlinks=False)
                stamps.append((entry.name, found.st_mtime_ns, found.st_size, found.st_ino))
    return tuple(stamps)
