"""A change tried on a copy: the verdict, the parent unchanged, and no way past a person (N-41 to N-43)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from capabilities.desk import SELF, Desk, run_tool, surface, worked
from druse.succession import Test, Verdict
from druse.succession.verdict import passes


def state(desk: Desk) -> dict[str, str]:
    """Every file of the project that a change could touch, byte by byte, and the tables of what was learned."""
    kept = [path for path in desk.root.rglob("*") if path.is_file()]
    kept = [path for path in kept if not path.name.startswith(("druse.db", "audit.roots")) and "logs" not in path.parts]
    found = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}
    with closing(sqlite3.connect(f"file:{desk.root / '.druse' / 'druse.db'}?mode=ro", uri=True)) as database:
        for table in ("run", "step", "tool_version", "policy"):
            found[table] = repr(database.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall())
    return found


def forge(desk: Desk, approval_id: str) -> None:
    """Let a test in a stored verdict fail, the verdict's word stay."""
    with closing(sqlite3.connect(desk.root / ".druse" / "druse.db")) as database, database:
        (text,) = database.execute("SELECT details FROM approval WHERE id = ?", (approval_id,)).fetchone()
        details = json.loads(text)
        details["verdict"]["tests"][0]["result"] = "wrong"
        database.execute("UPDATE approval SET details = ? WHERE id = ?", (json.dumps(details), approval_id))


async def learned(desk: Desk, client: Client) -> tuple[str, str]:
    """A tool in service made of five runs: its name and source."""
    for number in range(1, 6):
        await worked(client, number)
    made = await run_tool(client, "planner.synthesize_capability", goal="Note the city of u7@x.io")
    await desk.druse("approvals", "approve", made["approval_id"], "--yes")
    shown = await desk.druse("tools", "show", made["tool"])
    return made["tool"], shown["source"]


async def forked(desk: Desk, source: str, tool: str, *more: str) -> dict[str, Any]:
    path = desk.root / "next.py"
    await asyncio.to_thread(path.write_text, source)
    return dict(await desk.druse("successor", "fork", "--tool", tool, "--source", str(path), *more))


async def entries(desk: Desk, action: str) -> list[dict[str, Any]]:
    return list((await desk.druse("audit", "show", "--action", action))["entries"])


@pytest.mark.requirement("N-41", "N-42", "N-43")
async def test_a_good_version_is_approved_by_its_runs_and_in_service_only_after_a_person(desk: Desk) -> None:
    desk.configure(SELF)
    async with desk.client() as client:
        tool, source = await learned(desk, client)
        better = source.rstrip() + "\n    # the same work\n"
        better = better.replace('"""', '"""Once more: ', 1)
        before = await asyncio.to_thread(state, desk)
        patch = {"tool": tool, "source": better}
        answer = await run_tool(client, "planner.fork_successor", patch=patch, task="say it better")
        assert answer["verdict"] == "APPROVE", answer
        assert [test["result"] for test in answer["tests"]] == ["right"] * 5
        assert {test["before"] for test in answer["tests"]} == {"right"}
        assert "Once more" in answer["changes"]["diff"] and answer["parent"]["unchanged"]
        assert answer["cost"]["runs"] == 5 and answer["cost"]["calls"] == 10 and answer["cost"]["wall_seconds"] > 0
        after = await asyncio.to_thread(state, desk)
        # What the proposal itself adds is a version that waits.
        assert {key for key in after if after[key] != before.get(key)} == {"tool_version"}

        early = await run_tool(client, "planner.apply_successor", approval_id=answer["approval_id"])
        assert early["status"] == "pending"
        elsewhere = await run_tool(client, "planner.register_capability", approval_id=answer["approval_id"])
        assert "asks for a successor" in elsewhere["message"], elsewhere
        unknown = await run_tool(client, "planner.apply_successor", approval_id="none")
        assert "Cannot find approval" in unknown["message"], unknown
        assert (await desk.druse("tools", "show", tool))["version"] == 1
        assert len(await entries(desk, "successor.refused")) == 2

        await desk.druse("approvals", "approve", answer["approval_id"], "--yes")
        applied = await run_tool(client, "planner.apply_successor", approval_id=answer["approval_id"])
        assert applied["status"] == "applied"
        assert (await desk.druse("tools", "show", tool))["version"] == 2
        notes = len(desk.notes)
        assert (await run_tool(client, tool, email="u8@x.io")).get("status") != "diverged"
        assert desk.notes[notes:] == ["note U8"]
    (done,) = await entries(desk, "successor.applied")
    assert done["payload"]["approval"] == answer["approval_id"]


