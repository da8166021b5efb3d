"""What a person approves is there at once, and what runs meanwhile ends as it began."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client

from capabilities.desk import Desk, run_tool, surface
from druse.front.base import open_base
from druse.settings import Workspace

TRIES = 50
SERVER = """
import json, sys, threading
TEXT = {"type": "string"}
FREE, HELD = threading.Event(), threading.Event()
FREE.set()

def run(name, a):
    if name == "close":
        FREE.clear()
    elif name == "open":
        FREE.set()
    elif name == "get_held":
        HELD.wait(120)
    else:
        if not FREE.is_set():
            HELD.set()
        FREE.wait(120)
    return {"id": a.get("order", "")}

def answer(m):
    if m["method"] == "initialize":
        r = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "d", "version": "1"}}
    elif m["method"] == "tools/list":
        r = {"tools": [{"name": n, "inputSchema": {"type": "object", "properties": {"order": TEXT}}, "annotations": {"readOnlyHint": True}} for n in ("get_order", "get_held", "open", "close")]}
    elif m["method"] == "tools/call":
        made = run(m["params"]["name"], m["params"].get("arguments") or {})
        r = {"content": [{"type": "text", "text": json.dumps(made)}], "structuredContent": made}
    else:
        r = None
    out = {"result": r} if r is not None else {"error": {"code": -32601, "message": "no"}}
    print(json.dumps({"jsonrpc": "2.0", "id": m["id"], **out}), flush=True)

for line in sys.stdin:
    m = json.loads(line)
    if "id" in m:
        threading.Thread(target=answer, args=(m,), daemon=True).start()
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path / "project")
    (made.root / "server.py").write_text(SERVER)
    made.configure('[permissions]\nallow = ["desk__*"]\n[self_programming]\nmax_synthesis_per_session = 100\n')
    return made


async def recorded(client: Client, order: str) -> str:
    opened = await surface(client, "dispatch_goal", goal=f"Look at order {order}")
    await run_tool(client, "desk__get_order", order=order)
    await surface(client, "report_outcome", run_id=opened["run_id"], success=True)
    return str(opened["run_id"])


async def proposed(client: Client, runs: list[str], answer: str) -> str:
    """The approval that a new version, which answers with `answer`, waits for."""
    code = (
        '"""Look at an order."""\n\n\ndef run(call, *, order: str) -> dict:\n    """Its number."""\n'
        f'    found = call("desk__get_order", order=order)\n    return {{"code": "{answer}", "id": found["id"]}}\n'
    )
    made = await surface(client, "propose_tool", name="look_at", code=code, description="Look", run_ids=runs)
    assert made["status"] == "proposed", made
    return str(made["approval_id"])


class Listing:
    """What the client sees of the tool, asked for again whenever the server says that its list changed."""

    def __init__(self) -> None:
        self._changed = anyio.Event()

    async def heard(self, message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            self._changed.set()

    async def shows(self, client: Client, number: int) -> None:
        with anyio.fail_after(120):
            while not any(
                f"learned tool v{number};" in (t.description or "") for t in (await client.list_tools()).tools
            ):
                await self._changed.wait()
                self._changed = anyio.Event()


@pytest.mark.requirement("H-09")
async def test_over_50_tries_what_is_approved_is_listed_within_a_second(desk: Desk) -> None:
    listing = Listing()
    took: list[float] = []
    async with desk.client(on_message=listing.heard) as client, open_base(Workspace.find(desk.root)) as base:
        runs = [await recorded(client, order) for order in ("O1", "O2")]
        for number in range(1, TRIES + 1):
            approval_id = await proposed(client, runs, f"answer {number}")
            began = time.perf_counter()
            await base.decide(approval_id, approve=True, how="test")
            await listing.shows(client, number)
            took.append(time.perf_counter() - began)
    p95 = sorted(took)[round(0.95 * TRIES) - 1]
    print(f"approve to listed: median {sorted(took)[TRIES // 2] * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms")
    assert p95 < 1.0


@pytest.mark.requirement("H-09")
async def test_a_call_under_way_ends_on_the_code_it_began_with_and_the_next_one_takes_the_new(desk: Desk) -> None:
    listing = Listing()
    answers: list[dict[str, Any]] = []

    async def call() -> None:
        answers.append(await run_tool(client, "look_at", order="O7"))

    async with desk.client(on_message=listing.heard) as client:
        runs = [await recorded(client, order) for order in ("O1", "O2")]
        await desk.druse("approvals", "approve", await proposed(client, runs, "old"), "--yes")
        await listing.shows(client, 1)
        await run_tool(client, "desk__close")
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await run_tool(client, "desk__get_held")  # the old version is inside its call now
            await desk.druse("approvals", "approve", await proposed(client, runs, "new"), "--yes")
            await listing.shows(client, 2)
            assert answers == []
            await run_tool(client, "desk__open")
        await call()
    assert [answer["code"] for answer in answers] == ["old", "new"]
