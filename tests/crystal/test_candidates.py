"""Candidates by the seed's numbers, on a real database."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from druse.crystal import candidates, wilson_lower
from druse.crystal.candidates import Candidate
from druse.induction import workflow_key
from druse.model import Caller, CallerKind, Effect, Source, Step, ToolSpec
from druse.store import Store
from druse.traces import Recorder, SecretHandles

AGENT = Caller(CallerKind.AGENT, session="s")
SPEC = ToolSpec("shop__get", Source.UPSTREAM, effect=Effect.READ)


class Desk:
    """A store and a recorder with a clock of its own."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = 1000.0
        ids = count()
        self.recorder = Recorder(
            store,
            SecretHandles(b"k" * 32),
            clock=lambda: self.now,
            new_id=lambda: f"{next(ids):06}",
            workflow_key=workflow_key,
            owner="test",
        )

    async def work(self, *, success: bool = True, cost: float | None = None, tool: str = "shop__get") -> str:
        self.now += 1
        run_id = await self.recorder.open("Get order 5", AGENT)
        async with self.store.database.transaction() as transaction:
            await self.recorder.add(transaction, run_id, Step(tool, {"id": self.now}, {"ok": True}), SPEC)
        await self.recorder.close(run_id, success=success, cost=cost)
        return run_id


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncGenerator[Desk]:
    async with Store.open(tmp_path / "druse.db") as store:
        yield Desk(store)


@pytest.mark.requirement("H-02", "H-03")
async def test_the_fifth_run_makes_a_candidate(desk: Desk) -> None:
    for _ in range(4):
        await desk.work()
    assert await candidates(desk.store) == []
    await desk.work()
    (found,) = await candidates(desk.store)
    assert (found.runs, found.successes, found.goal) == (5, 5, "Get order 5")


@pytest.mark.requirement("H-02")
async def test_arguments_override_the_defaults_and_the_best_comes_first(desk: Desk) -> None:
    for tool, times in (("shop__a", 2), ("shop__b", 3)):
        for _ in range(times):
            await desk.work(tool=tool)
    found = await candidates(desk.store, min_usage=2)
    assert [candidate.workflows[0] for candidate in found] == ["shop__b(id)", "shop__a(id)"]


@pytest.mark.requirement("H-04")
async def test_nineteen_of_twenty_pass_and_eighteen_of_nineteen_do_not(desk: Desk) -> None:
    for number in range(19):
        await desk.work(success=number != 0)
    assert await candidates(desk.store) == []
    await desk.work()
    (found,) = await candidates(desk.store)
    assert (found.successes, found.runs) == (19, 20)


@pytest.mark.requirement("H-06")
def test_the_priority_is_the_seeds_formula() -> None:
    candidate = Candidate("x", ("w",), "", 20, 19, 0.5)
    assert candidate.rating == 0.95
    assert Candidate("x", ("w",), "", 5, 5, 0.5).priority == pytest.approx(25 + 15 + 20)
    # usage 5, $0.50 and a rating of 0.95 give 59.0
    assert 5 * 10 * 0.5 + 0.5 * 100 * 0.3 + candidate.rating * 100 * 0.2 == pytest.approx(59.0)
    assert candidate.priority == pytest.approx(20 * 10 * 0.5 + 0.5 * 100 * 0.3 + 0.95 * 100 * 0.2)


@pytest.mark.requirement("H-06")
@given(st.integers(1, 500), st.integers(0, 500), st.floats(0, 100))
def test_the_priority_grows_with_each_input(runs: int, failures: int, cost: float) -> None:
    base = Candidate("x", ("w",), "", runs + failures, runs, cost)
    assert Candidate("x", ("w",), "", runs + failures, runs, cost + 1).priority > base.priority
    better = Candidate("x", ("w",), "", runs + failures, min(runs + 1, runs + failures), cost)
    assert better.priority >= base.priority


@pytest.mark.requirement("H-04")
def test_five_of_five_proves_little() -> None:
    assert wilson_lower(5, 5) == pytest.approx(0.5655, abs=1e-3)


@pytest.mark.requirement("H-34")
async def test_a_run_that_nobody_reported_never_counts(desk: Desk) -> None:
    for _ in range(6):
        desk.now += 1
        run_id = await desk.recorder.open("Get order 5", AGENT)
        async with desk.store.database.transaction() as transaction:
            await desk.recorder.add(transaction, run_id, Step("shop__get", {"id": desk.now}, 1), SPEC)
    desk.now += 10_000
    await desk.recorder.close_idle()

    assert (await desk.store.runs.count()) == {"unfinished": 6}
    assert await candidates(desk.store, min_usage=1) == []


@pytest.mark.requirement("H-34")
async def test_reporting_twice_counts_once(desk: Desk) -> None:
    run_id = await desk.work()
    again = await desk.recorder.close(run_id, success=False)
    assert not again.changed
    (found,) = await candidates(desk.store, min_usage=1)
    assert (found.runs, found.successes) == (1, 1)


async def test_a_run_that_needed_fewer_steps_counts_for_the_same_work(desk: Desk) -> None:
    for number, names in enumerate(("ab", "ab", "a", "ab", "ab")):
        desk.now += 1
        run_id = await desk.recorder.open(f"Tidy the desk of Person{number} today please", AGENT)
        for name in names:
            async with desk.store.database.transaction() as transaction:
                await desk.recorder.add(transaction, run_id, Step(f"shop__{name}", {"id": desk.now}, {}), SPEC)
        await desk.recorder.close(run_id, success=True)

    (found,) = await candidates(desk.store)
    assert (found.runs, len(found.workflows)) == (5, 2)


async def test_other_work_with_the_same_beginning_is_not_the_same_work(desk: Desk) -> None:
    for goal, names in (("Tidy the desk", "ab"), ("Count all the chairs", "a")):
        desk.now += 1
        run_id = await desk.recorder.open(goal, AGENT)
        for name in names:
            async with desk.store.database.transaction() as transaction:
                await desk.recorder.add(transaction, run_id, Step(f"shop__{name}", {"id": desk.now}, {}), SPEC)
        await desk.recorder.close(run_id, success=True)

    assert len(await candidates(desk.store, min_usage=1)) == 2
