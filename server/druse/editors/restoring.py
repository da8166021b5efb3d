"""A file without what Druse put into it: the very bytes from before where nobody else touched it, else without ours."""

from __future__ import annotations

import re

from druse.editors.differences import reverted
from druse.editors.documents import decoded, meaning_is_same, read, text_without
from druse.editors.receipts import Entry, Receipt

__all__ = ["bytes_without"]


def bytes_without(
    receipt: Receipt, raw: bytes | None, entries: tuple[Entry, ...], *, everything: bool = True
) -> bytes | None:
    """What the file should hold when these entries of its receipt are taken back; None where it should be gone.

    `everything`: no other entry is left.

    Raises Invalid where the file cannot be read any more, or holds our entry in a form that cannot be cut out.
    """
    if raw is None:
        return None
    if everything and raw in (receipt.after, receipt.before):
        return receipt.before
    where = str(receipt.path)
    current = decoded(raw, where)
    cut = text_without(current, receipt.form, [entry.change for entry in entries], where)
    if everything:
        before = decoded(receipt.before or b"", where)
        patched = reverted(before, decoded(receipt.after, where), current)
        changes = [entry.change for entry in entries]
        if patched is not None and meaning_is_same(patched, cut, receipt.form, where, changes):
            cut = patched
        if (
            receipt.before is None
            and not re.sub(r"[\ufeff\s{}\[\],]", "", cut)
            and read(cut, receipt.form, where) == {}
        ):
            return None
    return cut.encode("utf-8")
