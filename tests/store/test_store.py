"""Round trips, shared payloads, the audit chain, several processes."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from druse.governance import Approvals, AuditChain
from druse.model import Caller, CallerKind, NotAllowed, Run, RunStatus, Step, StoreDamaged
from druse.store import RunRecord, Store

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
STEPS = st.lists(
    st.builds(
        Step,
        tool=st.text(min_size=1, max_size=20),
        arguments=st.dictionaries(st.text(), JSON, max_size=3),
        result=JSON,
        failed=st.booleans(),
        turn=st.integers(1, 99),
        effect=st.sampled_from(["read", "write", "unknown"]),
    ),
    max_size=4,
)
PERSON = Caller(CallerKind.PERSON, client="me")
AGENT = Caller(CallerKind.AGENT, session="s")


@pytest.mark.requirement("H-01")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(goal=st.text(), steps=STEPS, tool=st.none() | st.tuples(st.text(min_size=1), st.integers(1, 9)))
async def test_a_run_read_back_is_equal_in_every_field(
    goal: str, steps: list[Step], tool: tuple[str, int] | None, tmp_path_factory: Any
) -> None:
    async with Store.open(tmp_path_factory.mktemp("s") / "druse.db") as store:
        run = Run(
            "r1",
            goal,
            RunStatus.SUCCESS,
            tuple(steps),
            ((0, goal),),
            "src",
            "dom",
            "task",
            "sess",
            1.5,
            2.5,
            {"a": [1]},
        )
        async with store.database.transaction() as transaction:
            await store.runs.open(transaction, RunRecord(run, workflow="w"), owner="t")
            for step in steps:
                await store.runs.add_step(transaction, "r1", step, now=2.0)
            if tool:
                await store.runs.crystallized(transaction, "w", *tool)
        record = await store.runs.get("r1")
    assert record is not None
    assert record.run == replace(run, crystallized_into=tool)


async def test_large_results_are_stored_once_and_a_changed_byte_is_found(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "druse.db") as store:
        for name in ("r1", "r2"):
            run = Run(name, opened_at=1.0)
            async with store.database.transaction() as transaction:
                await store.runs.open(transaction, RunRecord(run), owner="t")
                await store.runs.add_step(transaction, name, Step("t", {}, "x" * 9000, turn=1), now=1.0)
        assert await store.database.one("SELECT count(*) FROM blob") == (1,)
        async with store.database.transaction() as transaction:
            await transaction.execute("UPDATE blob SET body = ?", (b"other",))
        with pytest.raises(StoreDamaged):
            await store.runs.get("r1")
        await store.runs.delete("r1")
        await store.runs.delete("r2")
        assert await store.database.one("SELECT count(*) FROM blob") == (0,)


async def test_two_processes_may_write_to_one_file(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "druse.db") as one, Store.open(tmp_path / "druse.db") as two:
        for number, store in enumerate((one, two) * 5):
            async with store.database.transaction() as transaction:
                await store.runs.open(transaction, RunRecord(Run(f"r{number}", opened_at=1.0)), owner="t")
        assert await one.runs.count() == {"open": 10}


async def _chain(path: Path, entries: int) -> None:
    async with Store.open(path) as store:
        audit = AuditChain(store, clock=lambda: 1.0, instance="i")
        for number in range(entries):
            async with store.database.transaction() as transaction:
                await audit.append(transaction, "act", f"thing {number}", AGENT, {"n": number})
        assert await audit.verify() == entries


@pytest.mark.requirement("N-07")
@pytest.mark.parametrize(
    ("tamper", "first_bad"),
    [
        ("UPDATE audit SET entry = replace(entry, 'thing 3', 'thing X') WHERE seq = 4", "a4"),
        ("DELETE FROM audit WHERE seq = 5", "a5"),
        ("UPDATE audit SET hash = 'sha256:0' WHERE seq = 9", "a9"),
        ("UPDATE audit SET entry = (SELECT entry FROM audit WHERE seq = 3) WHERE seq = 2", "a2"),
    ],
)
async def test_the_chain_names_the_first_entry_that_was_touched(tmp_path: Path, tamper: str, first_bad: str) -> None:
    await _chain(tmp_path / "druse.db", 9)
    with sqlite3.connect(tmp_path / "druse.db") as connection:
        connection.execute(tamper)
    async with Store.open(tmp_path / "druse.db") as store:
        with pytest.raises(StoreDamaged) as error:
            await AuditChain(store, clock=lambda: 1.0, instance="i").verify()
    assert error.value.first_bad == first_bad


async def test_only_a_person_decides_and_an_approval_is_used_once(tmp_path: Path) -> None:
    now = [100.0]
    async with Store.open(tmp_path / "druse.db") as store:
        audit = AuditChain(store, clock=lambda: now[0], instance="i")
        ids = iter("abcdef")
        approvals = Approvals(store, audit, clock=lambda: now[0], new_id=lambda: next(ids))
        asked = await approvals.request("call", "h1", "x", {}, AGENT)
        with pytest.raises(NotAllowed):
            await approvals.decide(asked.id, AGENT, approve=True, how="cli")
        assert await approvals.take("call", "h1", AGENT) is None
        await approvals.decide(asked.id, PERSON, approve=True, how="cli")
        assert await approvals.take("call", "h2", AGENT) is None
        assert await approvals.take("call", "h1", AGENT) is not None
        assert await approvals.take("call", "h1", AGENT) is None
        late = await approvals.request("call", "h3", "x", {}, AGENT)
        now[0] += 4000
        assert (await approvals.get(late.id)).status == "expired"
