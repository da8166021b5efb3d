"""Old runs are compressed beside live calls, and whoever reads, searches or learns from them notices nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from druse.memory import Notebook, compact
from druse.model import Json, Run, RunStatus, Step, StoreDamaged
from druse.store import RunRecord, Store, Transaction
from druse.store.archive import pack

from ..skills.conftest import Home  # type: ignore[import-not-found]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncGenerator[Store]:
    async with Store.open(tmp_path / "druse.db") as store:
        yield store


async def record(store: Store, count: int, *, steps: int = 10, size: int = 200, first: int = 0) -> None:
    async def work(transaction: Transaction) -> None:
        for number in range(first, first + count):
            run = Run(
                f"r{number}", f"goal {number}", RunStatus.SUCCESS, opened_at=float(number), closed_at=float(number)
            )
            await store.runs.open(transaction, RunRecord(run, workflow="w"), owner="t")
            for turn in range(steps):
                result: Json = {"text": f"word{number}x{turn} " + "row " * (size // 4), "é": "ü"}
                step = Step("shop__find", {"n": number, "turn": turn}, result, turn=turn, failed=turn == 3)
                await store.runs.add_step(transaction, run.id, step, now=1.0)

    await store.database.write(work)


async def ready(store: Store) -> Notebook:
    notebook = Notebook(store, "p", clock=lambda: 1000.0)
    await store.events.index()
    while (await notebook.remember()).runs:
        pass
    return notebook


@pytest.mark.requirement("L-31", "N-13")
async def test_an_archived_run_reads_searches_and_teaches_as_before_and_bytes_are_gained(store: Store) -> None:
    await record(store, 20, size=1200)
    await record(store, 5, size=9000, first=20)  # large results, by their hash
    await record(store, 1, first=500)  # too young
    notebook = await ready(store)
    before = [await store.runs.get(f"r{number}") for number in range(25)]
    found = [(e.run_id, e.position) for e in await notebook.events("word7x2")]
    steps = [row async for row in store.runs.every_step(7)]
    done = await compact(store, before=100.0, now=lambda: 50.0, rest=0)
    assert (done.runs, done.events) == (25, 250)
    assert done.reclaimed_bytes > 5 * done.archive_bytes > 0
    assert [await store.runs.get(f"r{number}") for number in range(25)] == before
    assert [row async for row in store.runs.every_step(7)] == steps
    assert (
        len(await store.runs.of_workflow("w")) == 26 and len(await store.runs.results_of("shop__find", limit=99)) == 9
    )
    assert [(e.run_id, e.position) for e in await notebook.events("word7x2")] == found == [("r7", 2)]
    assert (await store.database.all("SELECT count(*) FROM blob"))[0][0] == 0
    assert (await compact(store, before=100.0, now=lambda: 50.0)).runs == 0
    assert await store.archive.told("r500") is None
    await store.runs.delete("r3")
    assert (await store.database.all("SELECT count(*) FROM archive"))[0][0] == 24


@pytest.mark.requirement("N-13")
async def test_what_was_pruned_is_reached_by_its_hash_and_a_changed_byte_is_found(store: Store) -> None:
    await record(store, 2)
    await ready(store)
    await compact(store, before=100.0, now=lambda: 50.0, rest=0)
    told = await store.archive.told("r1")
    assert told is not None
    body = await store.archive.payload(told[0])
    assert body is not None and json.loads(body)["run"] == "r1"
    assert await store.archive.payload("sha256:" + "0" * 64) is None
    async with store.database.transaction() as transaction:
        await transaction.execute("UPDATE archive SET body = zeroblob(9) WHERE digest = ?", (told[0],))
    with pytest.raises(StoreDamaged):
        await store.runs.get("r1")
    steps = [step async for step in store.runs.every_step(5)]  # `audit verify` goes on and tells what does not fit
    assert len(steps) == 20 and [s[2] for s in steps if s[0] == "r1"] == [{}] * 10
    bodies = {digest: body async for digest, body in store.runs.payloads(5)}
    assert len(bodies) == 2 and bodies[told[0]] == bytes(9)
    with pytest.raises(StoreDamaged):
        await store.archive.payload(told[0])


async def test_a_run_that_changes_while_it_is_packed_is_left_alone(store: Store) -> None:
    await record(store, 1)
    await ready(store)
    packed = pack("r0", await store.archive.read("r0"))
    async with store.database.transaction() as transaction:
        await store.runs.add_step(transaction, "r0", Step("late", {}), now=2.0)
    assert await store.archive.keep(packed, now=1.0) < -(2**60)
    record_now = await store.runs.get("r0")
    assert record_now is not None and len(record_now.run.steps) == 11


async def test_what_nobody_has_read_yet_is_not_archived(store: Store) -> None:
    await record(store, 1)
    assert await store.archive.due(before=100.0, limit=5) == []


@pytest.mark.requirement("N-13")
async def test_calls_are_recorded_between_the_runs_that_are_compacted(store: Store) -> None:
    """`scripts/bench compaction` has the times of whole calls."""
    await record(store, 120)
    await ready(store)
    await record(store, 1, first=5000)

    async def call() -> float:
        began = time.perf_counter()

        async def one(transaction: Transaction) -> None:
            await store.runs.add_step(transaction, "r5000", Step("a", {}), now=1.0)

        await store.database.write(one)
        return time.perf_counter() - began

    alone = sorted([await call() for _ in range(200)])
    compacting = asyncio.ensure_future(compact(store, before=1000.0, now=lambda: 1.0, rest=4.0))
    beside: list[float] = []
    while not compacting.done():
        beside.append(await call())
        await asyncio.sleep(0)
    done = await compacting
    assert done.runs == 120 and len(beside) > 240  # at least two calls between two runs
    assert sorted(beside)[len(beside) // 2] < max(0.005, 2 * alone[100])


@pytest.mark.requirement("L-31")
def test_the_command_archives_old_runs_and_the_job_keeps_to_the_setting(home: Home) -> None:
    lines = [
        json.dumps({"traj": f"t{n}", "ok": 1, "goal": f"look {n}", "steps": [{"t": 0, "tool": "x", "args": {"n": n}, "res": "y" * 2000}]})
        for n in range(30)
    ]  # fmt: skip
    (home.root / "runs.jsonl").write_text("\n".join(lines))
    home.said("traces", "import", "runs.jsonl")
    done = home.said("traces", "archive", "--older-than", "1", "--shrink")
    assert (done["runs"], done["events"]) == (30, 30) and done["reclaimed_bytes"] > 50_000
    shown = home.said("traces", "show", "t3")
    assert shown["steps"][0]["res"] == "y" * 2000
    assert '"t3"' in home.said("traces", "payload", shown["archived"]["digest"])["payload"]
    assert home.said("jobs", "run", "archive")["report"]["runs"] == 0
