"""A program for a part of longer runs: every value it needs is worked out inside, given by the caller, or a default.

Runs of one whole workflow share their purpose; parts of longer runs share a shape only. So the evidence asked for here
is stricter where a value is taken from inside, and what no run explains is not a reason to stop but an input (partial
crystallization): a step repeated over values that come from nowhere inside becomes a loop over a list that the caller
gives, and a value that hardly ever differs becomes an input with a default.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from druse.induction.elements import column, fields, symbol_of
from druse.induction.evidence import Evidence, listed
from druse.induction.guards import places, places_in
from druse.induction.induce import Induction, induce
from druse.induction.knowledge import Knowledge
from druse.induction.naming import Names, identifier, plural
from druse.induction.overrides import alike, named, opened
from druse.induction.procedure import (
    Binding,
    Block,
    Call,
    Computed,
    Constant,
    Declared,
    Each,
    FromPlace,
    Given,
    Lookup,
    Loop,
    Node,
    Parameter,
    Repeat,
    Template,
    calls_of,
)
from druse.induction.shapes import Shape, repeats
from druse.induction.structure import Builder, State, Track, Unexplained, part_of
from druse.induction.templates import written
from druse.induction.values import MISSING, ONLY, Env, Path, Place, Root, is_weak, leaves, look, places_of, same
from druse.model import Json, Run, Step, ToolSpec, canonical

MIN_TASKS = 3  # distinct tasks that must agree before a value is taken from inside, or a default is set
_DEFAULT_SHARE = 0.8  # of the tasks where nobody had said the value
_SURE_TASKS = 10  # that must show where a read takes a value from, and none another source, to close it to the caller
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


class _PartBuilder(Builder):
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
        super().__init__(runs, texts)
        self._evidence = evidence
        self._tools: dict[str, str] = {}  # node id -> tool
        self._target = ""
        self._worked_out: dict[str, FromPlace] = {}  # by argument: its source in the runs where nobody had said it
        self._shape = list(shape)
        self._seen = known
        self._tasks = tasks
        self._item: tuple[Root, dict[str, dict[int, Json]]] | None = None
        self._recorded: dict[tuple[str, Path], dict[int, Json]] = {}  # by call and argument leaf: the value by run

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

    def _sure(self, call: Call, path: Path, binding: Binding) -> bool:
        """Whether a read takes this from inside and from nowhere else, by what many tasks show."""
        if call.writes:
            return False
        if not isinstance(binding, FromPlace) or binding.place.root.kind != "result":
            return len({self._tasks[run] for run in self._recorded[call.id, path]}) >= _SURE_TASKS
        source = self._tools.get(binding.place.root.name, "")
        agree, against = self._evidence.tally(source, binding.place.path, call.tool, named(path))
        key = next(
            (key for key in reversed(binding.place.path) if key != ONLY), named(path)
        )  # the answer itself: no key
        return not against and (agree >= _SURE_TASKS or alike(key, named(path)))

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

    def _call(self, tracks: Sequence[Track]) -> Call:
        steps = [track.steps[0] for track in tracks]
        self._target = steps[0].tool
        call = super()._call(tracks)
        self._tools[call.id] = call.tool
        for path in call.bindings:
            values = [_leaf_of(step, path) for step in steps]
            self._recorded[call.id, path] = {t.run: value for t, value in zip(tracks, values, strict=True)}
        return call

    def _explain(self, name: str, values: Sequence[Json], tracks: Sequence[Track]) -> Binding | None:
        found = super()._explain(name, values, tracks)
        if self._item is not None and isinstance(found, FromPlace) and found.place == Place(self._item[0]):
            return None  # the element is still being gathered from these very arguments
        if isinstance(found, Constant):
            return self._again(name, values, tracks)
        if found is not None:
            return self._with_doubts(found, tracks) if self._evident(found, name, values, tracks) else None
        self._worked_out.pop(name, None)
        if self._item is None and not isinstance(values[0], dict | list):
            source = self._where_unsaid(name, values, tracks)
            if source is not None:
                self._worked_out[name] = source
        return None

    def _where_unsaid(self, name: str, values: Sequence[Json], tracks: Sequence[Track]) -> FromPlace | None:
        """The place a value comes from in those runs where nobody had said it: there nobody can have given it."""
        unsaid = [number for number, track in enumerate(tracks) if not self._said(values[number], track)]
        if not 0 < len(unsaid) < len(tracks):
            return None
        hidden = [tracks[number] for number in unsaid]
        source = super()._explain(name, [values[number] for number in unsaid], hidden)
        if not isinstance(source, FromPlace) or source.place.root.kind != "result" or source.others:
            return None
        return source if self._evident(source, name, [values[number] for number in unsaid], hidden) else None

    def _said(self, value: Json, track: Track) -> bool:
        knowledge, results = self._seen[track.run]
        return knowledge.visible(value, results)

    def _evident(self, found: Binding, name: str, values: Sequence[Json], tracks: Sequence[Track]) -> bool:
        """Whether enough tasks show a source, these or all that make the two calls.

        A task in which the value had been said before shows nothing: its caller may have given it.
        """
        if isinstance(found, Parameter | FromPlace) and not self._told_apart(found, name, tracks):
            return False
        if isinstance(found, Parameter):
            return True
        if not isinstance(found, FromPlace):
            return not _is_choice(found) and self._enough(track.run for track in tracks)
        place = found.place
        if place.root.kind in ("element", "parameter"):
            return True
        source = self._tools.get(place.root.name, "")
        if place.root.kind == "result" and self._evidence.speaks_against(source, place.path, self._target, name):
            return False
        pairs = zip(values, tracks, strict=True)
        if self._enough(track.run for value, track in pairs if not self._said(value, track)):
            self._evidence.learn(source, place.path, self._target, name)
            return True
        return self._evidence.knows(source, place.path, self._target, name)

    def _told_apart(self, found: Parameter | FromPlace, name: str, tracks: Sequence[Track]) -> bool:
        """Whether enough different values tell the source from each other input of its argument name, or none does.

        `issue_number` of a comment and of a second comment, nearly always the same issue: one run in which the third
        call goes with the first of them is an accident, not a rule.
        """
        own = found.place if isinstance(found, FromPlace) else Place(Root("parameter", found.name))
        for declared in self._state.parameters.values():
            if declared.argument != name or own.root == Root("parameter", declared.name):
                continue
            told: set[str] = set()
            for track in tracks:
                value = look({**track.env, **self._state.values[track.run]}, own)
                other = declared.by_run.get(track.run, value)
                if value is not MISSING and not same(value, other):
                    told.add(canonical([value, other]))
            if 0 < len(told) < MIN_TASKS:
                return False
        return True

    def _with_doubts(self, found: Binding, tracks: Sequence[Track]) -> Binding:
        """A text with the inputs and results that never changed and whose words stand in its literal parts."""
        if not isinstance(found, Template):
            return found
        literal = " ".join(part for part in found.parts if isinstance(part, str))
        known = [{**track.env, **self._state.values[track.run]} for track in tracks]
        agrees: dict[str, tuple[Place, Json]] = {}
        for place, value in places_of(known[0]):
            text = written(value)
            if not text or is_weak(value) or not re.search(rf"(?<!\w){re.escape(text)}(?!\w)", literal):
                continue
            if text not in agrees and all(same(look(env, place), value) for env in known[1:]):
                agrees[text] = (place, value)
        return replace(found, agrees=tuple(agrees.values()))

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
        if not equal and not any(map(listed, values)):
            yield from super()._bind(call, argument, values, tracks)
            return
        # How many elements a list has is no more than these runs show: it is bound or given as a whole, unless
        # something of it comes from a result.
        bound = self._again(argument, values, tracks) if equal else self._explain(argument, values, tracks)
        inside = [] if bound is not None else self._inside(call, argument, values, tracks)
        if inside:
            yield from inside
        else:
            yield (argument,), bound or self._declare(call, argument, values, tracks, (argument,))

    def _inside(
        self, call: Call, argument: str, values: Sequence[Json], tracks: Sequence[Track]
    ) -> list[tuple[Path, Binding]]:
        """The parts of a list of one length, if a result is the source of one of them; empty otherwise."""
        paths = [tuple(path for path, _ in leaves(value)) for value in values]
        if any(path != paths[0] for path in paths) or not self._enough(track.run for track in tracks):
            return []
        before = self._state.copy()
        found = list(super()._bind(call, argument, values, tracks))
        sources = [place for _, binding in found for place in places_in(binding)]
        if any(place.root.kind in ("result", "collected") for place in sources):
            return found
        self._state = before
        return []

    def _declare(self, call: Call, name: str, values: Sequence[Json], tracks: Sequence[Track], leaf: Path) -> Binding:
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
        source = self._worked_out.pop(name, None)
        if source is not None:
            declared.derived = True
            return Given(bound.name, source)
        declared.default = self._default(call.tool, leaf, declared.by_run)
        return bound

    def _hole(self, by_run: dict[int, Json], tracks: Sequence[Track]) -> str:
        return ""  # what no run explains is an input here, and no reason to doubt

    def _default(self, tool: str, leaf: Path, by_run: Mapping[int, Json]) -> Json:
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
        seen = max(count, self._evidence.usual(tool, leaf, values[text]))
        return values[text] if seen >= MIN_TASKS and count >= _DEFAULT_SHARE * len(unsaid) else MISSING

    def _enough(self, runs: Iterable[int]) -> bool:
        return len({self._tasks[run] for run in runs}) >= MIN_TASKS


def _leaf_of(step: Step, path: Path) -> Json:
    return part_of(dict(step.arguments), path)


def _is_choice(found: Binding) -> bool:
    """Whether a constant in it may have been somebody's choice: an amount that is added, the key of an element.

    In runs of one workflow such a constant belongs to the work; runs that only share a shape show nothing about it.
    """
    if isinstance(found, Computed):
        return found.operation in ("plus", "times")
    if isinstance(found, Lookup):
        return isinstance(found.known, Constant)
    return isinstance(found, Each) and found.condition is not None and found.condition.test == "equals"


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
