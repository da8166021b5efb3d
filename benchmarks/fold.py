"""`scripts/bench fold FILE...`: how many round trips learned parts save on runs of tasks they were not learned from.

Five random 50/50 splits by task. Parts are mined from the successful runs of one half. On each successful run of the
other half a walk goes from left to right and replaces calls by a part where (a) every input is literally visible before
it starts, in a user's message or an earlier result, or is its default, (b) the generated source, run on the recorded
results, makes exactly the recorded calls, only reads changing places, and (c) no user turn lies inside.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks._execution import Played, Tool
from benchmarks._traces import read_runs
from druse.induction import Induction, Part, mine
from druse.induction.elements import symbol_of
from druse.induction.matching import bind_steps
from druse.induction.mining import Occurrence, inputs
from druse.induction.shapes import Stretch, stretches, tokens
from druse.induction.values import MISSING
from druse.model import Json, Run, RunStatus, Step

SPLITS = 5
LIMITS: dict[str, int | None] = {"all": None, "20": 20, "5": 5}


@dataclass(slots=True)
class Walked:
    """What a walk over some runs found."""

    calls: int = 0
    saved: int = 0
    wrong: int = 0  # attempts that made a call which was not recorded, with all inputs bound
    diverged: int = 0  # attempts that a guard stopped
    unbound: int = 0  # places with a part's shape where an input is not visible or the part makes other steps
    left_out: int = 0  # of these: an optional input is not visible, and without it the part makes another call
    used: dict[str, int] = field(default_factory=dict[str, int])
    examples: list[str] = field(default_factory=list[str])


def walk(parts: Sequence[tuple[Part, Tool]], runs: Sequence[Run], found: Walked) -> None:
    """Replace calls by parts, from left to right, so that most are saved; add up in `found`.

    Which of the parts that fit at a place is taken is the choice of the walk, made from the end backwards;
    every part is tried at every place, and every wrong attempt counts.
    """
    by_first: dict[object, list[tuple[Part, Tool]]] = {}
    for part, tool in parts:
        by_first.setdefault(part.shape[0][0][0], []).append((part, tool))
    for run in runs:
        for stretch in stretches(run):
            found.calls += len(stretch.steps)
            _cover(stretch, by_first, found)


def _cover(stretch: Stretch, by_first: Mapping[object, list[tuple[Part, Tool]]], found: Walked) -> None:
    best = [0] * (len(stretch.steps) + 1)  # what can be saved from there on
    chosen: list[tuple[int, str]] = [(1, "")] * len(stretch.steps)
    for place in reversed(range(len(stretch.steps))):
        best[place] = best[place + 1]
        for part, tool in by_first.get(symbol_of(stretch.steps[place]), ()):
            made = attempt(part, tool, stretch, place, found)
            if made > 1 and made - 1 + best[place + made] > best[place]:
                best[place] = made - 1 + best[place + made]
                chosen[place] = made, part.induction.name
    found.saved += best[0]
    place = 0
    while place < len(stretch.steps):
        made, name = chosen[place]
        if made > 1:
            found.used[name] = found.used.get(name, 0) + made - 1
        place += made


def attempt(part: Part, tool: Tool, stretch: Stretch, place: int, found: Walked) -> int:
    """How many steps from there on the part replaces; 0 if it cannot be used."""
    count = part.follows(stretch.steps, place)
    if not count:
        return 0
    occurrence = Occurrence(stretch, place, count, part.unrolled)
    arguments = inputs(part.induction, occurrence)
    if arguments is None:
        found.unbound += 1
        found.left_out += _wrong_if_left_out(part, tool, occurrence, stretch.steps[place:])
        return 0
    played = tool.played(arguments, stretch.steps[place:])
    if played.status == "refused":
        found.diverged += bool(played.made)
        return 0
    if _deviates(played):
        if played.made[:1] == (0,):
            found.wrong += 1
            found.examples.append(f"{stretch.task}: {part.induction.name}: {played.detail}")
        return 0
    return len(played.made)


def _deviates(played: Played) -> bool:
    return played.status == "wrong" or sorted(played.made) != list(range(len(played.made)))


def _wrong_if_left_out(part: Part, tool: Tool, occurrence: Occurrence, steps: Sequence[Step]) -> bool:
    """Whether only optional inputs cannot be seen, and the part makes another call than recorded without them."""
    assert part.induction.procedure is not None
    bound = bind_steps(part.induction.procedure, list(occurrence.steps))
    if bound is None:
        return False
    declared = part.induction.procedure.parameters
    given = {name: v for name, v in bound[0].items() if occurrence.stretch.knowledge.visible(v, occurrence.results)}
    hidden = [declared[name] for name in bound[0] if name not in given]
    if any(parameter.default is MISSING and not parameter.derived for parameter in hidden):
        return False
    played = tool.played(given, steps)
    return _deviates(played) and played.made[:1] == (0,)


def _task(run: Run) -> tuple[str, str]:
    return run.domain, run.task or run.id


@dataclass(slots=True)
class Split:
    """One split: what was learned from one half of the tasks and how it did on the other."""

    tools: int = 0
    seconds: float = 0.0
    bound: int = 0
    walked: dict[str, Walked] = field(default_factory=lambda: {name: Walked() for name in LIMITS})

    def add(self, train: Sequence[Run], held: Sequence[Run], min_tasks: int) -> None:
        """Learn and walk in one domain. The limits on the number of parts are for each: a project has one."""
        began = time.perf_counter()
        parts = mine(train, prove=proof, min_tasks=min_tasks)
        self.seconds += time.perf_counter() - began
        self.tools += len(parts)
        self.bound += shape_bound(train, held)
        tools = [(part, _compiled(part.induction.source)) for part in parts]
        for name, limit in LIMITS.items():
            walk(tools[:limit], held, self.walked[name])

    def as_dict(self) -> dict[str, Any]:
        """Shares and counts."""
        every = self.walked["all"]
        calls = every.calls or 1
        return {
            "tools": self.tools,
            "induction_seconds": self.seconds,
            "bound": self.bound / calls,
            **{f"saved_{name}": found.saved / calls for name, found in self.walked.items()},
            "wrong": every.wrong,
            "diverged": every.diverged,
            "unbound": every.unbound,
            "wrong_if_left_out": every.left_out,
            "examples": every.examples,
            "used": every.used,
        }


def fold(runs: Sequence[Run], *, min_tasks: int = 2) -> dict[str, Any]:
    """All measures of the runs of one source."""
    successful = [run for run in runs if run.status is RunStatus.SUCCESS]
    tasks = sorted({_task(run) for run in successful})
    domains = sorted({run.domain for run in successful})
    rows: list[dict[str, Any]] = []
    for split in range(SPLITS):
        shuffled = list(tasks)
        random.Random(split).shuffle(shuffled)
        half = set(shuffled[: len(shuffled) // 2])
        total = Split()
        for domain in domains:
            own = [run for run in successful if run.domain == domain]
            train = [run for run in own if _task(run) in half]
            total.add(train, [run for run in own if _task(run) not in half], min_tasks)
        rows.append(total.as_dict())
    return {
        "calls": sum(len(stretch.steps) for run in successful for stretch in stretches(run)),
        "runs": len(successful),
        "tasks": len(tasks),
        "domains": len(domains),
        "saved_all": mean(row["saved_all"] for row in rows),
        "saved_20": mean(row["saved_20"] for row in rows),
        "saved_5": mean(row["saved_5"] for row in rows),
        "shape_bound": mean(row["bound"] for row in rows),
        "tools": mean(row["tools"] for row in rows),
        "wrong_emissions": sum(row["wrong"] for row in rows),
        "diverged": sum(row["diverged"] for row in rows),
        "unbound": sum(row["unbound"] for row in rows),
        "wrong_if_left_out": sum(row["wrong_if_left_out"] for row in rows),
        "induction_seconds": mean(row["induction_seconds"] for row in rows),
        "splits": rows,
    }


@lru_cache(maxsize=1000)
def _compiled(source: str) -> Tool:
    return Tool(source)


def proof(induction: Induction, arguments: Mapping[str, Json], steps: Sequence[Step]) -> str:
    """The source on recorded steps: it must make all of them."""
    played = _compiled(induction.source).played(arguments, steps)
    return "right" if played.status == "right" and len(played.made) == len(steps) else played.status


def shape_bound(train: Sequence[Run], held: Sequence[Run], min_tasks: int = 3) -> int:
    """The calls saved if every shape seen in so many train tasks could always be used: what data flow costs."""
    support: dict[tuple[object, ...], set[str]] = {}
    for run in train:
        for stretch in stretches(run, canonical=False):
            row = [token for token, _ in tokens(stretch.steps)]
            for start in range(len(row)):
                for end in range(start + 1, min(len(row), start + 12) + 1):
                    support.setdefault(tuple(row[start:end]), set()).add(stretch.task)
    saved = 0
    for run in held:
        for stretch in stretches(run, canonical=False):
            row = tokens(stretch.steps)
            start = 0
            while start < len(row):
                length = next(
                    (
                        size
                        for size in range(min(12, len(row) - start), 0, -1)
                        if len(support.get(tuple(token for token, _ in row[start : start + size]), ())) >= min_tasks
                    ),
                    1,
                )
                saved += (
                    sum(count for _, count in row[start : start + length]) - 1
                    if length > 1 or (row[start][1] > 1 and len(support.get((row[start][0],), ())) >= min_tasks)
                    else 0
                )
                start += length
    return saved


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench fold", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="runs in the neutral trace format (.jsonl, .jsonl.gz)")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each file and source")
    parser.add_argument("--verbose", action="store_true", help="with the numbers of each split")
    options = parser.parse_args()
    for path in options.files:
        runs = read_runs(path)
        for source in sorted({run.source for run in runs}):
            data = {"file": path.name, "src": source, **fold([run for run in runs if run.source == source])}
            if not options.verbose:
                del data["splits"]
            print(json.dumps(data) if options.json else text(data), flush=True)


def text(data: dict[str, Any]) -> str:
    """A few lines for people."""
    share = data["saved_all"] / data["shape_bound"] if data["shape_bound"] else 0.0
    lines = [
        f"{data['file']}, {data['src']}: {data['calls']} calls, {data['runs']} successful runs, {data['tasks']} tasks",
        f"  saved {data['saved_all']:.3f} with all {data['tools']:.0f} parts, {data['saved_20']:.3f} with 20, "
        f"{data['saved_5']:.3f} with 5; shape bound {data['shape_bound']:.3f} ({share:.0%} of it)",
        f"  wrong emissions {data['wrong_emissions']}, wrong if an unseen optional input were left out "
        f"{data['wrong_if_left_out']}, stopped by a guard {data['diverged']}, "
        f"mined in {data['induction_seconds']:.2f} s",
    ]
    for number, row in enumerate(data.get("splits", [])):
        lines.append(f"  split {number}: saved {row['saved_all']:.3f}, bound {row['bound']:.3f}, wrong {row['wrong']}")
        lines += [f"    {example}" for example in row["examples"]]
    return "\n".join(lines)
