"""Thirty days of scripted work through the real server: fewer requests from week to week, and nothing wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.month import KINDS, month

from capabilities.desk import Desk, run_tool, surface


@pytest.mark.requirement("H-42")
async def test_over_thirty_days_work_takes_fewer_requests_and_every_end_state_is_right() -> None:
    named = {kind.name: kind for kind in KINDS}
    told = await month(jobs=2, kinds=[named[name] for name in ("cancel pending", "ship", "where")])
    assert told["jobs"] == 60
    assert told["wrong"] == []
    first, *_, last = told["weeks"][:4]
    assert first["agent_requests"] > first["calls_by_hand"]  # saying the goal and reporting costs two requests
    assert last["agent_requests"] < 0.6 * first["agent_requests"]
    assert last["agent_requests"] < last["calls_by_hand"]
    late = [day for day in told["days"] if day["day"] >= "2026-01-22"]
    crystallized = sum(day["modes"].get("CRYSTALLIZED", 0) for day in late)
    assert crystallized > 0.6 * sum(day["runs"] for day in late)
    assert all(day["requests"] <= 2 * day["agent_requests"] for day in told["days"])  # reports are not counted there


@pytest.mark.requirement("H-42")
async def test_the_work_of_each_day_is_told_by_mode_with_the_requests_it_took(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "project")
    async with desk.client() as client:
        for order in ("O1", "O2"):
            opened = await surface(client, "dispatch_goal", goal=f"Look at {order}")
            await run_tool(client, "desk__get_order", order_id=order)
            code = 'result = [call("desk__get_order", order_id=o) for o in ("O3", "O4")]'
            await surface(client, "run_code", code=code)
            await surface(client, "report_outcome", run_id=opened["run_id"], success=order == "O1")
    (day,) = (await desk.druse("stats", "--by-day", "--days", "2"))["days"]
    assert (day["runs"], day["successes"], day["failures"]) == (2, 1, 1)
    assert sum(day["modes"].values()) == 2
    assert (day["requests"], day["requests_per_run"]) == (6, 3.0)  # a goal, a call and a script each
