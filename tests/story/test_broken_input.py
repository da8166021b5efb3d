"""Broken input at every door: a clear error, nothing recorded as success that was not, a restart that works."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

import doors
import warm
from druse.model import nested_deeper

from .conftest import Project  # type: ignore[import-not-found]

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}


class Raw:
    """A client that sends bytes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, root: Path, *options: str) -> Raw:
        process = await asyncio.create_subprocess_exec(
            *(
                (sys.executable, "-m", "druse", "serve", *options)
                if options
                else (*warm.command(), "serve", "--no-daemon")
            ),
            cwd=root,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=1 << 26,
        )
        return cls(process)

    async def send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        await self.process.stdin.drain()

    async def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        async with asyncio.timeout(120):
            return dict(json.loads(await self.process.stdout.readline()))

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        await self.send(json.dumps(message).encode())
        while True:
            answer = await self.receive()
            if answer.get("id") == message["id"]:
                return answer

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()
        await self.process.wait()


async def test_lines_that_are_no_messages_get_an_error_and_the_next_one_an_answer(project: Project) -> None:
    raw = await Raw.start(project.root)
    assert "result" in await raw.ask(HELLO)
    await raw.send(b"{not json")
    assert (await raw.receive())["error"]["code"] == -32700
    await raw.send(b'{"jsonrpc": "2.0", "nonsense": true}')
    assert (await raw.receive())["error"]["code"] == -32600
    await raw.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
    big = {"name": "run_tool", "arguments": {"name": "Bash", "arguments": {"command": "x" * 50_000_000}}}
    answer = await raw.ask({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": big})
    assert "over the limit" in answer["result"]["content"][0]["text"]
    listed = await raw.ask({"jsonrpc": "2.0", "id": 3, "method": "tools/list", "params": {}})
    assert len(listed["result"]["tools"]) == 7
    await raw.stop()


_FIND = {"method": "tools/call", "params": {"name": "find_tools", "arguments": {"query": "an order"}}}


async def test_no_request_is_left_without_an_answer_whatever_its_id_and_its_texts(project: Project) -> None:
    """An unanswered request is waited for until the client's own limit of time."""
    raw = await Raw.start(project.root)
    assert "result" in await raw.ask(HELLO)
    await raw.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
    for number in (b"null", b"true", b"1.5", b"[1]", b'{"a": 1}', b"1e3"):
        for method in (b'"ping"', b'"tools/call", "params": {"name": "find_tools", "arguments": {"query": "x"}}'):
            await raw.send(b'{"jsonrpc": "2.0", "id": %s, "method": %s}' % (number, method))
            refused = await raw.receive()
            assert (refused["id"], refused["error"]["code"]) == (None, -32600), (number, refused)
    for wrong in (b'"id": 7, "method": "ping"', b'"jsonrpc": "1.0", "id": 7, "method": "ping"'):
        await raw.send(b"{%s}" % wrong)
        assert (await raw.receive())["id"] == 7
    await raw.send(b'{"jsonrpc": "2.0", "id": 8, "method": "ping", "params": [1]}')
    assert (await raw.receive())["id"] == 8
    await raw.send(b'[{"jsonrpc": "2.0", "id": 9, "method": "ping"}]')
    assert "send each by itself" in (await raw.receive())["error"]["message"]
    # as JSON.stringify writes a text that was cut within an emoji; a byte order mark; no white space to speak of
    await raw.send(b'{"jsonrpc":"2.0","id":10,"method":"tools/call","params":{"name":"nope \\ud83d","arguments":{}}}')
    answer = await raw.receive()
    assert answer["id"] == 10 and "nope \ufffd" in answer["result"]["content"][0]["text"]
    await raw.send(b'\xef\xbb\xbf\t{"jsonrpc":"2.0","id":11,"method":"ping"}\r')
    assert await raw.receive() == {"jsonrpc": "2.0", "id": 11, "result": {}}
    await raw.stop()


@pytest.mark.parametrize("options", [("--no-daemon",), ("--workspace", ".")])
async def test_who_writes_requests_and_closes_the_pipe_gets_all_answers(
    options: tuple[str, ...], project: Project
) -> None:
    """`printf ... | druse serve` is how people look at a server."""
    raw = await Raw.start(project.root, *options)
    lines = [HELLO, {"jsonrpc": "2.0", "method": "notifications/initialized"}]
    lines += [{"jsonrpc": "2.0", "id": 2, "method": "tools/list"}, {"jsonrpc": "2.0", "id": 3, **_FIND}]
    assert raw.process.stdin is not None
    raw.process.stdin.write(b"\n".join(json.dumps(line).encode() for line in lines))  # nor does the last line end
    raw.process.stdin.close()
    async with asyncio.timeout(60):
        said, _ = await raw.process.communicate()
    answers = {answer["id"]: answer for answer in map(json.loads, said.splitlines())}
    assert all("result" in answers[number] for number in (1, 2, 3)), answers


def test_a_server_that_has_no_standard_input_ends(project: Project) -> None:
    """A loop cannot wait for /dev/null: a server that tried never ended."""
    done = subprocess.run(
        [*warm.command(), "serve", "--no-daemon"],
        cwd=project.root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0


@pytest.mark.requirement("H-34")
async def test_a_killed_server_leaves_an_unfinished_run_and_a_chain_that_verifies(project: Project) -> None:
    raw = await Raw.start(project.root)
    await raw.ask(HELLO)
    await raw.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
    call = {
        "name": "run_tool",
        "arguments": {"name": "shop__get_user_details", "arguments": {"user_id": "yusuf_khan_2015"}},
    }
    await raw.ask({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call})
    cancel = {
        "name": "run_tool",
        "arguments": {"name": "shop__get_order_details", "arguments": {"order_id": "#W9962383"}},
    }
    await raw.send(json.dumps({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": cancel}).encode())
    os.kill(raw.process.pid, signal.SIGKILL)
    await raw.process.wait()

    assert (await project.druse("audit", "verify"))["ok"]
    (run,) = (await project.druse("traces", "list"))["runs"]
    assert run["status"] == "open"
    assert (await project.druse("candidates", "--min-usage", "1"))["candidates"] == []
    async with project.client() as client:
        assert len((await client.list_tools()).tools) == 7


async def test_a_dying_upstream_is_named_and_started_again(project: Project, tmp_path: Path) -> None:
    server = tmp_path / "fragile.py"
    server.write_text(FRAGILE)
    project.configure(
        servers={"frail": {"command": sys.executable, "args": [str(server)]}},
        config='[permissions]\nallow = ["frail__*"]\n',
    )
    status = await project.druse("status", "--connect")
    assert any("broken schema" in problem for problem in status["problems"])
    async with project.client() as client:
        died = await _run(client, "frail__die")
        assert "'frail'" in died["message"] and died["status"] == "failed"
        assert (await _run(client, "frail__fine"))["result"] == "fine"
        noisy = await _run(client, "frail__noisy")
        assert noisy["result"] == "quiet again"
        lied = await _run(client, "frail__lie")
        assert lied["status"] == "failed" and "schema" in lied["message"]


async def test_a_server_that_hangs_does_not_hold_up_the_others(project: Project, tmp_path: Path) -> None:
    shop = json.loads((project.root / "mcp.json").read_text())["mcpServers"]["shop"]
    project.configure(
        servers={"hangs": {"command": "sleep", "args": ["600"]}, "gone": {"command": "/no/such/thing"}, "shop": shop},
        config='[permissions]\nallow = ["shop__*", "hangs__*"]\n[settings]\nconnect_timeout = 2\n',
    )
    async with project.client() as client:
        good = await _run(client, "shop__get_user_details", user_id="yusuf_khan_2015")
        assert good["ok"] is True
        hung = await _run(client, "hangs__x")
        assert "did not complete the MCP handshake within 2 s" in hung["message"]
    status = await project.druse("status", "--connect")
    assert any("/no/such/thing" in problem for problem in status["problems"])


async def _run(client: Client, name: str, /, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool("run_tool", {"name": name, "arguments": arguments})
    return dict(result.structured_content or {})


async def test_a_corrupted_database_is_left_alone_and_named(project: Project) -> None:
    await project.druse("status")
    database = project.root / ".druse" / "druse.db"
    for extra in database.parent.glob("druse.db-*"):
        extra.unlink()
    database.write_bytes(b"this is no database at all" * 100)
    before = database.read_bytes()

    answer = await project.druse("status")

    assert answer["error"]["kind"] == "store_damaged" and str(database) in answer["error"]["message"]
    assert database.read_bytes() == before


async def test_a_locked_database_is_waited_for(project: Project) -> None:
    await project.druse("status")
    connection = sqlite3.connect(project.root / ".druse" / "druse.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    asking = asyncio.ensure_future(project.druse("status"))
    await asyncio.wait({asking}, timeout=0.5)
    connection.execute("COMMIT")
    connection.close()
    assert "workspace" in await asking


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[permissions]\nallow = [\n  'Bash(',\n]\n", 3),
        ("[permissions]\nalow = []\n", 2),
        ("[self_programming]\ntrust_level = 9\n", 2),
        ("[self_programming]\ntrust_level = 'x'\n", 2),
        ("[nonsense]\n", 1),
        ("[permissions\n", 1),
        ("[permissions]\nallow = ['Bash(python3:*)']\n", 2),
    ],
)
async def test_a_mistake_in_the_configuration_stops_the_start_with_file_and_line(
    project: Project, text: str, line: int
) -> None:
    project.configure(config=text, approved=False)

    answer = await project.druse("status")

    assert f"config.toml:{line}" in answer["error"]["message"], answer


async def test_a_broken_mcp_json_names_the_line(project: Project) -> None:
    (project.root / "mcp.json").write_text('{"mcpServers": {\n  "a": }\n}')

    assert "mcp.json:2" in (await project.druse("status"))["error"]["message"]


FRAGILE = """
import json, os, sys
TOOLS = [{"name": n, "inputSchema": {"type": "object"}} for n in ("fine", "die", "noisy")]
TOOLS.append({"name": "lie", "inputSchema": {"type": "object"}, "outputSchema": {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}})
TOOLS.append({"name": "broken", "inputSchema": {"type": "object", "properties": {"a": {"type": "nonsense"}}}})
for line in sys.stdin:
    m = json.loads(line)
    method = m.get("method")
    if method == "initialize":
        r = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "f", "version": "1"}}
    elif method == "tools/list":
        r = {"tools": TOOLS}
    elif method == "tools/call":
        name = m["params"]["name"]
        if name == "die":
            os._exit(1)
        if name == "noisy":
            print("hello, I am a log line")
            print("x" * 100000)
            sys.stderr.write("y" * 100000)
        if name == "lie":
            r = {"content": [{"type": "text", "text": "{}"}], "structuredContent": {"a": 5}}
        else:
            r = {"content": [{"type": "text", "text": "quiet again" if name == "noisy" else name}]}
    elif "id" in m:
        print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "error": {"code": -32601, "message": "no"}}), flush=True)
        continue
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": r}), flush=True)
"""


async def test_an_answer_that_nests_without_end_reaches_the_client_as_text(project: Project) -> None:
    """Clients give up the whole message at some depth, and then wait for its answer without end."""
    (project.root / "deep.py").write_text(
        doors.plain_server("""
TOOLS = [{"name": "deep", "inputSchema": {"type": "object", "properties": {"levels": {"type": "integer"}}}}]
def answer(name, a):
    return "[" * a["levels"] + "]" * a["levels"]
""")
    )
    server = {"command": sys.executable, "args": [str(project.root / "deep.py")]}
    project.configure(servers={"e": server}, config='[permissions]\nallow = ["e__*"]\n')
    async with project.client() as client:
        for levels in (1, 100, 101, 250, 960, 5_000, 200_000):
            answer = await client.call_tool("run_tool", {"name": "e__deep", "arguments": {"levels": levels}})
            text = "[" * levels + "]" * levels
            told = (answer.structured_content or {})["result"]
            assert answer.is_error is False and told == (json.loads(text) if levels <= 100 else text), levels


def test_levels_are_those_of_lists_and_objects() -> None:
    assert not nested_deeper(1, 0) and nested_deeper([], 0) and not nested_deeper([1, "[["], 1)
    assert nested_deeper([{"a": [1]}, 2], 2) and not nested_deeper([{"a": [1]}, 2], 3)
