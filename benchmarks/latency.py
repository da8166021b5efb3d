"""`scripts/bench latency`: one tool of a stdio server, called directly and through Druse, in turn, in the same run."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

SERVER = """
import json, sys
TOOL = {"name": "echo", "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}}}
for line in sys.stdin:
    m = json.loads(line)
    if "id" not in m:
        continue
    if m["method"] == "initialize":
        r = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
        r["serverInfo"] = {"name": "e", "version": "1"}
    elif m["method"] == "tools/list":
        r = {"tools": [TOOL]}
    elif m["method"] == "tools/call":
        r = {"content": [{"type": "text", "text": json.dumps(m["params"]["arguments"])}]}
    else:
        print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "error": {"code": -32601, "message": "no"}}), flush=True)
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": r}), flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench latency", description=__doc__)
    parser.add_argument("--calls", type=int, default=400, help="calls of each kind")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    data = asyncio.run(measure(options.calls))
    print(json.dumps(data, indent=2) if options.json else _text(data))


async def measure(calls: int) -> dict[str, Any]:
    """Medians and 99th percentiles in milliseconds, and the ratio Druse / direct."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "server.py").write_text(SERVER, encoding="utf-8")
        upstream = {"command": sys.executable, "args": [str(root / "server.py")]}
        (root / "mcp.json").write_text(json.dumps({"mcpServers": {"e": upstream}}), encoding="utf-8")
        init = [sys.executable, "-m", "druse", "init", "--allow", "e__*"]
        subprocess.run(init, cwd=root, check=True, stdout=subprocess.DEVNULL)  # noqa: ASYNC221 - nothing else runs
        direct = StdioServerParameters(command=sys.executable, args=[str(root / "server.py")])
        druse = StdioServerParameters(command=sys.executable, args=["-m", "druse", "serve"], cwd=root)
        async with Client(direct, mode="legacy") as one, Client(druse, mode="legacy") as two:
            times: dict[str, list[float]] = {"direct": [], "druse": []}
            for number in range(calls + 20):
                for name, client, tool, arguments in (
                    ("direct", one, "echo", {"n": number}),
                    ("druse", two, "run_tool", {"name": "e__echo", "arguments": {"n": number}}),
                ):
                    began = time.perf_counter()
                    result = await client.call_tool(tool, arguments)
                    if result.is_error:
                        raise SystemExit(f"{name}: {result.content}")
                    if number >= 20:
                        times[name].append((time.perf_counter() - began) * 1000)
    found = {name: _summary(taken) for name, taken in times.items()}
    ratio = found["druse"]["median_ms"] / found["direct"]["median_ms"]
    return {**found, "calls": calls, "ratio_to_direct": ratio}


def _summary(taken: list[float]) -> dict[str, float]:
    return {"median_ms": statistics.median(taken), "p99_ms": sorted(taken)[int(len(taken) * 0.99)]}


def _text(data: dict[str, Any]) -> str:
    rows = [f"{n:7} median {data[n]['median_ms']:.3f} ms, p99 {data[n]['p99_ms']:.3f} ms" for n in ("direct", "druse")]
    return "\n".join([*rows, f"Druse / direct: {data['ratio_to_direct']:.2f}"])
