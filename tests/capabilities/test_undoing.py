"""Plans taken back: known inverses in reverse, the rest listed before anything runs (S-31)."""

from __future__ import annotations

from typing import Any

import pytest

from capabilities.desk import SELF, Desk, run_tool
from capabilities.test_planning import plan, step

OPEN = SELF.replace(
    'allow = ["', 'allow = ["Write(./out/**)", "Edit(./out/**)", "Bash(rm -- *)", "Bash(mkdir *)", "Bash(rmdir *)", "'
)


def undone_by(made: dict[str, Any], call: str, /, **arguments: Any) -> dict[str, Any]:
    return {**made, "undo": {"call": call, "arguments": arguments}}


def notes(name: str, text: Any) -> dict[str, Any]:
    """A step that writes a note and, to be undone, another one that names what it was told."""
    made = step(name, "desk__add_note", text=text)
    return undone_by(made, "desk__add_note", text={"$text": ["back: ", {"$from": name, "path": ["done"]}, f" {name}"]})


@pytest.mark.requirement("S-31")
async def test_steps_with_a_known_inverse_are_undone_in_reverse_and_the_rest_is_listed_before_it_runs(
    desk: Desk,
) -> None:
    desk.configure(OPEN)
    out = desk.root / "out"
    out.mkdir()
    (out / "old.txt").write_text("before\n")
    (out / "edited.txt").write_text("one two\n")
    each = notes("each", {"$item": ["id"]})
    each["for_each"] = {"$from": "user", "path": ["orders"]}
    each["undo"]["arguments"] = {"text": {"$text": ["back ", {"$item": ["id"]}]}}
    made = plan(
        step("user", "desk__get_user", email={"$input": "email"}),
        notes("first", "began"),
        step("close", "desk__close_order", order_id="O1a"),
        each,
        step("write", "Write", file_path="out/old.txt", content="after\n"),
        step("edit", "Edit", file_path="out/edited.txt", old_string="two", new_string="three"),
        step("new", "Write", file_path="out/new file.txt", content="x"),
        step("folder", "Bash", command="mkdir out/made"),
    )
    async with desk.client() as client:
        checked = await run_tool(client, "planner.validate_plan", plan=made)
        assert checked["valid"], checked
        undo = checked["undo"]
        assert [part["step"] for part in undo["undoable"]] == ["first", "each", "write", "edit", "new", "folder"]
        assert [(part["step"], "no inverse" in part["why"]) for part in undo["not_undoable"]] == [("close", True)]
        given: dict[str, Any] = {"plan": made, "hash": checked["hash"], "inputs": {"email": "u1@x.io"}}
        refused = await run_tool(client, "planner.execute_plan", **given, undoable_only=True)
        assert "step close cannot be undone" in refused["message"] and desk.notes == []

        done = await run_tool(client, "planner.execute_plan", **given)
        assert done["status"] == "done", done
        assert (out / "made").is_dir() and (out / "new file.txt").exists()
        before = desk.notes
        told = await run_tool(client, "planner.plan_history", execution=done["execution"])
        assert [part["step"] for part in told["not_undoable"]] == ["close"]

        (out / "edited.txt").write_text("somebody else\n")
        stopped = await run_tool(client, "planner.undo_plan", execution=done["execution"])
        assert (stopped["status"], stopped["stopped_at"]) == ("stopped", "edit"), stopped
        assert stopped["undone"] == ["folder", "new"] and "changed since" in stopped["reason"]
        (out / "edited.txt").write_text("one three\n")
        back = await run_tool(client, "planner.undo_plan", execution=done["execution"])
        assert back["status"] == "undone", back
        assert back["undone"] == ["edit", "write", "each[1]", "each[0]", "first"]
        assert [part["step"] for part in back["not_undoable"]] == ["close"]
        assert (out / "old.txt").read_text() == "before\n" and (out / "edited.txt").read_text() == "one two\n"
        assert not (out / "new file.txt").exists() and not (out / "made").exists()
        assert desk.notes[len(before) :] == ["back O1b", "back O1a", "back: True first"]
        again = await desk.druse("plans", "undo", done["execution"], "--yes")
        assert (again["status"], again["undone"]) == ("undone", []) and len(desk.notes) == len(before) + 3
        (row,) = (await run_tool(client, "planner.plan_history"))["executions"]
        assert (row["execution"], row["undone"]) == (done["execution"], 7)
        faults = await run_tool(
            client,
            "planner.validate_plan",
            plan=plan(undone_by(step("a", "desk__add_note", text="x"), "desk__fly", who={"$from": "later"})),
        )
        assert [issue["kind"] for issue in faults["issues"]] == ["undefined", "unknown_tool"]


@pytest.mark.requirement("S-31")
async def test_undoing_asks_like_any_call_and_what_holds_a_secret_is_not_kept(desk: Desk) -> None:
    desk.configure(SELF.replace('allow = ["', 'allow = ["Write(./out/**)", "') + 'ask = ["desk__close_order"]\n')
    (desk.root / "out").mkdir()
    secret = "ghp_" + "a1B2" * 9
    (desk.root / "out" / "held.txt").write_text(f"token {secret}\n")
    made = plan(
        undone_by(step("note", "desk__add_note", text="x"), "desk__close_order", order_id="O2a"),
        step("write", "Write", file_path="out/held.txt", content="gone\n"),
    )
    async with desk.client() as client:
        valid = (await run_tool(client, "planner.validate_plan", plan=made))["hash"]
        done = await run_tool(client, "planner.execute_plan", plan=made, hash=valid, inputs={"email": "x"})
        back = await run_tool(client, "planner.undo_plan", execution=done["execution"])
        assert back["status"] == "stopped" and back["approval_id"], back
        assert "holds a secret" in str(back["not_undoable"]) and desk.notes == ["x"]
        await desk.druse("approvals", "approve", back["approval_id"], "--yes")
        back = await run_tool(client, "planner.undo_plan", execution=done["execution"])
        assert back["undone"] == ["note"] and desk.notes == ["x", "closed O2a"]
    assert secret.encode() not in (desk.root / ".druse" / "druse.db").read_bytes()