@pytest.mark.requirement("N-41", "N-42", "N-43")
async def test_a_bad_version_is_rejected_and_what_it_tried_to_write_is_listed(desk: Desk) -> None:
    desk.configure(SELF)
    async with desk.client() as client:
        tool, source = await learned(desk, client)
        before = await asyncio.to_thread(state, desk)
        notes = list(desk.notes)
        head, line = source.rstrip().rsplit("\n", 1)
        inside = line[: len(line) - len(line.lstrip())]
        writing = f"{head}\n{inside}call('Write', file_path={str(desk.root / 'mcp.json')!r}, content='x')\n{line}\n"
        assert line.strip().startswith("return"), source
        for bad, why in (
            (writing, "Write"),
            (source.replace("desk__add_note", "desk__close_order"), "desk__close_order"),
            (source + "\nimport os\n", "os is not available"),
            (source + "\ndef broken(:\n", "parse"),
        ):
            answer = await forked(desk, bad, tool)
            assert answer["verdict"] == "REJECT" and why in str(answer["reasons"]), answer
            assert "approval_id" not in answer and answer["parent"]["unchanged"]
            if why == "Write":
                assert any("Write" in text for text in answer["denied"]), answer
        (desk.root / "next.py").unlink()
        assert await asyncio.to_thread(state, desk) == before
        assert desk.notes == notes
        assert len(await entries(desk, "successor.judged")) == 4


@pytest.mark.requirement("N-41", "N-43")
async def test_the_budget_ends_the_successor_and_too_little_shown_needs_revision(desk: Desk) -> None:
    desk.configure(SELF)
    async with desk.client() as client:
        tool, source = await learned(desk, client)
        changed = source.replace('"""', '"""Changed: ', 1)
        short = await forked(desk, changed, tool, "--seconds", "0.01")
        assert short["verdict"] == "NEEDS_REVISION" and "seconds were over" in str(short["reasons"])
        assert short["cost"]["wall_seconds"] < 10
        few = await forked(desk, changed, tool, "--runs", "1")
        assert few["verdict"] == "NEEDS_REVISION" and few["cost"]["runs"] == 1
        assert few["changes"]["runs_not_tried"] == 4
        for budget in (("--seconds", "0"), ("--seconds", "601"), ("--runs", "0")):
            assert "budget" in (await forked(desk, changed, tool, *budget))["error"]["message"]
        assert "no such tool" in (await forked(desk, changed, "other"))["error"]["message"]


@pytest.mark.requirement("N-41", "N-42", "N-43")
async def test_a_change_of_rules_and_thresholds_is_tried_on_the_recorded_calls(desk: Desk) -> None:
    desk.configure(SELF)
    config = desk.root / ".druse" / "config.toml"
    async with desk.client() as client:
        for number in range(1, 4):
            await worked(client, number)

        async def fork(text: str) -> dict[str, Any]:
            return await run_tool(client, "planner.fork_successor", patch={"config": text}, task="other rules")

        asks = await fork('[permissions]\nallow = ["desk__get_*", "planner_*"]\n')
        assert asks["verdict"] == "NEEDS_REVISION" and "desk__add_note: allow -> ask" in str(asks["reasons"])
        denies = await fork(SELF + 'deny = ["desk__add_note"]\n')
        assert denies["verdict"] == "REJECT" and "allow -> deny" in str(denies["reasons"])
        wrong = await fork("[settings]\ncandidate_runs = 1\n")
        assert wrong["verdict"] == "REJECT" and "expected 2 to" in str(wrong["reasons"])

        wanted = SELF.replace("desk__*", 'desk__*", "Read') + "[settings]\ncandidate_runs = 3\n"
        before = await asyncio.to_thread(state, desk)
        good = await fork(wanted)
        assert good["verdict"] == "APPROVE" and good["parent"]["unchanged"], good
        assert good["changes"]["settings"] == {"candidate_runs": [5, 3]}
        assert len(good["changes"]["candidates"]["gained"]) == 1
        assert good["changes"]["gains"] == ["allowed: Read"]
        assert await asyncio.to_thread(state, desk) == before
        await desk.druse("approvals", "approve", good["approval_id"], "--yes")
        assert await asyncio.to_thread(config.read_text) == wanted
        # The rules that widen wait for their own approval, as after any edit.
        assert (await desk.druse("policy", "show"))["waiting"] == ["allowed: Read"]

        stale = await fork(wanted.replace("= 3", "= 4"))
        assert stale["verdict"] == "APPROVE"
        desk.configure(SELF)
        refused = await desk.druse("approvals", "approve", stale["approval_id"], "--yes")
        assert "was changed since" in refused["error"]["message"]
        assert await asyncio.to_thread(config.read_text) == SELF
        forged = await fork(wanted)
        assert forged["verdict"] == "APPROVE"
        await asyncio.to_thread(forge, desk, forged["approval_id"])
        refused = await desk.druse("approvals", "approve", forged["approval_id"], "--yes")
        assert "not every test of it passed" in refused["error"]["message"]
        assert await asyncio.to_thread(config.read_text) == SELF
        assert len(await entries(desk, "successor.refused")) == 2


