"""Shared by the tests of governance."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from druse.governance import Approvals
from druse.store import Store
from governance.bench import Bench, Clock, chain_over


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncGenerator[Bench]:
    clock = Clock()
    async with Store.open(tmp_path / "druse.db") as store:
        chain = chain_over(store, tmp_path, clock)
        ids = iter(range(1, 1000))
        approvals = Approvals(store, chain, clock=clock, new_id=lambda: f"id{next(ids)}")
        yield Bench(tmp_path, store, clock, chain, approvals)
