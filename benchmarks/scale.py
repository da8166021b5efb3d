"""`scripts/bench scale`: how recording, grouping and mining grow with the number of stored runs.

Stored runs are made up: workflows of two to nine calls, few of them common and many rare (Zipf), goals that differ in
their values, one run in twenty failed. *Candidates* reads all counts and groups workflows; *update* is what one more
run costs: opened, its steps recorded, closed, and the question whether its workflow is now a candidate. *Mining* looks
for parts shared by longer runs, in memory. The exponent is the slope in log-log
between the smallest and the largest size.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import math
import random
import sqlite3
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from druse.crystal import candidates
from druse.induction import mine, workflow_key
from druse.model import Caller, CallerKind, Run, RunStatus, Source, Step, ToolSpec
from druse.store import Store
from druse.traces import Recorder, SecretHandles, shape_of

SIZES = (1_000, 10_000, 100_000)
UPDATES = 100


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench scale", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of stored runs")
    parser.add_argument("--mine", type=int, default=0, help="largest number of runs to mine in memory (slow)")
    options = parser.parse_args()
    data = asyncio.run(measure(options.sizes, options.mine))
    print(json.dumps(data, indent=2) if options.json else table(data))


def runs(count: int) -> Iterator[Run]:
    """Made-up runs; the same number gives the same runs."""
    rng = random.Random(count)
    kinds = [_workflow(rng, number) for number in range(max(20, count // 50))]
    weights = [1 / (rank + 1) for rank in range(len(kinds))]
    for number, kind in enumerate(rng.choices(kinds, weights, k=count)):
        yield _run(rng, f"r{number:07}", *kind)


def _workflow(rng: random.Random, number: int) -> tuple[str, list[tuple[str, list[str]]]]:
    verbs = ["get", "list", "find", "update", "send"]
    calls = [
        (
            f"s{rng.randrange(12)}__{rng.choice(verbs)}_{rng.randrange(40)}",
            rng.sample(["id", "name", "limit", "day"], 2),
        )
        for _ in range(rng.randint(2, 9))
    ]
    return f"Do job {'abcdefghij'[number % 10] * (1 + number // 10 % 7)} of kind {number}", calls


def _run(rng: random.Random, id: str, goal: str, calls: Sequence[tuple[str, list[str]]]) -> Run:
    steps: list[Step] = []
    known = f"u-{rng.randrange(10**6)}"
    for tool, arguments in calls:
        given = {name: known if name == "id" else rng.randrange(10**4) for name in arguments}
        known = f"x-{rng.randrange(10**6)}"
        steps.append(Step(tool, given, {"id": known, "ok": True}, turn=len(steps) + 1))
    status = RunStatus.FAILURE if rng.random() < 0.05 else RunStatus.SUCCESS
    return Run(id, f"{goal} for {rng.randrange(10**5)}", status, tuple(steps), opened_at=1.0, closed_at=2.0)


def fill(path: Path, stored: Iterator[Run]) -> None:
    """Write runs straight into the tables: only the reading and the one more run are measured."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        while chunk := list(itertools.islice(stored, 2_000)):
            connection.executemany(
                "INSERT INTO run (id, goal, shape, status, source, domain, task, session, client, owner, mode, inputs,"
                " opened_at, touched_at, closed_at, workflow) VALUES (?,?,?,?,'','',?,'','','bench','','{}',1,1,2,?)",
                [(r.id, r.goal, shape_of(r.goal), str(r.status), r.id, workflow_key(r)) for r in chunk],
            )
            connection.executemany(
                "INSERT INTO step (run_id, position, turn, tool, arguments, result, failed, effect, started_at)"
                " VALUES (?,?,?,?,?,?,0,'unknown',1)",
                [
                    (r.id, position, s.turn, s.tool, json.dumps(dict(s.arguments)), json.dumps(s.result))
                    for r in chunk
                    for position, s in enumerate(r.steps)
                ],
            )


