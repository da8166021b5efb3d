"""`scripts/bench executed`: tools made of recorded work, run on the live servers; the end states must be equal.

Two servers that nobody here wrote (retail and airline of tau2, from PyPI) stand behind Druse. An agent without a model
does each job six times through Druse, from the servers' initial state; `druse crystallize` makes a tool of the runs and
a person's command approves it. Then the tool does each of the six cases, and cases it was not made from, from the
initial state. Equal means: the server's whole database is the same, byte for byte, as after the work by hand.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
import sysconfig
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

from benchmarks._commands import command

SCRIPTS = Path(sysconfig.get_path("scripts"))
SERVERS = ("retail", "airline")
MADE_FROM, UNSEEN = 6, 3

Tool = Callable[..., Awaitable[Any]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench executed", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--only", default="", help="only jobs whose name contains this")
    options = parser.parse_args()
    data = asyncio.run(measure([job for job in JOBS if options.only in job.name]))
    print(json.dumps(data, indent=2) if options.json else table(data))
    sys.exit(0 if data["equal"] == data["ran"] and not data["refused"] else 1)


@dataclass(frozen=True)
class Job:
    """Something an agent does on one of the servers, and the cases there are for it in the server's own data."""

    name: str
    server: str
    goal: str
    cases: Callable[[dict[str, Any]], list[dict[str, Any]]]
    program: Callable[..., Awaitable[None]]


# What agents do


async def cancel_pending(tool: Tool, first_name: str, last_name: str, zip: str) -> None:
    user = await tool("find_user_id_by_name_zip", first_name=first_name, last_name=last_name, zip=zip)
    for order_id in (await tool("get_user_details", user_id=user))["orders"]:
        if (await tool("get_order_details", order_id=order_id))["status"] == "pending":
            await tool("cancel_pending_order", order_id=order_id, reason="no longer needed")


async def return_order(tool: Tool, order_id: str) -> None:
    order = await tool("get_order_details", order_id=order_id)
    await tool(
        "return_delivered_order_items",
        order_id=order_id,
        item_ids=[item["item_id"] for item in order["items"]],
        payment_method_id=order["payment_history"][0]["payment_method_id"],
    )


async def deliver_to_customer(tool: Tool, order_id: str) -> None:
    order = await tool("get_order_details", order_id=order_id)
    address = (await tool("get_user_details", user_id=order["user_id"]))["address"]
    await tool("modify_pending_order_address", order_id=order_id, **address)


async def move_user(tool: Tool, email: str, address1: str) -> None:
    user = await tool("find_user_id_by_email", email=email)
    old = (await tool("get_user_details", user_id=user))["address"]
    await tool("modify_user_address", user_id=user, **{**old, "address1": address1, "address2": ""})


async def cancel_trips(tool: Tool, user_id: str) -> None:
    for reservation in (await tool("get_user_details", user_id=user_id))["reservations"]:
        await tool("cancel_reservation", reservation_id=reservation)


async def cancel_insured(tool: Tool, user_id: str) -> None:
    for reservation in (await tool("get_user_details", user_id=user_id))["reservations"]:
        if (await tool("get_reservation_details", reservation_id=reservation))["insurance"] == "yes":
            await tool("cancel_reservation", reservation_id=reservation)


async def free_bags(tool: Tool, reservation_id: str, total_baggages: int) -> None:
    found = await tool("get_reservation_details", reservation_id=reservation_id)
    await tool(
        "update_reservation_baggages",
        reservation_id=reservation_id,
        total_baggages=total_baggages,
        nonfree_baggages=0,
        payment_id=found["payment_history"][0]["payment_id"],
    )


async def compensate(tool: Tool, reservation_id: str) -> None:
    found = await tool("get_reservation_details", reservation_id=reservation_id)
    await tool("get_user_details", user_id=found["user_id"])
    await tool("send_certificate", user_id=found["user_id"], amount=50 * len(found["passengers"]))


def _customers(db: dict[str, Any]) -> list[dict[str, Any]]:
    """Customers with two orders or more, some of them pending and paid with one payment."""
    orders = db["orders"]
    return [
        {**user["name"], "zip": user["address"]["zip"]}
        for user in db["users"].values()
        if len(user["orders"]) > 1 and any(orders[id]["status"] == "pending" for id in user["orders"])
    ]


