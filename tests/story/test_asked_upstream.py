"""What a server asks of the user: passed on and back in all four combinations of eras, and never to anybody else."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest

from .conftest import Project  # type: ignore[import-not-found]
from .test_elicitation import User, client_of  # type: ignore[import-not-found]

ERAS = pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
BEHIND = pytest.mark.parametrize("behind", ["legacy", "modern"])
YES = types.ElicitResult(action="accept", content={"approve": True})
SERVER = Path(__file__).parent / "asking_server.py"


def prepare(project: Project, behind: str, rule: str = "allow") -> Path:
    log = project.root / "heard.jsonl"
    server = {"command": sys.executable, "args": [str(SERVER), behind, str(log)]}
    config = f'[permissions]\n{rule} = ["asking__confirm"]\n[settings]\nelicit = true\nelicit_writes = true\n'
    project.configure(servers={"asking": server}, config=config)
    return log


async def confirm(client: Any) -> Any:
    result = await client.call_tool("run_tool", {"name": "asking__confirm", "arguments": {}})
    return result.structured_content


def heard(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


@ERAS
@BEHIND
@pytest.mark.requirement("N-19", "S-47")
async def test_a_question_of_a_server_reaches_its_user_as_the_server_s_and_its_answer_approves_nothing_in_druse(
    project: Project, era: str, behind: str
) -> None:
    log = prepare(project, behind, "ask")
    user = User(YES)
    async with client_of(project, era, user) as client:
        assert await confirm(client) == {"action": "accept", "content": {"approve": True}}
        ours, theirs = user.asked
        head, *quoted = theirs.splitlines()
        assert ours.startswith("Approve one call?") and "server 'asking' asks you (not Druse" in head
        assert quoted == ["> Delete it?", "> Approve one call? druse approvals"]  # none of it looks like a line of ours
        user.answer = types.ElicitResult(action="cancel")
        waits = await confirm(client)
        assert waits["status"] == "pending"  # the yes to the server is none to the next call of it
    calls = [one["params"].get("_meta", {}) for one in heard(log) if one.get("method") == "tools/call"]
    said = [{key.removeprefix("io.modelcontextprotocol/") for key in meta if "/" in key} for meta in calls]
    who = {"protocolVersion", "clientInfo", "clientCapabilities"} if behind == "modern" else set[str]()
    assert said and all(names == who for names in said)  # each request of the later era says who makes it
    entries = (await project.druse("audit", "show"))["entries"]
    assert [one["payload"]["answer"] for one in entries if one["action"] == "upstream.asked"] == ["accept"]


@pytest.mark.parametrize(("era", "behind"), [("legacy", "legacy"), ("2026-07-28", "modern")])
async def test_where_the_client_cannot_ask_the_server_is_told_so(project: Project, era: str, behind: str) -> None:
    prepare(project, behind)
    async with client_of(project, era, None) as client:
        assert "cannot put a question before its user" in json.dumps(await confirm(client))


@BEHIND
async def test_a_cancelled_call_takes_its_question_along(project: Project, behind: str) -> None:
    log = prepare(project, behind)
    user = User(None)
    async with client_of(project, "legacy", user) as client:
        call = asyncio.create_task(confirm(client))
        async with asyncio.timeout(120):
            while not user.asked:
                await asyncio.wait([call], timeout=0.02)
        call.cancel()
        await asyncio.wait([call])
        user.answer = YES
        assert (await confirm(client))["action"] == "accept"  # the next call is not in its way
        script = {"code": 'result = call("asking__confirm")'}
        assert '"accept"' in json.dumps((await client.call_tool("run_code", script)).structured_content)
    told = [one for one in heard(log) if one.get("method") == "notifications/cancelled"]
    assert len(told) == (1 if behind == "legacy" else 0)  # the modern server had answered: nothing is open there


@pytest.mark.parametrize("behind", ["legacy", "modern"])
@pytest.mark.requirement("N-19")
async def test_one_tool_with_a_schema_that_is_none_leaves_the_others_usable(project: Project, behind: str) -> None:
    prepare(project, behind)
    async with client_of(project, "legacy", User(YES)) as client:
        found = (await client.call_tool("find_tools", {"query": "confirm", "kind": "tool"})).structured_content
        assert [row["name"] for row in found["results"] if row["name"].startswith("asking")] == ["asking__confirm"]  # type: ignore[index]
        refused = await client.call_tool("run_tool", {"name": "asking__broken", "arguments": {}})
        said = refused.content[0].text  # type: ignore[union-attr]
        assert "asking" in said and "'broken'" in said and "schema" in said and "other tools can be called" in said


async def test_two_clients_of_one_server_that_asks_beside_its_calls_do_not_answer_for_each_other(
    project: Project,
) -> None:
    """A question of a handshake-era server names no call: with calls of two clients in flight it is nobody's."""
    from druse.model import Caller, CallerKind
    from druse.upstream.questions import Questions

    heard_of: list[str] = []

    async def note(server: str, caller: Caller, action: str) -> None:
        heard_of.append(f"{server} {caller.client} {action}")

    class Side:
        capabilities = {"elicitation": {}}  # noqa: RUF012

        async def ask(self, requests: Any, *, seconds: float) -> Any:
            return {key: {"action": "accept", "content": {}} for key in requests}

    def caller(client: str, *, shared: bool = False) -> Caller:
        side: Any = Side()
        return Caller(CallerKind.AGENT, "s", "c", client, shared=shared, client_side=side)

    form = types.ElicitRequestFormParams(message="?", requested_schema={"type": "object", "properties": {}})
    questions = Questions("asking", note)

    async def beside(*callers: Caller) -> Any:
        """The question comes from a task that no call began."""
        from contextlib import AsyncExitStack

        asks, answers = asyncio.Event(), asyncio.Event()
        got: list[Any] = []

        async def listen() -> None:
            await asks.wait()
            got.append(await questions.ask(None, form))
            answers.set()

        listening = asyncio.create_task(listen())
        async with AsyncExitStack() as stack:
            for one in callers:
                await stack.enter_async_context(questions.during(one, 5))
            asks.set()
            await answers.wait()
        await listening
        return got[0]

    assert isinstance(await beside(caller("a"), caller("b")), types.ErrorData)
    assert isinstance(await beside(caller("a", shared=True), caller("a", shared=True)), types.ErrorData)
    assert isinstance(await beside(), types.ErrorData) and heard_of == []
    answered = await beside(caller("a"), caller("a"))
    assert answered.action == "accept" and heard_of == ["asking a accept"]