async def measure(sizes: Sequence[int], largest_mined: int) -> dict[str, Any]:
    """Rows by size, and the exponents."""
    rows: list[dict[str, Any]] = []
    for size in sizes:
        row: dict[str, Any] = {"runs": size}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "druse.db"
            async with Store.open(path):
                pass
            fill(path, runs(size))
            async with Store.open(path) as store:
                row |= await _candidates(store)
                row |= await _updates(store, size)
        if size <= largest_mined:
            row |= _mined(list(runs(size)))
        rows.append(row)
    return {
        "sizes": rows,
        "candidates_exponent": _exponent(rows, "candidates_ms"),
        "update_exponent": _exponent(rows, "update_ms_median"),
        "mining_exponent": _exponent(rows, "mining_seconds"),
    }


async def _candidates(store: Store) -> dict[str, Any]:
    times: list[float] = []
    for _ in range(3):
        began = time.perf_counter()
        found = await candidates(store)
        times.append((time.perf_counter() - began) * 1000)
    tracemalloc.start()
    await candidates(store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {
        "workflows": len(await store.runs.workflows()),
        "candidates": len(found),
        "candidates_ms": round(statistics.median(times), 2),
        "candidates_peak_mb": round(peak / 1e6, 2),
    }


async def _updates(store: Store, size: int) -> dict[str, Any]:
    ids = itertools.count()
    recorder = Recorder(
        store,
        SecretHandles(b"k" * 32),
        clock=time.time,
        new_id=lambda: f"new-{next(ids)}",
        workflow_key=workflow_key,
        owner="bench",
    )
    caller = Caller(CallerKind.AGENT, session="bench")
    whole: list[float] = []
    recording: list[float] = []
    for run in itertools.islice(runs(size), 7):
        for _ in range(UPDATES // 7 + 1):
            began = time.perf_counter()
            run_id = await recorder.open(run.goal, caller)
            for step in run.steps:
                async with store.database.transaction() as transaction:
                    await recorder.add(transaction, run_id, step, ToolSpec(step.tool, Source.UPSTREAM))
            closed = await recorder.close(run_id, success=True)
            recording.append((time.perf_counter() - began) * 1000)
            await asked(store, closed.workflow)
            whole.append((time.perf_counter() - began) * 1000)
    return {
        "update_ms_median": round(statistics.median(whole), 2),
        "update_ms_p95": round(sorted(whole)[int(len(whole) * 0.95)], 2),
        "recording_ms_median": round(statistics.median(recording), 2),
    }


async def asked(store: Store, workflow: str) -> bool:
    """What `report_outcome` asks after each run: is this workflow a candidate now?"""
    return any(workflow in candidate.workflows for candidate in await candidates(store, kin_of=workflow))


def _mined(stored: list[Run]) -> dict[str, Any]:
    began = time.perf_counter()
    parts = mine(stored)
    seconds = time.perf_counter() - began
    peak = _peak(lambda: mine(stored)) if len(stored) <= 1_000 else None
    return {"mining_seconds": round(seconds, 3), "mined_parts": len(parts), "mining_peak_mb": peak}


def _peak(work: Callable[[], object]) -> float:
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return round(peak / 1e6, 2)


def _exponent(rows: Sequence[dict[str, Any]], key: str) -> float | None:
    known = [row for row in rows if row.get(key)]
    if len(known) < 2:
        return None
    first, last = known[0], known[-1]
    return round(math.log(last[key] / first[key]) / math.log(last["runs"] / first["runs"]), 3)


def table(data: dict[str, Any]) -> str:
    """The table for people."""
    keys = ("workflows", "candidates_ms", "candidates_peak_mb", "update_ms_median", "update_ms_p95", "mining_seconds")
    lines = ["".join(f"{name:>20}" for name in ("runs", *keys))]
    for row in data["sizes"]:
        lines.append("".join(f"{row.get(name, '-')!s:>20}" for name in ("runs", *keys)))
    lines += [f"{name}: {data[name]}" for name in ("candidates_exponent", "update_exponent", "mining_exponent")]
    return "\n".join(lines)
