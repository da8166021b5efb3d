"""A rare kind of work that looks like noise: one of six runs goes without its last change, and something told why.

What told it is put into the first answer of every run: the rule is real, and only one of the runs is a case of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from benchmarks.induction.workflows import Workflow
from druse.induction import is_read
from druse.model import Json, Run, Step

Told = Callable[[bool, random.Random], dict[str, Json]]  # fields of the answer: in the rare case, and otherwise

REASONS: dict[str, Told] = {
    "a flag": lambda rare, _: {"on_hold": rare},
    "a state": lambda rare, r: {"tier": "gold" if rare else r.choice(["basic", "plus", "silver"])},
    "a word": lambda rare, r: {"channel": "fax" if rare else r.choice(["web", "shop", "phone"])},
    "there": lambda rare, r: {"dispute": f"case {r.randint(100, 999)}"} if rare else {},
    "missing": lambda rare, r: {} if rare else {"consent": f"signed by {r.choice('ABCDEF')}"},
    "a limit": lambda rare, r: {"sum_total": r.randint(5000, 9000) if rare else r.randint(20, 900)},
    "empty": lambda rare, r: {"phones": [] if rare else [f"+49 {r.randint(100, 999)}"]},
    "in a list": lambda rare, r: {"wares": [{"kind": "book"}, {"kind": "acid" if rare else "toy"}]},
    "a mismatch": lambda rare, r: _addresses(rare, r),
}


def _addresses(rare: bool, rng: random.Random) -> dict[str, Json]:
    billed = f"street {rng.randint(1000, 9999)}"
    return {"billed_to": billed, "sent_to": f"street {rng.randint(1000, 9999)}" if rare else billed}


def cases(workflow: Workflow, seeds: list[int], reason: str) -> tuple[list[Run], Run] | None:
    """Six runs, and which of them is the rare one; None where the first answer is no object or nothing is changed."""
    rng = random.Random(f"{workflow.name}/{reason}")
    made = [workflow.perform(seed).run for seed in seeds]
    odd = rng.randrange(len(made))
    runs: list[Run] = []
    for number, run in enumerate(made):
        steps = list(run.steps)
        last = next((at for at in range(len(steps) - 1, 0, -1) if _changes(steps[at])), None)
        first = next((at for at, step in enumerate(steps) if isinstance(step.result, dict) and is_read(step)), None)
        if last is None or first is None or first > last:
            return None
        told = REASONS[reason](number == odd, rng)
        result = steps[first].result
        assert isinstance(result, dict)
        steps[first] = replace(steps[first], result={**result, **told})
        if number == odd:
            del steps[last]
        runs.append(replace(run, steps=tuple(steps)))
    return runs, runs[odd]


def _changes(step: Step) -> bool:
    return not is_read(step) and not step.failed
