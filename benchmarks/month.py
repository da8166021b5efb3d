"""`scripts/bench month`: thirty days of scripted work through a real server, day by day (seed id H-42).

An agent without a model gets jobs in changing words and works them through MCP: it says the goal, and where Druse does
not do the work it makes the calls itself. A person approves in the evening what Druse proposed by itself that day, and
nothing else is done to help. The clock is the script's own. On day 20 the shop's server comes with another schema.
After every job the shop must be in the state that the program of the job makes of the state before: all else is wrong.
A request is one call that the agent makes; without Druse every call of a job is one.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import logging
import os
import random
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp import Client

from benchmarks._shop import Shop, fresh
from druse.cli.days import days_of
from druse.cli.output import table
from druse.front.application import Application, open_application
from druse.front.base import person
from druse.front.server import Front
from druse.model import Caller, CallerKind
from druse.settings import Workspace

DAYS, JOBS_A_DAY, SEED, RELEASE = 30, 10, 7, 20
BEGINNING = 1_767_225_600.0  # the first second of 2026 (UTC)

Call = Callable[..., Awaitable[Any]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench month", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--jobs", type=int, default=JOBS_A_DAY, help="jobs a day")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    logging.getLogger("druse").setLevel(logging.ERROR)  # what it noticed is in the report
    data = asyncio.run(month(days=options.days, jobs=options.jobs, seed=options.seed))
    print(json.dumps(data, indent=2) if options.json else report(data))
    sys.exit(1 if data["wrong"] else 0)


# What there is to do: words, and the program that an agent works by.


@dataclass(frozen=True)
class Kind:
    """A kind of job: ways to say it, what it is about, and how it is done; `value` is the answer, if it has one."""

    name: str
    words: tuple[str, ...]
    about: Callable[[dict[str, Any], random.Random], dict[str, str]]
    program: Callable[..., Awaitable[Any]]
    answers: bool = False


async def cancel_pending(call: Call, email: str) -> None:
    customer = await call("find_customer", email=email)
    for order in (await call("list_orders", customer_id=customer["id"]))["orders"]:
        if order["status"] == "pending":
            await call("cancel_order", order_id=order["id"], reason="customer request")


async def cancel_one(call: Call, order_id: str) -> None:
    order = await call("get_order", order_id=order_id)
    if order["status"] == "pending":
        await call("cancel_order", order_id=order_id, reason="customer request")


async def ship(call: Call, order_id: str) -> None:
    order = await call("get_order", order_id=order_id)
    stock = await call("get_stock", sku=order["sku"])
    await call("ship_order", order_id=order_id, warehouse=stock["warehouse"])


async def close_tickets(call: Call, email: str) -> None:
    customer = await call("find_customer", email=email)
    for ticket in (await call("list_tickets", customer_id=customer["id"]))["tickets"]:
        if ticket["open"]:
            await call("close_ticket", ticket_id=ticket["id"])


async def where_is(call: Call, order_id: str) -> Any:
    order = await call("get_order", order_id=order_id)
    return await call("get_stock", sku=order["sku"])


async def upgrade(call: Call, email: str, tier: str) -> None:
    customer = await call("find_customer", email=email)
    await call("set_tier", customer_id=customer["id"], tier=tier)


async def restock(call: Call, sku: str, judged: str) -> None:
    """The amount is the agent's own judgement: nothing that was said or read contains it."""
    await call("get_stock", sku=sku)
    await call("order_stock", sku=sku, amount=judged)


def _email(state: dict[str, Any], chance: random.Random) -> dict[str, str]:
    return {"email": chance.choice(sorted(c["email"] for c in state["customers"].values()))}


def _pending(state: dict[str, Any], chance: random.Random) -> dict[str, str]:
    pending = sorted(o["id"] for o in state["orders"].values() if o["status"] == "pending")
    return {"order_id": chance.choice(pending)}


def _order(state: dict[str, Any], chance: random.Random) -> dict[str, str]:
    return {"order_id": chance.choice(sorted(state["orders"]))}


def _upgrade(state: dict[str, Any], chance: random.Random) -> dict[str, str]:
    return {**_email(state, chance), "tier": chance.choice(["silver", "gold", "platinum"])}


def _restock(state: dict[str, Any], chance: random.Random) -> dict[str, str]:
    return {"sku": chance.choice(sorted(state["stock"])), "judged": str(chance.randrange(5, 500))}


