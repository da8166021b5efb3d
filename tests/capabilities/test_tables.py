"""Rows that entries of the chain speak of, changed by hand: the first bad entry is named (N-34)."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from capabilities.desk import SELF, Desk, run_tool, surface, worked
from druse.front.base import open_base
from druse.governance import AuditChain, SigningKey
from druse.model import StoreDamaged
from druse.settings import Workspace
from druse.store import Store

# What is changed by hand, and the action of the entry that must be named; a text where no entry speaks of the row.
EDITS: list[tuple[str, str]] = [
    ("UPDATE approval SET status = 'approved' WHERE status = 'pending' AND kind = 'call'", "approval.requested"),
    ("UPDATE approval SET status = 'approved' WHERE status = 'used'", "approval.approved"),
    ("UPDATE approval SET status = 'pending' WHERE status = 'rejected'", "approval.rejected"),
    ("UPDATE approval SET expires_at = expires_at + 1000 WHERE status = 'pending'", "approval.requested"),
    ("UPDATE approval SET scope = 'session' WHERE status = 'used'", "approval.approved"),
    ("UPDATE approval SET decided_how = 'elicitation' WHERE kind = 'tool'", "approval.approved"),
    ("UPDATE approval SET subject_hash = 'sha256:0' WHERE kind = 'call'", "approval.requested"),
    ("UPDATE approval SET details = replace(details, 'def run', 'def  run') WHERE kind = 'tool'", "approval.requested"),
    ("DELETE FROM approval WHERE kind = 'tool'", "approval.requested"),
    (
        "INSERT INTO approval (id, kind, subject_hash, title, details, requested_by, requested_at, expires_at, status)"
        " VALUES ('forged', 'call', 'sha256:1', 't', '{}', '{}', 1, 9e9, 'approved')",
        "approval forged",
    ),
    ("UPDATE policy SET content = replace(content, 'desk__*', 'other__*')", "policy.adopted"),
    ("DELETE FROM policy WHERE number = 1", "policy.adopted"),
    (
        "INSERT INTO policy SELECT number + 5, hash, content, adopted_at, adopted_by, approval FROM policy LIMIT 1",
        "policy 6",
    ),
    ("UPDATE tool_version SET approval_hash = 'sha256:0' WHERE status = 'active'", "tool.published"),
    ("UPDATE tool_version SET status = 'retired' WHERE status = 'active'", "tool.published"),
    ("DELETE FROM tool_version WHERE status = 'active'", "tool.published"),
    (
        "INSERT INTO tool_version (name, version, status, approval_hash, workflow, created_at, changed_at, made_runs,"
        " made_successes) VALUES ('forged', 1, 'active', 'sha256:0', 'w', 1, 1, 2, 2)",
        "forged v1",
    ),
    ("UPDATE step SET result = replace(result, 'Rome', 'Oslo') WHERE result LIKE '%Rome%'", "call.end"),
    ("UPDATE step SET arguments = replace(arguments, 'note', 'nota') WHERE tool = 'desk__add_note'", "call.end"),
    ("DELETE FROM step WHERE tool = 'desk__add_note'", "call.end"),
    (
        "INSERT INTO step (run_id, position, turn, tool, arguments, result, result_blob, failed, effect, started_at,"
        " duration_ms)"
        " SELECT run_id, position + 50, turn, 'desk__close_order', arguments, result, result_blob,"
        " failed, effect, started_at, duration_ms FROM step WHERE tool = 'desk__add_note' LIMIT 1",
        "run run-",
    ),
    ("DELETE FROM run WHERE id IN (SELECT run_id FROM step)", "call.end"),
    ("UPDATE run SET status = 'success' WHERE status = 'failure'", "run.reported"),
    ("UPDATE run SET status = 'failure' WHERE status = 'success'", "run.reported"),
    ("UPDATE plan SET content = replace(content, 'add_note', 'close_order')", "plan sha256:"),
]


@pytest.mark.requirement("N-34", "N-35")
async def test_every_row_that_an_entry_speaks_of_is_missed_or_found_changed_and_the_first_bad_entry_is_named(
    desk: Desk,
) -> None:
    desk.configure(SELF + 'ask = ["desk__close_order"]\n')
    async with desk.client() as client:
        for number in range(1, 6):
            await worked(client, number)
        bad = await surface(client, "dispatch_goal", goal="Note the city of u9@x.io")
        await run_tool(client, "desk__add_note", text="note U9")
        await surface(client, "report_outcome", run_id=bad["run_id"], success=False)
        made = await run_tool(client, "planner.synthesize_capability", goal="Note the city of u7@x.io")
        await decide(desk, made["approval_id"], approve=True)
        for order, word in (("O1a", True), ("O2a", False), ("O3a", None)):
            asked = await run_tool(client, "desk__close_order", order_id=order)
            if word is not None:
                await decide(desk, asked["approval_id"], approve=word)
                await run_tool(client, "desk__close_order", order_id=order)
        plan = {"format": 1, "steps": [{"id": "n", "call": "desk__add_note", "arguments": {"text": "x"}}]}
        assert (await run_tool(client, "planner.validate_plan", plan=plan))["valid"]
    async with open_base(Workspace.find(desk.root)) as base:
        assert (await base.audit.verify()).entries > 40
        entries = {f"a{entry['seq']}": entry for entry in await base.audit.newest(9999)}
    kept = desk.root / "kept"
    await asyncio.to_thread(shutil.copytree, desk.root / ".druse", kept)
    wrong: list[tuple[str, str]] = []
    for edit, expected in EDITS:
        message = await verified_after(desk, kept, edit)
        named = re.search(r"entry (a\d+)", message)
        told = str(entries[named[1]]["action"]) if named and " " not in expected else message
        if expected not in told:
            wrong.append((edit, message))
    assert not wrong, "\n".join(map(str, wrong))


async def decide(desk: Desk, approval_id: str, *, approve: bool) -> None:
    async with open_base(Workspace.find(desk.root)) as base:
        await base.decide(approval_id, approve=approve, how="cli")


async def verified_after(desk: Desk, kept: Path, edit: str) -> str:
    """What `audit verify` says after an edit by hand of the state as it was kept."""
    state = desk.root / "edited"
    await asyncio.to_thread(shutil.rmtree, state, ignore_errors=True)
    await asyncio.to_thread(shutil.copytree, kept, state)
    with closing(sqlite3.connect(state / "druse.db")) as database, database:
        database.execute("PRAGMA foreign_keys = ON")
        assert database.execute(edit).rowcount > 0, edit
    async with Store.open(state / "druse.db") as store:
        key = SigningKey.from_file(state / "keys" / "audit.key")
        try:
            await AuditChain(store, clock=lambda: 0.0, key=key, copy=state / "audit.roots").verify()
        except StoreDamaged as error:
            assert error.first_bad in str(error)
            return str(error)
    return "nothing was found"


@pytest.mark.requirement("N-34", "X-07")
async def test_a_yes_written_into_the_table_by_hand_lets_nothing_through_and_puts_nothing_in_service(
    desk: Desk,
) -> None:
    desk.configure('[permissions]\nallow = ["desk__get_*", "desk__add_note", "planner_*"]\n')
    async with desk.client() as client:
        for number in range(1, 6):
            await worked(client, number)
        made = await run_tool(client, "planner.synthesize_capability", goal="Note the city of u7@x.io")
        waits = await run_tool(client, "desk__close_order", order_id="O1a")
        await asyncio.to_thread(forge, desk)
        again = await run_tool(client, "desk__close_order", order_id="O1a")
        assert again["status"] in ("pending", "denied", "failed"), again
        assert waits["approval_id"] and not [note for note in desk.notes if note.startswith("closed")]
    await desk.druse("status")  # a start carries out what was decided and not done
    assert not (desk.root / "tools" / "generated" / made["tool"]).exists()
    found = await desk.druse("audit", "verify")
    assert "approval" in found["error"]["message"], found


def forge(desk: Desk) -> None:
    with closing(sqlite3.connect(desk.root / ".druse" / "druse.db")) as database, database:
        edit = "UPDATE approval SET status = 'approved', decided_by = 'ada', decided_how = 'cli', decided_at = 1"
        assert database.execute(edit).rowcount == 2


@pytest.mark.requirement("N-34", "S-33")
async def test_what_a_person_deletes_marks_and_restores_through_druse_verifies(desk: Desk) -> None:
    desk.configure(SELF)
    async with desk.client() as client:
        runs = [await worked(client, number) for number in range(1, 4)]
        await desk.druse("checkpoint", "save", "early")
        runs.append(await worked(client, 4))
    await desk.druse("traces", "mark", runs[0], "--failure")
    assert (await desk.druse("traces", "delete", runs[1]))["deleted"]
    async with open_base(Workspace.find(desk.root)) as base:
        await base.audit.verify()
        told = await base.audit.newest(50, {"action": "run.*"})
        assert {"run.marked", "run.deleted"} <= {str(entry["action"]) for entry in told}
    await desk.druse("checkpoint", "restore", "early", "--yes")
    assert (await desk.druse("audit", "verify"))["ok"]
