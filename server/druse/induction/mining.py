"""Sub-workflows shared by longer runs: recurring shapes, and a program for each.

1. *Shapes.* Every stretch (see druse.induction.shapes) is a sequence of tokens. Sequences that recur in several tasks
   are grown one token at a time, and only out of shorter ones that recur (Apriori; sequential pattern mining after
   Agrawal and Srikant): near-linear in calls, as their length is bounded.
2. *Programs.* The occurrences of a shape are the runs of a small workflow: one program is induced from all of them.
3. *Choice.* Programs are ranked by what they save on the runs they were found in, each counted only for what those
   before it leave (greedy cover: which tools to keep is a question of compression, as in Stitch and babble).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from druse.induction.commands import shown
from druse.induction.elements import symbol_of
from druse.induction.evidence import Evidence
from druse.induction.induce import Induction
from druse.induction.matching import bind_steps
from druse.induction.parts import induce_part
from druse.induction.shapes import MAX_BODY, Body, Shape, Stretch, by_use, repeats, stretches, tokens
from druse.induction.values import MISSING
from druse.model import Json, Run, RunStatus, Step, ToolSpec, typed_equal

MIN_TASKS = 2  # distinct tasks that a shape must have been seen in
MAX_TOKENS = 12
MAX_SHAPES = 1000  # that programs are induced for
MAX_OCCURRENCES = 60  # of one shape, that a program is induced from


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Consecutive steps of a stretch, in its order."""

    stretch: Stretch
    start: int
    count: int
    unrolled: bool = False  # repeated steps are told apart: independent reads are in the order of their use

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps."""
        steps = self.stretch.steps[self.start : self.start + self.count]
        return by_use(steps) if self.unrolled else steps

    @property
    def results(self) -> int:
        """How many results of the run had been seen before the first of them."""
        return self.stretch.seen(self.start, self.count)

    def as_run(self) -> Run:
        """The steps as a run of their own."""
        name = f"{self.stretch.run_id} from step {self.results + 1:04}"
        return Run(name, "", RunStatus.SUCCESS, self.steps, task=self.stretch.task)


@dataclass(frozen=True, slots=True)
class Part:
    """A program for a recurring shape. `covers` are the occurrences in which all its inputs were visible."""

    shape: Shape
    induction: Induction
    occurrences: tuple[Occurrence, ...]
    covers: tuple[Occurrence, ...]
    evidence: Evidence

    @property
    def key(self) -> str:
        """The shape as a text."""
        return " > ".join(
            "+".join(f"{shown(tool)}({','.join(arguments)})" for tool, arguments in body) + ("*" if many else "")
            for body, many in self.shape
        )

    def taught_by(self, runs: Sequence[Run]) -> Induction:
        """The program that those of its occurrences teach which stand among these runs."""
        kept = {run.id for run in runs}
        return _induced(self.shape, [o for o in self.occurrences if o.as_run().id in kept], self.evidence)

    @property
    def unrolled(self) -> bool:
        """Whether the shape tells the times of a repeated step apart."""
        return any(left == right for left, right in pairwise(self.shape))

    def follows(self, steps: Sequence[Step], place: int) -> int:
        """How many steps from there on have the part's shape, a loop taking all it can; 0 if they have not."""
        symbols = [symbol_of(step) for step in steps]
        start = place
        for body, many in self.shape:
            times = repeats(symbols, place, body)
            if not times:
                return 0
            place += (times if many else 1) * len(body)
        return place - start

    @property
    def tasks(self) -> int:
        """Distinct tasks in which it could have been used."""
        return len({occurrence.stretch.task for occurrence in self.covers})

    @property
    def saving(self) -> int:
        """Round trips that its uses would have saved, each use counted alone."""
        return sum(occurrence.count - 1 for occurrence in self.covers)


# `right`, `refused` or `wrong`: the source with these inputs, on recorded steps
Prover = Callable[[Induction, Mapping[str, Json], Sequence[Step]], str]


