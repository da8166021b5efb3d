"""What goes astray in one run of several: the kinds of noise that recorded work of real agents has.

The disturbed run, the place in it and what is done there are drawn from the name of the workflow and of the kind, so
every measurement is of the same runs. What is read once more is read live; all else is changed in the record.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.induction.workflows import Agent, Performance, Workflow
from druse.induction import is_read
from druse.model import Step, typed_equal

Disturb = Callable[[Workflow, Sequence[int], random.Random], list[Performance]]


def disturbed(workflow: Workflow, seeds: Sequence[int], kind: str) -> list[Performance]:
    """The runs of these seeds, one of them with this kind of noise where the workflow has a place for it."""
    return KINDS[kind](workflow, seeds, random.Random(f"{workflow.name}/{kind}"))


def _performed(workflow: Workflow, seeds: Sequence[int]) -> list[Performance]:
    return [workflow.perform(seed) for seed in seeds]


def _nothing(workflow: Workflow, seeds: Sequence[int], rng: random.Random) -> list[Performance]:
    return _performed(workflow, seeds)


def _extra(many: int) -> Disturb:
    """Reads of something that the run has no use for: what another of the runs read."""

    def disturb(workflow: Workflow, seeds: Sequence[int], rng: random.Random) -> list[Performance]:
        made = _performed(workflow, seeds)
        odd = rng.randrange(len(made))
        others = [step for p in made if p is not made[odd] for step in p.run.steps if is_read(step) and not step.failed]
        if not others:
            return made
        steps = list(made[odd].run.steps)
        at = rng.randrange(len(steps) + 1)
        chosen = [replace(rng.choice(others), turn=0) for _ in range(many)]
        return _with_steps(made, odd, [*steps[:at], *chosen, *steps[at:]])

    return disturb


def _elsewhere(workflow: Workflow, seeds: Sequence[int], rng: random.Random) -> list[Performance]:
    """A detour to something that no other run ever reads."""
    made = _performed(workflow, seeds)
    odd = rng.randrange(len(made))
    steps = list(made[odd].run.steps)
    at = rng.randrange(len(steps) + 1)
    pages: list[Any] = [{"title": f"How we work, part {rng.randint(2, 90)}", "score": rng.randint(100, 999)}]
    found = Step("handbook__search", {"query": "how to do this"}, {"pages": pages}, effect="read")
    opened = Step("handbook__read_page", {"title": pages[0]["title"]}, {"text": "Take care."}, effect="read")
    return _with_steps(made, odd, [*steps[:at], found, opened, *steps[at:]])


def _verify(workflow: Workflow, seeds: Sequence[int], rng: random.Random) -> list[Performance]:
    """The last thing that was read is read once more when all is done."""
    made = _performed(workflow, seeds)
    odd = rng.randrange(len(made))
    reads = [step for step in made[odd].run.steps if is_read(step) and not step.failed]
    if not reads:
        return made
    last, end = reads[-1], len(made[odd].made)

    def intrude(agent: Agent, number: int) -> None:
        if number == end:
            agent.stray(_dotted(last.tool), **dict(last.arguments))

    made[odd] = workflow.perform(seeds[odd], intrude)
    return made


def _retry(workflow: Workflow, seeds: Sequence[int], rng: random.Random) -> list[Performance]:
    """A call fails for a moment and is made again."""
    made = _performed(workflow, seeds)
    odd = rng.randrange(len(made))
    steps = list(made[odd].run.steps)
    at = rng.randrange(len(steps))
    return _with_steps(made, odd, [*steps[:at], replace(steps[at], failed=True, result="timeout"), *steps[at:]])


def _order(workflow: Workflow, seeds: Sequence[int], rng: random.Random) -> list[Performance]:
    """Two reads that stand side by side, in the other order; the second holds nothing that only the first told."""
    made = _performed(workflow, seeds)
    odd = rng.randrange(len(made))
    steps = list(made[odd].run.steps)
    pairs = [
        at
        for at in range(len(steps) - 1)
        if is_read(steps[at]) and is_read(steps[at + 1]) and not _told(steps[at], steps[at + 1])
    ]
    if pairs:
        at = rng.choice(pairs)
        steps[at], steps[at + 1] = steps[at + 1], steps[at]
    return _with_steps(made, odd, steps)


def _lost(workflow: Workflow, seeds: Sequence[int], rng: random.Random) -> list[Performance]:
    """One call is missing: the agent skipped it, or nobody recorded it."""
    made = _performed(workflow, seeds)
    odd = rng.randrange(len(made))
    steps = list(made[odd].run.steps)
    if len(steps) > 1:
        del steps[rng.randrange(len(steps))]
    return _with_steps(made, odd, steps)


def _argument(workflow: Workflow, seeds: Sequence[int], rng: random.Random) -> list[Performance]:
    """One argument is what the same call had in another run: the agent's mistake, or the recorder's."""
    made = _performed(workflow, seeds)
    odd = rng.randrange(len(made))
    steps = list(made[odd].run.steps)
    others = [step for p in made if p is not made[odd] for step in p.run.steps]
    rng.shuffle(others)
    places = [(at, name) for at, step in enumerate(steps) for name in step.arguments]
    rng.shuffle(places)
    for at, name in places:
        step = steps[at]
        for other in others:
            if other.tool == step.tool and not typed_equal(other.arguments.get(name), step.arguments[name]):
                wrong = {**step.arguments, name: other.arguments.get(name)}
                steps[at] = replace(step, arguments=wrong)
                return _with_steps(made, odd, steps)
    return made


def _with_steps(made: list[Performance], odd: int, steps: Sequence[Step]) -> list[Performance]:
    """The runs with other steps in one of them; the steps keep their place among what the user said."""
    run = made[odd].run
    turns = [step.turn for step in steps]
    order = sorted({turn for turn in turns if turn} | {1})
    placed: list[Step] = []
    for step in steps:
        turn = step.turn or (placed[-1].turn if placed else order[0])
        placed.append(replace(step, turn=turn))
    return [*made[:odd], replace(made[odd], run=replace(run, steps=tuple(placed))), *made[odd + 1 :]]


def _told(earlier: Step, later: Step) -> bool:
    """Whether a value in the later call stands in the earlier one's answer."""
    answer = str(earlier.result)
    return any(str(value) in answer for value in later.arguments.values())


def _dotted(tool: str) -> str:
    return tool.replace("__", ".", 1)


KINDS: dict[str, Disturb] = {
    "none": _nothing,
    "read": _extra(1),
    "detour": _extra(2),
    "elsewhere": _elsewhere,
    "verify": _verify,
    "retry": _retry,
    "order": _order,
    "lost": _lost,
    "argument": _argument,
}
