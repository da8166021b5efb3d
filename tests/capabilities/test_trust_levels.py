"""Levels 0 to 4 against what Druse can do to itself, through the entry points an agent has (S-20 to S-24)."""

from __future__ import annotations

from typing import Any

import pytest
from mcp import Client

from capabilities.desk import Desk, run_tool, worked

PLAN = {
    "format": 1,
    "inputs": {"email": {"type": "string"}},
    "steps": [{"id": "user", "call": "desk__get_user", "arguments": {"email": {"$input": "email"}}}],
}
ACTIONS = ("introspect", "transform", "synthesize", "register", "execute")
TABLE = {  # which actions need nobody, by level
    0: (),
    1: ("introspect",),
    2: ("introspect", "transform"),
    3: ("introspect", "transform", "synthesize", "register"),
    4: ACTIONS,
}


async def attempted(client: Client, desk: Desk, action: str, *, valid: str) -> dict[str, Any]:
    """One action as an agent takes it."""
    if action == "introspect":
        return await run_tool(client, "introspect.capability_graph")
    if action == "transform":
        code = "def run(call, *, plan: dict) -> dict:\n    return {**plan, 'goal': 'another'}\n"
        return await run_tool(client, "planner.transform_plan", plan=PLAN, code=code)
    if action == "synthesize":
        return await run_tool(client, "planner.synthesize_capability", goal="Note the city of u7@x.io")
    if action == "register":
        listed = (await desk.druse("approvals", "list", "--all"))["approvals"]
        asked = next(one for one in listed if one["kind"] == "tool")
        return await run_tool(client, "planner.register_capability", approval_id=asked["id"])
    return await run_tool(client, "planner.execute_plan", plan=PLAN, hash=valid, inputs={"email": "u1@x.io"})


@pytest.mark.requirement("S-19", "S-20", "S-21", "S-22", "S-23", "S-24", "S-03", "S-07", "S-47", "N-02")
@pytest.mark.parametrize("level", range(5))
async def test_each_level_lets_through_what_the_table_says_and_asks_about_the_rest(desk: Desk, level: int) -> None:
    generated = desk.root / "tools" / "generated"
    valid = (await desk.druse("run", "planner.validate_plan", "--args-json", _arguments(PLAN)))["hash"]
    if level:
        await desk.trust(level)
    state = await desk.druse("status")
    assert state["trust_level"] == level
    async with desk.client() as client:
        for number in (1, 2, 3):
            await worked(client, number)
        for action in ACTIONS:
            answer = await attempted(client, desk, action, valid=valid)
            free = action in TABLE[level]
            assert ("pending" not in str(answer.get("status"))) is free, (level, action, answer)
            assert bool(answer.get("approval_id")) is not free or answer.get("status") == "registered", answer
        made = [path.name for path in generated.glob("*/v1.py")] if generated.exists() else []
        assert bool(made) is (level >= 3)
    levels = [entry["payload"]["trust_level"] for entry in await adoptions(desk)]
    assert levels == ([0, level] if level else [0])


async def adoptions(desk: Desk) -> list[dict[str, Any]]:
    entries = (await desk.druse("audit", "show", "--action", "policy.adopted"))["entries"]
    assert all(entry["actor"] == "person" for entry in entries)
    return entries


def _arguments(plan: dict[str, Any]) -> str:
    import json

    return json.dumps({"plan": plan})


@pytest.mark.requirement("S-22")
async def test_a_transformation_that_calls_something_is_stopped_by_the_sandbox_whatever_it_calls_itself(
    desk: Desk,
) -> None:
    await desk.druse("status")
    await desk.trust(2)
    async with desk.client() as client:
        code = "def run(call, *, plan: dict) -> dict:\n    call('desk__add_note', text='out')\n    return plan\n"
        answer = await run_tool(client, "planner.transform_plan", plan=PLAN, code=code)
        assert answer["status"] == "error" and "nothing is allowed" in answer["message"]
    assert desk.notes == []


@pytest.mark.requirement("S-09")
async def test_capabilities_are_found_with_their_class_and_no_tool_can_take_their_name(desk: Desk) -> None:
    async with desk.client() as client:
        found = await client.call_tool("find_tools", {"query": "execute a validated plan", "limit": 5})
        hits = (found.structured_content or {})["results"]
        assert {"name": "planner.execute_plan", "security": "high"}.items() <= hits[0].items()
        code = '"""Low."""\n\n\ndef run(call) -> dict:\n    return {}\n'
        for name in ("planner_execute_plan", "run_tool"):
            taken = dict(
                (await client.call_tool("propose_tool", {"name": name, "code": code})).structured_content or {}
            )
            assert taken["status"] == "invalid" and "another tool has that name" in taken["message"]


@pytest.mark.requirement("S-25")
async def test_where_self_programming_is_off_every_capability_is_denied_and_a_deny_rule_holds_at_level_4(
    desk: Desk,
) -> None:
    await desk.druse("status")
    await desk.trust(4)
    desk.configure('[permissions]\nallow = ["desk__*"]\ndeny = ["planner_*"]\n[self_programming]\ntrust_level = 4\n')
    async with desk.client() as client:
        denied = await run_tool(client, "planner.validate_plan")
        assert denied["status"] == "denied" and "planner_*" in denied["message"]
        desk.configure('[permissions]\nallow = ["desk__*"]\n[self_programming]\nenabled = false\n')
        off = await run_tool(client, "introspect.capability_graph")
        assert off["status"] == "denied" and "self-programming is off" in off["message"]
        code = '"""X."""\n\n\ndef run(call) -> dict:\n    return {}\n'
        refused = await client.call_tool("propose_tool", {"name": "x", "code": code})
        assert "self-programming is off" in str(refused.structured_content)
