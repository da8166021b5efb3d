"""Files at the point of effect: never through a link that was put there after the call was decided.

The path a rule was asked about was resolved once. From then on its folders are reached from a root descriptor with
every link refused, so that a link put in their place meanwhile is an error, not another file. Only regular files; a
file with several names (hard links) is not written; replaced whole or not at all.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from druse.localtools.beneath import make_folder, open_folder, open_regular
from druse.model import Invalid

MAX_READ = 8 * 1024 * 1024
MAX_WRITE = 8 * 1024 * 1024
_MAX_PATH = 4095


def resolve(text: str, workspace: Path) -> Path:
    """The real path a call means. Raises Invalid for what is no path."""
    if "\0" in text or not text:
        raise Invalid(
            "Cannot use the path: it is empty or holds a NUL character. Send a plain path.", where="file_path"
        )
    if text == "~" or text.startswith("~/"):
        text = str(Path.home()) + text[1:]
    return Path(os.path.realpath(workspace / text))


def read_text(path: Path) -> str:
    """The text of a regular file. Raises Invalid saying why it cannot be read."""
    with _opened_folder(path) as folder:
        try:
            with os.fdopen(open_regular(folder, path.name), "rb") as file:
                data = file.read(MAX_READ + 1) or b""
        except OSError as error:
            raise _refused("read", path, error) from error
    if len(data) > MAX_READ:
        raise Invalid(
            f"Cannot read {path}: it is larger than {MAX_READ:,} bytes. Search it with Grep, or cut it with a command."
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(f"Cannot read {path}: it is not text in UTF-8. Use a command made for such files.") from error


def write_text(path: Path, text: str) -> bool:
    """Replace (or make) a file; whether it is new. The mode of an existing file is kept. Raises Invalid."""
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > MAX_WRITE:
        raise Invalid(f"Cannot write {path}: {len(data):,} bytes are over the limit of {MAX_WRITE:,}.")
    if len(os.fsencode(path)) > _MAX_PATH:  # folder by folder a path could be made that nothing can name at once
        raise Invalid(f"Cannot write {str(path)[:200]}…: its path is longer than {_MAX_PATH:,} bytes. Shorten it.")
    with _opened_folder(path, make=True) as folder:
        mode, new = 0o644, True
        try:
            found = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
            _check_regular(path, found, "write")
            if found.st_nlink != 1:
                raise Invalid(
                    f"Cannot write {path}: it has several names (hard links), and all would change. Copy it first."
                )
            mode, new = stat.S_IMODE(found.st_mode), False
        except FileNotFoundError:
            pass
        waiting = f".{path.name[:40]}.{secrets.token_hex(6)}"
        try:
            descriptor = os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=folder)
            with os.fdopen(descriptor, "wb") as file:
                if not new:
                    os.fchmod(descriptor, mode)  # the umask is for new files
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            os.replace(waiting, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as error:
            with_removed(waiting, folder)
            raise _refused("write", path, error) from error
    return new


def with_removed(name: str, folder: int) -> None:
    """Remove a file that was being prepared, if it is there."""
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        return


@contextmanager
def _opened_folder(path: Path, *, make: bool = False) -> Generator[int]:
    """A descriptor of the folder that holds `path`, reached without following a link."""
    top = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        folder = (make_folder if make else open_folder)(top, str(path.parent))
    except OSError as error:
        raise _refused("open the folder of", path, error) from error
    finally:
        os.close(top)
    try:
        yield folder
    finally:
        os.close(folder)


def _check_regular(path: Path, found: os.stat_result, what: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Invalid(f"Cannot {what} {path}: it is no regular file. Name a file.")


def _refused(what: str, path: Path, error: OSError) -> Invalid:
    if error.errno in (errno.ELOOP, errno.EXDEV):
        return Invalid(
            f"Cannot {what} {path}: a link stands in the path that was not there when the call was decided. "
            "Call again; the rules decide anew.",
            where=str(path),
            problem="a link",
        )
    return Invalid(
        f"Cannot {what} {path}: {error.strerror or error}. Check the path.", where=str(path), problem=str(error)
    )
