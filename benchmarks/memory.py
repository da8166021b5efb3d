"""`scripts/bench memory`: search over recorded events and over memories, with 10,000, 100,000 and 1,000,000 of them.

The events are goals and steps of made-up runs, recorded and indexed as a server does it: words by Zipf's law, one in
ten queries of frequent words only. At most 100,000 memories are kept.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import string
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from druse.memory import Notebook
from druse.model import Run, RunStatus, Step
from druse.store import RunRecord, Store, Transaction
from druse.store.memories import Memory

SIZES = (10_000, 100_000, 1_000_000)
GOAL_MS = 50.0  # p95 at 100,000 events (issue 6)
_STEPS = 9  # of a run; its goal is the tenth event
_WORDS = 20_000


class Language:
    """Made-up words, some far more frequent than others; the same for the same seed."""

    def __init__(self, seed: int = 1) -> None:
        self.dice = random.Random(seed)
        self.words = [
            "".join(self.dice.choices(string.ascii_lowercase, k=self.dice.randint(3, 9))) for _ in range(_WORDS)
        ]
        self._weights: list[float] = []
        total = 0.0
        for rank in range(1, _WORDS + 1):
            total += 1 / rank
            self._weights.append(total)

    def text(self, length: int) -> str:
        return " ".join(self.dice.choices(self.words, cum_weights=self._weights, k=length))

    def query(self) -> str:
        if self.dice.random() < 0.1:
            return " ".join(self.dice.choices(self.words[:30], k=3))
        return self.text(self.dice.randint(1, 6))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/bench memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of events")
    parser.add_argument("--queries", type=int, default=200, help="searches at each size")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for size in options.sizes:
        rows.append(asyncio.run(measure(size, options.queries)))
        if not options.json:
            print(_line(rows[-1]))
    if options.json:
        print(json.dumps({"goal_p95_ms_at_100000": GOAL_MS, "sizes": rows}, indent=2))


def _line(row: dict[str, Any]) -> str:
    events = row["events"]
    return (
        f"{row['events_kept']:>9} events: p50 {events['p50_ms']:.1f} p95 {events['p95_ms']:.1f} max "
        f"{events['max_ms']:.1f} ms; {row['memories_kept']} memories: p95 {row['memories']['p95_ms']:.1f} ms; "
        f"markers p95 {row['markers']['p95_ms']:.1f} ms; indexed {row['indexed_per_second']:,.0f} a second; "
        f"{row['database_mib']:.0f} MiB"
    )


async def measure(size: int, queries: int) -> dict[str, Any]:
    language = Language()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "druse.db"
        async with Store.open(path) as store:
            notebook = Notebook(store, "project", clock=time.time)
            await fill(store, size, language)
            memories = min(size, 100_000)
            await _remember(store, memories, language)
            began = time.perf_counter()
            await store.events.index()
            indexing = time.perf_counter() - began

            async def events() -> None:
                await notebook.events(language.query())

            async def kept() -> None:
                await notebook.search(language.query())

            async def markers() -> None:
                await notebook.markers(language.query())

            return {
                "events_kept": size,
                "memories_kept": memories,
                "events": await _timed(events, queries),
                "memories": await _timed(kept, queries),
                "markers": await _timed(markers, queries),
                "indexed_per_second": size / indexing,
                "database_mib": _bytes(Path(folder)) / 2**20,
            }


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("druse.db*"))


async def fill(store: Store, size: int, language: Language) -> None:
    """Runs of ten events each, not indexed yet."""
    for first in range(0, size, 10_000):

        async def some(transaction: Transaction, first: int = first) -> None:
            for number in range(first // 10, min(size, first + 10_000) // 10):
                run = Run(f"r{number}", language.text(8), RunStatus.SUCCESS, opened_at=number, closed_at=number)
                await store.runs.open(transaction, RunRecord(run), owner="bench")
                for turn in range(_STEPS):
                    step = Step("shop__find", {"text": language.text(8)}, {"found": language.text(12)}, turn=turn)
                    await store.runs.add_step(transaction, run.id, step, now=float(number))

        await store.database.write(some)


async def _remember(store: Store, size: int, language: Language) -> None:
    for first in range(0, size, 10_000):

        async def some(transaction: Transaction, first: int = first) -> None:
            for number in range(first, min(size, first + 10_000)):
                memory = Memory(0, "project", "decision", language.text(15), "s", float(number), (number % 97) / 97)
                await store.memories.insert(transaction, memory)

        await store.database.write(some)


async def _timed(work: Callable[[], Awaitable[None]], times: int) -> dict[str, float]:
    taken: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        await work()
        taken.append((time.perf_counter() - began) * 1000)
    ordered = sorted(taken)
    return {"p50_ms": ordered[times // 2], "p95_ms": ordered[int(times * 0.95)], "max_ms": ordered[-1]}
