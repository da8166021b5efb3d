"""Files of other programs, replaced as a whole or not at all, with their mode, and through links to what they name."""

from __future__ import annotations

import glob
import os
import tempfile
import time
from pathlib import Path

from druse.model import Invalid

__all__ = ["bytes_of", "made_folders", "remove", "replace"]

_WRITTEN_SECONDS = 60.0  # a younger one may still be written by another installation


def bytes_of(path: Path) -> bytes | None:
    """What a file holds; None where there is none. Raises Invalid where it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _cannot("read", path, error) from error


def made_folders(path: Path) -> list[Path]:
    """The folders above a file that do not exist yet, the outermost first."""
    missing: list[Path] = []
    folder = path.parent
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    return missing[::-1]


def replace(path: Path, content: bytes, *, expected: bytes | None, private: bool = False) -> None:
    """Put `content` in place of what is there, in one step. Raises Invalid if that is not `expected` any more.

    A link stays a link: what it names is replaced. Mode and, where we may, owner are those of the old file; a new one
    is readable by this account alone if `private`.
    """
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        if bytes_of(target) != expected:
            raise Invalid(
                f"Cannot edit {path}: another program changed it meanwhile. Nothing was changed; try again.",
                where=str(path),
            )
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".druse", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            _like(Path(name), target, private=private)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _cannot("write", path, error) from error


def remove(path: Path, folders: list[Path]) -> None:
    """Delete a file and those of the given folders that are empty then, the innermost first."""
    try:
        target = Path(os.path.realpath(path))
        _sweep(target)
        target.unlink(missing_ok=True)
        for folder in reversed(folders):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        raise _cannot("remove", path, error) from error


def _sweep(target: Path) -> None:
    """Remove what an installation that was killed while it wrote left beside the file."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.druse"):
        try:
            if time.time() - left.stat().st_mtime > _WRITTEN_SECONDS:
                left.unlink()
        except FileNotFoundError:
            continue


def _like(made: Path, target: Path, *, private: bool) -> None:
    try:
        was = target.stat()
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        made.chmod(0o600 if private else 0o666 & ~umask)
        return
    if hasattr(os, "chown") and (was.st_uid, was.st_gid) != (os.geteuid(), os.getegid()):
        try:
            os.chown(made, was.st_uid, was.st_gid)
        except PermissionError:
            made.chmod(was.st_mode & 0o777)
            return
    made.chmod(was.st_mode & 0o7777)


def _cannot(what: str, path: Path, error: OSError) -> Invalid:
    return Invalid(
        f"Cannot {what} {path}: {error.strerror or error}. Check the file's permissions; nothing else was changed.",
        where=str(path),
        problem=str(error),
    )
