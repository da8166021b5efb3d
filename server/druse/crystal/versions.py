"""Versions on disk: `tools/generated/<tool>/v<N>.py` and `.json`, written once, never rewritten or deleted by us."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import cast

from druse.model import Invalid, JsonObject, ToolVersion

_FILE = re.compile(r"v([1-9][0-9]*)\.(py|json)")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class VersionFiles:
    """The files of all tools of a workspace."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._mark = str(root / ".changed")

    def write(self, version: ToolVersion) -> None:
        """Write both files of a new version. Raises Invalid where one of them is there already."""
        if not _NAME.fullmatch(version.name):
            raise Invalid(f"Cannot write tool {version.name!r}: a name is a-z, 0-9 and _, at most 40 characters.")
        folder = self.root / version.name
        folder.mkdir(parents=True, exist_ok=True)
        manifest = json.dumps(version.manifest, indent=2, ensure_ascii=False) + "\n"
        # The manifest last: a version without it is not there yet.
        for path, text in ((self.source_path(version), version.source), (self.manifest_path(version), manifest)):
            _write_once(path, text)

    def read(self, name: str, number: int) -> ToolVersion:
        """One version from disk. Raises Invalid saying which file is missing or broken."""
        shell = ToolVersion(name, number, "", {})
        source_path, manifest_path = self.source_path(shell), self.manifest_path(shell)
        try:
            source = source_path.read_text(encoding="utf-8")
            manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Invalid(
                f"Cannot load {name} v{number}: {error}. Restore its files, for example from git.",
                where=str(source_path.parent),
                problem=str(error),
            ) from error
        if not isinstance(manifest, dict):
            raise Invalid(f"Cannot load {name} v{number}: its manifest is no object.", where=str(manifest_path))
        return ToolVersion(name, number, source, cast("JsonObject", manifest))

    def numbers(self) -> dict[str, list[int]]:
        """The versions on disk, by tool; a version counts when it has both files."""
        found: dict[str, list[int]] = {}
        if not self.root.is_dir():
            return found
        for folder in sorted(self.root.iterdir()):
            if not folder.is_dir() or folder.is_symlink() or not _NAME.fullmatch(folder.name):
                continue
            kinds: dict[int, set[str]] = {}
            for path in folder.iterdir():
                match = _FILE.fullmatch(path.name)
                if match and path.is_file() and not path.is_symlink():
                    kinds.setdefault(int(match[1]), set()).add(match[2])
            numbers = sorted(number for number, parts in kinds.items() if len(parts) == 2)
            if numbers:
                found[folder.name] = numbers
        return found

    def touch(self) -> None:
        """Make watching servers look again: the store changed, no file did."""
        self.root.mkdir(parents=True, exist_ok=True)
        Path(self._mark).touch()

    def touched(self) -> int:
        """When that was last done, in nanoseconds; 0 for never. One look at the disk."""
        try:
            return os.stat(self._mark).st_mtime_ns  # noqa: PTH116 - before every call, and three times as fast
        except OSError:
            return 0

    def source_path(self, version: ToolVersion) -> Path:
        """Where the source of a version stands."""
        return self.root / version.name / f"v{version.version}.py"

    def manifest_path(self, version: ToolVersion) -> Path:
        """Where the manifest of a version stands."""
        return self.root / version.name / f"v{version.version}.json"


def _write_once(path: Path, text: str) -> None:
    """Write a file that must not exist: whole or not at all, on the disk before this returns."""
    waiting = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with waiting.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(waiting, path)
    except FileExistsError as error:
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return  # the same version, published twice
        raise Invalid(
            f"Cannot write {path}: it is there already, and versions are never rewritten. Move it away.",
            where=str(path),
            problem="exists",
        ) from error
    finally:
        waiting.unlink(missing_ok=True)
