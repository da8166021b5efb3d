"""`scripts/bench growth`: what a call, a search and a dispatch cost with 10, 1,000 and 100,000 stored runs and tools.

Runs are written into the database of a project, tools are reachable through a provider; then the same call, search and
dispatch are made again and again. `first_find` includes building the index, which is done once after something changed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from druse.front.application import Application, open_application
from druse.model import (
    CallContext,
    Caller,
    CallerKind,
    Effect,
    JsonObject,
    Outcome,
    OutcomeStatus,
    Run,
    RunStatus,
    Source,
    Step,
    ToolSpec,
)
from druse.settings import Workspace
from druse.store import RunRecord, Store, Transaction
from druse.traces import shape_of

SIZES = (10, 1_000, 100_000)
_NOUNS = "order invoice customer product ticket branch issue page file event flight booking payment user team".split()
_VERBS = "get list create update delete search export archive approve assign".split()
_CALLER = Caller(CallerKind.AGENT, session="bench", connection="bench", client="bench 1")
_ROUNDS = 60


class Catalogue:
    """A provider of many tools that answer at once."""

    def __init__(self, size: int) -> None:
        schema: JsonObject = {"type": "object", "properties": {"n": {"type": "integer"}}}
        self._specs = [
            ToolSpec(
                f"many__{_VERBS[n % 10]}_{_NOUNS[n // 10 % 15]}_{n}",
                Source.UPSTREAM,
                f"{_VERBS[n % 10]} a {_NOUNS[n // 10 % 15]} of area {n}",
                schema,
                effect=Effect.READ,
                server="many",
            )
            for n in range(size)
        ]

    def specs(self) -> Sequence[ToolSpec]:
        return self._specs

    async def call(self, spec: ToolSpec, arguments: JsonObject, context: CallContext) -> Outcome:
        return Outcome(OutcomeStatus.OK, data={"n": arguments.get("n")})


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/bench growth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of runs and of tools")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    found = [asyncio.run(measure(size)) for size in options.sizes]
    if options.json:
        print(json.dumps({"sizes": found}, indent=2))
        return
    print("runs and tools   call ms   find ms   dispatch ms   first find ms   open ms   database MiB")
    for row in found:
        print(
            f"{row['size']:>14}   {row['call']['median_ms']:>7.2f}   {row['find']['median_ms']:>7.2f}   "
            f"{row['dispatch']['median_ms']:>11.2f}   {row['first_find_ms']:>13.1f}   {row['open_ms']:>7.1f}"
            f"   {row['database_mib']:>12.1f}"
        )


async def measure(size: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.find(Path(folder), environment={"XDG_CONFIG_HOME": str(Path(folder) / "none")})
        workspace.state.mkdir(mode=0o700)
        workspace.config.write_text('[permissions]\nallow = ["many__*"]\n', encoding="utf-8")
        async with Store.open(workspace.database) as store:
            await _fill(store, size)
        began = time.perf_counter()
        async with open_application(workspace) as application:
            opened = (time.perf_counter() - began) * 1000
            application.registry.add(Catalogue(size))
            return {"size": size, "open_ms": opened, **await _measured(application, workspace)}


async def _measured(application: Application, workspace: Workspace) -> dict[str, Any]:
    tool = application.registry.specs()[-1].name

    async def call(number: int) -> None:
        outcome = await application.call(tool, {"n": number}, _CALLER)
        if not outcome.ok:
            raise SystemExit(outcome.message)

    async def find(number: int) -> None:
        await application.finding.find(f"export a booking {number}")

    async def dispatch(number: int) -> None:
        await application.dispatcher.dispatch(f"archive the invoice {number} of a team", _CALLER, dry_run=True)

    began = time.perf_counter()
    await find(0)
    first = (time.perf_counter() - began) * 1000
    size = sum(path.stat().st_size for path in workspace.state.glob("druse.db*"))
    return {
        "first_find_ms": first,
        "call": await _timed(call),
        "find": await _timed(find),
        "dispatch": await _timed(dispatch),
        "database_mib": size / 2**20,
    }


async def _timed(work: Callable[[int], Awaitable[None]]) -> dict[str, float]:
    taken: list[float] = []
    for number in range(_ROUNDS + 3):
        began = time.perf_counter()
        await work(number)
        taken.append((time.perf_counter() - began) * 1000)
    ordered = sorted(taken[3:])
    return {"median_ms": statistics.median(ordered), "p99_ms": ordered[-1]}


async def _fill(store: Store, size: int) -> None:
    """Successful runs of a few hundred workflows, three steps each."""
    for first in range(0, size, 5_000):

        async def some(transaction: Transaction, first: int = first) -> None:
            for number in range(first, min(size, first + 5_000)):
                goal = f"{_VERBS[number % 10]} the {_NOUNS[number // 10 % 15]} {number} of a customer"
                steps = tuple(Step(f"many__{_VERBS[n]}_x", {"n": number}, {"n": n}, turn=n) for n in range(3))
                run = Run(f"r{number}", goal, RunStatus.SUCCESS, opened_at=float(number), closed_at=float(number))
                workflow = f"workflow {number % 300}"
                record = RunRecord(run, workflow=workflow, shape=shape_of(goal))
                await store.runs.open(transaction, record, owner="bench")
                for step in steps:
                    await store.runs.add_step(transaction, run.id, step, now=float(number))

        await store.database.write(some)
