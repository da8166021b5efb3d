"""A program for a part of longer runs: every value it needs is worked out inside, given by the caller, or a default.

Runs of one whole workflow share their purpose; parts of longer runs share a shape only. So the evidence asked for here
is stricter where a value is taken from inside, and what no run explains is not a reason to stop but an input (partial
crystallization): a step repeated over values that come from nowhere inside becomes a loop over a list that the caller
gives, and a value that hardly ever differs becomes an input with a default.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from druse.induction.elements import column, fields, symbol_of
from druse.induction.evidence import Evidence
from druse.induction.guards import places
from druse.induction.induce import Induction, induce
from druse.induction.knowledge import Knowledge
from druse.induction.naming import Names, identifier, plural
from druse.induction.overrides import opened
from druse.induction.procedure import (
    Block,
    Call,
    Declared,
    Each,
    FromPlace,
    Loop,
    Node,
    Repeat,
    calls_of,
)
from druse.induction.shapes import Shape, repeats
from druse.induction.sources import MIN_TASKS, SourcedBuilder
from druse.induction.structure import Builder, State, Track, Unexplained
from druse.induction.values import Env, Place, Root, look, places_of, same
from druse.model import Json, Run, Step, ToolSpec, canonical

_MIN_SAME_ORDER = 5  # tasks with different lists of which two loops went over in the same order


def induce_part(
    runs: Sequence[Run],
    shape: Shape,
    known: Mapping[str, tuple[Knowledge, int]],
    evidence: Evidence,
    *,
    specs: Mapping[str, ToolSpec] | None = None,
    name: str | None = None,
) -> Induction:
    """One program from occurrences of a shape, each given as a run; `known` is what could be seen before each."""
    ordered = sorted(runs, key=lambda run: run.id)

    def make(steps: Sequence[Sequence[Step]], texts: Sequence[str]) -> Builder:
        seen, tasks = [known[run.id] for run in ordered], [run.task for run in ordered]
        return _PartBuilder(steps, texts, shape, seen, tasks, evidence)

    found = induce(ordered, specs=specs, name=name, steps_of=lambda run: list(run.steps), make=make)
    if found.left_out:
        return Induction("refused", reasons=found.reasons)
    return replace(found, status="induced") if found.source else found


class _PartBuilder(SourcedBuilder):
    """The builder for occurrences of one shape: the alignment is given, inputs are free."""

    def __init__(
        self,
        runs: Sequence[Sequence[Step]],
        texts: Sequence[str],
        shape: Shape,
        known: Sequence[tuple[Knowledge, int]],
        tasks: Sequence[str],
        evidence: Evidence,
    ) -> None:
        super().__init__(runs, texts, known, tasks, evidence)
        self._shape = list(shape)

    def build(self) -> tuple[Block, int]:
        """The program, in which what comes from inside is open to the caller where the runs cannot rule others out."""
        block, left_out = super().build()
        again = {node.first for node in block if isinstance(node, Repeat)}
        opened(
            [node for node in block if isinstance(node, Call) and node.id not in again],
            self._state.parameters,
            self._recorded,
            self._sure,
        )
        return block, left_out

    def _nodes(self, tracks: list[Track], *, depth: int) -> Iterator[Node]:
        if depth:
            yield from super()._nodes(tracks, depth=depth)
            return
        repeated = False
        for body, many in self._shape:
            if repeated and all(track.head != body[0] for track in tracks):
                continue  # these were the further pages of the step before
            steps, before, saved = (
                [track.steps[0] for track in tracks],
                [list(t.steps) for t in tracks],
                self._state.copy(),
            )
            call = self._call(tracks)
            repeat = self._repeat(call, steps, tracks) if self._enough(track.run for track in tracks) else None
            repeated = repeat is not None
            if repeat is not None or not many:
                yield call
                if repeat is not None:
                    yield repeat
                continue
            self._state = saved
            for track, left in zip(tracks, before, strict=True):
                track.steps[:] = left
                del track.env[Root("result", call.id)]
            times = [repeats([symbol_of(step) for step in track.steps], 0, body) for track in tracks]
            rests = [track.steps[count * len(body) :] for track, count in zip(tracks, times, strict=True)]
            for track, count in zip(tracks, times, strict=True):
                del track.steps[count * len(body) :]
            loop = self._looped(tracks, len(body), depth)
            for track, rest in zip(tracks, rests, strict=True):
                track.steps[:] = rest
            yield loop

    def _looped(self, tracks: list[Track], size: int, depth: int) -> Node:
        """All the steps as a loop: over a list from inside, over one that the caller may give, or that it must give.

        Reads are made for all of a list where all runs show that. Changes are made for what the caller names, and for
        all of the list where it names nothing; so are reads where some runs leave out elements.
        """
        before = self._state.copy(), [list(track.steps) for track in tracks], [dict(track.env) for track in tracks]
        loop = self._loop(tracks, depth) if self._enough(range(len(tracks))) else None
        if isinstance(loop, Loop) and not self._same_order(loop, before[2], tracks):
            self._reset(tracks, before)
            loop = None
        if loop is not None and any(track.steps for track in tracks):
            raise Unexplained("the loop ends before the repeated steps do")
        if isinstance(loop, Loop) and not any(call.writes for call in calls_of(loop.body)):
            return loop
        after = self._state, [list(track.steps) for track in tracks], [dict(track.env) for track in tracks]
        self._reset(tracks, before)
        try:
            given = self._given(tracks, size)
        except Unexplained:
            if loop is None:
                raise
        else:
            if loop is None or given.otherwise is not None:
                return given
        self._reset(tracks, after)
        return loop

    def _same_order(self, loop: Loop, known: Sequence[Env], tracks: Sequence[Track]) -> bool:
        """Whether many different lists show that a second loop goes over the caller's list as the first one did.

        A list that a result holds has an order of its own.
        """
        if loop.source.root.kind == "result":
            return True
        lists: dict[str, str] = {}
        for env, track in zip(known, tracks, strict=True):
            elements = look({**env, **self._state.values[track.run]}, loop.source)
            if isinstance(elements, list) and len(elements) > 1:
                lists.setdefault(canonical(elements), self._tasks[track.run])
        return len(set(lists.values())) >= _MIN_SAME_ORDER

    def _reset(self, tracks: Sequence[Track], before: tuple[State, list[list[Step]], list[Env]]) -> None:
        self._state = before[0].copy()
        for track, steps, env in zip(tracks, before[1], before[2], strict=True):
            track.steps[:] = steps
            track.env.clear()
            track.env.update(env)

    def _otherwise(self, by_run: Mapping[int, Json], tracks: Sequence[Track], *, writes: bool) -> Each | None:
        """The list that the given one was, as a whole and in order, in enough tasks.

        Reads may go over it where only some tasks agree, all of them tasks in which nobody had said the list; changes
        only where every task agrees.
        """
        shown = [track for track in tracks if writes or not self._said(by_run[track.run], track)]
        votes: Counter[Each] = Counter()
        tasks: dict[Each, set[str]] = {}
        for track in shown:
            for place, value in places_of({**track.env, **self._state.values[track.run]}):
                if not isinstance(value, list) or place.root.kind == "element":
                    continue
                for path in ((), *fields(value)):
                    if same(column(value, path), by_run[track.run]):
                        found = Each(place, path)
                        votes[found] += 1
                        if len(value) > 1:
                            tasks.setdefault(found, set()).add(self._tasks[track.run])
        sure = [each for each in tasks if len(tasks[each]) >= MIN_TASKS and (not writes or votes[each] == len(shown))]
        order = self._state.order
        return min(
            sure,
            key=lambda each: (-votes[each], -order.get(each.source.root.name, 0), len(each.source.path), each.field),
            default=None,
        )

    def _given(self, tracks: Sequence[Track], size: int) -> Loop:
        """A loop over a list that the caller gives: one element for each time the body was made."""
        loop_id = self._fresh("loop")
        element = Root("element", loop_id)
        owners: list[Track] = []
        turns: list[Track] = []
        for track in tracks:
            for start in range(0, len(track.steps), size):
                owners.append(track)
                turns.append(Track(track.steps[start : start + size], {**track.env, element: {}}, track.run))
            track.steps.clear()
        self._item = (element, {})
        try:
            body: list[Node] = [self._call(turns) for _ in range(size)]
        finally:
            fields, self._item = self._item[1], None
        if not fields:
            raise Unexplained("a step was repeated and nothing differs between the times")
        only = next(iter(fields)) if len(fields) == 1 else ""
        if only and not _alone(body, element):
            only = ""
        if only:
            _unwrap(body, element)
        by_run: dict[int, Json] = {}
        for owner, turn in zip(owners, turns, strict=True):
            item = turn.env[element]
            assert isinstance(item, dict)
            value = item[only] if only else item
            turn.env[element] = value
            gathered = by_run.setdefault(owner.run, [])
            assert isinstance(gathered, list)
            gathered.append(value)
        wanted = plural(only) if only else plural(identifier(calls_of(body)[0].tool.rpartition("__")[2].split("_")[-1]))
        names = Names(frozenset(self._state.parameters) | Names().reserved)
        name = names.take(identifier(wanted), "items")
        call = calls_of(body)[0]
        writes = any(call.writes for call in calls_of(body))
        otherwise = self._otherwise(by_run, tracks, writes=writes) if only else None
        leaf = (only,) if only else ()
        declared = Declared(name, only or name, call.tool, by_run, leaf=leaf, derived=otherwise is not None)
        self._state.parameters[name] = declared
        for run, value in by_run.items():
            self._state.values[run][Root("parameter", name)] = value
        for track in tracks:
            self._collect(track, [turn for owner, turn in zip(owners, turns, strict=True) if owner is track], body)
        return Loop(loop_id, Place(Root("parameter", name)), body, True, otherwise)


def _alone(body: Sequence[Node], element: Root) -> bool:
    """Whether the element is read as a plain value only, never inside a text or a look-up."""
    plain = sum(
        isinstance(binding, FromPlace) and binding.place.root == element
        for call in calls_of(list(body))
        for binding in call.bindings.values()
    )
    return plain == sum(place.root == element for place in places(list(body)))


def _unwrap(body: Sequence[Node], element: Root) -> None:
    """The element is the value itself."""
    for call in calls_of(list(body)):
        for path, binding in call.bindings.items():
            if isinstance(binding, FromPlace) and binding.place.root == element:
                call.bindings[path] = FromPlace(Place(element))
