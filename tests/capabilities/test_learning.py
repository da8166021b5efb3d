"""What failures teach, through public calls only."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from mcp import Client

from capabilities.desk import SELF, Desk, run_tool, surface, worked

GOOD_STEPS = [
    {"t": 1, "tool": "desk__get_user", "args": {"email": "a@x.io"}, "res": {"id": "U1", "orders": ["O1"]}},
    {"t": 2, "tool": "desk__get_order", "args": {"order_id": "O1"}, "res": {"id": "O1", "sum": 10}},
    {"t": 3, "tool": "desk__close_order", "args": {"order_id": "O1"}, "res": {"done": True}},
]


def changed(index: int, **parts: Any) -> list[dict[str, Any]]:
    return [{**one, **parts} if number == index else one for number, one in enumerate(GOOD_STEPS)]


def failed(index: int, result: Any) -> list[dict[str, Any]]:
    return changed(index, res=result, err=True)[: index + 1]


FAILURES: list[tuple[str, list[dict[str, Any]]]] = [
    ("network", failed(1, "OSError: connection refused")),
    ("timeout", failed(1, {"error": {"kind": "upstream_failure", "message": "desk timed out after 120 s"}})),
    ("missing_program", failed(1, {"stderr": "sh: 1: jq: command not found", "exit_code": 127})),
    ("no_space", failed(2, "write failed: No space left on device")),
    ("rate_limited", failed(1, "429 Too Many Requests")),
    ("not_allowed", failed(2, "403 Forbidden")),
    ("not_found", failed(1, "Order O9 does not exist")),
    ("tool_error", failed(2, "the order is in a state that cannot be closed")),
    ("wrong_arguments", changed(1, args={"order_id": 5})),
    ("result_shape", changed(1, res=["O1"])),
    ("empty_result", changed(0, res={"id": "U1", "orders": []})),
    ("missing_step", [GOOD_STEPS[0], GOOD_STEPS[2]]),
    ("wrong_order", [GOOD_STEPS[1], GOOD_STEPS[0], GOOD_STEPS[2]]),
    ("extra_step", [*GOOD_STEPS, {"t": 4, "tool": "desk__add_note", "args": {"text": "x"}, "res": {}}]),
]


@pytest.mark.requirement("S-14", "X-05")
async def test_seeded_failures_are_each_named_right_and_those_of_the_surroundings_count_for_nothing(desk: Desk) -> None:
    desk.configure(SELF)
    lines = [
        {
            "src": "t",
            "domain": "d",
            "task": f"g{n}",
            "traj": f"good{n}",
            "ok": 1,
            "user": [[0, f"close order O{n}"]],
            "steps": GOOD_STEPS,
        }
        for n in range(4)
    ]
    lines += [
        {
            "src": "t",
            "domain": "d",
            "task": f"b{n}",
            "traj": f"bad{n}",
            "ok": 0,
            "user": [[0, f"close order O{n}"]],
            "steps": steps,
        }
        for n, (_, steps) in enumerate(FAILURES)
    ]
    path = desk.root / "runs.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    await desk.druse("traces", "import", str(path))
    async with desk.client() as client:
        for number, (kind, _) in enumerate(FAILURES):
            found = await run_tool(client, "learning.analyze_failure", run_id=f"bad{number}")
            assert found["class"] == kind, (kind, found)
            assert found["environment"] is (kind in ("network", "timeout", "missing_program", "no_space"))
            assert found["compared_with"], found


@pytest.mark.requirement("S-13", "X-05")
async def test_feedback_counts_once_and_a_failed_network_counts_for_nothing(desk: Desk) -> None:
    desk.configure(SELF)

    async def counts() -> list[tuple[int, int]]:
        listed = (await desk.druse("candidates", "--min-usage", "1", "--min-success", "0"))["candidates"]
        return sorted((one["usage_count"], one["success_count"]) for one in listed)

    async with desk.client() as client:
        run_id = await worked(client, 1)
        assert await counts() == [(1, 1)]
        for number in range(2):
            told = await run_tool(
                client, "learning.record_feedback", run_id=run_id, outcome="correction", note="wrong city"
            )
            assert (told["status"], told["changed"]) == ("failure", number == 0)
        assert await counts() == [(1, 0)]
        opened = await surface(client, "dispatch_goal", goal="Fetch the page of u1@x.io")
        await run_tool(client, "desk__get_user", email="u1@x.io")
        await run_tool(client, "desk__get_nothing", url="http://x")
        ended = await surface(client, "report_outcome", run_id=opened["run_id"], success=False)
        assert ended["status"] == "unfinished" and "neither for nor against" in ended["note"]
        assert await counts() == [(1, 0)]
        assert (await run_tool(client, "learning.analyze_failure", run_id=opened["run_id"]))["class"] == "network"


async def closed(client: Client, email: str) -> dict[str, Any]:
    """One run by hand: look a user up, close every order, leave a note."""
    opened = await surface(client, "dispatch_goal", goal=f"Close all orders of {email}")
    user = await run_tool(client, "desk__get_user", email=email)
    for order in user["orders"]:
        await run_tool(client, "desk__close_order", order_id=order["id"])
    await run_tool(client, "desk__add_note", text=f"closed all of {user['id']}")
    return await surface(client, "report_outcome", run_id=opened["run_id"], success=True)


@pytest.mark.requirement("S-15", "S-16", "S-17", "S-46", "S-34", "S-35", "S-37", "S-40", "S-48", "X-03")
async def test_a_tool_that_stops_at_a_new_shape_is_analysed_improved_approved_and_then_does_it(desk: Desk) -> None:
    desk.configure(SELF)
    async with desk.client() as client:
        for number in range(1, 6):
            await closed(client, f"u{number}@x.io")
        made = await run_tool(client, "planner.synthesize_capability", goal="Close all orders of u7@x.io")
        assert made["status"] == "pending" and not (desk.root / "tools" / "generated" / made["tool"]).exists()
        name = made["tool"]
        waits = await run_tool(client, "planner.register_capability", approval_id=made["approval_id"])
        assert waits["status"] == "pending"
        await desk.druse("approvals", "approve", made["approval_id"], "--yes")
        assert (await run_tool(client, name, email="u7@x.io")).get("status") != "diverged"

        opened: dict[str, Any] = {}
        for number in (10, 11, 12):  # it fails three times on a shape it never saw
            opened = await surface(client, "dispatch_goal", goal=f"Close everything of none{number}@x.io, by the tool")
            answer = await run_tool(client, name, email=f"none{number}@x.io")
            assert answer["status"] == "diverged", answer
            await surface(client, "report_outcome", run_id=opened["run_id"], success=False)
        why = await run_tool(client, "learning.analyze_failure", run_id=opened["run_id"])
        assert why["tool"] == name and "empty" in why["detail"], why
        early = await run_tool(client, "learning.suggest_improvement", tool=name)
        assert early["change"] == "retire" and len(early["failed"]) == 3, early

        for number in (13, 14, 15):  # the agent does it by hand
            await closed(client, f"none{number}@x.io")
        better = await run_tool(client, "learning.suggest_improvement", tool=name)
        assert better["change"] == "new version" and better["diff"].startswith(f"--- {name} v1"), better
        proposed = await run_tool(client, "learning.apply_improvement", tool=name)
        assert proposed["status"] == "pending", proposed
        shown = await desk.druse("approvals", "show", proposed["approval_id"])
        assert shown["permissions_gained"] == [] and shown["replaces"] == 1 and shown["code_diff"]
        await desk.druse("approvals", "approve", proposed["approval_id"], "--yes")
        same = await run_tool(client, name, email="none10@x.io")
        assert same.get("status") != "diverged" and desk.notes[-1] == "closed all of U10", same

        graph = await run_tool(client, "introspect.capability_graph")
        edges = {(edge["from"], edge["to"], edge["kind"]) for edge in graph["edges"]}
        assert (f"learned:{name}@1", f"learned:{name}@2", "replaced_by") in edges
        assert (f"learned:{name}@2", "tool:desk__close_order", "calls") in edges
        assert any(edge[0] == f"learned:{name}@2" and edge[2] == "made_from" for edge in edges)
        drawn = (await run_tool(client, "introspect.capability_graph", format="mermaid"))["mermaid"]
        assert drawn.startswith("flowchart LR\n") and drawn.count("-->") == len(edges)
        chain = (await run_tool(client, "introspect.causal_chain", why=name))["entries"]
        assert [entry["action"] for entry in chain[:3]] == ["tool.published", "approval.approved", "approval.requested"]
        assert chain[1]["actor"] == "person" and len(chain[2]["payload"]["evidence"]) == 8

        undone = await desk.druse("tools", "rollback", name, "1")
        assert undone, undone
        assert (await run_tool(client, name, email="none11@x.io"))["status"] == "diverged"
    async with desk.client() as client:
        assert (await run_tool(client, name, email="none11@x.io"))["status"] == "diverged"  # after a restart too


@pytest.mark.requirement("H-37", "S-18", "S-38")
async def test_the_job_proposes_at_most_three_never_a_rejected_one_and_schemas_fit_what_was_seen(desk: Desk) -> None:
    desk.configure(SELF)
    goals = {
        "desk__get_user": ("Show the user {}", lambda n: {"email": f"u{n}@x.io"}),
        "desk__get_order": ("Show the order {}", lambda n: {"order_id": f"O{n}a"}),
        "desk__close_order": ("Finish the order {}", lambda n: {"order_id": f"O{n}a"}),
        "desk__add_note": ("Write down {}", lambda n: {"text": f"text{n}"}),
    }
    opened: dict[str, Any] = {}
    async with desk.client() as client:
        for tool, (goal, given) in goals.items():
            for number in range(1, 7):
                value = str(next(iter(given(number).values())))
                opened = await surface(client, "dispatch_goal", goal=goal.format(value))
                await run_tool(client, tool, **given(number))
                await surface(client, "report_outcome", run_id=opened["run_id"], success=True)
        trace = await run_tool(client, "introspect.plan_trace", id=opened["run_id"])
        (step,) = trace["steps"]
        assert (step["tool"], step["arguments"], step["rule"]) == ("desk__add_note", {"text": "text6"}, "desk__*")
        first = (await run_tool(client, "learning.run_now"))["looked_at"]
        assert [one["status"] for one in first] == ["proposed"] * 3, first
        rejected = first[0]["approval_id"]
        await desk.druse("approvals", "reject", rejected)
        second = (await run_tool(client, "learning.run_now"))["looked_at"]
        assert rejected not in [one.get("approval_id") for one in second if one["status"] == "proposed"], second
        few = await run_tool(client, "learning.refine_schema", tool="desk__get_user")
        assert "20 are needed" in few["message"]
        for number in range(1, 10):
            for _ in range(2):
                await run_tool(client, "desk__get_user", email=f"u{number}@x.io")
        schema = await run_tool(client, "learning.refine_schema", tool="desk__get_user")
        assert schema["fits"] >= 20 and schema["proposed"]["type"] == "object"
        assert schema["proposed"]["required"] == ["city", "id", "orders"]
        from jsonschema import Draft202012Validator

        validator = Draft202012Validator(schema["proposed"])
        assert validator.is_valid(await run_tool(client, "desk__get_user", email="u9@x.io"))
        assert not validator.is_valid({"id": 7, "city": "x", "orders": []})


@pytest.mark.requirement("H-37")
async def test_the_job_proposes_by_itself_and_puts_nothing_in_service(desk: Desk) -> None:
    desk.configure(f"{SELF}[settings]\npropose_seconds = 1\n")
    async with desk.client() as client:
        for number in range(1, 6):
            await worked(client, number)
        with anyio.fail_after(120):
            while not (listed := (await desk.druse("approvals", "list"))["approvals"]):
                await anyio.lowlevel.checkpoint()
    assert [one["kind"] for one in listed] == ["tool"]
    assert not list((desk.root / "tools" / "generated").glob("*/v1.py"))
