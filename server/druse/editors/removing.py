"""Druse taken out of a client's configuration again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from druse.editors.clients import NAME, Client, Scope
from druse.editors.differences import masked_diff
from druse.editors.documents import Change, decoded, text_without
from druse.editors.files import bytes_of, remove, replace
from druse.editors.installing import Edited, entry_in, starts_druse
from druse.editors.machine import Machine
from druse.editors.receipts import Receipt, Receipts
from druse.editors.restoring import bytes_without

__all__ = ["uninstall"]


def uninstall(
    client: Client, machine: Machine, scopes: Sequence[Scope], root: Path, *, dry_run: bool = False
) -> list[Edited]:
    """Take back every change that was made for the client, here and for the account. Raises Invalid.

    A file that nobody else touched gets the very bytes it had; from others only ours is taken. Where a receipt is
    missing, what starts Druse is found by itself.
    """
    receipts = Receipts(machine.state)
    done = [
        _undone(client, receipt, receipts, dry_run=dry_run)
        for receipt in list(receipts.all())
        if any(entry.client == client.name for entry in receipt.entries)
        and receipt.scope in scopes
        and receipt.root in ("", str(root))
    ]
    looked_at = {edited.path for edited in done}
    for path in _files(client, machine, scopes, root):
        if Path(os.path.realpath(path)) not in looked_at and (edited := _found_out(client, path, dry_run=dry_run)):
            done.append(edited)
    return done


def _undone(client: Client, receipt: Receipt, receipts: Receipts, *, dry_run: bool) -> Edited:
    mine, others = receipt.parted(client.name)
    raw = bytes_of(receipt.path)
    after = bytes_without(receipt, raw, mine, everything=not others)
    diff = masked_diff(
        decoded(raw or b"", str(receipt.path)), decoded(after or b"", str(receipt.path)), str(receipt.path)
    )
    if dry_run:
        return Edited(receipt.path, "planned", diff)
    if raw is not None and after is None:
        remove(receipt.path, list(receipt.folders))
    elif after is not None and after != raw:
        replace(receipt.path, after, expected=raw)
    if others and after is not None:
        receipts.keep(receipt.now(entries=others, after=after))
    else:
        receipts.forget(receipt.path)
    return Edited(receipt.path, "written" if after != raw else "unchanged", diff)


def _files(client: Client, machine: Machine, scopes: Sequence[Scope], root: Path) -> list[Path]:
    files = list(client.user(machine)) if "user" in scopes else []
    if "project" in scopes and client.project is not None:
        files.append(client.project(root))
    return files


def _found_out(client: Client, path: Path, *, dry_run: bool) -> Edited | None:
    """Take out an entry without a receipt, if it is one that starts Druse."""
    entry = entry_in(client, path)
    if entry is None or not starts_druse(entry):
        return None
    raw = bytes_of(path) or b""
    text = decoded(raw, str(path))
    change = Change("append", client.at, entry) if client.listed else Change("put", (*client.at, NAME), entry)
    made = text_without(text, client.form, [change], str(path))
    if not dry_run:
        replace(path, made.encode("utf-8"), expected=raw)
    return Edited(path, "planned" if dry_run else "written", masked_diff(text, made, str(path)))
