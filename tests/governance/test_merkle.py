from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from druse.governance.merkle import (
    EMPTY,
    Frontier,
    consistency_path,
    consistent,
    included,
    leaf_hash,
    node_hash,
    path_of,
    root_of,
)

# The leaves and roots that implementations of RFC 6962 are tested with.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


def plain_root(nodes: list[bytes]) -> bytes:
    """The definition in RFC 6962, section 2.1, word for word."""
    if not nodes:
        return hashlib.sha256(b"").digest()
    if len(nodes) == 1:
        return nodes[0]
    split = 1
    while split * 2 < len(nodes):
        split *= 2
    return node_hash(plain_root(nodes[:split]), plain_root(nodes[split:]))


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_that_other_implementations_get(size: int) -> None:
    assert root_of([leaf_hash(bytes.fromhex(text)) for text in LEAVES[:size]]).hex() == ROOTS[size - 1]


@given(st.integers(0, 300))
def test_all_ways_to_a_root_agree(size: int) -> None:
    frontier = Frontier()
    for leaf in leaves(size):
        frontier.push(leaf)
    tiled = [root_of(leaves(size)[start : start + 16]) for start in range(0, size, 16)]
    assert plain_root(leaves(size)) == root_of(leaves(size)) == frontier.root() == root_of(tiled)
    assert root_of([]) == EMPTY


@given(st.integers(1, 200).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))), st.data())
def test_an_inclusion_proof_holds_for_its_entry_and_for_nothing_else(
    case: tuple[int, int], data: st.DataObject
) -> None:
    size, index = case
    nodes = leaves(size)
    root, path = root_of(nodes), path_of(nodes, index)
    assert included(nodes[index], index, size, path, root)
    assert not included(leaf_hash(b"other"), index, size, path, root)
    other = data.draw(st.integers(0, size + 3))
    if other != index:
        assert not included(nodes[index], other, size, path, root)
    assert not included(nodes[index], index, size, [*path, nodes[0]], root)
    if path:
        assert not included(nodes[index], index, size, path[:-1], root)


@given(st.integers(1, 150).flatmap(lambda new: st.tuples(st.integers(1, new), st.just(new))))
def test_a_consistency_proof_holds_for_its_logs_and_for_no_others(case: tuple[int, int]) -> None:
    old, new = case
    nodes = leaves(new)
    path = consistency_path(old, new, lambda start, end: root_of(nodes[start:end]))
    was, now = root_of(nodes[:old]), root_of(nodes)
    assert consistent(old, new, was, now, path)
    changed = [leaf_hash(b"changed"), *nodes[1:]]
    assert not consistent(old, new, root_of(changed[:old]), now, path)
    assert not consistent(old, new, was, root_of(changed), path)
    if path:
        assert not consistent(old, new, was, now, path[:-1])
        assert not consistent(old, new, was, now, [*path, was])


def test_there_is_no_proof_of_growth_from_nothing_or_backwards() -> None:
    for old, new in ((0, 5), (6, 5)):
        with pytest.raises(ValueError, match="no proof"):
            consistency_path(old, new, lambda start, end: EMPTY)
        assert not consistent(old, new, EMPTY, EMPTY, [])
