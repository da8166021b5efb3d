"""One script over stdio and over HTTP, in both eras: the transcripts are equal (N-06); who is who over HTTP."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import mcp_types as types
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

import doors

from .conftest import Project  # type: ignore[import-not-found]

SERVER = doors.plain_server("""
TOOLS = [{"name": n, "inputSchema": {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}}
         for n in ("greet", "wipe", "burn")]
def answer(name, a):
    return name + " " + a["to"]
""")
RULES = '[permissions]\nallow = ["mail__greet"]\nask = ["mail__wipe"]\ndeny = ["mail__burn"]\n'
SCRIPT = "result = call('mail__greet', to='ada')"


def calls(client: Client) -> list[Callable[[], Awaitable[Any]]]:
    """What is said in the session, one after the other."""

    def tool(called: str, /, **arguments: Any) -> Callable[[], Awaitable[Any]]:
        return lambda: client.call_tool(called, arguments)

    return [
        lambda: client.list_tools(),
        lambda: client.list_resources(),
        lambda: client.list_resource_templates(),
        lambda: client.list_prompts(),
        tool("dispatch_goal", goal="greet ada", dry_run=True),
        tool("find_tools", query="greet somebody", kind="tool"),
        tool("run_tool", name="mail__greet", arguments={"to": "ada"}),
        tool("mail__greet", to="bob"),
        tool("run_tool", name="mail__greet", arguments={"to": 5}),
        tool("run_tool", name="mail__greet", arguments={}),
        tool("run_tool", name="mail__wipe", arguments={"to": "ada"}),
        tool("run_tool", name="mail__burn", arguments={"to": "ada"}),
        tool("run_tool", name="mail__grete", arguments={}),
        tool("run_tool"),
        tool("no such tool"),
        tool("run_code", code=SCRIPT),
        tool("run_code", code="import os"),
        tool("load_skill", name="using-druse"),
        tool("load_skill", name="no-such-skill"),
        tool("report_outcome", success=True, note="ünïcode ✓"),
        lambda: client.read_resource("druse://memory"),
        lambda: client.read_resource("druse://nowhere"),
        lambda: client.get_prompt("context", {"query": "greet"}),
        lambda: client.get_prompt("no-such-prompt", {}),
    ]


async def transcript(client: Client, project: Project) -> list[str]:
    said: list[str] = []
    for call in calls(client):
        try:
            result = await call()
            told = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        except MCPError as error:
            told = error.error.model_dump(mode="json", exclude_none=True)
        text = json.dumps(told, ensure_ascii=False, sort_keys=True).replace(str(project.root), "ROOT")
        said.append(
            re.sub(r"\b[0-9a-f]{12}(?:[0-9a-f]{4})?\b|\b\d{10}\.\d+\b", "ID", text)
        )  # ids and times are of the session
    return said


@asynccontextmanager
async def over_http(project: Project) -> AsyncGenerator[tuple[str, dict[str, str]]]:
    async with doors.over_http(project.root, project.environment) as (address, token):
        yield f"{address}/mcp", {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def http_client(url: str, headers: dict[str, str], mode: Any, name: str = "x") -> AsyncGenerator[Client]:
    info = types.Implementation(name=name, version="1")
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode, client_info=info, cache=None) as client,
    ):
        yield client


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
@pytest.mark.requirement("N-06")
async def test_the_same_script_over_stdio_and_http_gives_equal_transcripts(project: Project, era: str) -> None:
    (project.root / "server.py").write_text(SERVER)
    servers = {"mail": {"command": sys.executable, "args": [str(project.root / "server.py")]}}
    project.configure(servers=servers, config=RULES)
    twin = Project(project.root.parent / "twin", project.state)
    shutil.copytree(project.root, twin.root)
    async with project.client(era) as client:
        piped = await transcript(client, project)
    async with over_http(twin) as (url, headers), http_client(url, headers, era) as client:
        served = await transcript(client, twin)
    assert served == piped and len(served) == 24
    assert "greet ada" in served[6] and '"pending"' in served[10] and '"denied"' in served[11]


async def test_over_http_too_odd_ids_are_refused_half_characters_read_and_changing_lists_told(project: Project) -> None:
    info = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    async with over_http(project) as (url, headers), httpx2.AsyncClient(headers=headers, timeout=60) as http:

        async def post(body: bytes) -> httpx2.Response:
            kinds = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
            return await http.post(url, content=body, headers=kinds)

        hello = await post(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": info}).encode())
        assert hello.text.count('"listChanged":true') == 3, hello.text
        http.headers["mcp-session-id"] = hello.headers["mcp-session-id"]
        assert (await post(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')).status_code == 202
        for number in (b"null", b"true", b"1.5", b"[1]", b"{}"):
            refused = await post(b'{"jsonrpc":"2.0","id":%s,"method":"ping"}' % number)
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32600), number
        cut = b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"nope \\ud83d","arguments":{}}}'
        assert "nope \ufffd" in (await post(cut)).text
        assert (await post(b"{nope")).json()["error"]["code"] == -32700
        assert (
            await post(b'{"jsonrpc":"2.0","id":3,"method":"ping","params":{"a":"%s"}}' % (b"x" * 9_000_000))
        ).status_code == 413


async def test_programs_without_a_conversation_id_are_told_apart_over_http(project: Project) -> None:
    (project.root / "server.py").write_text(SERVER)
    servers = {"mail": {"command": sys.executable, "args": [str(project.root / "server.py")]}}
    project.configure(servers=servers, config=RULES)
    greet = {"name": "mail__greet", "arguments": {"to": "ada"}}
    async with over_http(project) as (url, headers):
        own = {**headers, "Mcp-Session-Id": "one"}
        async with (
            http_client(url, headers, "2026-07-28", "editor") as editor,
            http_client(url, headers, "2026-07-28", "terminal") as terminal,
            http_client(url, own, "2026-07-28", "terminal") as named,
        ):
            for client in (editor, terminal, named, editor):
                await client.call_tool("run_tool", greet)
        runs = (await project.druse("traces", "list"))["runs"]
        shown = [await project.druse("traces", "show", run["id"]) for run in runs]
    assert sorted(len(run["steps"]) for run in shown) == [
        1,
        1,
        2,
    ]  # one run each; the second call of the editor went on with its own
