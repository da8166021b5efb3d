"""`scripts/bench suite`: workflows with known answers, learned from few runs, executed live on cases not seen.

Every argument of every held-out run is right, refused or silently wrong; docs/benchmarks.md says how it is judged.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks._execution import replayed
from benchmarks.induction.coverage import uncovered, workflows
from benchmarks.induction.noise import KINDS, disturbed
from benchmarks.induction.rare import REASONS, cases
from benchmarks.induction.scoring import SEEDS_HELD, SEEDS_TRAIN, Score, score
from benchmarks.induction.workflows import Workflow
from druse.crystal.verification import ReplayResult, Verification
from druse.induction import Induction, Learned, bind, induce, inputs_met, learn, without_deviations
from druse.model import Run
from druse.runtime import SandboxHost


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench suite", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--train", type=int, nargs="+", default=[3, 6], choices=range(2, 7), help="runs to learn from")
    parser.add_argument("--only", default="", help="only workflows whose name contains this")
    parser.add_argument(
        "--peers", action="store_true", help="agentjit and etchplan too, installed from PyPI where possible"
    )
    parser.add_argument(
        "--noise",
        nargs="*",
        choices=list(KINDS),
        help="something goes astray in one of six runs, of each kind or of these; tools pass the gate",
    )
    parser.add_argument("--show", action="store_true", help="print the learned sources and notes too")
    options = parser.parse_args()
    chosen = [workflow for workflow in workflows() if options.only in workflow.name]
    if options.noise is not None:
        _disturbed(chosen, options.noise or list(KINDS), as_json=options.json, show=options.show)
        return
    data = asyncio.run(measure(chosen, options.train))
    if options.peers:
        data["peers"] = peers(chosen)
    print(json.dumps(data, indent=2, ensure_ascii=False) if options.json else table(data, show=options.show))
    sys.exit(1 if any(part["silently_wrong"] for part in data["totals"].values()) else 0)


def _disturbed(chosen: Sequence[Workflow], kinds: Sequence[str], *, as_json: bool, show: bool) -> None:
    data = asyncio.run(measure_noise(chosen, kinds))
    print(json.dumps(data, indent=2, ensure_ascii=False) if as_json else noise_table(data, show=show))
    wrong = any(part["silently_wrong"] for part in data["totals"]["one may differ"].values())
    sys.exit(1 if wrong or any(row["went_on"] for row in data["rare"].values()) else 0)


async def measure_noise(chosen: Sequence[Workflow], kinds: Sequence[str]) -> dict[str, Any]:
    """Scores of tools learned from six runs, one of them with noise, that passed the gate; by kind of noise."""
    rows: list[dict[str, Any]] = []
    totals = {way: {kind: Score() for kind in kinds} for way in ("all runs must agree", "one may differ")}
    made: Counter[tuple[str, str]] = Counter()
    async with SandboxHost.open() as host:
        for workflow in chosen:
            held = [workflow.perform(seed) for seed in SEEDS_HELD]
            for kind in kinds:
                train = disturbed(workflow, sorted(SEEDS_TRAIN), kind)
                every = [performance.run for performance in train]
                for way in ("all runs must agree", "one may differ"):
                    learned = _proved(every, one_may_differ=way == "one may differ")
                    kept = {run.id for run in learned.runs}
                    shown = [performance for performance in train if performance.run.id in kept]
                    found, own, total = learned.induction, Score(), totals[way][kind]
                    for performance in held:
                        own.add(await score(host, workflow, found, shown, performance))
                    total.add(own)
                    made[way, kind] += bool(found.source)
                    rows.append({"workflow": workflow.name, "noise": kind, "way": way, **_row(found, own)})
    return {
        "workflows": len(chosen),
        "runs": len(SEEDS_TRAIN),
        "totals": {
            way: {kind: {"tools": made[way, kind], **_counts(total)} for kind, total in part.items()}
            for way, part in totals.items()
        },
        "rare": {reason: rare(chosen, reason) for reason in REASONS},
        "rows": rows,
    }


def rare(chosen: Sequence[Workflow], reason: str) -> dict[str, Any]:
    """One run is a rare kind of work: whether a tool is made, and whether it stops where things are as in that run."""
    counts: Counter[str] = Counter()
    went_on: list[str] = []
    for workflow in chosen:
        found = cases(workflow, sorted(SEEDS_TRAIN), reason)
        if found is None:
            continue
        runs, odd = found
        learned = _proved(runs, one_may_differ=True)
        induction = learned.induction
        counts["workflows"] += 1
        if not induction.source:
            counts["refused"] += 1
            continue
        if not learned.aside:
            counts["learned"] += 1  # the program reproduces the rare run too
            continue
        inputs = inputs_met(induction, odd)
        ended = "refused" if inputs is None else replayed(induction.source, inputs, odd)[0]
        counts["stopped" if ended == "refused" else "went_on"] += 1
        went_on += [workflow.name] if ended != "refused" else []
    return {
        **{key: counts[key] for key in ("workflows", "refused", "learned", "stopped", "went_on")},
        "which_went_on": went_on,
    }


def _proved(runs: Sequence[Run], *, one_may_differ: bool) -> Learned:
    """What passes the gate; sources are our own, so they are replayed in plain Python."""
    learned: Learned | None = learn(runs) if one_may_differ else Learned(induce(runs), tuple(runs))
    reasons: tuple[str, ...] = ()
    while learned is not None:
        found, kept = learned.induction, learned.runs
        reasons += found.reasons
        if not found.source:
            break
        proof = Verification(
            tuple(_replayed(induce([*kept[:number], *kept[number + 1 :]]), run) for number, run in enumerate(kept)),
            tuple(_replayed(found, run) for run in kept),
            tuple(ReplayResult(run.id, 0, "set aside") for run in learned.aside),
        )
        if proof.passed:
            return learned
        reasons += (f"not proved: {proof.failure}",)
        again = one_may_differ and proof.suspect and not learned.disagreements
        learned = without_deviations(runs, suspect=proof.suspect) if again else None
    return Learned(Induction("refused", reasons=reasons), tuple(runs))


def _replayed(found: Induction, run: Run) -> ReplayResult:
    arguments = bind(found, run) if found.source else None
    if arguments is None:
        return ReplayResult(run.id, 0, "refused", "; ".join(found.reasons))
    result, detail = replayed(found.source, arguments, run, whole=not found.left_out)
    return ReplayResult(run.id, 0, result, detail)


def noise_table(data: dict[str, Any], *, show: bool = False) -> str:
    """The table for people: a line for each kind of noise."""
    lines: list[str] = []
    for row in data["rows"]:
        if show or row["silently_wrong"]:
            lines.append(f"{_line(row['workflow'], row['noise'], row['status'], row)}  {row['way']}")
            lines += [f"      {note}" for note in row["notes"]] + [f"      why: {reason}" for reason in row["reasons"]]
    lines += [
        f"{'noise in one of six runs':26} tools {'right':>6} {'refused':>7} {'wrong':>5}   right of what has an answer"
    ]
    for way, part in data["totals"].items():
        lines.append(f"{way}:")
        lines += [
            f"  {kind:24} {total['tools']:>5} {total['right']:>6} {total['refused']:>7} {total['silently_wrong']:>5}   "
            f"{100 * (total['right_share'] or 0):.1f} %"
            for kind, total in part.items()
        ]
    lines += ["", f"{'one run is a rare kind':24} cases refused learned tool stops goes on"]
    lines += [
        f"  {reason:22} {row['workflows']:>5} {row['refused']:>7} {row['learned']:>7} {row['stopped']:>10} "
        f"{row['went_on']:>7}  {' '.join(row['which_went_on'])}"
        for reason, row in data["rare"].items()
    ]
    return "\n".join(lines)


async def measure(chosen: Sequence[Workflow], sizes: Sequence[int]) -> dict[str, Any]:
    """Scores of every workflow for every number of training runs, and their sums."""
    rows: list[dict[str, Any]] = []
    totals: dict[str, Score] = {str(size): Score() for size in sizes}
    seconds = 0.0
    async with SandboxHost.open() as host:
        for workflow in chosen:
            held = [workflow.perform(seed) for seed in SEEDS_HELD]
            for size in sizes:
                train = [workflow.perform(seed) for seed in sorted(SEEDS_TRAIN[:size])]
                began = time.perf_counter()
                found = induce([performance.run for performance in train])
                seconds += time.perf_counter() - began
                own = Score()
                for performance in held:
                    own.add(await score(host, workflow, found, train, performance))
                totals[str(size)].add(own)
                rows.append({"workflow": workflow.name, "covers": workflow.covers, "train": size, **_row(found, own)})
    return {
        "workflows": len(chosen),
        "uncovered": uncovered(),
        "held_out_runs": len(SEEDS_HELD),
        "totals": {size: _counts(total) for size, total in totals.items()},
        "induction_seconds": round(seconds, 3),
        "rows": rows,
    }


def peers(chosen: Sequence[Workflow]) -> list[dict[str, Any]]:
    """What other tools learn of the same workflows; one that cannot be installed is named with no score."""
    from benchmarks.induction.peers import agentjit, etchplan

    rows: list[dict[str, Any]] = []
    for name, found in (("agentjit", agentjit(chosen, SEEDS_TRAIN[-1])), ("etchplan", etchplan(chosen, SEEDS_TRAIN))):
        if found is None:
            rows.append({"peer": name, "version": None})
        else:
            own = found.pop("score")
            rows.append({**found, **_counts(own), "notes": own.notes[:20]})
    return rows


def _row(found: Induction, own: Score) -> dict[str, Any]:
    return {
        "status": found.status,
        **_counts(own),
        "notes": own.notes[:6],
        "reasons": list(found.reasons),
        "source": found.source,
    }


def _counts(own: Score) -> dict[str, Any]:
    answered = sum(own.answered.values())
    return {
        "answered": answered,
        "right": own.answered["right"],
        "refused": own.answered["refused"],
        "right_share": round(own.answered["right"] / answered, 4) if answered else None,
        "no_answer": sum(own.open.values()),
        "refused_rightly": own.open["refused"],
        "guessed": own.open["guessed"],
        "silently_wrong": own.wrong,
        "never_shown": own.unshown,
    }


def table(data: dict[str, Any], *, show: bool = False) -> str:
    """The table for people."""
    head = (
        f"{'workflow':28} runs {'status':8} {'right':>5} {'refused':>7} {'wrong':>5} | {'no answer':>9} {'refused':>7}"
    )
    lines = [head, "-" * len(head)]
    for row in data["rows"]:
        lines.append(_line(row["workflow"], row["train"], row["status"], row))
        if show or row["silently_wrong"]:
            lines += [f"      {note}" for note in row["notes"]]
        if show:
            lines += [f"      why: {reason}" for reason in row["reasons"]] + ["", row["source"]]
    lines.append("-" * len(head))
    for size, total in data["totals"].items():
        lines.append(_line(f"all {data['workflows']} workflows", size, "", total))
        share = 100 * (total["right_share"] or 0)
        lines.append(
            f"    right where there is an answer: {share:.1f} %; {total['never_shown']} arguments in calls never shown"
        )
    for peer in data.get("peers", []):
        if peer["version"] is None:
            lines.append(f"{peer['peer']} IS LEFT OUT: it could not be installed")
            continue
        lines.append(_line(f"{peer['peer']} {peer['version']}, inputs told", peer["runs"], "", peer))
        made = data["workflows"] - peer["not_compiled"]
        lines.append(f"    compiled {made} of {data['workflows']} workflows, silently wrong in {len(peer['wrong_in'])}")
    lines.append(f"induction took {data['induction_seconds']:.2f} s in all")
    return "\n".join(lines)


def _line(name: str, size: Any, status: str, row: dict[str, Any]) -> str:
    return (
        f"{name:28} {size!s:>4} {status:8} {row['right']:>5} {row['refused']:>7} {row['silently_wrong']:>5} | "
        f"{row['no_answer']:>9} {row['refused_rightly']:>7}"
    )
