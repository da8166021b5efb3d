"""Approvals asked for through the client: in both eras, and by no one whom the rules do not let answer (D8)."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import mcp_types as types
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

import doors
import warm

from .conftest import Project  # type: ignore[import-not-found]

SERVER = doors.plain_server("""
TOOLS = [{"name": "send", "inputSchema": {"type": "object", "properties": {"to": {"type": "string"}}}}]
def answer(name, a):
    with pathlib.Path(sys.argv[1]).open("a") as sent:
        sent.write(a["to"] + chr(10))
    return "sent"
""")
ERAS = pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
YES = types.ElicitResult(action="accept", content={"approve": True})
READ = {"name": "Read", "arguments": {"file_path": "notes.txt"}}
SEND = {"name": "mail__send", "arguments": {"to": "ada"}}


class User:
    """Whoever answers at the client, and what was asked."""

    def __init__(self, answer: types.ElicitResult | None = YES) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.ready: asyncio.Event | None = None  # waited for before the answer

    async def __call__(self, context: Any, params: Any) -> types.ElicitResult:
        self.asked.append(params.message)
        if self.ready is not None:
            await self.ready.wait()
        if self.answer is None:
            await asyncio.Event().wait()
        assert self.answer is not None
        return self.answer


@asynccontextmanager
async def client_of(project: Project, era: str, user: User | None) -> AsyncGenerator[Client]:
    python, *words = warm.command()
    server = StdioServerParameters(
        command=python,
        args=[*words, "serve", "--no-daemon"],
        cwd=project.root,
        env={"XDG_CONFIG_HOME": str(project.root / "none")},
    )
    info = types.Implementation(name="editor", version="7")
    async with Client(server, mode=era, elicitation_callback=user, client_info=info) as client:
        yield client


def prepare(project: Project, *settings: str) -> None:
    (project.root / "notes.txt").write_text("the notes\n")
    (project.root / "server.py").write_text(SERVER)
    mail = {"command": sys.executable, "args": [str(project.root / "server.py"), str(project.root / "sent.txt")]}
    config = '[permissions]\nask = ["Read(./notes.txt)", "mail__*"]\n[settings]\n' + "\n".join(settings) + "\n"
    project.configure(servers={"mail": mail}, config=config)


def sent(project: Project) -> list[str]:
    file = project.root / "sent.txt"
    return file.read_text().splitlines() if file.exists() else []


async def run(client: Client, call: dict[str, Any]) -> dict[str, Any]:
    result = await client.call_tool("run_tool", call)
    return dict(result.structured_content or {}) | {"text": result.content[0].text}  # type: ignore[union-attr]


async def approvals(project: Project) -> list[dict[str, Any]]:
    return (await project.druse("approvals", "list", "--all"))["approvals"]


@ERAS
@pytest.mark.requirement("S-47", "X-07")
async def test_a_yes_at_the_client_lets_exactly_one_call_through_and_is_audited_as_such(
    project: Project, era: str
) -> None:
    prepare(project, "elicit = true")
    user = User()
    async with client_of(project, era, user) as client:
        assert "the notes" in (await run(client, READ))["text"]
        (asked,) = user.asked
        assert "Read" in asked and 'file_path: "notes.txt"' in asked and "once" in asked and "only reads" in asked
        user.answer = types.ElicitResult(action="cancel")
        assert (await run(client, READ))["status"] == "pending"  # the yes was for one call
    used = next(one for one in await approvals(project) if one["status"] == "used")
    assert used["decided_how"] == "elicitation" and "editor 7" in used["decided_by"] and used["scope"] == "once"
    entries = (await project.druse("audit", "show"))["entries"]
    (entry,) = [one for one in entries if one["action"] == "approval.approved"]
    assert entry["actor"] == "agent" and entry["payload"]["how"] == "elicitation"
    assert (await project.druse("audit", "verify"))["ok"] is True


@ERAS
@pytest.mark.requirement("S-47")
async def test_without_the_setting_a_client_that_accepts_everything_is_not_even_asked(
    project: Project, era: str
) -> None:
    prepare(project)
    hook = User()
    async with client_of(project, era, hook) as client:
        assert (await run(client, READ))["status"] == "pending"
        # An edit of the settings, as an agent might make it, governs only after a person approved it.
        with (project.root / ".druse" / "config.toml").open("a") as config:
            config.write("elicit = true\nelicit_writes = true\n")
        assert (await run(client, READ))["status"] == "pending"
        assert (await run(client, SEND))["status"] == "pending"
        assert hook.asked == []
        waiting = (await project.druse("policy", "show"))["waiting"]
        assert any("a client's answer approves" in gain for gain in waiting)
        await project.druse("policy", "approve", "--yes")
        assert "sent" in (await run(client, SEND))["text"]
    assert len(hook.asked) == 1 and sent(project) == ["ada"]


@ERAS
@pytest.mark.requirement("S-47")
async def test_what_changes_something_needs_a_setting_of_its_own_and_command_lines_and_tools_never_qualify(
    project: Project, era: str
) -> None:
    prepare(project, "elicit = true")
    hook = User()
    bash = {"name": "Bash", "arguments": {"command": "touch made.txt"}}
    code = "def run(call, x: str) -> str:\n    return x\n"
    proposed = {"name": "echo_text", "code": code, "description": "Gives the text back"}
    async with client_of(project, era, hook) as client:
        assert (await run(client, SEND))["status"] == "pending" and hook.asked == []
        await project.druse("approvals", "list")
    prepare(project, "elicit = true", "elicit_writes = true")
    async with client_of(project, era, hook) as client:
        assert (await run(client, bash))["status"] == "pending"
        await client.call_tool("propose_tool", proposed)
        assert hook.asked == [] and not (project.root / "made.txt").exists()
        assert "sent" in (await run(client, SEND))["text"] and len(hook.asked) == 1
    assert not list((project.root / "tools" / "generated").rglob("*.py"))


@ERAS
@pytest.mark.requirement("S-47")
async def test_a_no_rejects_the_call_until_a_person_says_otherwise(project: Project, era: str) -> None:
    prepare(project, "elicit = true")
    user = User(types.ElicitResult(action="decline"))
    async with client_of(project, era, user) as client:
        answer = await run(client, READ)
        assert answer["status"] == "denied" and "the client editor 7 rejected exactly this call" in answer["text"]
        user.answer = YES
        assert (await run(client, READ))["status"] == "denied" and len(user.asked) == 1
        (rejected,) = await approvals(project)
        assert (rejected["status"], rejected["decided_how"]) == ("rejected", "elicitation")
        await project.druse("approvals", "approve", rejected["id"], "--yes")
        assert "the notes" in (await run(client, READ))["text"]


@ERAS
@pytest.mark.parametrize(
    "answer",
    [
        types.ElicitResult(action="cancel"),
        types.ElicitResult(action="accept"),
        types.ElicitResult(action="accept", content={"approve": "yes"}),
    ],
)
async def test_what_is_no_clear_answer_leaves_the_request_and_is_not_asked_for_again(
    project: Project, era: str, answer: types.ElicitResult
) -> None:
    prepare(project, "elicit = true")
    user = User(answer)
    async with client_of(project, era, user) as client:
        first = await run(client, READ)
        assert first["status"] == "pending" and "elicitation" in first
        assert (await run(client, READ))["status"] == "pending" and len(user.asked) == 1
        await project.druse("approvals", "approve", first["approval_id"], "--yes")
        assert "the notes" in (await run(client, READ))["text"]


@pytest.mark.requirement("S-47")
async def test_no_answer_in_time_leaves_the_request_and_a_late_yes_counts_for_nothing(project: Project) -> None:
    prepare(project, "elicit = true", "elicit_seconds = 1")
    user = User(None)
    async with client_of(project, "2026-07-28", User()) as modern:
        given = await modern.session.call_tool("run_tool", READ, allow_input_required=True)
        assert isinstance(given, types.InputRequiredResult) and given.input_requests
        async with client_of(project, "legacy", user) as client:
            answer = await run(client, READ)
        assert (answer["status"], answer["elicitation"]) == ("pending", "no answer") and len(user.asked) == 1
        # That took the second which the answer of the other client had, too.
        yes: Any = dict.fromkeys(given.input_requests, YES)
        late = await modern.session.call_tool("run_tool", READ, input_responses=yes, request_state=given.request_state)
        assert dict(late.structured_content or {})["status"] == "pending"
    assert [one["status"] for one in await approvals(project)] == ["pending"]


@pytest.mark.requirement("S-47")
async def test_an_answer_nobody_asked_for_or_for_another_call_approves_nothing(project: Project) -> None:
    prepare(project, "elicit = true", "elicit_writes = true")
    async with client_of(project, "2026-07-28", User()) as client:

        async def forged(call: dict[str, Any], state: str | None) -> Any:
            return await client.session.call_tool(
                "run_tool", call, input_responses={"approval": YES}, request_state=state, allow_input_required=True
            )

        with pytest.raises(MCPError, match="not one that was given out"):
            await forged(SEND, "made up")
        invented = await forged(SEND, None)
        assert isinstance(invented, types.InputRequiredResult) and sent(project) == []
        other = await client.session.call_tool("run_tool", READ, allow_input_required=True)
        assert isinstance(other, types.InputRequiredResult)
        with pytest.raises(MCPError, match="not one that was given out"):
            await forged(SEND, other.request_state)  # a yes to reading, sent along with another call
        assert sent(project) == []
        assert "sent" in str(await forged(SEND, invented.request_state))
        with pytest.raises(MCPError, match="not one that was given out"):
            await forged(SEND, invented.request_state)  # counts once
        assert sent(project) == ["ada"]


@ERAS
@pytest.mark.requirement("S-47")
async def test_two_clients_that_both_say_yes_to_the_same_call_get_one_effect(project: Project, era: str) -> None:
    prepare(project, "elicit = true", "elicit_writes = true")
    one, two = User(), User()
    one.ready = two.ready = asyncio.Event()
    async with client_of(project, era, one) as first, client_of(project, era, two) as second:
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(run(client, SEND)) for client in (first, second)]
            async with asyncio.timeout(120):
                while not (one.asked and two.asked):
                    await asyncio.wait(calls, timeout=0.05)
            one.ready.set()
        answers = [call.result() for call in calls]
    assert sent(project) == ["ada"]
    (left,) = [answer for answer in answers if answer.get("status") == "pending"]
    assert left["elicitation"].startswith("not taken")


@asynccontextmanager
async def spoken(project: Project, capabilities: dict[str, Any]) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A client that speaks the handshake era by hand, so that it can lie."""
    process = await asyncio.create_subprocess_exec(
        *(*warm.command(), "serve", "--no-daemon"),
        cwd=project.root,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "XDG_CONFIG_HOME": str(project.root / "none")},
    )
    info = {"name": "liar", "version": "1"}
    params = {"protocolVersion": "2025-06-18", "capabilities": capabilities, "clientInfo": info}
    say(process, {"id": 1, "method": "initialize", "params": params})
    assert (await heard(process))["id"] == 1
    say(process, {"method": "notifications/initialized"})
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


