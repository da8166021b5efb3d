"""Whether a chain is whole: every byte, every place, every signed root. Pure; it is fed rows from wherever they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from druse.governance.entries import GENESIS, TILE, entry_id, hash_of, parsed
from druse.governance.merkle import Frontier, leaf_hash
from druse.governance.signing import instance_of, signed_by
from druse.model import JsonObject, StoreDamaged
from druse.store import AuditRow, RootRow


@dataclass(frozen=True, slots=True)
class Verified:
    """What a whole chain amounts to. `unsigned` entries came after the last signed root."""

    entries: int
    head: str
    root: str
    roots: int
    unsigned: int
    instance: str

    def as_dict(self) -> JsonObject:
        """For the CLI."""
        return {
            "ok": True,
            "entries": self.entries,
            "head": self.head,
            "root": self.root,
            "signed_roots": self.roots,
            "unsigned_entries": self.unsigned,
            "instance": self.instance,
        }


class ChainCheck:
    """Takes the entries in order; every method raises StoreDamaged naming the first bad entry."""

    def __init__(self, roots: Iterable[RootRow], public: str) -> None:
        self._public = public
        self._roots: dict[int, list[RootRow]] = {}
        for root in roots:
            known = self._roots.setdefault(root.size, [])
            if root not in known:
                known.append(root)
        self._tree = Frontier()
        self._head = GENESIS
        self._last_root = 0
        self.tile_roots: dict[int, bytes] = {}  # the root over all entries at each multiple of TILE
        self._check_signatures()

    def feed(self, row: AuditRow) -> JsonObject:
        """The next entry; what it says."""
        expected = self._tree.size + 1
        name = entry_id(expected)
        if row.seq != expected:
            _damaged(name, f"entry {name} is missing: the next one is {entry_id(row.seq)}")
        entry = parsed(row.entry)
        if hash_of(row.entry) != row.hash:
            _damaged(name, f"entry {name} was changed: its text is not what its hash says")
        if entry.get("seq") != expected:
            _damaged(name, f"entry {name} is out of place: it calls itself {entry.get('seq')}")
        if entry.get("prev") != self._head:
            blamed = entry_id(max(1, expected - 1))
            _damaged(blamed, f"entry {blamed} was changed: {name} was written behind another one")
        self._tree.push(leaf_hash(row.entry.encode("utf-8", "surrogatepass")))
        self._head = row.hash
        for root in self._roots.get(expected, ()):
            self._check_root(root)
        if expected % TILE == 0:
            self.tile_roots[expected] = self._tree.root()
        return entry

    def finish(self, issued: int) -> Verified:
        """All entries are in; `issued` is the highest number ever given out."""
        size = self._tree.size
        signed = max(self._roots, default=0)
        name = entry_id(size + 1)
        if signed > size:
            _damaged(name, f"it was cut off before entry {name}: a signed root covers {signed} entries")
        if issued > size:
            _damaged(name, f"it was cut off before entry {name}: {issued} entries had been written")
        count = sum(len(found) for found in self._roots.values())
        root = self._tree.root().hex()
        return Verified(size, self._head, root, count, size - signed, instance_of(self._public))

    def _check_signatures(self) -> None:
        for size in sorted(self._roots):
            for root in self._roots[size]:
                statement = parsed(root.statement)
                if statement.get("size") != size or not signed_by(self._public, root.statement, root.signature):
                    _damaged(f"r{size}", f"the root over {size} entries does not carry this instance's signature")

    def _check_root(self, root: RootRow) -> None:
        statement = parsed(root.statement)
        if statement.get("root") != self._tree.root().hex() or statement.get("head") != self._head:
            first = entry_id(self._last_root + 1)
            _damaged(
                first,
                f"entries between {first} and {entry_id(root.size)} were written anew: the signed root over "
                f"{root.size} entries says something else",
            )
        self._last_root = root.size


def _damaged(first_bad: str, what: str) -> NoReturn:
    raise StoreDamaged(
        f"The audit chain does not verify: {what}. Keep the file as it is and compare it with a copy.",
        first_bad=first_bad,
    )
