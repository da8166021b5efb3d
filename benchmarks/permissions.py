"""`scripts/bench permissions`: what one decision costs with 1,000 rules, the parsing of the command apart."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from druse.permissions import Policy, decide
from druse.permissions.shell import read_command


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench permissions", description=__doc__)
    parser.add_argument("--rules", type=int, default=1000, help="rules in the policy")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = measure(options.rules, Path(folder))
    rows = [f"{name:28} median {value:.1f} microseconds" for name, value in data.items() if name.endswith("_us")]
    print(json.dumps(data, indent=2) if options.json else "\n".join(rows))


def rules(count: int) -> dict[str, list[str]]:
    """A policy as large projects have them: commands, paths, tools of servers, hosts."""
    allow = [
        rule
        for i in range(count // 5)
        for rule in (f"Bash(git tool-{i}:*)", f"Read(./src/part{i}/**)", f"server{i}__get_*", f"Edit(./doc{i}/*.md)")
    ]
    deny = [rule for i in range(count // 10) for rule in (f"Bash(rm part{i}:*)", f"Edit(./locked{i}/**)")]
    return {"allow": [*allow, "Bash(git status:*)", "Edit(./notes/**)"], "deny": deny}


def measure(count: int, workspace: Path) -> dict[str, Any]:
    """Medians in microseconds."""
    policy = Policy.from_lists(rules(count), workspace=workspace, home=workspace)
    number = iter(range(10**9))

    def fresh() -> str:
        return f"git tool-7 part{next(number)} -x 'some words'"

    warm = fresh()
    return {
        "rules": count,
        "command_us": _timed(lambda: decide(policy, "Bash", {"command": warm})),
        "command_with_parsing_us": _timed(lambda: decide(policy, "Bash", {"command": fresh()})),
        "parsing_us": _timed(lambda: read_command(fresh())),
        "edit_us": _timed(lambda: decide(policy, "Edit", {"file_path": "notes/a.txt"})),
        "server_tool_us": _timed(lambda: decide(policy, "server7__get_user", {"id": 1})),
    }


def _timed(once: Callable[[], Any], times: int = 300) -> float:
    taken: list[float] = []
    for turn in range(times + 20):
        began = time.perf_counter_ns()
        once()
        if turn >= 20:
            taken.append((time.perf_counter_ns() - began) / 1000)
    return statistics.median(taken)
