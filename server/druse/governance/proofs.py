"""Short proofs for people who do not have the database: this entry is in the log, this log begins with that one."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from druse.governance.audit import AuditChain, leaves_between
from druse.governance.entries import TILE, entry_id, parsed, root_as_dict, root_from_dict
from druse.governance.merkle import consistency_path, consistent, included, leaf_hash, path_of, root_of
from druse.governance.signing import instance_of, signed_by
from druse.model import Invalid, Json, JsonObject, NotFound
from druse.store import RootRow, Store

_ENTRY = "druse audit proof 1"
_GROWTH = "druse audit growth 1"


async def prove_entry(store: Store, chain: AuditChain, seq: int) -> JsonObject:
    """A proof that entry `seq` is in the log, under the newest signed root. Raises NotFound."""
    row = await store.audit.get(seq)
    if row is None:
        raise NotFound(f'Cannot prove {entry_id(seq)}: there is no such entry. List them with "druse audit show".')
    root = await _newest(store, chain, seq)
    number, place = divmod(seq - 1, TILE)
    leaves = await leaves_between(store, number * TILE, min(TILE, root.size - number * TILE))
    nodes = await _nodes(store, root.size)
    path = [*path_of(leaves, place), *path_of(nodes, number)]
    return {
        "format": _ENTRY,
        "entry": row.entry,
        "index": seq - 1,
        "path": [node.hex() for node in path],
        "root": root_as_dict(root),
        "public": chain.key.public,
    }


async def prove_growth(store: Store, chain: AuditChain, old: RootRow) -> JsonObject:
    """A proof that the log under the newest signed root begins with the one under `old`."""
    new = await _newest(store, chain, old.size)
    nodes = await _nodes(store, new.size)
    tails = {
        number: await leaves_between(store, number * TILE, min(TILE, new.size - number * TILE))
        for number in {old.size // TILE, new.size // TILE}
    }
    path = consistency_path(old.size, new.size, _between(nodes, tails))
    return {
        "format": _GROWTH,
        "old": root_as_dict(old),
        "root": root_as_dict(new),
        "path": [node.hex() for node in path],
        "public": chain.key.public,
    }


def check_proof(proof: JsonObject, *, public: str = "") -> JsonObject:
    """What a proof shows. `public` is the key it must be signed with; without it, the proof's own is taken.

    Raises Invalid where the proof does not hold.
    """
    signer = public or str(proof.get("public") or "")
    root = _root(proof, "root", signer)
    path = _path(proof)
    kind = proof.get("format")
    if kind == _ENTRY:
        text, index = proof.get("entry"), proof.get("index")
        if not (isinstance(text, str) and isinstance(index, int)):
            raise _wrong("it holds no entry")
        leaf = leaf_hash(text.encode("utf-8", "surrogatepass"))
        if not included(leaf, index, root.size, path, _hash(root)):
            raise _wrong("the path does not lead from the entry to the signed root")
        return {"ok": True, "entry": parsed(text), "size": root.size, "instance": instance_of(signer)}
    if kind == _GROWTH:
        old = _root(proof, "old", signer)
        if not consistent(old.size, root.size, _hash(old), _hash(root), path):
            raise _wrong("the later log does not begin with the earlier one")
        return {"ok": True, "old_size": old.size, "size": root.size, "instance": instance_of(signer)}
    raise _wrong(f"its format is {kind!r}")


async def _newest(store: Store, chain: AuditChain, at_least: int) -> RootRow:
    """The newest signed root, made now if it does not reach `at_least` entries."""
    root = await store.audit.last_root()
    if root is None or root.size < at_least:
        root = await chain.seal()
    if root is None or root.size < at_least:
        raise NotFound(
            f"Cannot prove anything of {at_least} entries: no signed root reaches them. Run druse audit verify."
        )
    return root


async def _nodes(store: Store, size: int) -> list[bytes]:
    """The roots of the tiles of a log, the last one perhaps not full."""
    full, rest = divmod(size, TILE)
    nodes = [root for _, root in await store.audit.tiles()][:full]
    return [*nodes, root_of(await leaves_between(store, full * TILE, rest))] if rest else nodes


def _between(nodes: list[bytes], tails: dict[int, list[bytes]]) -> Callable[[int, int], bytes]:
    def between(start: int, end: int) -> bytes:
        if end - start >= TILE:  # then it starts at a tile's beginning
            return root_of(nodes[start // TILE : -(-end // TILE)])
        number = start // TILE
        return root_of(tails[number][start - number * TILE : end - number * TILE])

    return between


def _root(proof: JsonObject, key: str, public: str) -> RootRow:
    held = proof.get(key)
    root = root_from_dict(held) if isinstance(held, dict) else None
    if root is None:
        raise _wrong(f"it holds no {key}")
    if parsed(root.statement).get("size") != root.size or not signed_by(public, root.statement, root.signature):
        raise _wrong("its root is not signed with the expected key")
    return root


def _hash(root: RootRow) -> bytes:
    try:
        return bytes.fromhex(str(parsed(root.statement).get("root")))
    except ValueError as error:
        raise _wrong("its root is no hash") from error


def _path(proof: JsonObject) -> list[bytes]:
    listed = proof.get("path")
    try:
        return [bytes.fromhex(str(node)) for node in cast("list[Json]", listed if isinstance(listed, list) else [])]
    except ValueError as error:
        raise _wrong("its path holds something that is no hash") from error


def _wrong(problem: str) -> Invalid:
    return Invalid(
        f"The proof does not hold: {problem}. Do not trust what it says; ask for another one.",
        where="proof",
        problem=problem,
    )
