"""A session goes on with the versions it began with, and what may not run stops in every session at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client

import doors
from capabilities.desk import Desk, run_tool
from druse.front.base import open_base, person
from druse.settings import Workspace

RULES = '[permissions]\nallow = ["desk__*"]\n[self_programming]\nmax_synthesis_per_session = 100\n[settings]\ncandidate_runs = 2\n'
SKILL = "---\nname: greeting\ndescription: How to greet.\n---\n\nSay {word}.\n"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path / "project")
    made.configure(RULES)
    return made


class Sessions:
    """One client whose conversations have names of their own."""

    def __init__(self, client: Client, changes: list[anyio.Event]) -> None:
        self.client = client
        self._changes = changes

    async def ask(self, session: str, tool: str, /, **arguments: Any) -> dict[str, Any]:
        meta: Any = {"claudecode/sessionId": session}
        answer = await self.client.call_tool(tool, arguments, meta=meta)
        return dict(answer.structured_content or {"text": getattr(answer.content[0], "text", "")})

    async def look(self, session: str) -> Any:
        """Which version a session runs."""
        return (await self.ask(session, "run_tool", name="look_at", arguments={"order_id": "O7"})).get("code")

    async def moved(self, change: Any) -> Any:
        """Make a change in another process, and wait until this one noticed it."""
        self._changes.append(anyio.Event())
        answer = await change
        with anyio.fail_after(120):
            await self._changes[-1].wait()
        return answer


def watching(changes: list[anyio.Event]) -> Any:
    async def heard(message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification) and changes:
            changes[-1].set()

    return heard


async def begun(desk: Desk, sessions: Sessions) -> list[str]:
    """The first version, made of recorded runs; their ids."""
    runs = [await recorded(sessions, "maker", order) for order in ("O1", "O2")]
    await published(desk, sessions, runs, "one")
    return runs


async def recorded(sessions: Sessions, session: str, order: str, goal: str = "Look at order {order}") -> str:
    opened = await sessions.ask(session, "dispatch_goal", goal=goal.format(order=order))
    await sessions.ask(session, "run_tool", name="desk__get_order", arguments={"order_id": order})
    await sessions.ask(session, "run_tool", name="desk__list_notes", arguments={})
    await sessions.ask(session, "report_outcome", run_id=opened["run_id"], success=True)
    return str(opened["run_id"])


async def published(desk: Desk, sessions: Sessions, runs: list[str], code: str) -> None:
    source = (
        '"""Look at an order."""\n\n\ndef run(call, *, order_id: str) -> dict:\n    """Its number."""\n'
        f'    found = call("desk__get_order", order_id=order_id)\n    call("desk__list_notes")\n    return {{"code": "{code}", "id": found["id"]}}\n'
    )
    given = {"name": "look_at", "code": source, "description": f"Look, {code}", "run_ids": runs}
    made = await sessions.ask("maker", "propose_tool", **given)
    assert made["status"] == "proposed", made
    await sessions.moved(approve(desk, str(made["approval_id"])))


async def approve(desk: Desk, approval_id: str) -> None:
    async with open_base(Workspace.find(desk.root)) as base:
        await base.decide(approval_id, approve=True, how="test")


async def back_to(desk: Desk, number: int) -> None:
    async with open_base(Workspace.find(desk.root)) as base:
        await base.shelf.rollback("look_at", number, person())
        base.shelf.files.touch()


@pytest.mark.requirement("N-09")
async def test_a_new_version_reaches_new_sessions_and_what_is_forbidden_stops_in_all(desk: Desk) -> None:
    changes: list[anyio.Event] = []
    async with desk.client(on_message=watching(changes)) as client:
        sessions = Sessions(client, changes)
        runs = await begun(desk, sessions)
        assert await sessions.look("first") == "one"
        assert await sessions.look("maker") == "one"  # it came into service after that session began: at once
        async with desk.client() as other:  # a connection without names of conversations is a session itself
            await other.list_tools()
            await published(desk, sessions, runs, "two")
            assert (await run_tool(other, "look_at", order_id="O7"))["code"] == "one"
        assert await sessions.look("second") == "two"
        assert await sessions.look("maker") == "two"  # and is not pinned there
        # Every way to the tool leads a session to its own version.
        assert await sessions.look("first") == "one"
        code = 'result = call("look_at", order_id="O3")'
        assert (await sessions.ask("first", "run_code", code=code))["result"]["code"] == "one"
        assert (await sessions.ask("first", "look_at", order_id="O3"))["code"] == "one"
        shown = (await sessions.ask("first", "find_tools", query="look at an order"))["results"]
        found = next(row for row in shown if row.get("name") == "look_at")
        assert (
            found["version"] == 1
            and "learned tool v1, the version this session began with, v2 is for new ones" in found["description"]
        )
        listed = next(tool for tool in (await client.list_tools()).tools if tool.name == "look_at")
        assert "learned tool v1, the version" in str(
            listed.description
        )  # a list is asked for without a name: by the last conversation
        goal = "Look at order O4"
        assert (await sessions.ask("first", "dispatch_goal", goal=goal, dry_run=True))["tool"] == "look_at v1"
        assert (await sessions.ask("second", "dispatch_goal", goal=goal, dry_run=True))["tool"] == "look_at v2"
        # Pins are shown.
        told = {row["session"]: row for row in (await desk.druse("pins", "list"))["sessions"]}
        assert told["first"]["tools"]["look_at"] == {"began_with": 1, "runs": 1, "in_service": 2}
        assert told["first"]["behind"] == ["look_at v1 (v2 is in service)"]
        assert told["maker"]["tools"] == {}
        assert [row["session"] for row in (await desk.druse("status"))["sessions_behind"]][-1] == "first"
        await sessions.look("first")
        own = json.loads(getattr((await client.read_resource("druse://pins")).contents[0], "text", ""))
        assert own["session"] == "first"
        # Nobody goes on with what somebody went back from, also not once a newer version is there.
        await published(desk, sessions, runs, "three")
        assert await sessions.look("second") == "two"
        await sessions.moved(back_to(desk, 1))
        assert [await sessions.look(name) for name in ("first", "second", "third")] == ["one", "one", "one"]
        await published(desk, sessions, runs, "four")
        assert [await sessions.look(name) for name in ("first", "second", "fourth")] == ["one", "four", "four"]
        # A person can let a session go on, and a rule holds for every version.
        await sessions.moved(desk.druse("pins", "release", "first"))
        assert await sessions.look("first") == "four"
        assert await sessions.look("third") == "one"
        desk.configure(RULES.replace("[self", 'deny = ["desk__get_order"]\n[self'))
        stopped = await sessions.ask("third", "run_tool", name="look_at", arguments={"order_id": "O7"})
        assert stopped["status"] == "diverged" and "deny desk__get_order" in stopped["reason"]
        desk.configure(RULES)
        # Out of service is out of service.
        await sessions.moved(desk.druse("tools", "retire", "look_at"))
        for name in ("first", "third", "fourth"):
            gone = await sessions.ask(name, "run_tool", name="look_at", arguments={"order_id": "O7"})
            assert "retired at v4" in json.dumps(gone), gone


async def test_a_conversation_that_is_taken_up_again_goes_on_as_it_began(desk: Desk) -> None:
    changes: list[anyio.Event] = []
    async with desk.client(on_message=watching(changes)) as client:
        sessions = Sessions(client, changes)
        runs = await begun(desk, sessions)
        assert await sessions.look("talk") == "one"
        await published(desk, sessions, runs, "two")
    async with desk.client(on_message=watching(changes)) as client:
        assert "[learned tool v2;" in str(
            {tool.name: tool for tool in (await client.list_tools()).tools}["look_at"].description
        )
        sessions = Sessions(client, changes)
        changes.append(anyio.Event())
        assert await sessions.look("talk") == "one"
        with anyio.fail_after(120):
            await changes[-1].wait()  # the client hears that its list differs for this conversation
        assert "[learned tool v1, " in str(
            {tool.name: tool for tool in (await client.list_tools()).tools}["look_at"].description
        )
        # A version whose files somebody changed is nobody's: the session goes on with what is in service.
        source = desk.root / "tools" / "generated" / "look_at" / "v1.py"
        source.write_text(source.read_text() + "# more\n")
        (source.parent / ".changed").touch()
        with anyio.fail_after(120):
            while await sessions.look("talk") != "two":
                pass  # until the change is noticed


HEAD = """
HERE = pathlib.Path(__file__).parent
DRIFTED = (HERE / "drifted").exists()
PROPERTIES = {"order_id": {"type": "string"}, **({"lang": {"type": "string"}} if DRIFTED else {})}
TOOLS = [
    {"name": "get_order", "inputSchema": {"type": "object", "properties": PROPERTIES}},
    {"name": "list_notes", "inputSchema": {"type": "object"}},
]

