"""Druse put into a client's configuration, in place, with a receipt that takes it out again."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from druse.editors.clients import NAME, Client, Form, Scope
from druse.editors.differences import masked_diff
from druse.editors.documents import Change, apply, decoded, found_at, read, says
from druse.editors.files import bytes_of, made_folders, remove, replace
from druse.editors.machine import Machine, serve_arguments
from druse.editors.receipts import Entry, Receipt, Receipts
from druse.editors.restoring import bytes_without
from druse.model import DruseError, Invalid, Json, JsonObject

__all__ = ["Edit", "Edited", "Installed", "entry_in", "install", "server_file", "starts_druse", "write"]

_CLIENT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Edit:
    """What one file should say, and for which client."""

    client: str
    path: Path
    form: Form
    scope: Scope
    root: str
    changes: tuple[Change, ...]
    private: bool = False
    secret: bool = False  # all its values are
    add: tuple[str, ...] = ()  # the client's own command for it


@dataclass(frozen=True, slots=True)
class Edited:
    """What became of one file. `status`: written, unchanged or planned (nothing was written)."""

    path: Path
    status: str
    diff: str = ""
    backup: Path | None = None
    how: str = "file"  # or the client's own command

    def as_dict(self) -> JsonObject:
        """For --json."""
        return {
            "file": str(self.path),
            "status": self.status,
            "how": self.how,
            "backup": str(self.backup) if self.backup else None,
            "diff": self.diff,
        }


@dataclass(slots=True)
class Installed:
    """What became of one client."""

    client: str
    scope: Scope
    files: list[Edited] = field(default_factory=list["Edited"])
    notes: list[str] = field(default_factory=list[str])


def server_file(client: Client, machine: Machine, scope: Scope, root: Path) -> Path:
    """The file that an installation edits. Raises Invalid where the client has none of that scope."""
    if scope == "user":
        return client.user(machine)[0]
    if client.project is None:
        raise Invalid(
            f"Cannot install into {client.title} for a project: it has no such file. Use --scope user.", where="--scope"
        )
    return client.project(root)


def install(
    client: Client,
    machine: Machine,
    scope: Scope,
    root: Path,
    *,
    workspace: Path | None,
    variables: Sequence[str] = (),
    first: Sequence[Edit] = (),
    more: Sequence[Edit] = (),
    dry_run: bool = False,
) -> Installed:
    """Write our entry into the client's file; before it the edits in `first`, after it those in `more`.

    `workspace`: where Druse works for a client that does not start servers in the project. `variables`: what the
    servers behind Druse need of the environment; clients that hand on nothing else are told their names.
    Raises Invalid where a file cannot be read or edited; then all of them are as they were.
    """
    path = server_file(client, machine, scope, root)
    place = workspace or (client.variable if scope == "user" else None) or None
    command = serve_arguments(place, system=machine.system)
    entry = client.entry(command, variables)
    project = "" if scope == "user" else str(root)
    edit = Edit(
        client.name,
        path,
        client.form,
        scope,
        project,
        _changes(client, path, entry),
        private=scope == "user",
        add=tuple(client.add(scope, command, entry)) if client.add else (),
    )
    done = Installed(client.name, scope)
    receipts = Receipts(machine.state)
    undo: list[tuple[Path, bytes | None, Receipt | None]] = []
    try:
        for part in _joined([*first, edit, *more]):
            target = Path(os.path.realpath(part.path))
            undo.append((target, bytes_of(target), receipts.of(target)))
            done.files.append(write(part, machine, receipts, dry_run=dry_run))
    except DruseError:
        for (target, was, receipt), edited in zip(undo, done.files, strict=False):
            if edited.status == "written":
                _undo(receipts, target, was, receipt)
        raise
    done.notes.append(client.restart)
    if "uv" in Path(command[0]).parts and {"archive-v0", ".cache", "Caches", "cache"} & set(Path(command[0]).parts):
        done.notes.append("This Python lies in uv's cache, which may be emptied: uv tool install druse, then again.")
    if scope == "project":
        done.notes.append("The file names this machine's Python: who else works here runs druse install as well.")
    return done


def entry_in(client: Client, path: Path) -> JsonObject | None:
    """Our entry as it stands in a client's file; None where there is none. Raises Invalid."""
    raw = bytes_of(path)
    if raw is None:
        return None
    found = found_at(read(decoded(raw, str(path)), client.form, str(path)), client.at)
    if client.listed:
        listed = found if isinstance(found, list) else []
        return next((item for item in listed if isinstance(item, dict) and item.get("name") == NAME), None)
    entry = found.get(NAME) if isinstance(found, dict) else None
    return entry if isinstance(entry, dict) else None


