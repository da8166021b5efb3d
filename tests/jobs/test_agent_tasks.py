"""Background tasks of an agent: bounded in time and calls, reported, and gone with everything they started."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest

from druse.front.application import Application, open_application
from druse.model import Caller, CallerKind
from druse.settings import Workspace

AGENT = Caller(CallerKind.AGENT, session="s", connection="c", client="tester 1")
CONFIG = '[permissions]\nallow = ["Bash", "Read", "Glob"]\n[settings]\nunconfined_effects = true\n'


@pytest.fixture
async def application(tmp_path: Path) -> AsyncGenerator[Application]:
    workspace = Workspace.find(tmp_path, environment={"XDG_CONFIG_HOME": str(tmp_path / "none")})
    workspace.state.mkdir()
    workspace.config.write_text(CONFIG)
    (tmp_path / "a.txt").write_text("hello")
    async with open_application(workspace, background=True) as application:
        yield application


async def tool(application: Application, name: str, **arguments: Any) -> dict[str, Any]:
    outcome = await application.serve_call("run_tool", {"name": name, "arguments": arguments}, AGENT, None)
    return dict(outcome.structured or {"message": outcome.message})


async def ended(application: Application, started: dict[str, Any]) -> dict[str, Any]:
    with anyio.fail_after(120):
        while True:
            found = await tool(application, "tasks.status", id=started["id"])
            if found["status"] != "running":
                return found
            await moment()


async def begins(application: Application, started: dict[str, Any], mark: str) -> bool:
    """Whether a process of this mark is seen before the task ends."""
    while not processes(mark):
        if (await tool(application, "tasks.status", id=started["id"]))["status"] != "running":
            return False
        await moment()
    return True


async def moment() -> None:
    """The process table tells nobody when it changes."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 0.05)


def processes(mark: str) -> list[str]:
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in words:
            found.append(path.parent.name)
    return found


@pytest.mark.requirement("N-31")
async def test_a_task_runs_in_the_background_and_reports_its_result(application: Application) -> None:
    started = await tool(application, "tasks.start", goal="read a file", code='call("Read", file_path="a.txt")')
    assert started["status"] == "running"
    done = await ended(application, started)
    assert done["status"] == "done" and "hello" in str(done["report"]["result"]), done
    assert (done["report"]["steps"], done["report"]["tools"]) == (1, ["Read"])
    record = await application.base.store.runs.get(done["report"]["run_id"])
    assert (
        record is not None and [step.tool for step in record.run.steps] == ["Read"] and record.run.goal == "read a file"
    )
    assert [row["id"] for row in (await tool(application, "tasks.status"))["tasks"]] == [started["id"]]


@pytest.mark.requirement("N-31")
async def test_at_its_number_of_calls_a_task_is_stopped_and_says_so(application: Application) -> None:
    code = 'for n in range(100):\n    call("Read", file_path="a.txt")'
    done = await ended(application, await tool(application, "tasks.start", goal="loop", code=code, steps=3))
    assert done["status"] == "stopped" and "budget of 3 calls" in done["report"]["problem"]
    assert done["report"]["steps"] == 3


@pytest.mark.requirement("N-31")
async def test_at_its_time_a_task_is_stopped_and_the_processes_it_started_are_gone(application: Application) -> None:
    mark = "864.2501"
    code = f'call("Bash", command="sleep {mark}")'
    for seconds in (4, 16, 64):  # where the machine is so busy that the time is over before the process began: more
        started = await tool(application, "tasks.start", goal="sleep", code=code, seconds=seconds)
        begun = await begins(application, started, mark)
        done = await ended(application, started)
        assert done["status"] == "stopped" and f"budget of {seconds} s" in done["report"]["problem"], done
        if begun:
            break
    assert done["report"]["tools"] == ["Bash"]
    with anyio.fail_after(120):
        while processes(mark):
            await moment()


@pytest.mark.requirement("N-31")
async def test_a_cancelled_task_is_gone_with_its_processes_and_others_cannot_be_started_without_end(
    application: Application,
) -> None:
    mark = "864.2502"
    code = f'call("Bash", command="sleep {mark}")'
    asked = (tool(application, "tasks.start", goal="sleep", code=code, seconds=60) for _ in range(12))  # all at once
    answers = await asyncio.gather(*asked)
    started = [one for one in answers if one.get("status") == "running"]
    assert len(started) == 8 and sum("8 are running" in str(one.get("message")) for one in answers) == 4
    assert "8 are running" in (await tool(application, "tasks.start", goal="one more", code="1"))["message"]
    for one in started:
        gone = await tool(application, "tasks.cancel", id=one["id"])
        assert gone["status"] == "stopped" and gone["report"]["problem"] == "cancelled"
    with anyio.fail_after(120):
        while processes(mark):
            await moment()
    assert "Cannot find" in (await tool(application, "tasks.cancel", id="none"))["message"]


@pytest.mark.requirement("N-31")
async def test_a_call_that_a_rule_forbids_ends_the_task_and_a_dead_servers_task_is_told_as_stopped(
    application: Application,
) -> None:
    code = 'call("WebFetch", url="https://example.org")'
    done = await ended(application, await tool(application, "tasks.start", goal="fetch", code=code))
    assert done["status"] in ("waits for approval", "stopped") and done["report"]["problem"]
    jobs = application.base.store.jobs
    assert await jobs.claim("task dead", "dead", "agent", "pid 0", now=1.0, lease=1.0) is not None
    await application.scheduler.due()
    dead = await tool(application, "tasks.status", id="dead")
    assert dead["status"] == "stopped" and "its process died" in dead["report"]["problem"]


@pytest.mark.requirement("L-22")
async def test_learning_now_tells_its_progress_and_a_second_call_joins_the_first(application: Application) -> None:
    told: list[tuple[float, float | None, str | None]] = []
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def first_progress(done: float, total: float | None, message: str | None) -> None:
        told.append((done, total, message))
        if done == 1:
            inside.set()
            await go_on.wait()

    joined: list[str] = []

    async def second_progress(done: float, total: float | None, message: str | None) -> None:
        joined.append(str(message))

    call = {"name": "learning.run_now", "arguments": {}}
    with anyio.fail_after(120):
        first = asyncio.ensure_future(application.serve_call("run_tool", call, AGENT, first_progress))
        await inside.wait()
        second = asyncio.ensure_future(application.serve_call("run_tool", call, AGENT, second_progress))
        while not joined:
            await moment()
        go_on.set()
        one, two = (await first).structured or {}, (await second).structured or {}
    assert [(done, total) for done, total, _ in told] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert "waiting for the run" in joined[0] and joined[-1] == "done"
    assert one["run"] == two["run"] and (one["joined"], two["joined"]) == (False, True)
    assert one["looked_at"] == [] and one["historian"] == two["historian"]
    third = (await application.serve_call("run_tool", call, AGENT, None)).structured or {}
    assert third["run"] != one["run"] and not third["joined"]
