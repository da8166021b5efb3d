"""What an upstream sends while it works reaches the client, and a client's cancellation reaches the upstream."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Project  # type: ignore[import-not-found]

SLOW = """
import asyncio, sys
from pathlib import Path
import mcp_types as t
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.stdio import stdio_server

MARK = Path(sys.argv[1])
TOOLS = ["work", "hang", "grow"]

async def list_tools(ctx, params):
    return t.ListToolsResult(tools=[t.Tool(name=n, input_schema={"type": "object"}) for n in TOOLS])

async def call_tool(ctx, params):
    if params.name == "hang":
        MARK.write_text("started")
        try:
            await asyncio.sleep(60)
        finally:
            MARK.write_text("cancelled")
    if params.name == "grow":
        TOOLS.append("fresh")
        await ctx.session.send_tool_list_changed()
    for n in range(3):
        await ctx.session.report_progress(n + 1, 3, f"step {n + 1}")
    return t.CallToolResult(content=[t.TextContent(type="text", text=params.name)])

server = Server("slow", version="1", on_list_tools=list_tools, on_call_tool=call_tool)

async def main():
    async with stdio_server() as (r, w):
        await server.run(r, w, server.create_initialization_options(NotificationOptions(tools_changed=True)))

asyncio.run(main())
"""


@pytest.fixture
def mark(project: Project, tmp_path: Path) -> Path:
    (tmp_path / "slow.py").write_text(SLOW)
    made = tmp_path / "mark"
    made.write_text("")
    server = {"command": sys.executable, "args": ["-W", "ignore", str(tmp_path / "slow.py"), str(made)]}
    project.configure(servers={"slow": server}, config='[permissions]\nallow = ["slow__*"]\n')
    return made


async def _until(mark: Path, text: str) -> None:
    from watchfiles import awatch

    async with asyncio.timeout(120):
        async for _ in awatch(mark, rust_timeout=50, yield_on_timeout=True):
            if _text(mark) == text:
                return


def _text(path: Path) -> str:
    return path.read_text()


async def test_progress_of_an_upstream_reaches_the_client(project: Project, mark: Path) -> None:
    seen: list[Any] = []

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with project.client() as client:
        await client.call_tool("run_tool", {"name": "slow__work"}, progress_callback=heard)
    assert seen == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]


@pytest.mark.requirement("N-10")
async def test_cancelling_a_call_cancels_it_at_the_upstream(project: Project, mark: Path) -> None:
    async with project.client() as client:
        calling = asyncio.ensure_future(client.call_tool("run_tool", {"name": "slow__hang"}))
        await _until(mark, "started")
        calling.cancel()
        await asyncio.wait({calling})
        await _until(mark, "cancelled")
        assert (await client.call_tool("run_tool", {"name": "slow__work"})).is_error is False
    steps = (await project.druse("traces", "list"))["runs"]
    shown = await project.druse("traces", "show", steps[0]["id"])
    assert [step["err"] for step in shown["steps"]] == [True, False]


async def test_a_tool_that_appears_at_an_upstream_is_callable_at_once(project: Project, mark: Path) -> None:
    async with project.client() as client:
        await client.call_tool("run_tool", {"name": "slow__grow"})
        async with asyncio.timeout(120):
            while (await client.call_tool("run_tool", {"name": "slow__fresh"})).is_error:
                pass


@pytest.mark.requirement("N-10")
def test_nothing_is_started_outside_of_a_task_group() -> None:
    root = Path(__file__).resolve().parents[2] / "server" / "druse"
    for path in root.rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert "asyncio.create_task(" not in line and "ensure_future(" not in line, f"{path.name}: {line}"