def answer(name, arguments):
    return json.dumps({"id": arguments["order_id"]} if name == "get_order" else {"notes": []})
"""


async def test_a_version_suspended_by_drift_is_not_kept_alive_by_a_session_that_began_with_it(desk: Desk) -> None:
    (desk.root / "server.py").write_text(doors.plain_server(HEAD))
    changes: list[anyio.Event] = []
    async with desk.client(on_message=watching(changes)) as client:
        sessions = Sessions(client, changes)
        runs = await begun(desk, sessions)
        assert await sessions.look("talk") == "one"
    (desk.root / "drifted").touch()
    async with desk.client(on_message=watching(changes)) as client:
        sessions = Sessions(client, changes)
        assert "waits for a person" in json.dumps(
            await sessions.ask("talk", "run_tool", name="desk__get_order", arguments={"order_id": "O7"})
        )
        await sessions.moved(desk.druse("tools", "accept", "desk__get_order"))  # also where a server runs
        await published(desk, sessions, runs, "two")
        answer = await sessions.ask("talk", "run_tool", name="look_at", arguments={"order_id": "O7"})
        assert "look_at v1 is suspended" in json.dumps(answer) and "goes on with v2" in json.dumps(answer)
        assert await sessions.look("talk") == "two"


@pytest.mark.requirement("N-09")
async def test_a_session_reads_the_skills_it_began_with_until_they_are_taken_away(desk: Desk) -> None:
    place = desk.root / "skills" / "greeting"
    place.mkdir(parents=True)
    (place / "SKILL.md").write_text(SKILL.format(word="hello"))

    async def read(session: str) -> str:
        answer = await client.call_tool("load_skill", {"name": "greeting"}, meta={"claudecode/sessionId": session})
        return str(getattr(answer.content[0], "text", ""))

    async with desk.client() as client:
        assert "Say hello." in await read("first")
        (place / "SKILL.md").write_text(SKILL.format(word="good evening"))
        assert "Say good evening." in await read("second")
        assert "Say hello." in await read("first")
        uri = "skill://project/greeting/SKILL.md"
        served = (await client.read_resource(uri)).contents[0]
        assert "Say hello." in getattr(served, "text", "")
        prompt = await client.get_prompt("greeting")
        assert "Say hello." in getattr(prompt.messages[0].content, "text", "")
        assert (await desk.druse("pins", "list", "--behind"))["sessions"][0]["behind"] == ["skill greeting as it was"]
        (place / "SKILL.md").unlink()
        assert "Cannot load skill" in await read("first")
