"""`scripts/bench learned`: a learned tool of five calls, against the five calls of the upstream server alone.

A plain server has five tools, each of which needs what the one before it gave back. Six runs are recorded through
Druse, the tool is induced, approved by the command a person gives, and called as clients call it: shim, daemon,
permission, audit, sandbox. In turn with it, in the same run, one client calls the same five tools directly.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks._commands import command
from benchmarks._peers import SHIM, plain_server, stop_daemon
from benchmarks.latency import connected, summary

STEPS = ("find_account", "get_ledger", "get_last_entry", "find_receipt", "read_total")
WARM = 30

SERVER = plain_server("""
import hashlib
STEPS, TAKES, GIVES = json.loads(sys.argv[1])
READS = {"readOnlyHint": True} if "reads" in sys.argv else {}

def tool(at):
    schema = {"type": "object", "properties": {TAKES[at]: {"type": "string"}}, "required": [TAKES[at]]}
    return {"name": STEPS[at], "inputSchema": schema, "annotations": READS}

TOOLS = [tool(at) for at in range(5)]

def answer(name, arguments):
    at = STEPS.index(name)
    told = str(arguments[TAKES[at]])
    made = {GIVES[at]: GIVES[at][:2] + "-" + hashlib.sha256(f"{at}{told}".encode()).hexdigest()[:12]}
    return {"content": [{"type": "text", "text": json.dumps(made)}], "structuredContent": made}
""")
TAKES = ("customer", "account", "ledger", "entry", "receipt")
GIVES = ("account", "ledger", "entry", "receipt", "total")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/bench learned", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=300, help="calls of the tool")
    parser.add_argument("--writes", action="store_true", help="the upstream tools count as writes")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        try:
            data = asyncio.run(measure(root, options.calls, reads=not options.writes))
        finally:
            stop_daemon(root / "project")
    if options.json:
        print(json.dumps(data, indent=2))
        return
    for name in ("five_calls", "tool"):
        part = data[name]
        print(f"{name:11} median {part['median_ms']:.3f} ms, p99 {part['p99_ms']:.3f} ms")
    print(f"tool / five calls: {data['ratio_to_five_calls']:.2f}")


async def measure(root: Path, calls: int, *, reads: bool) -> dict[str, Any]:
    """Medians and 99th percentiles in milliseconds, and the ratio."""
    project = root / "project"
    project.mkdir()
    (project / "server.py").write_text(SERVER, encoding="utf-8")
    server = [
        sys.executable,
        str(project / "server.py"),
        json.dumps([STEPS, TAKES, GIVES]),
        *(["reads"] if reads else []),
    ]
    entry = {"command": server[0], "args": server[1:]}
    (project / "mcp.json").write_text(json.dumps({"mcpServers": {"e": entry}}), encoding="utf-8")
    command(root, "init", "--allow", "e__*", "--allow", "crystal__*")
    async with connected(SHIM, project) as druse, connected(server, project) as direct:
        name = await _learned(root, druse)
        alone: list[float] = []
        whole: list[float] = []
        for number in range(calls + WARM):
            customer = f"c{number}"
            began = time.perf_counter()
            wanted = await _five(direct.call_tool, customer)
            between = time.perf_counter()
            answer = await druse.call_tool("run_tool", {"name": name, "arguments": {"customer": customer}})
            ended = time.perf_counter()
            if answer.is_error or wanted not in json.dumps(answer.structured_content):
                raise SystemExit(f"the tool answered {answer.content}, {wanted} was wanted")
            if number >= WARM:
                alone.append((between - began) * 1000)
                whole.append((ended - between) * 1000)
    five, tool = summary(alone), summary(whole)
    return {
        "five_calls": five,
        "tool": tool,
        "calls": calls,
        "effect": "read" if reads else "write",
        "ratio_to_five_calls": tool["median_ms"] / five["median_ms"],
    }


async def _learned(root: Path, druse: Any) -> str:
    """The name of the tool made from six runs."""

    async def through(tool: str, arguments: dict[str, str]) -> Any:
        return await druse.call_tool("run_tool", {"name": f"e__{tool}", "arguments": arguments})

    for number in range(6):
        goal = {"goal": f"Total of the last receipt of customer k{number}x"}
        run = (await druse.call_tool("dispatch_goal", goal)).structured_content
        await _five(through, f"k{number}x")
        await druse.call_tool("report_outcome", {"run_id": run["run_id"], "success": True})
    found = command(root, "candidates")["candidates"][0]
    report = command(root, "crystallize", found["signature"])
    command(root, "approvals", "approve", report["approval_id"], "--yes")
    return str(report["tool"])


async def _five(call: Any, customer: str) -> str:
    value = customer
    for at, step in enumerate(STEPS):
        answer = await call(step, {TAKES[at]: value})
        value = str(json.loads(answer.content[0].text)[GIVES[at]])
    return value


if __name__ == "__main__":
    sys.exit(main())
