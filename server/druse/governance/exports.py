"""The whole chain as a file that anybody can verify: a head line, the entries, the signed roots."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable
from typing import cast

from druse.governance.audit import AuditChain
from druse.governance.entries import root_as_dict, root_from_dict
from druse.governance.integrity import ChainCheck, Verified
from druse.governance.signing import instance_of
from druse.model import Invalid, Json, JsonObject
from druse.store import AuditRow, RootRow, Store

_FORMAT = "druse audit export 1"
_PAGE = 2000


async def export_lines(store: Store, chain: AuditChain) -> AsyncGenerator[str]:
    """The lines of an export. It ends with the entries that the newest signed root covers."""
    roots = await store.audit.roots()
    size = roots[-1].size if roots else 0
    yield json.dumps({"format": _FORMAT, "public": chain.key.public, "instance": chain.key.instance, "entries": size})
    for root in roots:
        yield json.dumps({"root": root_as_dict(root)})
    after = 0
    while rows := await store.audit.page(after, _PAGE):
        for row in rows:
            if row.seq > size:
                return
            yield json.dumps({"seq": row.seq, "entry": row.entry, "hash": row.hash}, ensure_ascii=False)
        after = rows[-1].seq


def verify_export(lines: Iterable[str], *, public: str = "") -> Verified:
    """Verify an export against its roots. `public`: the key they must be signed with; without it, the file's own.

    Raises StoreDamaged naming the first bad entry, Invalid where the file is no export.
    """
    parts = (_object(line, number) for number, line in enumerate(lines, 1) if line.strip())
    head = next(parts, None) or {}
    count = head.get("entries")
    if head.get("format") != _FORMAT or not isinstance(count, int):
        raise Invalid(
            "Cannot verify the file: it is no audit export. Make one with druse audit export.", where="line 1"
        )
    signer = public or str(head.get("public") or "")
    try:
        instance_of(signer)
    except ValueError as error:
        raise Invalid("Cannot verify the file: its public key is no key.", where="public") from error
    roots: list[RootRow] = []
    check: ChainCheck | None = None
    for part in parts:
        root = part.get("root")
        if isinstance(root, dict) and check is None:
            roots.append(root_from_dict(root))
            continue
        check = check or ChainCheck(roots, signer)
        check.feed(_row(part))
    return (check or ChainCheck(roots, signer)).finish(count)


def _object(line: str, number: int) -> JsonObject:
    try:
        loaded: Json = json.loads(line)
    except ValueError as error:
        raise Invalid(
            f"Cannot read line {number} of the export: {error}. Export it anew.", where=f"line {number}"
        ) from error
    return cast("JsonObject", loaded) if isinstance(loaded, dict) else {}


def _row(part: JsonObject) -> AuditRow:
    seq, entry, digest = part.get("seq"), part.get("entry"), part.get("hash")
    if not (isinstance(seq, int) and isinstance(entry, str) and isinstance(digest, str)):
        return AuditRow(-1, "", "")
    return AuditRow(seq, entry, digest)
