"""The tasks extension: long calls and calls that wait for a person, as a client of 2026-07-28 sees them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import doors
import warm
from druse.front.deferred import Deferred
from druse.model import Caller, CallerKind
from druse.store import DeferredCall, Store

from .conftest import Project  # type: ignore[import-not-found]

SERVER = doors.plain_server("""
import time
TOOLS = [{"name": "send", "inputSchema": {"type": "object", "properties": {"to": {"type": "string"}}}},
         {"name": "wait", "inputSchema": {"type": "object", "properties": {"seconds": {"type": "number"}}}}]
def answer(name, a):
    if name == "wait":
        time.sleep(a["seconds"])
        return "waited"
    with pathlib.Path(sys.argv[1]).open("a") as sent:
        sent.write(a["to"] + chr(10))
    return "sent"
""")
TASKS = {"extensions": {"io.modelcontextprotocol/tasks": {}}}


class Speaker:
    """A client of 2026-07-28 that writes its messages itself."""

    def __init__(self, process: asyncio.subprocess.Process, capabilities: dict[str, Any]) -> None:
        self._process = process
        self._capabilities = capabilities
        self._number = 0

    async def listen(self, **params: Any) -> AsyncGenerator[dict[str, Any]]:
        """The notifications of a stream."""
        await self._say("subscriptions/listen", None, params)
        assert self._process.stdout is not None
        while True:
            async with asyncio.timeout(120):
                told = json.loads(await self._process.stdout.readline())
            if "method" in told:
                yield told

    async def ask(self, method: str, capabilities: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
        await self._say(method, capabilities, params)
        assert self._process.stdout is not None
        async with asyncio.timeout(120):
            while True:
                answer = json.loads(await self._process.stdout.readline())
                if answer.get("id") == self._number:
                    return answer["result"] if "result" in answer else {"error": answer["error"]}

    async def _say(self, method: str, capabilities: dict[str, Any] | None, params: dict[str, Any]) -> None:
        self._number += 1
        declared = self._capabilities if capabilities is None else capabilities
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "speaker", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": declared,
        }
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": {**params, "_meta": meta}}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return await self.ask("tools/call", name="run_tool", arguments={"name": tool, "arguments": arguments})

    async def until(self, task_id: str, *statuses: str) -> dict[str, Any]:
        async with asyncio.timeout(120):
            while True:
                task = await self.ask("tasks/get", taskId=task_id)
                if task.get("status") in statuses or ("error" in task and "status" not in task):
                    return task
                await asyncio.sleep(0.05)


@asynccontextmanager
async def speaker(project: Project, capabilities: dict[str, Any] = TASKS) -> AsyncGenerator[Speaker]:
    process = await asyncio.create_subprocess_exec(
        *(*warm.command(), "serve", "--no-daemon"),
        cwd=project.root,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**20,
        env={**os.environ, "XDG_CONFIG_HOME": str(project.root / "none")},
    )
    try:
        yield Speaker(process, capabilities)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


def prepare(project: Project, rules: str, settings: str = "") -> None:
    (project.root / "server.py").write_text(SERVER)
    mail = {"command": sys.executable, "args": [str(project.root / "server.py"), str(project.root / "sent.txt")]}
    project.configure(servers={"mail": mail}, config=f"[permissions]\n{rules}\n[settings]\n{settings}\n")


def sent(project: Project) -> list[str]:
    file = project.root / "sent.txt"
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.requirement("N-19")
async def test_a_call_that_waits_for_a_person_is_a_task_that_ends_when_they_said_yes_even_after_a_restart(
    project: Project,
) -> None:
    prepare(project, 'ask = ["mail__send"]')
    async with speaker(project) as client:
        task = await client.call("mail__send", to="ada")
        assert (task["resultType"], task["status"]) == ("task", "working") and "approvals approve" in task[
            "statusMessage"
        ]
        approval = task["statusMessage"].split("approvals approve ")[1].split('"')[0]
        assert (await client.ask("tasks/get", taskId=task["taskId"]))["status"] == "working" and sent(project) == []
        refused = await client.ask("tasks/get", capabilities={}, taskId=task["taskId"])
        assert refused["error"]["code"] == -32021
        assert (await client.ask("tasks/get", taskId="another"))["error"]["code"] == -32602
        second = await client.call("mail__send", to="bob")
        stopped = await client.ask("tasks/cancel", taskId=second["taskId"])
        assert stopped["resultType"] == "complete"
        assert (await client.until(second["taskId"], "cancelled"))["status"] == "cancelled"
    await project.druse("approvals", "approve", approval, "--yes")
    async with speaker(project) as client:
        done = await client.until(task["taskId"], "completed", "failed")
        assert done["status"] == "completed" and done["result"]["content"][0]["text"] == "sent"
        assert (await client.ask("tasks/get", taskId=second["taskId"]))["status"] == "cancelled"
    assert sent(project) == ["ada"]


async def test_a_person_s_no_ends_the_task_with_a_refusal_and_a_client_without_tasks_hears_pending(
    project: Project,
) -> None:
    prepare(project, 'ask = ["mail__send"]')
    async with speaker(project) as client:
        plain = await client.ask(
            "tools/call", {}, name="run_tool", arguments={"name": "mail__send", "arguments": {"to": "ada"}}
        )
        assert plain["structuredContent"]["status"] == "pending" and "taskId" not in plain
        task = await client.call("mail__send", to="ada")
        await project.druse("approvals", "reject", plain["structuredContent"]["approval_id"])
        done = await client.until(task["taskId"], "completed", "failed")
    assert done["result"]["isError"] and done["result"]["structuredContent"]["status"] == "denied"
    assert sent(project) == []


async def test_a_question_of_a_task_is_answered_through_it(project: Project) -> None:
    prepare(project, 'ask = ["mail__send"]', "elicit = true\nelicit_writes = true")
    async with speaker(project, {**TASKS, "elicitation": {}}) as client:
        asked = await client.call("mail__send", to="ada")
        assert asked["resultType"] == "input_required" and "taskId" not in asked
        answers = {key: {"action": "cancel"} for key in asked["inputRequests"]}
        task = await client.ask(
            "tools/call",
            name="run_tool",
            arguments={"name": "mail__send", "arguments": {"to": "ada"}},
            inputResponses=answers,
            requestState=asked["requestState"],
        )
        assert task["resultType"] == "task" and "requestState" not in task  # nobody decided: a person still may
        await client.ask("tasks/update", taskId=task["taskId"], inputResponses={"approval": {"action": "accept"}})
        assert (await client.ask("tasks/get", taskId=task["taskId"]))["status"] == "working" and sent(project) == []


async def test_a_call_that_takes_long_becomes_a_task_and_one_cut_off_by_the_end_of_the_server_has_failed(
    project: Project,
) -> None:
    prepare(project, 'allow = ["mail__*"]', "task_seconds = 1")
    async with speaker(project) as client:
        assert "taskId" not in await client.call("mail__wait", seconds=0)
        task = await client.call("mail__wait", seconds=1.5)
        assert task["resultType"] == "task"
        done = await client.until(task["taskId"], "completed")
        assert done["result"]["content"][0]["text"] == "waited" and "resultType" in done
        watched = await client.call("mail__wait", seconds=2)
        wanted = {"taskIds": [watched["taskId"], "nobody's"]}
        refused = await client.ask("subscriptions/listen", {}, notifications=wanted)
        assert refused["error"]["code"] == -32021
        stream = client.listen(notifications=wanted)
        acknowledged = await anext(stream)
        assert acknowledged["params"]["notifications"] == {"taskIds": [watched["taskId"]]}
        told = await anext(stream)
        assert told["method"] == "notifications/tasks" and told["params"]["status"] == "completed"
        assert told["params"]["result"]["content"][0]["text"] == "waited"
        await stream.aclose()
        cut = await client.call("mail__wait", seconds=60)
    async with speaker(project) as client:
        failed = await client.until(cut["taskId"], "failed", "completed", "cancelled")
    assert failed["status"] == "failed" and "not known" in failed["error"]["message"]


async def test_what_a_killed_server_left_is_taken_over_when_its_lease_is_over_and_by_one_only(tmp_path: Any) -> None:
    now = [1000.0]
    held = DeferredCall(
        "t", 1000.0, 1000.0, 9000.0, message="m", call={"name": "x", "arguments": {}}, lease_until=1030.0
    )
    waits = DeferredCall(
        "w", 1000.0, 1000.0, 9000.0, caller={"session": "s", "connection": "c", "client": "k"},
        call={"name": "x", "arguments": {}}, approval_id="a", lease_until=1030.0,
    )  # fmt: skip
    gone_on: list[Caller] = []

    async def go_on(_held: DeferredCall, caller: Caller) -> None:
        gone_on.append(caller)
        await asyncio.Event().wait()

    async with Store.open(tmp_path / "druse.db") as store, asyncio.TaskGroup() as group:
        await store.deferred.add(held)
        await store.deferred.add(waits)
        works: list[asyncio.Task[Any]] = []

        def spawn(work: Any) -> asyncio.Task[Any]:
            works.append(group.create_task(work))
            return works[-1]

        def tasks() -> Deferred:
            return Deferred(store, lambda value: value, clock=lambda: now[0], spawn=spawn, after=1)

        one, two = tasks(), tasks()
        await one._take_over(go_on)
        assert (await one.get("t"))["status"] == "working"  # somebody may still be at work
        now[0] = 1031.0
        await one._take_over(go_on)
        await two._take_over(go_on)
        await asyncio.wait(works, timeout=0)
        assert (await one.get("t"))["status"] == "failed" and (await one.get("w"))["status"] == "working"
        assert gone_on == [Caller(CallerKind.AGENT, "s", "c", "k")]
        for work in works:
            work.cancel()