def say(process: asyncio.subprocess.Process, message: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


async def heard(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(120):
        return json.loads(await process.stdout.readline())


@pytest.mark.requirement("S-47")
async def test_a_client_that_declared_what_it_cannot_do_leaves_its_call_pending(project: Project) -> None:
    prepare(project, "elicit = true")
    async with spoken(project, {"elicitation": {}}) as liar:
        say(liar, {"id": 2, "method": "tools/call", "params": {"name": "run_tool", "arguments": READ}})
        asked = await heard(liar)
        assert asked["method"] == "elicitation/create"
        say(liar, {"id": asked["id"], "error": {"code": -32601, "message": "Method not found"}})
        assert (await heard(liar))["result"]["structuredContent"]["status"] == "pending"


@pytest.mark.requirement("S-47")
@pytest.mark.parametrize("capabilities", [{}, {"elicitation": {"url": {}}}, {"experimental": {"elicitation": {}}}])
async def test_a_client_that_declared_no_form_is_not_asked_and_its_answers_are_not_heard(
    project: Project, capabilities: dict[str, Any]
) -> None:
    prepare(project, "elicit = true")
    async with spoken(project, capabilities) as liar:
        say(liar, {"id": "druse-000000000000", "result": {"action": "accept", "content": {"approve": True}}})
        say(liar, {"id": 2, "method": "tools/call", "params": {"name": "run_tool", "arguments": READ}})
        told = (await heard(liar))["result"]["structuredContent"]
        assert told["status"] == "pending" and "elicitation" not in told


@pytest.mark.requirement("S-47")
async def test_a_client_without_the_capability_and_the_command_line_work_as_before(project: Project) -> None:
    prepare(project, "elicit = true")
    async with client_of(project, "2026-07-28", None) as client:
        waits = await run(client, READ)
        assert waits["status"] == "pending"
        await project.druse("approvals", "approve", waits["approval_id"], "--yes")
        assert "the notes" in (await run(client, READ))["text"]


@ERAS
@pytest.mark.requirement("S-47")
async def test_a_client_over_http_is_asked_like_one_over_stdio(project: Project, era: str) -> None:
    prepare(project, "elicit = true")
    await project.druse("policy", "show")
    user = User()
    async with (
        doors.over_http(project.root, project.environment) as (address, token),
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http,
        Client(
            streamable_http_client(f"{address}/mcp", http_client=http), mode=era, elicitation_callback=user
        ) as client,
    ):
        assert "the notes" in (await run(client, READ))["text"] and len(user.asked) == 1


@ERAS
@pytest.mark.requirement("S-47")
async def test_a_yes_inside_a_script_is_kept_for_when_the_script_is_run_again(project: Project, era: str) -> None:
    prepare(project, "elicit = true", "elicit_writes = true")
    user = User()
    script = {"code": 'result = call("mail__send", to="ada")'}
    async with client_of(project, era, user) as client:
        first = dict((await client.call_tool("run_code", script)).structured_content or {})
        assert (first["elicitation"], sent(project)) == ("approved", []) and "Make the same call again" in first[
            "message"
        ]
        await client.call_tool("run_code", script)
    assert sent(project) == ["ada"] and len(user.asked) == 1
