"""A goal of independent parts becomes tasks for sub-agents; no two of them take one task."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from capabilities.desk import Desk, run_tool, surface, worked
from druse.store import Store, Task


@pytest.mark.requirement("H-28", "L-39", "S-44")
async def test_independent_parts_come_back_as_tasks_and_two_clients_never_take_one(desk: Desk) -> None:
    async with desk.client() as one, desk.client() as two:
        for number in (1, 2, 3):
            await worked(one, number)
        linked = await surface(one, "dispatch_goal", goal="Note the city of u4@x.io and then note it again")
        assert linked["mode"] != "ORCHESTRATOR"
        goal = "Note the city of u4@x.io and note the city of u5@x.io; note the city of u6@x.io"
        made = await surface(one, "dispatch_goal", goal=goal)
        assert made["mode"] == "ORCHESTRATOR", made
        assert [task["arguments"] for task in made["tasks"]] == [{"email": f"u{n}@x.io"} for n in (4, 5, 6)]
        assert all("skills" in task and len(task["evidence"]) == 3 for task in made["tasks"])
        graph = made["graph"]

        taken = await asyncio.gather(
            *(run_tool(client, "orchestrator.claim", graph=graph) for client in (one, two, one, two))
        )
        ids = [answer["task"]["id"] for answer in taken if answer["task"]]
        assert sorted(ids) == ["task01", "task02", "task03"]

        first = next(answer for answer in taken if answer["task"] and answer["task"]["id"] == "task01")
        stranger = await run_tool(one, "orchestrator.finish", graph=graph, task="task01", **{"as": "nobody"})
        assert "does not hold it" in stranger["message"]
        done = await run_tool(one, "orchestrator.finish", graph=graph, task="task01", result=1, **{"as": first["as"]})
        assert done["done"] is False and done["tasks"][0]["result"] == 1
        assert "Cannot find task graph" in (await run_tool(two, "orchestrator.claim", graph="graph-x"))["message"]


@pytest.mark.requirement("S-44")
async def test_a_lease_that_ran_out_hands_the_task_to_another_and_the_late_one_cannot_finish_it(desk: Desk) -> None:
    async with desk.client() as client:
        for number in (1, 2, 3):
            await worked(client, number)
        made = await surface(client, "dispatch_goal", goal="Note the city of u4@x.io; note the city of u5@x.io")
        graph = made["graph"]
        late = await run_tool(client, "orchestrator.claim", graph=graph, seconds=0.001, **{"as": "slow"})
        other = await run_tool(client, "orchestrator.claim", graph=graph, **{"as": "quick"})
        assert late["task"]["id"] == other["task"]["id"] == "task01"
        refused = await run_tool(client, "orchestrator.finish", graph=graph, task="task01", **{"as": "slow"})
        assert "does not hold it" in refused["message"]


async def test_a_task_taken_by_a_clock_that_was_set_back_since_is_not_held_for_ever(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "druse.db") as store:
        await store.tasks.add([Task("g", "task01", "goal", {})])
        assert await store.tasks.claim("g", "gone", now=1e9, seconds=600.0) is not None
        assert await store.tasks.claim("g", "next", now=1e9 - 1.0, seconds=600.0) is None
        taken = await store.tasks.claim("g", "next", now=1e9 - 86400.0, seconds=600.0)
        assert taken is not None and taken.holder == "next"
        assert not await store.tasks.finish("g", "task01", "gone", 1)
        assert await store.tasks.finish("g", "task01", "next", 1)
