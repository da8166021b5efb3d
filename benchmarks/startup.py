"""`scripts/bench startup`: from starting the process to the answer to `initialize`, in turn with two floors.

`druse` joins a daemon that runs; `druse_first` has to start it, in a project that is new (its database is made behind
the answer). The floors of the same run: a Python that does nothing, and a minimal server of the `mcp` SDK.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks._peers import SDK, SHIM, project, stop_daemon

HELLO = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "bench", "version": "1"},
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/bench startup", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="starts of each kind")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = measure(Path(folder).resolve(), options.rounds)
    print(json.dumps(data, indent=2) if options.json else _text(data))


def measure(folder: Path, rounds: int) -> dict[str, Any]:
    running, first = folder / "running", folder / "first"
    (folder / "minimal.py").write_text(SDK, encoding="utf-8")
    minimal = [sys.executable, str(folder / "minimal.py")]
    bare = [sys.executable, "-I", "-S", "-c", "pass"]
    project(running)
    _start(SHIM, running)  # from now on its daemon runs, kept by the client below
    keeper = subprocess.Popen(SHIM, cwd=running, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    times: dict[str, list[float]] = {"bare_python": [], "mcp_minimal": [], "druse": [], "druse_first": []}
    try:
        for _ in range(rounds):
            began = time.perf_counter()
            subprocess.run(bare, check=True)
            times["bare_python"].append((time.perf_counter() - began) * 1000)
            times["mcp_minimal"].append(_start(minimal, folder))
            times["druse"].append(_start(SHIM, running))
            project(first)
            times["druse_first"].append(_start(SHIM, first))
            stop_daemon(first)
            shutil.rmtree(first)
    finally:
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait()
        stop_daemon(running)
    found: dict[str, Any] = {name: _summary(taken) for name, taken in times.items()}
    floor = found["mcp_minimal"]["median_ms"]
    return {
        **found,
        "rounds": rounds,
        "ratio_to_mcp_minimal": found["druse"]["median_ms"] / floor,
        "ratio_first_to_mcp_minimal": found["druse_first"]["median_ms"] / floor,
    }


def _start(command: list[str], cwd: Path) -> float:
    """Milliseconds until a server answers `initialize`."""
    environment = {**os.environ, "XDG_CONFIG_HOME": str(cwd / "none")}
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(HELLO).encode() + b"\n")
    process.stdin.flush()
    line = process.stdout.readline()
    took = (time.perf_counter() - began) * 1000
    if b'"result"' not in line:
        raise SystemExit(f"{command}: {line!r}")
    process.stdin.close()
    process.stdout.close()
    process.wait()
    return took


def _summary(taken: list[float]) -> dict[str, float]:
    return {"median_ms": statistics.median(taken), "min_ms": min(taken), "max_ms": max(taken)}


def _text(data: dict[str, Any]) -> str:
    names = {
        "bare_python": "python -I -S -c pass (ended)",
        "mcp_minimal": "minimal mcp server",
        "druse": "druse serve, daemon running",
        "druse_first": "druse serve, first start",
    }
    rows = [
        f"{told:30} median {data[name]['median_ms']:7.1f} ms, min {data[name]['min_ms']:7.1f} ms"
        for name, told in names.items()
    ]
    joined, first = data["ratio_to_mcp_minimal"], data["ratio_first_to_mcp_minimal"]
    rows.append(f"joining / minimal: {joined:.3f} (1/{1 / joined:.0f}); first start / minimal: {first:.2f}")
    return "\n".join(rows)
