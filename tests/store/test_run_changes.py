"""What is derived from runs is kept until the counter of their workflow moves."""

from __future__ import annotations

from pathlib import Path

from druse.model import Run, RunStatus
from druse.store import RunRecord, Store


async def test_the_counter_moves_with_closed_runs_and_not_with_open_ones(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "druse.db") as store:
        runs = store.runs
        async with store.database.transaction() as transaction:
            await runs.open(transaction, RunRecord(Run("r1", "do it", RunStatus.OPEN)), owner="test")
        await runs.set_mode("r1", "LEARNER", 0.1)
        assert (await runs.changes(), await runs.changes("a > b")) == (0, 0)
        async with store.database.transaction() as transaction:
            await runs.close(transaction, "r1", RunStatus.SUCCESS, now=2.0, workflow="a > b")
        closed = await runs.changes("a > b")
        assert closed > 0 and await runs.changes("c") == 0
        await runs.mark("r1", RunStatus.FAILURE, "c")
        assert await runs.changes("a > b") > closed and await runs.changes("c") > 0
        before, of_c = await runs.changes(), await runs.changes("c")
        await runs.delete("r1")
        assert await runs.changes() > before and await runs.changes("c") > of_c
        assert await runs.count_of("c") is None
