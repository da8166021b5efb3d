"""`kill -9` at random points of a busy run loses nothing that was acknowledged (D19)."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.kills import measure

KILLS = 3  # scripts/bench kills has 200


@pytest.mark.requirement("S-33", "N-34", "H-34")
async def test_no_acknowledged_event_is_lost_and_the_chain_verifies(tmp_path: Path) -> None:
    found = await measure(tmp_path, KILLS, seed=7)
    assert found.whole, found
    assert found.acknowledged > 0 and found.entries > 2 * found.acknowledged
