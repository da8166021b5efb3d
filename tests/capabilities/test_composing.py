"""A tool made of two tools passes the gate that every tool passes (S-12)."""

from __future__ import annotations

import pytest

from capabilities.desk import SELF, Desk, run_tool, surface, worked

ALIKE = {"call": "desk__get_user", "id": "user", "arguments": {"email": {"$input": "mail"}}}


@pytest.mark.requirement("S-12")
async def test_a_tool_composed_of_two_tools_waits_for_a_person_and_then_does_what_both_do(desk: Desk) -> None:
    desk.configure(SELF)
    async with desk.client() as client:
        early = await run_tool(client, "planner.compose_capability", name="noted", parts=["desk__get_user"] * 2)
        assert "fewer than two recorded runs" in early["message"], early
        for number in range(1, 6):
            await worked(client, number)

        # from the runs alone
        learned = await run_tool(
            client, "planner.compose_capability", name="noted", parts=["desk__get_user", "desk__add_note"]
        )
        assert learned["status"] == "pending" and learned["tool"] == "noted", learned
        assert (await run_tool(client, "noted", email="u7@x.io"))["status"] == "invalid"  # not in service
        approval = await desk.druse("approvals", "show", learned["approval_id"])
        assert approval["details"]["manifest"]["made_by"] == "composition"
        await desk.druse("approvals", "approve", learned["approval_id"], "--yes")
        notes = len(desk.notes)
        assert (await run_tool(client, "noted", email="u7@x.io"))["done"]
        assert desk.notes[notes:] == ["note U7"]

        # said by the caller: of a learned tool and an upstream one that no run shows together
        for number in (1, 2):
            await surface(client, "dispatch_goal", goal=f"Look order O{number}a up")
            await run_tool(client, "desk__get_order", order_id=f"O{number}a")
            await surface(client, "report_outcome", success=True)
        order = {"call": "desk__get_order", "arguments": {"order_id": {"$from": "user", "path": ["orders", 0, "id"]}}}
        wired = await run_tool(client, "planner.compose_capability", name="newest", parts=[ALIKE, order])
        assert wired["status"] == "pending", wired
        assert "+" in str(wired["verification"]), wired["verification"]
        await desk.druse("approvals", "approve", wired["approval_id"], "--yes")
        assert (await run_tool(client, "newest", mail="u2@x.io"))["sum"] == 2

        # what the recorded calls do not bear out is refused, and so is a name that is taken
        other = {"call": "desk__get_order", "arguments": {"order_id": {"$from": "user", "path": ["id"]}}}
        refused = await run_tool(client, "planner.compose_capability", name="wrong", parts=[ALIKE, other])
        assert refused["status"] == "invalid" and "fewer than two" in refused["message"]
        taken = await run_tool(client, "planner.compose_capability", name="desk__get_user", parts=[ALIKE, order])
        assert "another tool has that name" in taken["message"]
        later = {"call": "desk__get_order", "arguments": {"order_id": {"$from": "nobody"}}}
        assert (await run_tool(client, "planner.compose_capability", name="x", parts=[ALIKE, later]))["status"] in (
            "invalid",
            "failed",
        )
    assert (await desk.druse("audit", "show", "--why", "newest"))["because"][0]["actor"] == "person"
