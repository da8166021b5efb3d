"""Plans through an MCP client: faults found, changes refused, reads side by side, on again after a crash."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mcp import Client

from capabilities.desk import SELF, Desk, run_tool, surface, worked


def step(name: str, call: str, /, **arguments: Any) -> dict[str, Any]:
    return {"id": name, "call": call, "arguments": arguments}


def plan(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"format": 1, "inputs": {"email": {"type": "string"}}, "steps": list(steps), **more}


USER = step("user", "desk__get_user", email={"$input": "email"})
NOTE = step("note", "desk__add_note", text={"$text": ["note ", {"$from": "user", "path": ["id"]}]})


def nested(depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {"format": 1, "steps": [step("s", "desk__list_notes")]}
    for _ in range(depth - 1):
        made = {"format": 1, "steps": [{"id": "inner", "plan": made}]}
    return made


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("malformed", {"format": 1, "steps": [{"id": "x"}]}),
    ("malformed", {"format": 1, "steps": [{"id": "x", "call": "desk__list_notes", "code": "import os"}]}),
    ("unknown_tool", plan(step("user", "desk__get_usr", email="x"))),
    ("missing_argument", plan(step("user", "desk__get_user"))),
    ("unknown_argument", plan(step("user", "desk__get_user", email="x", zip="y"))),
    ("wrong_type", plan(step("user", "desk__get_user", email=5))),
    ("use_before_definition", plan(NOTE, USER)),
    ("undefined", plan(NOTE)),
    ("undefined", plan(step("user", "desk__get_user", email={"$input": "mail"}))),
    (
        "cycle",
        plan(
            step("one", "desk__add_note", text={"$from": "two", "path": ["x"]}),
            step("two", "desk__add_note", text={"$from": "one", "path": ["x"]}),
        ),
    ),
    ("duplicate_id", plan(USER, USER)),
    ("too_deep", nested(6)),
    ("too_many_steps", plan(*(step(f"s{n}", "desk__list_notes") for n in range(201)))),
    ("undeclared_call", plan(USER, NOTE, permissions=["desk__get_user"])),
    ("forbidden", plan(step("close", "desk__close_order", order_id="O1a"))),
]


async def valid_hash(client: Client, made: dict[str, Any]) -> str:
    answer = await run_tool(client, "planner.validate_plan", plan=made)
    assert answer["valid"], answer
    return str(answer["hash"])


@pytest.mark.requirement("S-04", "S-11", "S-28")
async def test_each_fault_of_a_plan_is_found_and_a_plan_without_one_is_valid(desk: Desk) -> None:
    desk.configure(SELF + 'deny = ["desk__close_order"]\n')
    async with desk.client() as client:
        schema = (await run_tool(client, "planner.validate_plan"))["schema"]
        assert schema["title"] == "Druse plan"
        for kind, made in FAULTS:
            answer = await run_tool(client, "planner.validate_plan", plan=made)
            assert set(answer) == {"valid", "issues"} and answer["valid"] is False
            assert kind in [issue["kind"] for issue in answer["issues"]], (kind, answer)
        good = await run_tool(client, "planner.validate_plan", plan=plan(USER, NOTE))
        reordered = dict(reversed(list(plan(USER, NOTE).items())))
        assert good["valid"] and good["issues"] == []
        assert (await run_tool(client, "planner.validate_plan", plan=reordered))["hash"] == good["hash"]
        assert await valid_hash(client, nested(5))


@pytest.mark.requirement("S-05")
async def test_a_plan_that_was_not_validated_or_was_changed_since_is_not_carried_out(desk: Desk) -> None:
    desk.configure(SELF)
    made = plan(USER, NOTE)
    async with desk.client() as client:
        early = await run_tool(client, "planner.execute_plan", plan=made, hash="sha256:" + "0" * 64, inputs={})
        assert early["status"] == "failed" and "was not validated" in early["message"]
        good = await valid_hash(client, made)
        other = plan(USER, step("note", "desk__add_note", text="other"))
        changed = await run_tool(client, "planner.execute_plan", plan=other, hash=good, inputs={"email": "u1@x.io"})
        assert "not the one that was validated" in changed["message"]
        assert desk.notes == []
        done = await run_tool(client, "planner.execute_plan", plan=made, hash=good, inputs={"email": "u1@x.io"})
        assert (done["status"], desk.notes) == ("done", ["note U1"])


@pytest.mark.requirement("S-05")
async def test_reads_that_do_not_wait_for_one_another_run_at_the_same_time(desk: Desk) -> None:
    desk.configure(SELF)
    one, two = (step(name, "desk__get_meeting", who=name) for name in ("ada", "bob"))
    made = {"format": 1, "steps": [one, two], "result": [{"$from": "ada"}, {"$from": "bob"}]}
    async with desk.client() as client:
        done = await run_tool(client, "planner.execute_plan", plan=made, hash=await valid_hash(client, made))
        assert done["result"] == [{"met": "ada"}, {"met": "bob"}], done


@pytest.mark.requirement("S-05")
async def test_after_a_crash_an_execution_goes_on_and_nothing_that_was_done_is_done_again(desk: Desk) -> None:
    desk.configure(SELF)
    first, second, third = (step(text, "desk__add_note", text=text) for text in ("first", "die", "third"))
    made = {"format": 1, "steps": [first, second, third]}
    valid = ""
    with pytest.raises(Exception):  # noqa: B017 - the server dies while it answers; what the client says varies
        async with desk.client() as client:
            valid = await valid_hash(client, made)
            await run_tool(client, "planner.execute_plan", plan=made, hash=valid)
            raise ConnectionError("the server ended")
    assert desk.notes == ["first", "die"]
    async with desk.client() as client:
        again = await run_tool(client, "planner.execute_plan", plan=made, hash=valid, execution="last")
        assert again["status"] == "stopped" and "look whether it happened" in again["reason"], again
        assert (again["failed_step"], again["done"], desk.notes) == ("die", ["first"], ["first", "die"])
        done = await run_tool(client, "planner.execute_plan", plan=made, hash=valid, execution="last", redo=True)
        assert (done["status"], desk.notes) == ("done", ["first", "die", "die", "third"])
        assert (await desk.druse("audit", "verify"))["ok"]
        trace = await run_tool(client, "introspect.plan_trace", id=done["execution"])
        assert [(one["step"], one["status"]) for one in trace["steps"]] == [
            ("first", "done"),
            ("die", "done"),
            ("third", "done"),
        ]


@pytest.mark.requirement("S-25")
async def test_a_plan_that_names_fewer_calls_than_it_makes_is_stopped_where_it_makes_them(desk: Desk) -> None:
    desk.configure(SELF)
    made = {
        "format": 1,
        "steps": [step("n", "desk__add_note", text="x"), step("c", "desk__close_order", order_id="O1a")],
    }
    async with desk.client() as client:
        valid = await valid_hash(client, made)
        desk.configure(SELF + 'deny = ["desk__close_order"]\n')
        refused = await run_tool(client, "planner.execute_plan", plan=made, hash=valid)
        assert "desk__close_order is denied" in refused["message"] and desk.notes == []
        desk.configure(SELF + 'ask = ["desk__close_order"]\n')
        stopped = await run_tool(client, "planner.execute_plan", plan=made, hash=valid)
        assert (stopped["status"], stopped["failed_step"], desk.notes) == ("stopped", "c", ["x"])
        await desk.druse("approvals", "approve", stopped["approval_id"], "--yes")
        done = await run_tool(client, "planner.execute_plan", plan=made, hash=valid, execution=stopped["execution"])
        assert (done["status"], desk.notes) == ("done", ["x", "closed O1a"])


@pytest.mark.requirement("S-01", "S-02", "S-08")
async def test_goals_are_split_by_what_is_recorded_and_where_nothing_is_known_that_is_said(desk: Desk) -> None:
    desk.configure(SELF)
    async with desk.client() as client:
        nothing = await run_tool(client, "planner.decompose", goal="Paint the fence")
        assert nothing["intents"] == [] and "nothing to split it by" in nothing["message"]
        words = await run_tool(client, "planner.decompose", goal="get the user and then add a note")
        assert [part.get("tool") for part in words["intents"]] == ["desk__get_user", "desk__add_note"]
        best = await run_tool(client, "planner.resolve_intent", intent="close the order")
        assert best["best"]["name"] == "desk__close_order" and best["runner_up"]["name"] == "desk__get_order"
        assert best["needs_synthesis"] is False
        assert (await run_tool(client, "planner.resolve_intent", intent="paint fence"))["needs_synthesis"] is True
        runs = [await worked(client, number) for number in (1, 2, 3)]
        known = await run_tool(client, "planner.decompose", goal="Note the city of u7@x.io")
        assert known["from"] == "recorded runs" and known["arguments"] == {"email": "u7@x.io"}
        assert [part["tool"] for part in known["intents"]] == ["desk__get_user", "desk__add_note"]
        assert known["intents"][0]["evidence"] == runs
        made = await run_tool(client, "planner.generate_plan", goal="Note the city of u7@x.io")
        assert made["valid"], made
        valid = await valid_hash(client, made["plan"])
        done = await run_tool(client, "planner.execute_plan", plan=made["plan"], hash=valid)
        assert done["status"] == "done" and desk.notes[-1] == "note U7"


META = """
goal = arguments["goal"]
intents = call("planner.decompose", goal=goal)["intents"]
unresolved = [part for part in intents if not part["resolved"]]
for part in unresolved:
    call("planner.synthesize_capability", goal=part["intent"])
