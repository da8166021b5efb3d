"""Round trips, shared payloads, several processes."""

from __future__ import annotations

import ast
import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import druse
from druse.model import Run, RunStatus, Step, StoreDamaged
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


def test_no_statement_numbers_its_parameters() -> None:
    """Python 3.14 takes no sequence for "?1" and 3.12 warns of it; 3.11 says nothing."""
    package = Path(druse.__file__).parent
    numbered = [
        f"{path.relative_to(package)}: {node.value}"
        for path in (package / "store").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"\?\d", node.value)
    ]
    assert numbered == []


async def test_processes_that_make_one_database_at_the_same_moment_do_not_stop_each_other(tmp_path: Path) -> None:
    async def opened(path: Path) -> None:
        async with Store.open(path) as store:
            assert await store.runs.get("run-none") is None

    for number in range(15):  # it went wrong in one of four
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(opened(tmp_path / f"{number}.db"))