KINDS = (
    Kind(
        "cancel pending",
        ("Cancel the pending orders of {email}", "{email} wants all pending orders cancelled"),
        _email,
        cancel_pending,
    ),
    Kind("cancel one", ("Cancel order {order_id}", "Please cancel the order {order_id}"), _order, cancel_one),
    Kind("ship", ("Ship order {order_id}", "Send out order {order_id} from its warehouse"), _pending, ship),
    Kind(
        "close tickets",
        ("Close the open tickets of {email}", "Close every open ticket {email} has"),
        _email,
        close_tickets,
    ),
    Kind(
        "where",
        ("Where is the stock for order {order_id}?", "Look up the stock of order {order_id}"),
        _order,
        where_is,
        True,
    ),
    Kind("upgrade", ("Move {email} to tier {tier}", "Upgrade {email} to {tier}"), _upgrade, upgrade),
    Kind("restock", ("Restock {sku}", "Order more of {sku}"), _restock, restock),
)


# How it goes


@dataclass
class Month:
    """What was counted."""

    wrong: list[str] = field(default_factory=list)
    by_hand: dict[int, list[int]] = field(default_factory=dict)  # day -> calls of each job without Druse
    requests: dict[int, list[int]] = field(default_factory=dict)
    done_by_druse: int = 0
    diverged: int = 0
    approved: list[str] = field(default_factory=list)


class Agent:
    """Works one job through MCP."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.requests = 0

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        answer = await self._client.call_tool(tool, arguments)
        self.requests += 1
        return dict(answer.structured_content or {})

    async def work(self, goal: str, kind: Kind, about: dict[str, str]) -> tuple[str, Any]:
        """How the job was done (`druse`, `diverged`, `hand`), and the answer."""
        self.requests = 0
        answer = await self.ask("dispatch_goal", goal=goal)
        if answer.get("status") == "ready":
            answer = await self.ask("dispatch_goal", goal=goal, replay=True)
        if answer.get("status") == "done":
            return "druse", answer["result"]
        done = list(answer.get("done") or [])

        async def call(tool: str, **given: Any) -> Any:
            name = f"shop__{tool}"
            held = next((part for part in done if part["tool"] == name and part["arguments"] == given), None)
            if held is not None:
                done.remove(held)
                return held["result"]
            return await self.ask("run_tool", name=name, arguments=given)

        value = await kind.program(call, **about)
        await self.ask("report_outcome", run_id=answer["run_id"], success=True)
        return "diverged" if answer.get("status") == "diverged" else "hand", value


async def month(
    *,
    days: int = DAYS,
    jobs: int = JOBS_A_DAY,
    seed: int = SEED,
    release: int = RELEASE,
    kinds: Sequence[Kind] = KINDS,
) -> dict[str, Any]:
    """The whole of it; `release` is the day on which the server comes with another schema."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        state = root / "shop.json"
        state.write_text(json.dumps(fresh(seed, 12 * days)), encoding="utf-8")
        (root / ".druse").mkdir()
        (root / ".druse" / "config.toml").write_text('[permissions]\nallow = ["shop__*"]\n', encoding="utf-8")
        told, chance, now = Month(), random.Random(seed), [BEGINNING]
        for first, last, flags in ((1, min(days, release - 1), []), (release, days, ["--carriers"])):
            if first > last:
                continue
            place = {"command": sys.executable, "args": ["-m", "benchmarks._shop", str(state), *flags]}
            place["env"] = {"PYTHONPATH": str(Path(__file__).parents[1])}
            (root / "mcp.json").write_text(json.dumps({"mcpServers": {"shop": place}}), encoding="utf-8")
            workspace = Workspace.find(root, environment={"XDG_CONFIG_HOME": str(root / "none")})
            async with open_application(workspace, environment=dict(os.environ), clock=lambda: now[0]) as application:
                if flags:
                    await accept_all(application)
                for day in range(first, last + 1):
                    await one_day(
                        application, told, day, [chance.choice(kinds) for _ in range(jobs)], state, chance, now
                    )
                counts = await application.base.store.days.since(BEGINNING)
        return summary(told, days_of(counts), days, jobs, seed)


async def accept_all(application: Application) -> None:
    """The person accepts what the new release of the server declares."""
    names = [f"shop__{name}" for name in ("ship_order",)]
    for spec in (await application.specs_of(names)).values():
        await application.base.declarations.accept(spec, person())