def _orders(status: str) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    return lambda db: [
        {"order_id": id}
        for id, order in db["orders"].items()
        if order["status"] == status and len(order["payment_history"]) == 1 and len(order["items"]) > 1
    ]


def _travellers(db: dict[str, Any]) -> list[dict[str, Any]]:
    kinds = {id: {db["reservations"][r]["insurance"] for r in user["reservations"]} for id, user in db["users"].items()}
    return [{"user_id": id} for id, found in kinds.items() if len(found) == 2]


def _bookings(db: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"reservation_id": id, "total_baggages": 1 + number % 4}
        for number, (id, found) in enumerate(sorted(db["reservations"].items()))
        if len(found["payment_history"]) == 1 and found["payment_history"][0]["payment_id"].startswith("credit")
    ]


JOBS = (
    Job(
        "cancel_pending",
        "retail",
        "Cancel pending orders of {first_name} {last_name}, zip {zip}",
        _customers,
        cancel_pending,
    ),
    Job("return_order", "retail", "Send everything of order {order_id} back", _orders("delivered"), return_order),
    Job(
        "to_customer",
        "retail",
        "Deliver order {order_id} to the customer's own address",
        _orders("pending"),
        deliver_to_customer,
    ),
    Job(
        "move_user",
        "retail",
        "The customer {email} moved to {address1}",
        lambda db: [
            {"email": user["email"], "address1": f"{number + 3} Harbour Row"}
            for number, user in enumerate(db["users"].values())
        ],
        move_user,
    ),
    Job("cancel_trips", "airline", "Cancel all trips of {user_id}", _travellers, cancel_trips),
    Job("cancel_insured", "airline", "Cancel the insured trips of {user_id}", _travellers, cancel_insured),
    Job(
        "free_bags", "airline", "Give reservation {reservation_id} {total_baggages} bags for free", _bookings, free_bags
    ),
    Job(
        "compensate",
        "airline",
        "Compensate reservation {reservation_id}",
        lambda db: [{"reservation_id": id} for id in sorted(db["reservations"])],
        compensate,
    ),
)


@dataclass
class Bench:
    """A project with both servers behind Druse, and a way to the servers past it."""

    root: Path
    druse: Client
    servers: dict[str, Client]

    async def reset(self, server: str) -> None:
        """Both processes of a server, the one behind Druse and the one reached past it, to the initial state."""
        await self.servers[server].call_tool("reset_state", {"domain": server})
        await self.call("run_tool", {"name": f"{server}__reset_state", "arguments": {"domain": server}})

    def state(self, server: str, *, past: bool = False) -> str:
        """The digest of a server's database, read from its own file."""
        (file,) = (self.root / ("past" if past else "behind") / server).glob("*.json")
        database = json.loads(file.read_text(encoding="utf-8"))["db"]
        return hashlib.sha256(json.dumps(database, sort_keys=True).encode()).hexdigest()

    async def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return dict((await self.druse.call_tool(name, arguments)).structured_content or {})

    def command(self, *arguments: str) -> dict[str, Any]:
        return command(self.root, *arguments)


