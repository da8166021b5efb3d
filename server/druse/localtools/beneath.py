"""Folders and files reached from a root descriptor, never through a link.

Linux 5.6 and later look a whole path up in one call that refuses every link on the way (`openat2`). Where a kernel or
a container lacks it, each folder is opened from the one before it with O_NOFOLLOW, which refuses the same paths.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

_OPENAT2 = 437  # the same number on every architecture
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
# Non-blocking, so that a FIFO with nobody at its other end is an answer and no wait.
_FILE = _FOLDER & ~getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_ABSENT = frozenset((errno.ENOSYS, errno.EPERM, errno.E2BIG, errno.EINVAL))


def open_folder(root: int, relative: str, *, walk: bool = False) -> int:
    """A descriptor of the folder `relative` (with `/`, "" for the root itself) beneath the descriptor `root`.

    Raises OSError for whatever is missing, is no folder, or is reached through a link or through `..`.
    `walk` takes the way without `openat2`.
    """
    parts = _parts(relative)
    if not walk and parts:
        try:
            return _openat2(root, "/".join(parts))
        except _Lacking:
            pass
    current = os.open(".", _FOLDER, dir_fd=root)
    for part in parts:
        try:
            following = os.open(part, _FOLDER, dir_fd=current)
        finally:
            os.close(current)
        current = following
    return current


def make_folder(root: int, relative: str) -> int:
    """As `open_folder`, making what is missing on the way."""
    current = os.open(".", _FOLDER, dir_fd=root)
    for part in _parts(relative):
        try:
            try:
                following = os.open(part, _FOLDER, dir_fd=current)
            except FileNotFoundError:
                _make(part, current)
                following = os.open(part, _FOLDER, dir_fd=current)
        finally:
            os.close(current)
        current = following
    return current


def open_regular(folder: int, name: str) -> int:
    """A regular file of an open folder, for reading. Raises OSError; ENOTSUP (95) for FIFOs, devices and the like."""
    if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        _raise_irregular()  # before opening: opening alone can have an effect on a device
    descriptor = os.open(name, _FILE, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        _raise_irregular()
    return descriptor


@contextmanager
def root_folder(path: str) -> Generator[int]:
    """A descriptor of a folder given by its resolved path; no part of it may have become a link."""
    top = os.open("/", _FOLDER)
    try:
        descriptor = open_folder(top, path)
    finally:
        os.close(top)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file beneath a root. `folder` is open until the next one is asked for."""

    relative: str
    name: str
    folder: int
    size: int
    modified: float


def files_beneath(root: int, *, without: frozenset[str], until: float) -> Iterator[Found]:
    """Every regular file beneath a root, in order of names, folders named in `without` left out.

    No link is followed, whenever it was put there. Raises TimeoutError at `until` (of `time.monotonic`).
    """
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            descriptor = open_folder(root, folder)
        except OSError:
            continue  # gone, closed to us, or not what it was when its name was read
        try:
            prefix = folder + "/" if folder else ""
            below: list[str] = []
            for name in sorted(os.listdir(descriptor)):  # noqa: PTH208 - pathlib knows no descriptors
                if time.monotonic() > until:
                    raise TimeoutError
                try:
                    found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISDIR(found.st_mode):
                    if name not in without:
                        below.append(prefix + name)
                elif stat.S_ISREG(found.st_mode):
                    yield Found(prefix + name, name, descriptor, found.st_size, found.st_mtime)
            waiting.extend(reversed(below))
        finally:
            os.close(descriptor)


class _Lacking(Exception):
    """This kernel, or a filter of system calls around us, has no openat2."""


@cache
def _library() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    return ctypes.CDLL(None, use_errno=True)


def _openat2(root: int, path: str) -> int:
    library = _library()
    if library is None:
        raise _Lacking
    how = struct.pack("=QQQ", _FOLDER, 0, _NO_MAGICLINKS | _NO_SYMLINKS | _BENEATH)
    number = 0
    for _ in range(100):  # EAGAIN: something was renamed while the kernel looked
        found = library.syscall(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(root),
            ctypes.c_char_p(os.fsencode(path)),
            ctypes.c_char_p(how),
            ctypes.c_size_t(len(how)),
        )
        if found >= 0:
            return int(found)
        number = ctypes.get_errno()
        if number in _ABSENT:
            raise _Lacking
        if number not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(number, os.strerror(number), path)


def _parts(relative: str) -> list[str]:
    parts = [part for part in relative.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in relative:
        raise OSError(errno.EXDEV, "the path leaves its root", relative)
    return parts


def _make(name: str, folder: int) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=folder)
    except FileExistsError:
        return  # somebody else made it; opening it tells whether it is a folder


def _raise_irregular() -> None:
    raise OSError(errno.ENOTSUP, "it is no regular file")