made = call("planner.generate_plan", goal=goal, intents=arguments.get("intents", []))["plan"]
checked = call("planner.validate_plan", plan=made)
if checked["valid"]:
    answer = call("planner.execute_plan", plan=made, hash=checked["hash"], inputs={"email": "u8@x.io"})
else:
    answer = {"error": "Validation failed", "issues": checked["issues"]}
answer
"""


@pytest.mark.requirement("S-10", "S-45")
async def test_the_sample_meta_plan_runs_to_both_of_its_endings(desk: Desk) -> None:
    desk.configure(SELF)
    async with desk.client() as client:
        for number in (1, 2, 3):
            await worked(client, number)
        good = await surface(client, "run_code", code=META, arguments={"goal": "Note the city of u8@x.io"})
        assert good["result"]["status"] == "done" and desk.notes[-1] == "note U8", good
        bad = [{"id": "user", "intent": "look", "tool": "desk__get_user", "arguments": {"email": 5}}]
        arguments = {"goal": "Note the city of u8@x.io", "intents": bad}
        failed = await surface(client, "run_code", code=META, arguments=arguments)
        assert failed["result"]["error"] == "Validation failed"
        assert [issue["kind"] for issue in failed["result"]["issues"]] == ["wrong_type"]


@pytest.mark.requirement("S-06")
async def test_a_result_is_held_against_what_was_recorded(desk: Desk) -> None:
    desk.configure(SELF)
    async with desk.client() as client:
        for number in (1, 2, 3, 4):
            await run_tool(client, "desk__get_user", email=f"u{number}@x.io")
        good = await run_tool(client, "desk__get_user", email="u5@x.io")
        verdict = await run_tool(client, "planner.introspect_result", tool="desk__get_user", result=good)
        assert verdict["verdict"] == "ok", verdict
        other = {**good, "id": 7}
        seen = await run_tool(client, "planner.introspect_result", tool="desk__get_user", result=other)
        assert seen["verdict"] == "shape differs" and seen["places"][0]["path"] == "$.id", seen
        empty = await run_tool(
            client, "planner.introspect_result", tool="desk__get_user", result={**good, "orders": []}
        )
        assert empty["verdict"] == "suspicious" and empty["places"][0]["path"] == "$.orders", empty
        unknown = await run_tool(client, "planner.introspect_result", tool="paint__fence", result={})
        assert unknown["verdict"] == "unknown"


@pytest.mark.requirement("S-39", "S-41")
async def test_types_are_followed_and_a_broken_plan_is_diagnosed_and_mended_without_a_write(desk: Desk) -> None:
    desk.configure(SELF)
    async with desk.client() as client:
        for number in (1, 2):
            await run_tool(client, "desk__get_user", email=f"u{number}@x.io")
        made = plan(USER, step("note", "desk__add_note", text={"$from": "user", "path": ["orders"]}))
        types = await run_tool(client, "introspect.type_analysis", plan=made)
        assert types["mismatch"] == {
            "from": "from user.orders is array",
            "to": "text of desk__add_note in step note takes string",
        }
        before = (await desk.druse("traces", "list"))["runs"]
        broken = plan(NOTE, {**USER, "call": "desk__get_usr"})
        debugged = await run_tool(client, "introspect.debug_plan", plan=broken, issue="it does not start")
        assert debugged["remaining"] == [] and "desk__get_user" in json.dumps(debugged["fix"]), debugged
        assert await valid_hash(client, debugged["fix"])
        hopeless = await run_tool(client, "introspect.debug_plan", plan=plan(step("x", "paint_fence")))
        assert "fix" not in hopeless and "unknown_tool" in hopeless["diagnosis"][0]
        assert len((await desk.druse("traces", "list"))["runs"]) == len(before)