@pytest.mark.requirement("N-14")
async def test_a_successor_is_forked_at_any_turn_of_a_session_and_the_parent_stays_as_it_was(desk: Desk) -> None:
    desk.configure(SELF)
    async with desk.client() as client:
        for number in range(1, 4):
            await worked(client, number)
        patch = {"config": SELF + "[settings]\ncandidate_runs = 4\n"}
        opened = await surface(client, "dispatch_goal", goal="Note the city of u4@x.io")
        hashes: set[str] = set()
        calls = (("desk__get_user", {"email": "u4@x.io"}), ("desk__add_note", {"text": "note U4"}))
        for tool, arguments in (*calls, ("", {})):
            before = await asyncio.to_thread(state, desk)
            answer = await run_tool(client, "planner.fork_successor", patch=patch, task="at this turn")
            told = answer["parent"]
            assert told["unchanged"] and told["before"] == told["after"], answer
            assert await asyncio.to_thread(state, desk) == before
            hashes.add(told["before"])
            if tool:
                await run_tool(client, tool, **arguments)
        assert len(hashes) == 1
        done = await surface(client, "report_outcome", run_id=opened["run_id"], success=True)
        assert done["status"] == "success"
    trace = await desk.druse("traces", "show", opened["run_id"])
    assert [step["tool"] for step in trace["steps"]] == [tool for tool, _ in calls]


@pytest.mark.requirement("N-43")
def test_a_verdict_with_a_failing_test_passes_under_no_name() -> None:
    right: dict[str, Any] = {"run": "r", "result": "right"}
    good: dict[str, Any] = {"verdict": "APPROVE", "tests": [right, right], "denied": [], "reasons": []}
    assert passes(good)
    for worse in (
        {"verdict": "NEEDS_REVISION"},
        {"tests": [right, right, {"run": "x", "result": "wrong"}]},
        {"tests": [right]},
        {"denied": ["open mcp.json"]},
    ):
        assert not passes(dict[str, Any]({**good, **worse})), worse
    told = Verdict("APPROVE", (), (Test("a", "right"), Test("b", "right")), (), {}, {}, {})
    assert passes(told.as_dict()) and not passes(Verdict("APPROVE", (), told.tests[:1], (), {}, {}, {}).as_dict())


@pytest.mark.requirement("N-42")
def test_the_successors_process_writes_in_its_copy_only_and_says_what_it_was_refused(tmp_path: Path) -> None:
    copy, parent = tmp_path / "copy", tmp_path / "parent"
    copy.mkdir()
    parent.mkdir()
    (parent / "config.toml").write_text("kept")
    code = """
import json, os, shutil, socket, sqlite3, subprocess, sys
from pathlib import Path
from druse.succession.guard import confine
copy, parent = map(Path, sys.argv[1:])
(copy / "way").symlink_to(parent)
denied = confine(copy)
(copy / "mine").write_text("x")
ways = [
    lambda: (parent / "config.toml").write_text("x"), lambda: (copy / "way" / "config.toml").write_text("x"),
    lambda: os.remove(parent / "config.toml"), lambda: os.rename(copy / "mine", parent / "config.toml"),
    lambda: (parent / "new").mkdir(), lambda: sqlite3.connect(parent / "druse.db"),
    lambda: subprocess.run(["touch", str(parent / "new")]), lambda: os.system("touch x"),
    lambda: socket.create_connection(("127.0.0.1", 9)), lambda: os.chmod(parent / "config.toml", 0),
    lambda: shutil.rmtree(parent), lambda: os.symlink("x", parent / "new"), lambda: os.truncate(parent / "config.toml", 0),
]
stopped = 0
for way in ways:
    try:
        way()
    except PermissionError:
        stopped += 1
print(json.dumps([stopped, len(ways), len(denied)]))
"""
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, str(copy), str(parent)],
        capture_output=True,
        env=dict(os.environ),
        check=True,
    )
    stopped, ways, denied = json.loads(done.stdout)
    assert stopped == ways and denied >= ways
    assert [path.name for path in parent.iterdir()] == ["config.toml"]
    assert (parent / "config.toml").read_text() == "kept"
