"""`scripts/bench sandbox`: one run in the sandbox, beside a fresh Python and pydantic-monty, in the same run."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from druse.model import Json, JsonObject
from druse.runtime import SandboxHost

TOOL = """
def run(call, *, orders: list) -> dict:
    totals = {}
    for order in orders:
        if order["status"] != "open":
            continue
        name = order["customer"].strip().title()
        totals[name] = totals.get(name, 0) + order["amount"]
    return {"total": sum(totals.values()), "by_customer": totals}
"""
ARGUMENTS: JsonObject = {
    "orders": [{"status": "open", "customer": f"customer {i % 7}", "amount": i} for i in range(20)]
}
CALLS = 100
CALLING = f"def run(call):\n    for i in range({CALLS}):\n        call('echo', n=i)\n    return 1\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench sandbox", description=__doc__)
    parser.add_argument("--runs", type=int, default=300, help="runs of each kind")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    data = asyncio.run(measure(options.runs))
    print(json.dumps(data, indent=2) if options.json else _text(data))


async def measure(runs: int) -> dict[str, Any]:
    """Medians and 99th percentiles in milliseconds."""
    found: dict[str, Any] = {}

    async def timed(name: str, once: Callable[[], Awaitable[Any]], times: int, pause: float = 0.0) -> None:
        taken: list[float] = []
        for number in range(times + 5):
            if pause:  # so that the next worker stands ready, as it does between calls of an agent
                await asyncio.sleep(pause)
            began = time.perf_counter()
            await once()
            if number >= 5:
                taken.append((time.perf_counter() - began) * 1000)
        ordered = sorted(taken)
        found[name] = {"median_ms": statistics.median(taken), "p99_ms": ordered[int(len(ordered) * 0.99)]}

    async def echo(tool: str, arguments: JsonObject) -> Json:
        return arguments

    async with SandboxHost.open(ready=2) as host:

        async def once() -> None:
            result = await host.run(TOOL, ARGUMENTS)
            assert result.status == "ok", result

        await timed("preforked", once, runs, pause=0.01)
        uncached = iter(range(10**9))

        async def compiling() -> None:
            result = await host.run(f"{TOOL}\n# {next(uncached)}", ARGUMENTS)
            assert result.status == "ok", result

        await timed("preforked_compiling", compiling, runs, pause=0.01)

        async def hundred() -> None:
            result = await host.run(CALLING, {}, call=echo)
            assert result.status == "ok", result

        await timed("hundred_calls", hundred, max(20, runs // 10), pause=0.01)
        found["leaks"] = await _leaks(host, once, 1000)
    async with SandboxHost.open(ready=0) as host:

        async def cold() -> None:
            result = await host.run(TOOL, ARGUMENTS)
            assert result.status == "ok", result

        await timed("cold_fork", cold, runs)
    found["call_ms"] = (found["hundred_calls"]["median_ms"] - found["preforked"]["median_ms"]) / CALLS

    async def fresh() -> None:
        await asyncio.to_thread(subprocess.run, [sys.executable, "-I", "-S", "-c", "pass"], check=True)

    await timed("fresh_python", fresh, max(20, runs // 10))
    await _monty(timed, runs, found)
    found["ratio_fresh_python_to_preforked"] = found["fresh_python"]["median_ms"] / found["preforked"]["median_ms"]
    found["runs"] = runs
    return found


async def _leaks(host: SandboxHost, once: Callable[[], Awaitable[Any]], runs: int) -> dict[str, int]:
    """What `runs` runs leave behind: descriptors and kilobytes of the host, processes of the sandbox."""

    def counted() -> tuple[int, int, int]:
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
        return descriptors, resident, _descendants()

    for _ in range(50):
        await once()
    await asyncio.sleep(0.2)
    before = counted()
    for _ in range(runs):
        await once()
    await asyncio.sleep(0.2)
    after = counted()
    names = ("descriptors", "resident_kb", "processes")
    return {"runs": runs, **{name: b - a for name, a, b in zip(names, before, after, strict=True)}}


def _descendants() -> int:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
    found, wave = 0, {os.getpid()}
    while wave:
        wave = {pid for pid, parent in parents.items() if parent in wave}
        found += len(wave)
    return found


async def _monty(timed: Callable[..., Awaitable[None]], runs: int, found: dict[str, Any]) -> None:
    try:
        import pydantic_monty
    except ImportError:
        found["monty"] = "not installed (pip install pydantic-monty)"
        return
    code = TOOL.replace("def run(call, *, orders: list) -> dict:", "def run(orders):") + "\nrun(orders)\n"
    try:

        async def once() -> None:
            pydantic_monty.Monty(code, inputs=["orders"]).run(inputs={"orders": ARGUMENTS["orders"]})

        await timed("monty", once, runs)
    except Exception as error:  # a peer of another version
        found["monty"] = f"did not run: {type(error).__name__}: {error}"


def _text(data: dict[str, Any]) -> str:
    rows = [
        f"{name:20} median {part['median_ms']:.3f} ms, p99 {part['p99_ms']:.3f} ms"
        for name, part in data.items()
        if isinstance(part, dict) and "median_ms" in part
    ]
    return "\n".join(
        [*rows, f"one brokered call     {data['call_ms']:.4f} ms", f"after 1,000 runs      {data['leaks']}"]
    )
