"""Versions are never lost, whatever is made and rolled back in which order (S-30)."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from druse.crystal import Shelf, VersionFiles
from druse.governance import Approvals
from druse.model import JsonObject, ToolVersion, VersionStatus
from druse.store import Store, VersionRecord
from governance.bench import AGENT, PERSON, Clock, chain_over

# None makes the next version; a number rolls back to the version at that place among those that were in service.
MOVES = st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=1, max_size=9)


def source_of(number: int) -> str:
    return f'"""Number {number}."""\n\n\ndef run(call) -> int:\n    return {number}\n'


@settings(max_examples=15, deadline=None)
@given(MOVES)
def play(moves: list[int | None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_played(Path(folder), moves))


@pytest.mark.requirement("S-30", "S-48")
def test_after_any_making_and_rolling_back_the_right_version_serves_also_after_a_restart() -> None:
    play()


async def _played(folder: Path, moves: list[int | None]) -> None:
    made, serving = 0, 0
    for move in moves:
        # Each move in a process of its own: nothing is kept in memory.
        async with Store.open(folder / "druse.db") as store:
            clock = Clock()
            chain = chain_over(store, folder, clock)
            approvals = Approvals(store, chain, clock=clock, new_id=iter([f"id{made}", "x"]).__next__)
            shelf = Shelf(store, VersionFiles(folder / "generated"), chain, clock=clock)
            approvals.on_decided("tool", shelf.decided)
            if move is None or not made:
                made += 1
                await _make(store, approvals, clock, made)
                serving = made
            else:
                serving = move % made + 1
                await shelf.rollback("tool", serving, PERSON)
    async with Store.open(folder / "druse.db") as store:
        shelf = Shelf(store, VersionFiles(folder / "generated"), chain_over(store, folder, Clock()), clock=Clock())
        await shelf.reload()
        assert {name: version.version for name, version in shelf.active.items()} == {"tool": serving}
        assert shelf.active["tool"].source == source_of(serving)
        statuses = [record.status for record in await store.tools.versions("tool")]
        assert len(statuses) == made and statuses.count(VersionStatus.ACTIVE) == 1
        for number in range(1, made + 1):
            assert shelf.files.read("tool", number).source == source_of(number)


async def _make(store: Store, approvals: Approvals, clock: Clock, number: int) -> None:
    manifest: JsonObject = {"version": number, "permissions": [], "upstream_schemas": {}, "input_schema": {}}
    version = ToolVersion("tool", number, source_of(number), manifest)
    hash_ = version.approval_hash
    record = VersionRecord("tool", number, VersionStatus.PROPOSED, hash_, "w", clock.now, clock.now, "", 2, 2)
    async with store.database.transaction() as transaction:
        await store.tools.add(transaction, record)
    details: JsonObject = {
        "name": "tool",
        "version": number,
        "workflow": "w",
        "source": version.source,
        "manifest": manifest,
    }
    asked = await approvals.request("tool", hash_, "New tool", details, AGENT)
    await approvals.decide(asked.id, PERSON, approve=True, how="cli")
