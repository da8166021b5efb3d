"""The shapes of parts of runs: stretches without a user turn, in canonical order, as tokens.

A *stretch* is what an agent did between two turns of its user: failed calls and notes to itself left out, reads that do
not depend on one another in the order of their names. A *token* is a run of one repeated step, or of one short body of
steps repeated as a whole; a *shape* is a sequence of tokens. A shape says which tools with which argument names, never
how often: two and seven lookups in a row have one shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from druse.induction.answers import settled
from druse.induction.commands import reason_of, worded
from druse.induction.elements import is_read, symbol_of
from druse.induction.knowledge import Knowledge, scalars
from druse.induction.procedure import Symbol
from druse.induction.values import is_weak
from druse.model import Run, Step

Body: TypeAlias = "tuple[Symbol, ...]"  # steps that may repeat as a whole; nearly always one
Token: TypeAlias = "tuple[Body, bool]"  # a body, and whether it may stand there more than once
Shape: TypeAlias = "tuple[Token, ...]"

NOTES = frozenset(("think", "sequentialthinking", "sequential_thinking"))  # an agent's notes to itself are no calls
MAX_BODY = 3


@dataclass(frozen=True, slots=True)
class Stretch:
    """Steps of one run that no user turn parts. `positions` are their places in the recorded order of the stretch."""

    run: int  # index of the run in the list that was given
    run_id: str
    task: str
    steps: tuple[Step, ...]
    positions: tuple[int, ...]
    knowledge: Knowledge  # of the whole run
    earlier: tuple[int, ...]  # for each recorded position, how many results of the run were there before

    def seen(self, start: int, count: int) -> int:
        """How many results were there before the first of these steps."""
        return self.earlier[min(self.positions[start : start + count])]


def stretches(run: Run, index: int = 0, *, canonical: bool = True) -> Iterator[Stretch]:
    """The stretches of a run. Commands are words in them; one that no tool could make stands alone."""
    held = [step for step in settled(run.steps) if step.tool.rpartition("__")[2].lower() not in NOTES]
    parted = [worded([step]) for step in held]
    # Joined commands are one call of the run: as several they could save what nobody spent.
    alone = [len(words) != 1 or bool(reason_of(words[0].tool)) for words in parted]
    steps = [step if apart else words[0] for step, words, apart in zip(held, parted, alone, strict=True)]
    turns = sorted(turn for turn, _ in run.user_turns)
    knowledge = Knowledge(run, steps)
    parts: list[list[int]] = [[]]
    for place, step in enumerate(steps):
        turned = place > 0 and any(steps[place - 1].turn < turn <= step.turn for turn in turns)
        if turned or (place and (alone[place] or alone[place - 1])):
            parts.append([])
        parts[-1].append(place)
    for part in parts:
        if part:
            order = _canonical([steps[place] for place in part]) if canonical else list(range(len(part)))
            yield Stretch(
                index,
                run.id,
                run.task or run.id,
                tuple(steps[part[place]] for place in order),
                tuple(order),
                knowledge,
                tuple(part),
            )


def _canonical(steps: Sequence[Step]) -> list[int]:
    """The order of the steps with independent reads sorted by name; a write stays where it is."""
    order: list[int] = []
    block: list[int] = []
    for place, step in enumerate(steps):
        if is_read(step):
            block.append(place)
        else:
            order += [*_sorted(block, steps), place]
            block = []
    return order + _sorted(block, steps)


def _sorted(block: list[int], steps: Sequence[Step]) -> list[int]:
    """Reads without a write between them: the first by name whose sources are already there, again and again."""
    if len({symbol_of(steps[place]) for place in block}) < 2 or len(block) > 200:
        return block
    waits = {
        place: {earlier for earlier in block if earlier < place and _depends(steps[place], steps[earlier])}
        for place in block
    }
    made: list[int] = []
    left = list(block)
    while left:
        ready = [place for place in left if waits[place] <= set(made)]
        following = min(ready, key=lambda place: (symbol_of(steps[place]), place))
        made.append(following)
        left.remove(following)
    return made


def by_use(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Like reads in a row in the order in which later steps use their results; what is not used stays behind."""
    symbols = [symbol_of(step) for step in steps]
    made: list[Step] = []
    while len(made) < len(steps):
        place = len(made)
        times = repeats(symbols, place, (symbols[place],))
        block, later = list(steps[place : place + times]), steps[place + times :]
        if times > 1 and is_read(block[0]):
            uses = [_first_use(read, block, later) for read in block]
            block = [read for _, read in sorted(zip(uses, block, strict=True), key=lambda pair: pair[0])]
        made += block
    return tuple(made)


def _first_use(read: Step, block: Sequence[Step], later: Sequence[Step]) -> int:
    """The number of the first later argument whose value stands in this result and in none of its like."""
    own = set(map(str, scalars(read.result, keys=True)))
    others = {str(value) for other in block if other is not read for value in scalars(other.result, keys=True)}
    number = 0
    for step in later:
        for name in sorted(step.arguments):
            for value in scalars(step.arguments[name]):
                if not is_weak(value) and str(value) in own - others:
                    return number
                number += 1
    return number


def _depends(step: Step, earlier: Step) -> bool:
    """Whether a value of `step` stands in the result of `earlier`."""
    wanted = {
        str(value) for value in scalars(dict(step.arguments)) if value is not None and not isinstance(value, bool)
    }
    return any(str(value) in wanted for value in scalars(earlier.result, keys=True))


def tokens(steps: Sequence[Step], *, bodies: int = 1) -> list[tuple[Body, int]]:
    """The bodies of a sequence with the number of steps each covers in a row; of up to so many steps, 0: no repeats."""
    symbols = [symbol_of(step) for step in steps]
    if not bodies:
        return [((symbol,), 1) for symbol in symbols]
    found: list[tuple[Body, int]] = []
    place = 0
    while place < len(symbols):
        body, times = (symbols[place],), 1
        for size in range(1, bodies + 1):
            longer = tuple(symbols[place : place + size])
            count = repeats(symbols, place, longer)
            if count > 1:
                body, times = longer, count
                break
        found.append((body, times * len(body)))
        place += times * len(body)
    return found


def repeats(symbols: Sequence[Symbol], place: int, body: Body) -> int:
    """How often a body stands there in a row."""
    times = 0
    while tuple(symbols[place + times * len(body) : place + (times + 1) * len(body)]) == body:
        times += 1
    return times