def write(edit: Edit, machine: Machine, receipts: Receipts, *, dry_run: bool) -> Edited:
    """Bring one file to what the edit wants. Raises Invalid."""
    path = Path(os.path.realpath(edit.path))
    where = str(edit.path)
    raw = bytes_of(path)
    text = decoded(raw or b"", where)
    receipt = receipts.of(path)
    if says(text, edit.form, edit.changes, where):
        if receipt is not None and not dry_run:
            _share(receipts, receipt, edit)
        return Edited(edit.path, "unchanged")
    base, earlier = raw, ()
    if receipt is not None:
        base = bytes_without(receipt, raw, receipt.entries)
        earlier = tuple(entry for entry in receipt.entries if not _superseded(entry, edit))
    made = decoded(base or b"", where)
    entries: list[Entry] = []
    for wanted in (*earlier, *(Entry(edit.client, change) for change in edit.changes)):
        made, carried_out = apply(made, edit.form, [wanted.change], where)
        entries += [Entry(wanted.client, change) for change in carried_out]
        if not carried_out:
            entries += [Entry(wanted.client, other.change) for other in entries if other.wants(wanted.change)][:1]
    after = made.encode("utf-8")
    diff = masked_diff(text, made, where, all_values=edit.secret)
    if dry_run:
        return Edited(edit.path, "planned", diff)
    folders = (*(receipt.folders if receipt else ()), *made_folders(path))
    how = "file"
    if receipt is None and not earlier and (through := _through_client(edit, machine, path, raw, entries)):
        after, how = through, " ".join(edit.add[:3])
        diff = masked_diff(text, decoded(after, where), where)
    # The receipt first: without it nobody could take back what stands in the file.
    backup = receipts.keep(Receipt(path, edit.form, edit.scope, edit.root, tuple(entries), base, after, folders))
    if how == "file":
        try:
            replace(path, after, expected=raw, private=edit.private)
        except DruseError:
            _put_back(receipts, receipt, path)
            raise
    return Edited(edit.path, "written", diff, backup if base is not None else None, how)


def starts_druse(entry: Json) -> bool:
    """Whether an entry in a client's file starts Druse, however it was written."""
    words: list[Any] = []
    for key in ("command", "cmd", "args"):
        value = found_at(entry, (key,))
        words += value if isinstance(value, list) else [value]
    texts = [word.replace("\\", "/") for word in words if isinstance(word, str)]
    return "serve" in texts and any(text == "druse" or text.endswith(("/druse/shim.py", "/druse")) for text in texts)


