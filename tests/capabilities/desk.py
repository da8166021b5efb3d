"""A small upstream server with reads that meet, writes that are counted, and a project around it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp import Client

import doors

SERVER = """
import json, os, sys, threading
HERE = os.path.dirname(os.path.abspath(__file__))
TEXT = {"type": "string"}
MEETING = threading.Barrier(2)
LOCK = threading.Lock()
USERS = {f"u{n}@x.io": {"id": f"U{n}", "city": "Rome", "orders": [{"id": f"O{n}a", "sum": n * 10}, {"id": f"O{n}b", "sum": n}]} for n in range(1, 10)}
for n in range(10, 19):
    USERS[f"none{n}@x.io"] = {"id": f"U{n}", "city": "Rome", "orders": []}
USERS["broken@x.io"] = {"id": 7, "city": "", "orders": "none"}

def schema(**properties):
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}

TOOLS = {
    "get_user": schema(email=TEXT), "get_order": schema(order_id=TEXT), "get_meeting": schema(who=TEXT),
    "list_notes": schema(), "add_note": schema(text=TEXT), "close_order": schema(order_id=TEXT),
    "get_nothing": schema(url=TEXT),
}

def run(name, a):
    notes = os.path.join(HERE, "notes.txt")
    if name == "get_user":
        return USERS[a["email"]]
    if name == "get_order":
        return {"id": a["order_id"], "sum": int(a["order_id"][1]), "state": "open"}
    if name == "get_meeting":
        MEETING.wait(120)
        return {"met": a["who"]}
    if name == "get_nothing":
        raise OSError("connection refused by " + a["url"])
    if name == "list_notes":
        return {"notes": open(notes).read().splitlines() if os.path.exists(notes) else []}
    again = os.path.exists(notes) and "die" in open(notes).read()
    with open(notes, "a") as file:
        file.write((a.get("text") or "closed " + a["order_id"]) + chr(10))
    if a.get("text") == "die" and not again:
        os.kill(os.getppid(), 9)
    return {"done": True}

def answer(m):
    try:
        if m["method"] == "initialize":
            r = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "d", "version": "1"}}
        elif m["method"] == "tools/list":
            r = {"tools": [{"name": n, "description": n.replace("_", " "), "inputSchema": s, "annotations": {"readOnlyHint": n[:3] in ("get", "lis")}} for n, s in TOOLS.items()]}
        elif m["method"] == "tools/call":
            try:
                made = run(m["params"]["name"], m["params"].get("arguments") or {})
                r = {"content": [{"type": "text", "text": json.dumps(made)}], "structuredContent": made}
            except Exception as error:
                r = {"content": [{"type": "text", "text": f"{type(error).__name__}: {error}"}], "isError": True}
        else:
            r = None
        out = {"jsonrpc": "2.0", "id": m["id"]}
        out.update({"result": r} if r is not None else {"error": {"code": -32601, "message": "no"}})
        with LOCK:
            print(json.dumps(out), flush=True)
    except Exception as error:
        print(error, file=sys.stderr)

for line in sys.stdin:
    m = json.loads(line)
    if "id" in m:
        threading.Thread(target=answer, args=(m,), daemon=True).start()
"""
SELF = '[permissions]\nallow = ["desk__*", "planner_*", "learning_*", "introspect_*"]\n'
CONFIG = '[permissions]\nallow = ["desk__*"]\n'


class Desk:
    """A project folder with the server `desk`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / ".druse").mkdir(parents=True)
        (root / "server.py").write_text(SERVER)
        servers = {"desk": {"command": sys.executable, "args": [str(root / "server.py")]}}
        (root / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
        self.configure(CONFIG)

    def configure(self, text: str) -> None:
        (self.root / ".druse" / "config.toml").write_text(text)

    @property
    def notes(self) -> list[str]:
        path = self.root / "notes.txt"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "XDG_CONFIG_HOME": str(self.root / "none")}

    @asynccontextmanager
    async def client(self, on_message: Any = None) -> AsyncGenerator[Client]:
        """An agent over stdio."""
        named = {"XDG_CONFIG_HOME": str(self.root / "none")}
        async with doors.agent(self.root, named, on_message=on_message) as client:
            yield client

    async def druse(self, *arguments: str) -> Any:
        """A person's command; its JSON answer."""
        return await doors.command(self.root, self.environment, *arguments)

    async def trust(self, level: int) -> None:
        """What a person does to raise the level: the file, the rules, and for the highest the confirmation."""
        self.configure(f"{CONFIG}\n[self_programming]\ntrust_level = {level}\n")
        await self.druse("policy", "approve", "--yes")
        for asked in (await self.druse("approvals", "list"))["approvals"]:
            if asked["kind"] == "trust":
                await self.druse("approvals", "approve", asked["id"], "--yes")


async def run_tool(client: Client, name: str, /, **arguments: Any) -> dict[str, Any]:
    """What an agent gets of a tool."""
    return dict((await client.call_tool("run_tool", {"name": name, "arguments": arguments})).structured_content or {})


async def surface(client: Client, name: str, /, **arguments: Any) -> dict[str, Any]:
    return dict((await client.call_tool(name, arguments)).structured_content or {})


async def worked(client: Client, number: int, goal: str = "Note the city of {email}") -> str:
    """One run of a small workflow: look a user up, note the city."""
    email = f"u{number}@x.io"
    opened = await surface(client, "dispatch_goal", goal=goal.format(email=email))
    user = await run_tool(client, "desk__get_user", email=email)
    await run_tool(client, "desk__add_note", text=f"note {user['id']}")
    await surface(client, "report_outcome", run_id=opened["run_id"], success=True)
    return str(opened["run_id"])
