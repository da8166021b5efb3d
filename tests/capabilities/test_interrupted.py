"""Executions whose process ended in between: nothing is done twice unsaid, nothing stays running, undo goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import doors
from capabilities.desk import SERVER, Desk
from capabilities.test_planning import step
from druse.front.application import Application, open_application
from druse.model import Caller, CallerKind
from druse.planner import UNKNOWN, Holds
from druse.settings import Workspace
from druse.store import ExecutedStep, Execution, KeptInverse

AGENT = Caller(CallerKind.AGENT, session="s", connection="c", client="client 1")
OPEN = '[permissions]\nallow = ["desk__*", "planner_*", "Write(./out/**)", "Bash(rm -- *)"]\n'
CRASHING = SERVER.replace(
    '    if a.get("text") == "die"', '    if "crash" in str(a):\n        os._exit(1)\n    if a.get("text") == "die"'
)


@asynccontextmanager
async def at(desk: Desk) -> AsyncGenerator[Application]:
    desk.configure(OPEN)
    (desk.root / "out").mkdir(exist_ok=True)
    workspace = Workspace.find(desk.root, environment={"XDG_CONFIG_HOME": str(desk.root / "none")})
    async with open_application(workspace, environment=desk.environment) as application:
        yield application


async def called(application: Application, name: str, /, **arguments: Any) -> dict[str, Any]:
    done = await application.call(name, arguments, AGENT)
    return {"message": done.message, **(done.data if isinstance(done.data, dict) else {})}


async def begun(application: Application, made: dict[str, Any], *steps: ExecutedStep) -> str:
    """What a process that was killed leaves of an execution; the last step is the one it was at."""
    checked = await called(application, "planner.validate_plan", plan=made)
    assert checked["valid"], checked
    plans = application.base.store.plans
    await plans.begin(Execution("exec-k", str(checked["hash"]), {}, "running", "s", "", 1.0))
    for one in steps:
        await plans.note_step("exec-k", one)
    return str(checked["hash"])


def plan(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"format": 1, "steps": [*steps]}


def noted(place: str, tool: str = "desk__add_note", status: str = "done") -> ExecutedStep:
    return ExecutedStep(place, tool, status, {"done": True} if status == "done" else None, started_at=1.0)


@pytest.mark.requirement("S-31")
async def test_an_inverse_that_was_at_work_when_the_process_ended_is_not_made_again_unsaid(desk: Desk) -> None:
    made = plan(step("a", "desk__add_note", text="a"), step("b", "desk__add_note", text="b"))
    async with at(desk) as application:
        await begun(application, made, noted("a"), noted("b"))
        plans = application.base.store.plans
        for place in ("a", "b"):
            await plans.keep_inverse("exec-k", KeptInverse(place, "desk__add_note", {"text": f"back {place}"}))
        await plans.undoing("exec-k", "b", 2.0)
        for _ in range(2):
            stopped = await called(application, "planner.undo_plan", execution="exec-k")
            assert (stopped["status"], stopped["stopped_at"]) == ("stopped", "b"), stopped
            assert "look whether it happened" in stopped["reason"] and desk.notes == []
        done = await called(application, "planner.undo_plan", execution="exec-k", redo=False)
        assert (done["status"], done["undone"], desk.notes) == ("undone", ["b", "a"], ["back a"])


@pytest.mark.requirement("S-31")
async def test_taking_files_back_goes_on_where_it_ended(desk: Desk) -> None:
    writes = [step(name, "Write", file_path=f"out/{name}", content="after") for name in ("old", "new", "cut")]
    async with at(desk) as application:
        out = desk.root / "out"
        (out / "old").write_text("before")
        (out / "cut").write_text("whole")
        checked = await called(application, "planner.validate_plan", plan=plan(*writes))
        done = await called(application, "planner.execute_plan", plan=plan(*writes), hash=checked["hash"])
        plans = application.base.store.plans
        kept = await plans.inverses(done["execution"])
        await plans.keep_inverse(done["execution"], replace(kept[0], after=UNKNOWN))  # killed while it wrote
        (out / "cut").write_text("aft")
        stopped = await called(application, "planner.undo_plan", execution=done["execution"])
        assert stopped["stopped_at"] == "cut" and "was being written when the execution ended" in stopped["reason"]
        (out / "new").unlink()  # killed after it had taken these two back, before it noted that
        (out / "old").write_text("before")
        back = await called(application, "planner.undo_plan", execution=done["execution"], redo=True)
        assert (back["status"], back["undone"]) == ("undone", ["cut", "new", "old"]), back
        assert {path.name: path.read_text() for path in out.iterdir()} == {"old": "before", "cut": "whole"}


@pytest.mark.requirement("S-05")
async def test_a_write_whose_server_died_under_it_is_not_made_again_unsaid(desk: Desk) -> None:
    (desk.root / "server.py").write_text(CRASHING)
    made = plan(step("a", "desk__add_note", text="crash"), step("b", "desk__add_note", text="b"))
    async with at(desk) as application:
        checked = await called(application, "planner.validate_plan", plan=made)
        given: dict[str, Any] = {"plan": made, "hash": checked["hash"]}
        stopped = await called(application, "planner.execute_plan", **given)
        assert "what it had done by then is not known" in stopped["reason"], stopped
        (desk.root / "server.py").write_text(SERVER)
        again = await called(application, "planner.execute_plan", **given, execution=stopped["execution"])
        assert "look whether it happened" in again["reason"] and desk.notes == ["crash"], again
        done = await called(application, "planner.execute_plan", **given, execution=stopped["execution"], redo=True)
        assert (done["status"], desk.notes) == ("done", ["crash", "crash", "b"])


HOLDER = "import sys\nfrom pathlib import Path\nfrom druse.planner import Holds\nwith Holds(Path(sys.argv[1])).of('exec-k') as mine:\n    print(mine, flush=True)\n    sys.stdin.read()\n"


@pytest.mark.requirement("S-05")
async def test_an_execution_is_carried_out_by_one_process_and_is_free_when_that_is_killed(desk: Desk) -> None:
    made = plan(step("a", "desk__add_note", text="a"), step("b", "desk__add_note", text="b"))
    async with at(desk) as application:
        valid = await begun(application, made, noted("a"))
        folder = application.base.store.database.path.parent / "executions"
        command = [sys.executable, "-c", HOLDER, str(folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:  # noqa: ASYNC220
            assert other.stdout is not None and other.stdout.readline() == "True\n"
            for name, given in (
                ("planner.execute_plan", {"plan": made, "hash": valid, "execution": "exec-k"}),
                ("planner.undo_plan", {"execution": "exec-k"}),
            ):
                refused = await called(application, name, **given)
                assert "being carried out or taken back" in refused["message"] and desk.notes == [], refused
            (row,) = (await called(application, "planner.plan_history"))["executions"]
            assert row["status"] == "running"
            os.kill(other.pid, signal.SIGKILL)
        (row,) = (await called(application, "planner.plan_history"))["executions"]
        assert row["status"] == "stopped"
        done = await called(application, "planner.execute_plan", plan=made, hash=valid, execution="exec-k")
        assert (done["status"], desk.notes) == ("done", ["b"])


def test_a_lock_taken_away_with_its_file_is_taken_anew(tmp_path: Path) -> None:
    one, other = Holds(tmp_path), Holds(tmp_path)
    with one.of("e") as mine, other.of("e") as theirs, one.of("e") as twice, other.of("f") as another:
        assert (mine, theirs, twice, another) == (True, False, False, True)
    with other.of("e") as mine:
        assert mine
    assert list(tmp_path.iterdir()) == []


CARRYING = """
import asyncio, json, sys
from pathlib import Path
from druse.front.application import open_application
from druse.model import Caller, CallerKind
from druse.settings import Workspace