def _changes(client: Client, path: Path, entry: JsonObject) -> tuple[Change, ...]:
    fresh = [] if (bytes_of(path) or b"").strip() else list((client.fresh or {}).items())
    changes = [Change("put", (key,), value) for key, value in fresh]
    there = entry_in(client, path)
    if there is not None and starts_druse(there):
        # What the user added to our entry stays: a limit of time, tools that run without a question.
        named: Json = {**_object(there.get("env")), **_object(entry.get("env"))}
        limit = {"timeout": there["timeout"]} if "timeout" in there and "timeout" in entry else {}
        entry = {**there, **entry, **limit, **({"env": named} if named else {})}
    if not client.listed:
        return (*changes, Change("put", (*client.at, NAME), entry))
    raw = bytes_of(path) or b""
    found = found_at(read(decoded(raw, str(path)), client.form, str(path)), client.at)
    for number, item in enumerate(found if isinstance(found, list) else []):
        if isinstance(item, dict) and item.get("name") == NAME and item != entry:
            changes.append(Change("take", client.at, item, index=number))
    return (*changes, Change("append", client.at, entry))


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _joined(edits: Sequence[Edit]) -> list[Edit]:
    """Edits of the same file as one."""
    joined: dict[Path, Edit] = {}
    for edit in edits:
        there = joined.get(edit.path)
        if there is None:
            joined[edit.path] = edit
        else:
            joined[edit.path] = Edit(
                there.client,
                there.path,
                there.form,
                there.scope,
                there.root,
                (*there.changes, *edit.changes),
                private=there.private,
                secret=there.secret,
            )
    return list(joined.values())


def _superseded(entry: Entry, edit: Edit) -> bool:
    """Whether an earlier change is made again, perhaps otherwise, by this edit."""
    mine = entry.change
    if entry.client != edit.client:
        return False
    return any(
        mine.path == change.path
        and mine.kind == change.kind
        and (mine.kind == "put" or mine.value == change.value or mine.path[-1] == "mcpServers")
        for change in edit.changes
    )


def _share(receipts: Receipts, receipt: Receipt, edit: Edit) -> None:
    """Note that what is there already for one client is there for another one as well."""
    owned = [entry.change for entry in receipt.entries if entry.client == edit.client]
    shared = [
        Entry(edit.client, entry.change)
        for entry in receipt.entries
        if entry.change not in owned and any(entry.wants(change) for change in edit.changes)
    ]
    if shared:
        receipts.keep(receipt.now(entries=(*receipt.entries, *shared)))


def _undo(receipts: Receipts, path: Path, was: bytes | None, receipt: Receipt | None) -> None:
    there = receipts.of(path)
    if was is None:
        remove(path, list(there.folders) if there else [])
    else:
        replace(path, was, expected=bytes_of(path))
    _put_back(receipts, receipt, path)


def _put_back(receipts: Receipts, receipt: Receipt | None, path: Path) -> None:
    if receipt is None:
        receipts.forget(path)
    else:
        receipts.keep(receipt)


def _through_client(
    edit: Edit, machine: Machine, path: Path, raw: bytes | None, entries: Sequence[Entry]
) -> bytes | None:
    """The file as the client's own command leaves it; None, with the file as it was, where it leaves anything else."""
    program = machine.program(edit.add[0]) if edit.add else None
    if program is None or len(entries) != 1 or entries[0].change.replaced:
        return None
    # What counts is the file: it is looked at below, and edited by ourselves if it is not right.
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(
            [program, *edit.add[1:]],
            cwd=edit.root or machine.home,
            env=dict(machine.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CLIENT_SECONDS,
            check=True,
        )
    after = bytes_of(path)
    if after is not None and after != raw and _kept(edit, raw or b"", after, entries[0].change):
        return after
    if after != raw:
        if raw is None:
            path.unlink()
        else:
            replace(path, raw, expected=after)
    return None


def _kept(edit: Edit, raw: bytes, after: bytes, change: Change) -> bool:
    """Whether every line from before is still there and our entry stands as it should."""
    old, new = (decoded(part, str(edit.path)).splitlines() for part in (raw, after))
    lines = [line.rstrip().rstrip(",") for line in new]
    for line in (line.rstrip().rstrip(",") for line in old):
        if line.strip() in ("", "{}", "}"):
            continue
        if line not in lines:
            return False
        lines.remove(line)
    try:
        entry = found_at(read(decoded(after, str(edit.path)), edit.form, str(edit.path)), change.path)
    except Invalid:
        return False
    wanted: Json = change.value
    return isinstance(entry, dict) and isinstance(wanted, dict) and all(entry.get(key) == wanted[key] for key in wanted)
