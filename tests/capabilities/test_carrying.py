"""Tools carried to another project, checkpoints, and what the chain says of a session."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import warm
from capabilities.desk import SELF, Desk, run_tool, surface, worked


async def learned(desk: Desk) -> str:
    async with desk.client() as client:
        for number in (1, 2, 3):
            await worked(client, number)
        made = await run_tool(client, "planner.synthesize_capability", goal="Note the city of u7@x.io")
    await desk.druse("approvals", "approve", made["approval_id"], "--yes")
    return str(made["tool"])


@pytest.mark.requirement("H-40")
async def test_an_exported_tool_lands_unapproved_elsewhere_and_a_changed_byte_is_refused(
    desk: Desk, tmp_path: Path
) -> None:
    desk.configure(SELF)
    name = await learned(desk)
    command = [*warm.command(), "tools", "export", name]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=desk.root, env=desk.environment, capture_output=True, check=True
    )
    text = done.stdout.decode()
    content = json.loads(text)
    assert len(content["runs"]) == 3 and content["manifest"]["made_from"]

    other = Desk(tmp_path / "other")
    path = tmp_path / "tool.json"
    path.write_text(text)
    pinned = await other.druse("tools", "import", str(path), "--public", "ab" * 32)
    assert "signed with" in pinned["error"]["message"]
    landed = await other.druse("tools", "import", str(path), "--public", content["public"])
    assert landed["status"] == "proposed", landed
    assert not (other.root / "tools" / "generated" / name).exists()
    async with other.client() as client:
        assert (await run_tool(client, name, email="u7@x.io"))["kind"] == "not_found"
        await other.druse("approvals", "approve", landed["approval_id"], "--yes")
        assert (await run_tool(client, name, email="u7@x.io")).get("status") not in ("diverged", "failed")
    assert other.notes == ["note U7"]

    third = Desk(tmp_path / "third")
    places = [text.index('"source"') + 20, text.index('"permissions"') + 20, text.index('"signature"') + 16]
    for place in places:
        path.write_text(text[:place] + ("x" if text[place] != "x" else "y") + text[place + 1 :])
        refused = await third.druse("tools", "import", str(path))
        assert "error" in refused, refused
    assert (await third.druse("approvals", "list"))["approvals"] == []


@pytest.mark.requirement("S-32")
async def test_a_checkpoint_brings_back_candidates_tools_and_runs_while_a_server_runs(desk: Desk) -> None:
    desk.configure(SELF)
    name = await learned(desk)

    async def state() -> Any:
        tools = await desk.druse("tools", "list")
        candidates = await desk.druse("candidates", "--min-usage", "1", "--min-success", "0")
        return tools, candidates, await desk.druse("traces", "list")

    async with desk.client() as client:
        await desk.druse("checkpoint", "save", "good")
        before = await state()
        for number in (4, 5):
            await worked(client, number, goal="Another thing about {email}")
        await desk.druse("tools", "retire", name)
        assert await state() != before
        entries = len((await desk.druse("audit", "show", "--limit", "1000"))["entries"])
        back = await desk.druse("checkpoint", "restore", "good", "--yes")
        assert await state() == before
        assert (await run_tool(client, name, email="u9@x.io")).get("status") not in ("diverged", "invalid")
        assert len((await desk.druse("audit", "show", "--limit", "1000"))["entries"]) > entries
    assert (await desk.druse("audit", "verify"))["ok"]
    names = [one["checkpoint"] for one in (await desk.druse("checkpoint", "list"))["checkpoints"]]
    assert names == ["good", back["before"]]
    assert "there is none" in (await desk.druse("checkpoint", "restore", "nothing", "--yes"))["error"]["message"]


@pytest.mark.requirement("N-39", "S-33", "S-35")
async def test_a_session_stands_in_the_chain_in_the_order_it_happened_each_with_its_cause(desk: Desk) -> None:
    desk.configure('[permissions]\nallow = ["desk__get_*"]\n')
    async with desk.client() as client:
        opened = await surface(client, "dispatch_goal", goal="Note the city of u1@x.io")
        await run_tool(client, "desk__get_user", email="u1@x.io")
        waits = await run_tool(client, "desk__add_note", text="note U1")
        await desk.druse("approvals", "approve", waits["approval_id"], "--yes")
        await run_tool(client, "desk__add_note", text="note U1")
        await surface(client, "report_outcome", run_id=opened["run_id"], success=True)
    entries = (await desk.druse("audit", "show", "--limit", "100"))["entries"]
    actions = [entry["action"] for entry in entries if entry["action"] != "policy.adopted"]
    assert actions == [
        "goal.dispatched",
        "call.begin",
        "call.end",
        "approval.requested",
        "call.refused",
        "approval.approved",
        "approval.used",
        "call.begin",
        "call.end",
        "run.reported",
    ]
    by_id = {f"a{entry['seq']}": entry for entry in entries}
    for entry in entries:
        assert entry["client"] and entry["actor"] in ("agent", "person")
        if entry["action"] in ("call.end", "approval.approved", "approval.used"):
            assert by_id[entry["cause"]]["seq"] < entry["seq"]
    assert [entry["actor"] for entry in entries if entry["action"] == "approval.approved"] == ["person"]


STATE = ("run", "step", "tool_version", "approval", "policy", "plan", "execution", "feedback")


@pytest.mark.requirement("S-33")
async def test_no_public_call_that_changes_state_lacks_an_entry(desk: Desk) -> None:
    import sqlite3

    desk.configure(SELF)
    plan = {"format": 1, "steps": [{"id": "n", "call": "desk__add_note", "arguments": {"text": "x"}}]}
    code = '"""X."""\n\n\ndef run(call, *, email: str) -> dict:\n    return call("desk__get_user", email=email)\n'

    def state() -> tuple[str, int]:
        connection = sqlite3.connect(desk.root / ".druse" / "druse.db")
        try:
            rows = [connection.execute(f"SELECT * FROM {table}").fetchall() for table in STATE]
            return repr(rows), int(connection.execute("SELECT count(*) FROM audit").fetchone()[0])
        finally:
            connection.close()

    async with desk.client() as client:
        runs = [await worked(client, number) for number in (1, 2, 3)]
        valid = (await run_tool(client, "planner.validate_plan", plan=plan))["hash"]
        made = await run_tool(client, "planner.synthesize_capability", goal="Note the city of u7@x.io")
        attempts: list[tuple[str, dict[str, Any]]] = [
            ("dispatch_goal", {"goal": "Something else entirely"}),
            ("run_tool", {"name": "desk__add_note", "arguments": {"text": "y"}}),
            ("run_code", {"code": "call('desk__add_note', text='z')"}),
            ("propose_tool", {"name": "user_of", "code": code, "run_ids": runs}),
            ("report_outcome", {"success": True}),
            ("run_tool", {"name": "planner.execute_plan", "arguments": {"plan": plan, "hash": valid}}),
            ("run_tool", {"name": "planner.register_capability", "arguments": {"approval_id": made["approval_id"]}}),
            ("run_tool", {"name": "planner.validate_plan", "arguments": {"plan": {**plan, "goal": "other"}}}),
            (
                "run_tool",
                {"name": "learning.record_feedback", "arguments": {"run_id": runs[0], "outcome": "failure"}},
            ),
            ("run_tool", {"name": "learning.run_now", "arguments": {}}),
        ]
        changed = 0
        for name, arguments in attempts:
            before, entries = state()
            await surface(client, name, **arguments)
            after, more = state()
            if after != before:
                changed += 1
                assert more > entries, (name, arguments)
    for arguments in (("approvals", "approve", made["approval_id"], "--yes"), ("tools", "retire", made["tool"])):
        before, entries = state()
        await desk.druse(*arguments)
        after, more = state()
        assert after != before and more > entries, arguments
    assert changed >= 7
