"""`scripts/bench latency`: one tool of a stdio server, called directly, through Druse and through fastmcp's bare proxy.

All in turn, in the same run. Druse is called as clients call it: shim, daemon, permission, audit, trace. `--upstream`
chooses the server behind: `plain` uses no library (the hardest floor), `sdk` is a minimal server of the `mcp` SDK.
`--reads` makes its tool a read; without it a call counts as a write, whose audit entry is synced to the disk before
the effect. `--clients 50 --calls 200` has many clients call at once, and `--memory N` watches the daemon over N calls.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

from benchmarks._peers import PROXY, SHIM, ask_daemon, fastmcp_python, project, resident_kib, stop_daemon

WARM = 50


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/bench latency", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=400, help="calls of each kind (or of each client)")
    parser.add_argument("--upstream", choices=["plain", "sdk"], default="plain", help="the server behind")
    parser.add_argument("--reads", action="store_true", help="the tool is a read")
    parser.add_argument("--no-fastmcp", action="store_true", help="leave fastmcp's proxy out")
    parser.add_argument("--clients", type=int, default=1, help="with more than one: all call at once")
    parser.add_argument("--memory", type=int, default=0, metavar="N", help="memory of the daemon over N calls")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        command = project(root, server=options.upstream, reads=options.reads)
        try:
            if options.memory:
                data = asyncio.run(memory(root, options.memory))
            elif options.clients > 1:
                data = asyncio.run(crowd(root, options.clients, options.calls))
            else:
                fastmcp = ("", "") if options.no_fastmcp else fastmcp_python()
                data = asyncio.run(measure(root, command, options.calls, fastmcp))
        finally:
            stop_daemon(root)
    data = {"upstream": options.upstream, "effect": "read" if options.reads else "write", **data}
    print(json.dumps(data, indent=2) if options.json else _text(data))


@asynccontextmanager
async def connected(command: list[str], root: Path) -> AsyncIterator[Client]:
    environment = {"XDG_CONFIG_HOME": str(root / "none")}
    server = StdioServerParameters(command=command[0], args=command[1:], cwd=root, env=environment)
    with Path(os.devnull).open("w") as null:  # noqa: ASYNC230 - what a peer logs is not measured
        from mcp.client.stdio import stdio_client

        async with Client(stdio_client(server, errlog=null), mode="legacy") as client:
            yield client


async def measure(root: Path, command: list[str], calls: int, fastmcp: tuple[str, str]) -> dict[str, Any]:
    """Medians and 99th percentiles in milliseconds, and the ratios."""
    python, version = fastmcp
    (root / "proxy.py").write_text(PROXY, encoding="utf-8")
    ways = {"direct": (command, "echo"), "druse": (SHIM, "run_tool")}
    if python:
        ways["fastmcp_proxy"] = ([python, str(root / "proxy.py"), *command], "echo")
    async with AsyncExitStack() as stack:
        clients = {name: await stack.enter_async_context(connected(way[0], root)) for name, way in ways.items()}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(calls + WARM):
            for name, client in clients.items():
                tool = ways[name][1]
                given: dict[str, Any] = {"n": number}
                arguments = given if tool == "echo" else {"name": "e__echo", "arguments": given}
                began = time.perf_counter()
                result = await client.call_tool(tool, arguments)
                took = (time.perf_counter() - began) * 1000
                if result.is_error:
                    raise SystemExit(f"{name}: {result.content}")
                if number >= WARM:
                    times[name].append(took)
    found: dict[str, Any] = {name: summary(taken) for name, taken in times.items()}
    druse, direct, proxy = found["druse"], found["direct"], found.get("fastmcp_proxy")
    return {
        **found,
        "calls": calls,
        "fastmcp": version or None,
        "ratio_to_direct": druse["median_ms"] / direct["median_ms"],
        "ratio_to_fastmcp_proxy": druse["median_ms"] / proxy["median_ms"] if proxy else None,
        "ratio_to_fastmcp_proxy_p99": druse["p99_ms"] / proxy["p99_ms"] if proxy else None,
    }


async def crowd(root: Path, clients: int, calls: int) -> dict[str, Any]:
    """Many clients at once, each through a shim of its own: errors, times, calls a second."""
    times: list[float] = []
    wrong: list[str] = []
    start = asyncio.Event()
    ready = asyncio.Semaphore(0)

    async def one(name: int) -> None:
        async with connected(SHIM, root) as client:
            ready.release()
            await start.wait()
            for number in range(calls):
                began = time.perf_counter()
                arguments = {"name": "e__echo", "arguments": {"n": name * calls + number}}
                result = await client.call_tool("run_tool", arguments)
                times.append((time.perf_counter() - began) * 1000)
                wanted = {"n": name * calls + number}
                if result.is_error or result.structured_content != wanted:
                    wrong.append(str(result.content)[:500])

    async with asyncio.TaskGroup() as group:
        for name in range(clients):
            group.create_task(one(name))
        for _ in range(clients):
            await ready.acquire()
        began = time.perf_counter()
        start.set()
    took = time.perf_counter() - began
    return {
        "clients": clients,
        "calls_each": calls,
        "errors": len(wrong),
        "first_error": wrong[0] if wrong else None,
        "crowd": summary(times),
        "calls_per_second": clients * calls / took,
    }


async def memory(root: Path, calls: int) -> dict[str, Any]:
    """The daemon's resident memory at ten points of many calls, eight of them always under way."""
    seen: list[tuple[int, int]] = []
    done = 0
    async with connected(SHIM, root) as client:

        async def some(count: int) -> None:
            nonlocal done
            for number in range(count):
                result = await client.call_tool("run_tool", {"name": "e__echo", "arguments": {"n": number}})
                if result.is_error:
                    raise SystemExit(f"call {done}: {result.content}")
                done += 1

        await some(WARM)
        pid = int(str((ask_daemon(root, "status") or {"pid": 0})["pid"]))
        for _ in range(10):
            async with asyncio.TaskGroup() as group:
                for _ in range(8):
                    group.create_task(some(max(1, calls // 80)))
            seen.append((done, resident_kib(pid)))
    return {
        "memory": [{"calls": at, "resident_kib": kib} for at, kib in seen],
        "growth_bytes_per_call": (seen[-1][1] - seen[2][1]) * 1024 / (seen[-1][0] - seen[2][0]),
    }


def summary(taken: list[float]) -> dict[str, float]:
    ordered = sorted(taken)
    return {"median_ms": statistics.median(ordered), "p99_ms": ordered[int(len(ordered) * 0.99)], "min_ms": ordered[0]}


def _text(data: dict[str, Any]) -> str:
    rows = [f"upstream: {data['upstream']}, its tool counts as a {data['effect']}"]
    for name in ("direct", "druse", "fastmcp_proxy", "crowd"):
        if name in data:
            part = data[name]
            rows.append(f"{name:13} median {part['median_ms']:.3f} ms, p99 {part['p99_ms']:.3f} ms")
    if "ratio_to_direct" in data:
        rows.append(f"Druse / direct: {data['ratio_to_direct']:.2f}")
    if data.get("ratio_to_fastmcp_proxy"):
        median, high = data["ratio_to_fastmcp_proxy"], data["ratio_to_fastmcp_proxy_p99"]
        rows.append(f"Druse / fastmcp {data['fastmcp']} proxy: {median:.2f} (median), {high:.2f} (p99)")
    if "errors" in data:
        rows.append(f"{data['clients']} clients x {data['calls_each']} calls: {data['errors']} errors,")
        rows.extend([f"the first of them: {data['first_error']}"] if data["first_error"] else [])
        rows.append(f"{data['calls_per_second']:.0f} calls a second")
    for point in data.get("memory", []):
        rows.append(f"{point['calls']:>8} calls: {point['resident_kib'] / 1024:.1f} MiB")
    if "growth_bytes_per_call" in data:
        rows.append(f"growth after the first third: {data['growth_bytes_per_call']:.1f} bytes a call")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
