from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from druse.governance import check_proof, prove_entry, prove_growth
from druse.governance.entries import TILE
from druse.model import Invalid, NotFound
from governance.bench import Bench


@pytest.mark.requirement("N-33")
@pytest.mark.parametrize("size", [1, 2, TILE - 1, TILE, TILE + 1, 3 * TILE, 3 * TILE + 77])
async def test_an_entry_is_proved_with_the_signed_root_alone(bench: Bench, size: int) -> None:
    await bench.write(size)
    await bench.chain.seal()
    for seq in {1, size, (size + 1) // 2, min(size, TILE), min(size, TILE + 1)}:
        proof = await prove_entry(bench.store, bench.chain, seq)
        found: Any = check_proof(json.loads(json.dumps(proof)), public=bench.chain.key.public)
        assert (found["entry"]["seq"], found["size"], found["instance"]) == (seq, size, bench.chain.key.instance)


async def test_an_entry_is_proved_though_the_log_grew_after_the_root_was_signed(bench: Bench) -> None:
    await bench.write(TILE + 3)
    proof = await prove_entry(bench.store, bench.chain, 5)
    assert check_proof(proof)["size"] == TILE  # signed on the way
    late: Any = await prove_entry(bench.store, bench.chain, TILE + 2)
    assert check_proof(late)["size"] == TILE + 3
    await bench.write(1)
    assert check_proof(await prove_entry(bench.store, bench.chain, TILE + 1))["size"] == TILE + 3


async def test_a_proof_of_something_else_does_not_hold(bench: Bench) -> None:
    await bench.write(30)
    proof: Any = await prove_entry(bench.store, bench.chain, 9)

    def changed(**parts: Any) -> Any:
        made = copy.deepcopy(proof)
        made.update(parts)
        return made

    for wrong in (
        changed(entry=proof["entry"].replace('"seq":9', '"seq":10')),
        changed(index=9),
        changed(path=proof["path"][1:]),
        changed(path=["zz"]),
        changed(path=[]),
        changed(format="other"),
        changed(entry=None),
        changed(root=None),
        changed(root={**proof["root"], "size": 29}),
        changed(root={**proof["root"], "statement": proof["root"]["statement"].replace('"size":30', '"size":31')}),
        changed(public="11" * 32),
        {},
    ):
        with pytest.raises(Invalid):
            check_proof(wrong)
    with pytest.raises(Invalid, match="expected key"):
        check_proof(proof, public="11" * 32)
    with pytest.raises(NotFound, match="a31"):
        await prove_entry(bench.store, bench.chain, 31)


@pytest.mark.requirement("N-33")
@pytest.mark.parametrize(
    ("old", "more"),
    [(1, 1), (5, 3), (TILE, TILE), (TILE + 5, 9), (100, 3 * TILE), (2 * TILE + 1, 2 * TILE - 1), (7, 0)],
)
async def test_growth_is_proved_from_one_signed_root_to_a_later_one(bench: Bench, old: int, more: int) -> None:
    await bench.write(old)
    first = await bench.chain.seal()
    assert first is not None
    await bench.write(more)
    await bench.chain.seal()
    proof: Any = await prove_growth(bench.store, bench.chain, first)
    assert check_proof(proof, public=bench.chain.key.public) == {
        "ok": True,
        "old_size": old,
        "size": old + more,
        "instance": bench.chain.key.instance,
    }
    if proof["path"]:
        broken = copy.deepcopy(proof)
        broken["path"][0] = "00" * 32
        with pytest.raises(Invalid, match="does not begin"):
            check_proof(broken)
