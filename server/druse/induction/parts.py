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

from druse.induction.guards import places
from druse.induction.induce import Induction, induce
from druse.induction.knowledge import Knowledge
from druse.induction.naming import Names, identifier, plural
from druse.induction.procedure import Binding, Call, Constant, Declared, FromPlace, Loop, Node, Parameter, calls_of
from druse.induction.shapes import Shape, repeats
from druse.induction.structure import Builder, Track, Unexplained, symbol_of
from druse.induction.values import MISSING, Path, Place, Root, same
from druse.model import Json, Run, Step, ToolSpec, canonical

MIN_TASKS = 3  # distinct tasks that must agree before a value is taken from inside, or a default is set
_DEFAULT_SHARE = 0.8  # of the tasks where nobody had said the value


def induce_part(
    runs: Sequence[Run],
    shape: Shape,
    known: Mapping[str, tuple[Knowledge, int]],
    *,
    specs: Mapping[str, ToolSpec] | None = None,
    name: str | None = None,
) -> Induction:
    """One program from occurrences of a shape, each given as a run; `known` is what could be seen before each."""
    ordered = sorted(runs, key=lambda run: run.id)

    def make(steps: Sequence[Sequence[Step]], texts: Sequence[str]) -> Builder:
        return _PartBuilder(steps, texts, shape, [known[run.id] for run in ordered], [run.task for run in ordered])

    found = induce(ordered, specs=specs, name=name, make=make)
    if found.left_out:
        return Induction("refused", reasons=found.reasons)
    return replace(found, status="induced") if found.source else found


class _PartBuilder(Builder):
    """The builder for occurrences of one shape: the alignment is given, inputs are free."""

    def __init__(
        self,
        runs: Sequence[Sequence[Step]],
        texts: Sequence[str],
        shape: Shape,
        known: Sequence[tuple[Knowledge, int]],
        tasks: Sequence[str],
    ) -> None:
        super().__init__(runs, texts)
        self._shape = list(shape)
        self._seen = known
        self._tasks = tasks
        self._item: tuple[Root, dict[str, dict[int, Json]]] | None = None

    def _nodes(self, tracks: list[Track], *, depth: int) -> Iterator[Node]:
        if depth:
            yield from super()._nodes(tracks, depth=depth)
            return
        for body, many in self._shape:
            if not many:
                yield self._call(tracks)
                continue
            times = [repeats([symbol_of(step) for step in track.steps], 0, body) for track in tracks]
            rests = [track.steps[count * len(body) :] for track, count in zip(tracks, times, strict=True)]
            for track, count in zip(tracks, times, strict=True):
                del track.steps[count * len(body) :]
            loop = self._loop(tracks, depth) if self._enough(range(len(tracks))) else None
            if loop is None or any(track.steps for track in tracks):
                if loop is not None:
                    raise Unexplained("the loop ends before the repeated steps do")
                loop = self._given(tracks, len(body))
            for track, rest in zip(tracks, rests, strict=True):
                track.steps[:] = rest
            yield loop

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
        self._state.parameters[name] = Declared(name, only or name, call.tool, by_run)
        for run, value in by_run.items():
            self._state.values[run][Root("parameter", name)] = value
        for track in tracks:
            self._collect(track, [turn for owner, turn in zip(owners, turns, strict=True) if owner is track], body)
        return Loop(loop_id, Place(Root("parameter", name)), body, always_filled=True)

    def _explain(self, name: str, values: Sequence[Json], tracks: Sequence[Track]) -> Binding | None:
        found = super()._explain(name, values, tracks)
        if isinstance(found, Constant):
            return self._again(name, values, tracks)
        if found is None or isinstance(found, Parameter):
            return found
        if isinstance(found, FromPlace) and found.place.root.kind in ("element", "parameter"):
            return found
        return found if self._enough(track.run for track in tracks) else None

    def _again(self, name: str, values: Sequence[Json], tracks: Sequence[Track]) -> Parameter | None:
        """An input of this very argument name that had the same value in every run."""
        for declared in self._state.parameters.values():
            if declared.argument == name and all(
                track.run in declared.by_run and same(declared.by_run[track.run], value)
                for track, value in zip(tracks, values, strict=True)
            ):
                return Parameter(declared.name)
        return None

    def _bind(
        self, call: Call, argument: str, values: Sequence[Json], tracks: Sequence[Track]
    ) -> Iterator[tuple[Path, Binding]]:
        equal = isinstance(values[0], dict | list) and all(same(value, values[0]) for value in values)
        if not equal and not any(map(_listed, values)):
            yield from super()._bind(call, argument, values, tracks)
            return
        # How many elements a list has is no more than these runs show: it is bound or given as a whole.
        bound = self._again(argument, values, tracks) if equal else self._explain(argument, values, tracks)
        yield (argument,), bound or self._declare(call, argument, values, tracks, (argument,))

    def _declare(
        self, call: Call, name: str, values: Sequence[Json], tracks: Sequence[Track], leaf: Path
    ) -> Binding:
        by_run: dict[int, Json] = {}
        if self._item is not None and any(
            not same(by_run.setdefault(track.run, value), value) for value, track in zip(values, tracks, strict=True)
        ):
            element, fields = self._item
            wanted = identifier(name)
            field = wanted if wanted not in fields else f"{call.tool.rpartition('__')[2]}_{wanted}"
            fields[field] = {}
            for track, value in zip(tracks, values, strict=True):
                item = track.env[element]
                assert isinstance(item, dict)
                item[field] = value
            return FromPlace(Place(element, (field,)))
        bound = super()._declare(call, name, values, tracks, leaf)
        assert isinstance(bound, Parameter)
        declared = self._state.parameters[bound.name]
        declared.hole = ""
        declared.default = self._default(declared.by_run)
        return bound

    def _default(self, by_run: Mapping[int, Json]) -> Json:
        """What the value nearly always was where nobody had said it; MISSING where there is no such value."""
        unsaid: dict[str, str] = {}
        values: dict[str, Json] = {}
        for run, value in by_run.items():
            knowledge, results = self._seen[run]
            if not knowledge.visible(value, results):
                unsaid[self._tasks[run]] = canonical(value)
                values[canonical(value)] = value
        if not unsaid:
            return MISSING
        text, count = Counter(unsaid.values()).most_common(1)[0]
        return values[text] if count >= MIN_TASKS and count >= _DEFAULT_SHARE * len(unsaid) else MISSING

    def _enough(self, runs: Iterator[int] | range) -> bool:
        return len({self._tasks[run] for run in runs}) >= MIN_TASKS


def _listed(value: Json) -> bool:
    """Whether there is a list in a value."""
    return isinstance(value, list) or (isinstance(value, dict) and any(map(_listed, value.values())))


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