@asynccontextmanager
async def opened() -> AsyncGenerator[Bench]:
    """A fresh project, Druse serving it over stdio."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "project").mkdir()
        servers = {
            kind: {
                "command": str(SCRIPTS / f"tau2-{kind}-mcp"),
                "env": {f"TAU2_{kind.upper()}_MCP_STATE_DIR": str(root / "behind" / kind)},
            }
            for kind in SERVERS
        }
        (root / "project" / "mcp.json").write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
        bench = Bench(root, None, {})  # type: ignore[arg-type]
        bench.command("init", "--allow", "retail__*", "--allow", "airline__*")
        async with AsyncExitStack() as stack:
            for kind, server in servers.items():
                state = {f"TAU2_{kind.upper()}_MCP_STATE_DIR": str(root / "past" / kind)}
                direct = StdioServerParameters(command=str(server["command"]), env=state)
                bench.servers[kind] = await stack.enter_async_context(Client(direct, mode="legacy"))
            druse = StdioServerParameters(
                command=sys.executable,
                args=["-m", "druse", "serve"],
                cwd=root / "project",
                env={"XDG_CONFIG_HOME": str(root / "none")},
            )
            bench.druse = await stack.enter_async_context(Client(druse, mode="legacy"))
            yield bench


async def measure(jobs: Sequence[Job]) -> dict[str, Any]:
    """Every job: the tool that was made, and for each case whether the end state equals that of the work by hand."""
    rows: list[dict[str, Any]] = []
    began = time.perf_counter()
    async with opened() as bench:
        for job in jobs:
            rows.append(await _job(bench, job))
            row = rows[-1]
            print(f"{job.name}: {row['equal']} of {row['ran']} equal, {row['refused']} refused", file=sys.stderr)
    return {
        "jobs": rows,
        "ran": sum(row["ran"] for row in rows),
        "equal": sum(row["equal"] for row in rows),
        "refused": sum(row["refused"] for row in rows),
        "seconds": round(time.perf_counter() - began, 1),
    }


async def _job(bench: Bench, job: Job) -> dict[str, Any]:
    every = job.cases(_data(job.server))
    step = max(1, len(every) // (MADE_FROM + UNSEEN))
    cases = every[::step][: MADE_FROM + UNSEEN]
    wanted: list[str] = []
    for number, case in enumerate(cases):
        await bench.reset(job.server)
        await _by_hand(bench, job, case, recorded=number < MADE_FROM)
        wanted.append(bench.state(job.server, past=number >= MADE_FROM))
    row: dict[str, Any] = {"job": job.name, "server": job.server, "ran": 0, "equal": 0, "refused": 0, "notes": []}
    tool = _crystallized(bench, row)
    if not tool:
        return {**row, "refused": len(cases)}
    for case, state in zip(cases, wanted, strict=True):
        await bench.reset(job.server)
        answer = await bench.call("run_tool", {"name": tool, "arguments": case})
        if answer.get("status") in ("diverged", "failed", "invalid", "denied", "pending"):
            row["refused"] += 1
            row["notes"].append(f"{case}: {answer.get('status')}: {answer.get('reason') or answer.get('message')}")
        row["ran"] += 1
        row["equal"] += bench.state(job.server) == state
    return row


async def _by_hand(bench: Bench, job: Job, case: dict[str, Any], *, recorded: bool) -> None:
    """Through Druse where the run is to be learned from, else past it."""

    async def through(name: str, **arguments: Any) -> Any:
        given = {"name": f"{job.server}__{name}", "arguments": arguments}
        answer = await bench.call("run_tool", given)
        if not answer.get("ok"):
            raise SystemExit(f"{job.name}: {given}: {answer}")
        return answer["parsed_content"]

    async def past(name: str, **arguments: Any) -> Any:
        answer = (await bench.servers[job.server].call_tool(name, arguments)).structured_content or {}
        if not answer.get("ok"):
            raise SystemExit(f"{job.name}: {name} {arguments}: {answer}")
        return answer["parsed_content"]

    if not recorded:
        await job.program(past, **case)
        return
    run = await bench.call("dispatch_goal", {"goal": job.goal.format(**case)})
    await job.program(through, **case)
    await bench.call("report_outcome", {"run_id": run["run_id"], "success": True})


def _crystallized(bench: Bench, row: dict[str, Any]) -> str:
    """The name of the approved tool; empty, with the reasons noted, where none was made."""
    found = bench.command("candidates")["candidates"]
    if not found:
        row["notes"].append("no candidate")
        return ""
    report = bench.command("crystallize", found[0]["signature"])
    row["status"] = report.get("status")
    row["source"] = report.get("source", "")
    row["parameters"] = [part["name"] for part in report.get("parameters", [])]
    if not report.get("approval_id"):
        row["notes"].append(json.dumps(report.get("reasons") or report.get("message") or report.get("problem"))[:400])
        return ""
    bench.command("approvals", "approve", report["approval_id"], "--yes")
    return str(report["tool"])


def _data(server: str) -> dict[str, Any]:
    text = resources.files(f"tau2_{server}_mcp").joinpath(f"data/tau2/domains/{server}/db.json").read_text("utf-8")
    return dict(json.loads(text))


def table(data: dict[str, Any]) -> str:
    """The table for people."""
    lines = [f"{'job':16} {'server':8} {'cases':>5} {'equal':>5} {'refused':>7}"]
    for row in data["jobs"]:
        lines.append(f"{row['job']:16} {row['server']:8} {row['ran']:>5} {row['equal']:>5} {row['refused']:>7}")
        lines += [f"    {note}" for note in row["notes"]]
    lines.append(f"end states equal: {data['equal']} of {data['ran']}, in {data['seconds']} s")
    return "\n".join(lines)
