"""What was changed in which file, with the bytes from before and after: how an installation is taken back.

Receipts lie in this account's state folder (mode 0700), because the bytes of a client's configuration may hold its
secrets.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from druse.editors.documents import Change
from druse.model import Invalid

__all__ = ["Entry", "Receipt", "Receipts"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One change and for which client it was made."""

    client: str
    change: Change

    def wants(self, change: Change) -> bool:
        """Whether it is the same as `change`, made already."""
        mine = self.change
        return (mine.kind, mine.path) == (change.kind, change.path) and mine.value == change.value


@dataclass(frozen=True, slots=True)
class Receipt:
    """All that Druse changed in one file. `before` is None where there was no file."""

    path: Path
    form: Any
    scope: str
    root: str  # the project, for files of a project; else empty
    entries: tuple[Entry, ...]
    before: bytes | None
    after: bytes
    folders: tuple[Path, ...] = field(default=())  # that were made for the file

    def parted(self, client: str) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
        """What was made for this client alone, and the entries of all others."""
        others = tuple(entry for entry in self.entries if entry.client != client)
        mine = (entry for entry in self.entries if entry.client == client)
        return tuple(entry for entry in mine if not any(other.wants(entry.change) for other in others)), others

    def now(self, **changes: Any) -> Receipt:
        """A copy with these fields changed."""
        return replace(self, **changes)


class Receipts:
    """The receipts in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, path: Path) -> Receipt | None:
        """The receipt of a file. Raises Invalid where it cannot be read."""
        name = self._name(path)
        return self._load(name) if (self._folder / f"{name}.json").exists() else None

    def all(self) -> Iterator[Receipt]:
        """Every receipt, in a stable order."""
        for path in sorted(self._folder.glob("*.json")):
            yield self._load(path.stem)

    def keep(self, receipt: Receipt) -> Path:
        """Store a receipt; where the bytes from before lie. Raises Invalid where they cannot be stored."""
        try:
            return self._kept(receipt)
        except OSError as error:
            raise Invalid(
                f"Cannot keep what {receipt.path} held in {self._folder}: {error.strerror or error}. "
                "Make room for it or correct the permissions; nothing was changed.",
                where=str(self._folder),
            ) from error

    def _kept(self, receipt: Receipt) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        name = self._name(receipt.path)
        before = self._folder / f"{name}.before"
        if receipt.before is not None:
            _write(before, receipt.before)
        else:
            before.unlink(missing_ok=True)
        _write(self._folder / f"{name}.after", receipt.after)
        data = {
            "path": str(receipt.path),
            "form": receipt.form,
            "scope": receipt.scope,
            "root": receipt.root,
            "existed": receipt.before is not None,
            "folders": [str(folder) for folder in receipt.folders],
            "entries": [{"client": entry.client, "change": entry.change.as_dict()} for entry in receipt.entries],
        }
        _write(self._folder / f"{name}.json", json.dumps(data, indent=1, default=str).encode())
        return before

    def forget(self, path: Path) -> None:
        """Drop a receipt and its bytes."""
        for suffix in ("json", "before", "after"):
            (self._folder / f"{self._name(path)}.{suffix}").unlink(missing_ok=True)

    def _load(self, name: str) -> Receipt:
        place = self._folder / f"{name}.json"
        try:
            data: Any = json.loads(place.read_text(encoding="utf-8"))
            entries = tuple(Entry(part["client"], Change.from_dict(part["change"])) for part in data["entries"])
            before = (self._folder / f"{name}.before").read_bytes() if data["existed"] else None
            after = (self._folder / f"{name}.after").read_bytes()
            folders = tuple(Path(folder) for folder in data["folders"])
            return Receipt(
                Path(data["path"]), data["form"], data["scope"], data["root"], entries, before, after, folders
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Invalid(
                f"Cannot read the receipt {place}: {error}. Remove that file; druse uninstall then takes out what it "
                "finds of Druse by itself.",
                where=str(place),
            ) from error

    def _name(self, path: Path) -> str:
        return f"{path.name.lstrip('.')}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}"


def _write(path: Path, content: bytes) -> None:
    made = path.with_name(path.name + ".new")
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.write(content)
    made.replace(path)
