"""`scripts/bench induce FILE`: what is learned from runs of one workflow, and the leave-one-out table."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks._execution import replayed
from benchmarks._traces import read_runs
from druse.induction import Induction, bind, induce, learn
from druse.model import Run, RunStatus


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench induce", description=__doc__)
    parser.add_argument("file", type=Path, help="runs of one workflow in the neutral trace format (.jsonl, .jsonl.gz)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--name", help="what to call the tool")
    options = parser.parse_args()
    runs = [run for run in read_runs(options.file) if run.status is not RunStatus.FAILURE]
    data = report(runs, options.name)
    print(json.dumps(data, indent=2, ensure_ascii=False) if options.json else text(data))


def report(runs: list[Run], name: str | None = None) -> dict[str, Any]:
    """Everything about one induction. Sources are executed in plain Python with the sandbox's guards.

    What would not pass the gate is refused here too: a source that does not reproduce the runs it was made from, or
    whose like, made without one of the runs, makes a wrong call on that one. It is then under `unproved_source`.
    """
    began = time.perf_counter()
    learned = learn(runs, name=name)
    found, runs, given = learned.induction, list(learned.runs), len(runs)
    seconds = time.perf_counter() - began
    left_out = [_left_out(runs, index) for index in range(len(runs))]
    bad = [row for row in (_proved(found, run) for run in runs) if found.source and row["result"] != "right"]
    bad += [row for row in left_out if found.source and row["result"] == "wrong"]
    if learned.aside:
        bad += [row for row in left_out if row["result"] != "right"]
    if bad:
        reason = f"not proved: run {bad[0]['run']}: {bad[0]['detail']}"
        found = replace(found, status="refused", reasons=(reason, *found.reasons))
    return {
        "status": found.status,
        "reasons": list(found.reasons),
        "ambiguities": list(found.ambiguities),
        "source": "" if bad else found.source,
        "unproved_source": found.source if bad else "",
        "parameters": [
            {"name": p.name, "schema": p.schema, "origin": p.origin, "examples": list(p.examples)}
            for p in found.parameters
        ],
        "calls": list(found.calls),
        "left_out_steps": found.left_out,
        "leave_one_out": left_out,
        "induction_seconds": seconds,
        "runs": given,
        "disagreements": [str(part) for part in learned.disagreements],
    }


def _left_out(runs: list[Run], index: int) -> dict[str, Any]:
    return _proved(induce([*runs[:index], *runs[index + 1 :]]), runs[index])


def _proved(found: Induction, held: Run) -> dict[str, Any]:
    if not found.source:
        return {"run": held.id, "result": "refused", "detail": "; ".join(found.reasons)}
    arguments = bind(found, held)
    if arguments is None:
        return {"run": held.id, "result": "refused", "detail": "no instance of what the others show"}
    result, detail = replayed(found.source, arguments, held, whole=not found.left_out)
    return {"run": held.id, "result": result, "detail": detail}


def text(data: dict[str, Any]) -> str:
    """The report for people."""
    lines = [f"status: {data['status']} from {data['runs']} runs in {data['induction_seconds'] * 1000:.1f} ms"]
    lines += [f"  reason: {reason}" for reason in data["reasons"]]
    lines += [f"  ambiguity: {reason}" for reason in data["ambiguities"]]
    lines += ["", data["source"] or data["unproved_source"]] if data["source"] or data["unproved_source"] else []
    lines += [f"  {p['name']}: {p['origin']}" for p in data["parameters"]]
    lines += ["", "leave one out:"]
    lines += [f"  {row['run']}: {row['result']} {row['detail']}" for row in data["leave_one_out"]]
    return "\n".join(lines)
