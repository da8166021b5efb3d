"""Families are found through an index; they are the ones that comparing every pair finds."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from druse.crystal import candidates
from druse.induction import contains
from druse.model import Run, RunStatus
from druse.store import RunRecord, Store, Transaction

_workflows = st.lists(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=5).map(" > ".join), unique=True, max_size=12
)


def _pairwise(workflows: list[str]) -> set[frozenset[str]]:
    families: list[list[str]] = []
    for workflow in sorted(workflows, key=lambda text: (-text.count(" > "), text)):
        home = next((family for family in families if contains(family[0], workflow)), None)
        if home is None:
            families.append([workflow])
        else:
            home.append(workflow)
    return {frozenset(family) for family in families}


@settings(max_examples=15, deadline=None)
@given(_workflows)
def test_the_index_finds_the_families_that_comparing_every_pair_finds(workflows: list[str]) -> None:
    import asyncio
    import tempfile

    async def grouped() -> set[frozenset[str]]:
        with tempfile.TemporaryDirectory() as folder:
            async with Store.open(Path(folder) / "druse.db") as store:

                async def add(transaction: Transaction) -> None:
                    for number, workflow in enumerate(workflows):
                        run = Run(f"r{number}", "do it", RunStatus.SUCCESS, opened_at=1.0, closed_at=2.0)
                        record = RunRecord(run, workflow=workflow, shape="do it")
                        await store.runs.open(transaction, record, owner="test")

                await store.database.write(add)
                found = await candidates(store, min_usage=1, min_success=0.0)
        return {frozenset(candidate.workflows) for candidate in found}

    assert asyncio.run(grouped()) == _pairwise(workflows)
