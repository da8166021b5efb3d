"""Merkle trees as in RFC 6962: one hash for a whole log, and short proofs about it. Pure; hashes are 32 bytes.

A leaf is `sha256(0x00 || data)`, a node `sha256(0x01 || left || right)`; of an odd number of nodes the last one moves
up as it is. An *inclusion* proof shows that an entry is in a log; a *consistency* proof, that a later log begins with
an earlier one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

EMPTY = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of one entry."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two neighbours."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(nodes: Sequence[bytes]) -> bytes:
    """The root over nodes of one level: leaves, or the roots of full subtrees of one size and a last, smaller one."""
    level = list(nodes)
    if not level:
        return EMPTY
    while len(level) > 1:
        level = _upward(level)
    return level[0]


def path_of(nodes: Sequence[bytes], index: int) -> list[bytes]:
    """The neighbours of node `index` on its way up to the root of `nodes`, lowest first."""
    level, path = list(nodes), list[bytes]()
    while len(level) > 1:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        level, index = _upward(level), index // 2
    return path


def included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` shows that `leaf` is number `index` (from 0) of the log of `size` entries with that root."""
    if not 0 <= index < size:
        return False
    position, last, node = index, size - 1, leaf
    for neighbour in path:
        if last == 0:
            return False
        if position & 1 or position == last:
            node = node_hash(neighbour, node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, neighbour)
        position, last = position >> 1, last >> 1
    return last == 0 and node == root


def consistency_path(old: int, new: int, root_between: Callable[[int, int], bytes]) -> list[bytes]:
    """The proof that the log of `new` entries begins with the first `old` ones.

    `root_between(start, end)` gives the root over the entries from `start` up to, not including, `end`.
    """
    if not 0 < old <= new:
        raise ValueError(f"no proof from {old} to {new} entries")
    return _consistency(old, 0, new, root_between, whole=True)


def consistent(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` shows that the log of `new` entries with `new_root` begins with that of `old` with `old_root`."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not path and old_root == new_root
    nodes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not nodes:
        return False
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    was = now = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            was, now = node_hash(node, was), node_hash(node, now)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            now = node_hash(now, node)
        position, last = position >> 1, last >> 1
    return last == 0 and was == old_root and now == new_root


class Frontier:
    """The right edge of a growing log: takes leaf after leaf and knows the root at every size."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []  # roots of full subtrees, widest first

    def push(self, leaf: bytes) -> None:
        """Add the next leaf."""
        merges = self.size
        while merges & 1:
            leaf = node_hash(self._peaks.pop(), leaf)
            merges >>= 1
        self._peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self._peaks:
            return EMPTY
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root


def _upward(level: Sequence[bytes]) -> list[bytes]:
    paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return [*paired, level[-1]] if len(level) % 2 else paired


def _consistency(
    old: int, start: int, end: int, root_between: Callable[[int, int], bytes], *, whole: bool
) -> list[bytes]:
    """RFC 6962, SUBPROOF. `whole`: the verifier has the root of the `old` entries already."""
    count = end - start
    if old == count:
        return [] if whole else [root_between(start, end)]
    split = 1 << (count - 1).bit_length() - 1
    if old <= split:
        inner = _consistency(old, start, start + split, root_between, whole=whole)
        return [*inner, root_between(start + split, end)]
    inner = _consistency(old - split, start + split, end, root_between, whole=False)
    return [*inner, root_between(start, start + split)]