def mine(
    runs: Sequence[Run],
    *,
    specs: Mapping[str, ToolSpec] | None = None,
    prove: Prover | None = None,
    min_tasks: int = MIN_TASKS,
) -> list[Part]:
    """The parts that recur in at least `min_tasks` tasks, best first; the order of the runs does not matter.

    `prove` runs a source on recorded results; a part that is wrong on any occurrence, its own or one left out, is
    dropped. Without it the parts are unproved.
    """
    ordered = sorted(runs, key=lambda run: run.id)
    parts = [stretch for index, run in enumerate(ordered) for stretch in stretches(run, index)]
    evidence = Evidence(parts)
    found: list[Part] = []
    for shape, occurrences in recurring(parts, min_tasks):
        part = part_of(shape, occurrences, evidence, specs=specs)
        if part is not None and part.tasks >= min_tasks and (prove is None or proved(part, prove)):
            found.append(part)
    return ranked(found)


def recurring(parts: Sequence[Stretch], min_tasks: int = MIN_TASKS) -> list[tuple[Shape, list[Occurrence]]]:
    """Shapes of at least two steps seen in so many tasks, with their occurrences; shorter ones first.

    Of more than MAX_SHAPES those are kept whose steps are most: what a program costs to learn does not depend on how
    many runs there are, so the whole stays near-linear in calls.
    """
    found = list(_recurring(parts, min_tasks))
    sizes = [sum(occurrence.count - 1 for occurrence in occurrences) for _, occurrences in found]
    kept = sorted(range(len(found)), key=lambda number: (-sizes[number], len(found[number][0]), number))[:MAX_SHAPES]
    return sorted((found[number] for number in sorted(kept)), key=lambda entry: len(entry[0]))


def _recurring(parts: Sequence[Stretch], min_tasks: int) -> Iterator[tuple[Shape, list[Occurrence]]]:
    given: set[Shape] = set()
    for bodies in (0, 1, MAX_BODY):
        rows = [tokens(stretch.steps, bodies=bodies) for stretch in parts]
        starts = [[0, *accumulate(count for _, count in row)] for row in rows]
        for places, length in _grown([[body for body, _ in row] for row in rows], parts, min_tasks):
            covers = [rows[row][place : place + length] for row, place in places]
            shape = tuple(
                (body, any(cover[n][1] > len(body) for cover in covers)) for n, (body, _) in enumerate(covers[0])
            )
            if shape in given:
                continue
            given.add(shape)
            occurrences = [
                Occurrence(parts[row], starts[row][place], starts[row][place + length] - starts[row][place], not bodies)
                for row, place in places
            ]
            if any(occurrence.count > 1 for occurrence in occurrences):
                yield shape, occurrences


def _grown(
    rows: Sequence[Sequence[Body]], parts: Sequence[Stretch], min_tasks: int
) -> Iterator[tuple[list[tuple[int, int]], int]]:
    """Places of each sequence of tokens that recurs, with its length. A sequence is known by a number at each place."""
    names: dict[object, int] = {}
    known = {
        (row, place): names.setdefault(token, len(names))
        for row, sequence in enumerate(rows)
        for place, token in enumerate(sequence)
    }
    for length in range(1, MAX_TOKENS + 1):
        places: dict[int, list[tuple[int, int]]] = {}
        for place, number in known.items():
            places.setdefault(number, []).append(place)
        frequent = {
            number: where
            for number, where in places.items()
            if len(where) >= min_tasks and len({parts[row].task for row, _ in where}) >= min_tasks
        }
        for where in frequent.values():
            yield where, length
        names, longer = {}, dict[tuple[int, int], int]()
        for number, where in frequent.items():
            for row, place in where:
                following = known.get((row, place + 1))
                if following in frequent:
                    longer[row, place] = names.setdefault((number, following), len(names))
        known = longer
        if not known:
            return


def part_of(
    shape: Shape, occurrences: Sequence[Occurrence], evidence: Evidence, *, specs: Mapping[str, ToolSpec] | None = None
) -> Part | None:
    """The program for a shape; None where there is none, or it could not have been used anywhere."""
    chosen = _spread(occurrences)
    induction = _induced(shape, chosen, evidence, specs=specs)
    if not induction.source:
        return None
    covers = tuple(occurrence for occurrence in occurrences if usable(induction, occurrence))
    return Part(shape, induction, tuple(chosen), covers, evidence) if covers else None