async def one_day(
    application: Application,
    told: Month,
    day: int,
    jobs: Sequence[Kind],
    state: Path,
    chance: random.Random,
    now: list[float],
) -> None:
    """The jobs of a day, one conversation, and the evening."""
    now[0] = BEGINNING + (day - 1) * 86400 + 9 * 3600
    front = Front(application)
    front.listen_to(application)
    async with Client(front.server, mode="legacy") as client:
        agent = Agent(client)
        for kind in jobs:
            now[0] += 600
            before = _read(state)
            about = kind.about(before, chance)
            goal = chance.choice(kind.words).format(**about)
            truth = Shop(copy.deepcopy(before))
            calls = 0

            async def call(tool: str, truth: Shop = truth, **given: Any) -> Any:
                nonlocal calls
                calls += 1
                return truth.call(tool, **given)

            expected = await kind.program(call, **about)
            how, value = await agent.work(goal, kind, about)
            told.by_hand.setdefault(day, []).append(calls)
            told.requests.setdefault(day, []).append(agent.requests)
            told.done_by_druse += how == "druse"
            told.diverged += how == "diverged"
            if _read(state) != truth.state or (kind.answers and value != expected):
                told.wrong.append(f"day {day}: {goal} ({how})")
    application.listeners.clear()
    application.documents.listeners.clear()
    now[0] = BEGINNING + (day - 1) * 86400 + 20 * 3600
    await evening(application, told)


def _read(state: Path) -> Any:
    return json.loads(state.read_text(encoding="utf-8"))


async def evening(application: Application, told: Month) -> None:
    """What Druse does by itself once a day, and the person who says yes to it."""
    job = Caller(CallerKind.JOB, session="job", client="druse")
    await application.capabilities.teaching.propose(job)
    await application.making.tend(job)
    for approval in await application.base.approvals.list(open_only=True):
        await application.base.decide(approval.id, approve=True, how="evening")
        told.approved.append(approval.title)
    if await application.base.shelf.reload():
        await application.tools_changed()


def summary(told: Month, days: list[dict[str, Any]], count: int, jobs: int, seed: int) -> dict[str, Any]:
    """What `--json` prints."""
    for number, day in enumerate(days, 1):
        day["calls_by_hand"] = sum(told.by_hand[number]) / len(told.by_hand[number])
        day["agent_requests"] = sum(told.requests[number]) / len(told.requests[number])
    weeks = [days[start : start + 7] for start in range(0, len(days), 7)]
    ran = sum(len(part) for part in told.requests.values())
    return {
        "days_run": count,
        "jobs_a_day": jobs,
        "seed": seed,
        "jobs": ran,
        "wrong": told.wrong,
        "done_by_druse": told.done_by_druse,
        "diverged": told.diverged,
        "approved": told.approved,
        "weeks": [
            {
                "week": number,
                "agent_requests": round(sum(day["agent_requests"] for day in week) / len(week), 3),
                "calls_by_hand": round(sum(day["calls_by_hand"] for day in week) / len(week), 3),
            }
            for number, week in enumerate(weeks, 1)
        ],
        "days": days,
    }


def report(data: dict[str, Any]) -> str:
    """A table for people."""
    modes = sorted({mode for day in data["days"] for mode in day["modes"]})
    rows = [
        [
            *(str(number), str(day["runs"])),
            *(f"{day['modes'].get(mode, 0) / day['runs']:.0%}" for mode in modes),
            *(f"{day['agent_requests']:.2f}", f"{day['calls_by_hand']:.2f}"),
        ]
        for number, day in enumerate(data["days"], 1)
    ]
    lines = [table(rows, ["day", "runs", *modes, "requests per job", "calls by hand"]), ""]
    lines += [
        f"week {week['week']}: {week['agent_requests']:.2f} requests per job, {week['calls_by_hand']:.2f} calls by hand"
        for week in data["weeks"]
    ]
    lines += [f"approved: {title}" for title in data["approved"]]
    lines.append(
        f"{data['jobs']} jobs, {data['done_by_druse']} done by Druse, {data['diverged']} diverged and were finished by "
        f"hand, {len(data['wrong'])} wrong"
    )
    lines += [f"WRONG: {text}" for text in data["wrong"]]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
