"""Where an argument of a part comes from: from inside, from the caller, or what it nearly always was.

Runs that only share a shape prove less than runs of one workflow: a value is taken from inside only where enough tasks
show it in which nobody had said it, and constants that may have been a choice are not built in.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from druse.induction.evidence import Evidence, listed
from druse.induction.guards import places_in
from druse.induction.knowledge import Knowledge
from druse.induction.naming import identifier
from druse.induction.overrides import alike, named
from druse.induction.procedure import (
    Binding,
    Call,
    Cases,
    Computed,
    Constant,
    Each,
    FromPlace,
    Given,
    Lookup,
    Parameter,
    Template,
)
from druse.induction.structure import Builder, Track, part_of
from druse.induction.templates import written
from druse.induction.values import MISSING, ONLY, Path, Place, Root, is_weak, leaves, look, places_of, same
from druse.model import Json, Step, canonical

MIN_TASKS = 3  # distinct tasks that must agree before a value is taken from inside, or a default is set
_DEFAULT_SHARE = 0.8  # of the tasks where nobody had said the value
_SURE_TASKS = 10  # that must show where a read takes a value from, and none another source, to close it to the caller
_CHOSEN = frozenset(("plus", "times", "times_whole", "divide", "counted", "days", "minutes"))  # with an amount


class SourcedBuilder(Builder):
    """Takes a value from inside only on the evidence of tasks; `known` is what could be seen before each run."""

    def __init__(
        self,
        runs: Sequence[Sequence[Step]],
        texts: Sequence[str],
        known: Sequence[tuple[Knowledge, int]],
        tasks: Sequence[str],
        evidence: Evidence,
    ) -> None:
        super().__init__(runs, texts)
        self._evidence = evidence
        self._tools: dict[str, str] = {}  # node id -> tool
        self._target = ""
        self._worked_out: dict[str, FromPlace] = {}  # by argument: its source in the runs where nobody had said it
        self._seen = known
        self._tasks = tasks
        self._item: tuple[Root, dict[str, dict[int, Json]]] | None = None  # the element of a list being gathered
        self._recorded: dict[tuple[str, Path], dict[int, Json]] = {}  # by call and argument leaf: the value by run

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
    """Whether a constant in it may have been a choice: an amount that is added, the key of an element, a table.

    In runs of one workflow such a constant belongs to the work; runs that only share a shape show nothing about it.
    """
    if isinstance(found, Computed):
        return found.operation in _CHOSEN
    if isinstance(found, Cases):
        return True
    if isinstance(found, Lookup):
        return isinstance(found.known, Constant)
    return isinstance(found, Each) and found.condition is not None and found.condition.test == "equals"