def _induced(
    shape: Shape, chosen: Sequence[Occurrence], evidence: Evidence, *, specs: Mapping[str, ToolSpec] | None = None
) -> Induction:
    runs = [occurrence.as_run() for occurrence in chosen]
    known = {
        run.id: (occurrence.stretch.knowledge, occurrence.results) for run, occurrence in zip(runs, chosen, strict=True)
    }
    return induce_part(runs, shape, known, evidence, specs=specs)


def usable(induction: Induction, occurrence: Occurrence) -> bool:
    """Whether all inputs were visible before the first step, so that an agent could have used the program."""
    return inputs(induction, occurrence) is not None


def inputs(induction: Induction, occurrence: Occurrence) -> dict[str, Json] | None:
    """What an agent could give: every value literally visible before the first step; None where one is not.

    Defaults are left out, and so is what the program works out by itself where nothing is given.
    """
    assert induction.procedure is not None
    bound = bind_steps(induction.procedure, list(occurrence.steps))
    if bound is None:
        return None
    given: dict[str, Json] = {}
    for name, value in bound[0].items():
        declared = induction.procedure.parameters[name]
        if declared.default is not MISSING and typed_equal(value, declared.default):
            continue
        if not occurrence.stretch.knowledge.visible(value, occurrence.results):
            return None
        given[name] = value
    return given


def proved(part: Part, prove: Prover) -> bool:
    """Whether the source makes exactly the steps of every occurrence it could have been used in."""
    return all(
        prove(part.induction, inputs(part.induction, occurrence) or {}, occurrence.steps) == "right"
        for occurrence in part.covers
    )


def ranked(parts: Sequence[Part], limit: int | None = None, *, adding: bool = False) -> list[Part]:
    """The parts by what each adds to those before it, greatest first; those that add nothing last, or not at all."""
    left = {number: part for number, part in enumerate(parts) if part.covers}
    bounds = {number: part.saving for number, part in left.items()}
    taken: dict[int, list[Occurrence]] = {}  # by stretch: what the chosen parts cover there
    order: list[Part] = []
    while left and (limit is None or len(order) < limit):
        best, gain = -1, -1
        for number in sorted(left, key=lambda number: (-bounds[number], len(left[number].shape), number)):
            if bounds[number] <= gain:
                break
            bounds[number] = _gain(left[number], taken)
            if bounds[number] > gain:
                best, gain = number, bounds[number]
        if adding and gain < 1:
            break
        part = left.pop(best)
        order.append(part)
        for occurrence in part.covers:
            taken.setdefault(id(occurrence.stretch), []).append(occurrence)
    return order


def _gain(part: Part, taken: Mapping[int, list[Occurrence]]) -> int:
    gain = 0
    by_stretch: dict[int, list[Occurrence]] = {}
    for occurrence in part.covers:
        by_stretch.setdefault(id(occurrence.stretch), []).append(occurrence)
    for stretch, occurrences in by_stretch.items():
        before = taken.get(stretch, [])
        gain += _packed([*before, *occurrences]) - _packed(before)
    return gain


def _packed(occurrences: Sequence[Occurrence]) -> int:
    """The most round trips that occurrences which do not overlap save together."""
    best: dict[int, int] = {0: 0}
    ends = sorted({occurrence.start + occurrence.count for occurrence in occurrences})
    so_far = 0
    for end in ends:
        for occurrence in occurrences:
            if occurrence.start + occurrence.count == end:
                before = max((value for place, value in best.items() if place <= occurrence.start), default=0)
                so_far = max(so_far, before + occurrence.count - 1)
        best[end] = so_far
    return so_far


def _spread(occurrences: Sequence[Occurrence]) -> list[Occurrence]:
    """At most MAX_OCCURRENCES, from as many tasks as there are."""
    turns: dict[str, int] = {}
    keyed: list[tuple[int, int, Occurrence]] = []
    for number, occurrence in enumerate(occurrences):
        turns[occurrence.stretch.task] = turns.get(occurrence.stretch.task, 0) + 1
        keyed.append((turns[occurrence.stretch.task], number, occurrence))
    return [occurrence for _, _, occurrence in sorted(keyed, key=lambda entry: entry[:2])[:MAX_OCCURRENCES]]