async def main():
    name, given = sys.argv[1], json.loads(sys.argv[2])
    caller = Caller(CallerKind.AGENT, session="s", connection="c", client="client 1")
    async with open_application(Workspace.find(Path.cwd()), background=True) as application:
        print("begun", flush=True)
        done = await application.call(name, given, caller)
        print(json.dumps(done.data if isinstance(done.data, dict) else {"message": done.message}), flush=True)

asyncio.run(main())
"""


@pytest.mark.skipif(
    "DRUSE_KILLS" not in os.environ, reason="DRUSE_KILLS=ROUNDS kills so often at random; half a minute each"
)
def test_killed_at_random_points_nothing_is_done_or_undone_twice_unsaid(desk: Desk) -> None:
    chance = random.Random(int(os.environ.get("DRUSE_KILLS_SEED", "7")))
    desk.configure(OPEN)
    names = [f"n{number}" for number in range(12)]
    made = plan(*({**step(name, "desk__add_note", text=name), "undo": undo_of(name)} for name in names))
    for number in range(int(os.environ["DRUSE_KILLS"])):
        (desk.root / "notes.txt").unlink(missing_ok=True)
        valid = carried(desk, "planner.validate_plan", {"plan": made})["hash"]
        given: dict[str, Any] = {"plan": made, "hash": valid}
        carried(desk, "planner.execute_plan", given, after=chance.randrange(len(names)))
        rows = carried(desk, "planner.plan_history", {})["executions"]
        assert all(row["status"] != "running" for row in rows), rows
        if len(rows) == number:  # killed before it began: there is nothing to go on with
            carried(desk, "planner.execute_plan", given)
            rows = carried(desk, "planner.plan_history", {})["executions"]
        again = carried(desk, "planner.execute_plan", {**given, "execution": rows[0]["execution"]})
        unsure = "look whether it happened" in str(again.get("reason"))
        if unsure:
            again = carried(desk, "planner.execute_plan", {**given, "execution": rows[0]["execution"], "redo": True})
        assert again.get("status") == "done" or "it is done" in again["message"], again
        twice = [name for name in names if desk.notes.count(name) != 1]
        assert len(twice) <= unsure and all(desk.notes.count(name) == 2 for name in twice), (unsure, desk.notes)
        undo: dict[str, Any] = {"execution": rows[0]["execution"]}
        carried(desk, "planner.undo_plan", undo, after=chance.randrange(len(names)))
        back = carried(desk, "planner.undo_plan", undo)
        unsure = "look whether it happened" in str(back.get("reason"))
        if unsure:
            back = carried(desk, "planner.undo_plan", {**undo, "redo": True})
        assert back["status"] == "undone", back
        taken = [desk.notes.count(f"back {name}") for name in names]
        assert min(taken) >= (0 if back["not_undoable"] else 1) and max(taken) <= 1 + unsure, taken
        told = desk_said(desk, "audit", "verify")
        assert told["ok"], told


def undo_of(name: str) -> dict[str, Any]:
    return {"call": "desk__add_note", "arguments": {"text": f"back {name}"}}


def desk_said(desk: Desk, *words: str) -> Any:
    return doors.said(desk.root, desk.environment, *words)


def carried(desk: Desk, name: str, given: dict[str, Any], *, after: int | None = None) -> Any:
    """One call in a process of its own, which is killed when so many more notes were taken; its answer."""
    command = [sys.executable, "-c", CARRYING, name, json.dumps(given)]
    with subprocess.Popen(command, cwd=desk.root, env=desk.environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        if after is not None:
            before = len(desk.notes)
            while process.poll() is None and len(desk.notes) < before + after:
                time.sleep(0.001)  # a file tells nobody when it grows
            process.kill()
        said = process.stdout.read()
    return json.loads(said) if said.endswith("}\n") else {}
