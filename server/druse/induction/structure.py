"""From runs to a program: alignment, loops by demonstration, optional steps.

All runs are walked at once. At each position either every run makes the same call (a `Call`), or a stretch of like
calls follows the elements of an earlier list (a `Loop`; Rousillon's "relation"), or some runs make a call that others
leave out and something known tells them apart (a `Choice`). What fits none of these ends the program: the part before
is kept and the reason is told.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from druse.induction.commands import (
    beginning,
    common_ends,
    is_command,
    kind_of,
    may_vary,
    named_kind,
    noun_of,
    reason_of,
    shown,
)
from druse.induction.conditions import MAX_RIVALS, condition_for, needed
from druse.induction.elements import Driver, Source, Turn, drivers, elements_of, inner_lists, is_read, symbol_of, turns
from druse.induction.explain import explain
from druse.induction.guards import places
from druse.induction.instances import Instance
from druse.induction.naming import Names, identifier, plural, result_name
from druse.induction.procedure import (
    Binding,
    Block,
    Call,
    Choice,
    Condition,
    Constant,
    Declared,
    FromPlace,
    Given,
    Lookup,
    Loop,
    Node,
    Parameter,
    Repeat,
    Symbol,
    Template,
)
from druse.induction.repeats import repeat_of
from druse.induction.values import Env, Path, Place, Root, distinct, is_weak, leaves, look, places_of, same
from druse.model import Json, Step, canonical, typed_equal

_MAX_LOOP_BODY = 12
_MIN_RUNS = 2  # runs that must have used an input
_MANY_RUNS = 5  # that had the same of what their users said make it a constant; before, it is an input with a default
_RARE = 4  # runs that make a step from which a single one that does not is no evidence of a choice
_LOOK_AHEAD = 6  # how far a read may be moved to meet the other runs


class Unexplained(Exception):
    """The runs cannot be one program from here on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Track:
    """One run (or one turn of a loop) on its way through the program."""

    steps: list[Step]
    env: Env
    run: int
    last: Step | None = None  # the step made before

    @property
    def head(self) -> Symbol | None:
        """The symbol of the next step."""
        return symbol_of(self.steps[0]) if self.steps else None


@dataclass(slots=True)
class State:
    """What an attempt adds and a failed attempt takes back."""

    parameters: dict[str, Declared] = field(default_factory=dict[str, Declared])
    values: dict[int, Env] = field(default_factory=dict[int, Env])  # parameters of each run
    order: dict[str, int] = field(default_factory=dict[str, int])
    next_id: int = 0

    def copy(self) -> State:
        return State(
            dict(self.parameters), {run: dict(env) for run, env in self.values.items()}, dict(self.order), self.next_id
        )


class Builder:
    """Builds the program of some runs. `texts` is what the caller said in each run: it tells inputs from choices."""

    def __init__(self, runs: Sequence[Sequence[Step]], texts: Sequence[str]) -> None:
        self._runs = runs
        self._texts = texts
        self._state = State(values={number: {} for number in range(len(runs))})
        self.reasons: list[str] = []
        self._loop_failure = ""  # why the last loop that was tried could not be one

    @property
    def parameters(self) -> dict[str, Declared]:
        """The parameters found, in order of first use."""
        return self._state.parameters

    def build(self) -> tuple[Block, int]:
        """The program and how many steps of the first run it leaves out at the end."""
        tracks = [Track(list(steps), {}, number) for number, steps in enumerate(self._runs)]
        block: Block = []
        try:
            for node in self._nodes(tracks, depth=0):
                block.append(node)
        except Unexplained as stop:
            self.reasons.append(stop.reason)
            if self._loop_failure:
                self.reasons.append(f"a loop was tried: {self._loop_failure}")
        return block, max(len(track.steps) for track in tracks)

    def _nodes(self, tracks: list[Track], *, depth: int) -> Iterator[Node]:
        while any(track.steps for track in tracks):
            heads = {track.head for track in tracks}
            loop = self._loop(tracks, depth) or self._given_loop(tracks, depth) if depth < 3 else None
            if loop is not None:
                yield loop
            elif len(heads) == 1:
                steps = [track.steps[0] for track in tracks]
                call = self._call(tracks)
                yield call
                repeat = self._repeat(call, steps, tracks)
                if repeat is not None:
                    yield repeat
            elif self._meet(tracks):
                continue
            else:
                yield self._choice(tracks, depth)

    def _block(self, tracks: list[Track], depth: int) -> Block:
        return list(self._nodes(tracks, depth=depth))

    # calls

    def _call(self, tracks: Sequence[Track]) -> Call:
        symbol = symbol_of(tracks[0].steps[0])
        if len({track.run for track in tracks}) < _MIN_RUNS:
            raise Unexplained(f"{symbol[0]} is called in one run only, which shows nothing about what varies")
        if reason_of(symbol[0]):
            raise Unexplained(reason_of(symbol[0]))
        steps = [track.steps.pop(0) for track in tracks]
        call = Call(self._fresh("step"), symbol, {}, writes=not all(map(is_read, steps)))
        for argument in sorted(symbol[1], key=lambda name: self._is_made(name, steps, tracks)):
            values = [step.arguments[argument] for step in steps]
            words = argument == "command" and is_command(symbol[0])
            for path, binding in (self._bind_words if words else self._bind)(call, argument, values, tracks):
                asked = None if words or path != (argument,) else self._usual(call, argument, binding, tracks)
                call.bindings[path] = asked or binding
        call.bindings = {path: self._keyed(binding) for path, binding in call.bindings.items()}
        root = Root("result", call.id)
        for track, step in zip(tracks, steps, strict=True):
            track.env[root], track.last = step.result, step
        call.examples = [step.result for step in steps]
        return call

    def _keyed(self, binding: Binding) -> Binding:
        """A place under a key that all users said: with another word of theirs it is under that one."""
        usual = {part.default: name for name, part in self._state.parameters.items() if isinstance(part.default, str)}
        if not isinstance(binding, FromPlace) or not usual.keys() & set(binding.place.path):
            return binding
        root, path = binding.place.root, binding.place.path
        at = next(number for number, key in enumerate(path) if key in usual)
        return Lookup(Place(root, path[:at]), "", Parameter(usual[path[at]]), path[at + 1 :])

    def _is_made(self, argument: str, steps: Sequence[Step], tracks: Sequence[Track]) -> bool:
        """Whether a text was not said in some run: it may be made of another argument, which comes first."""
        values = [(step.arguments[argument], self._texts[track.run]) for step, track in zip(steps, tracks, strict=True)]
        return any(isinstance(value, str) and bool(text) and not _said(value, text) for value, text in values)

    def _bind(
        self, call: Call, argument: str, values: Sequence[Json], tracks: Sequence[Track]
    ) -> Iterator[tuple[Path, Binding]]:
        whole = self._explain(argument, values, tracks)
        if whole is not None:
            yield (argument,), whole
            return
        shapes = [tuple(path for path, _ in leaves(value)) for value in values]
        if isinstance(values[0], dict | list) and all(shape == shapes[0] for shape in shapes):
            for path in shapes[0]:
                parts = [part_of(value, path) for value in values]
                named = next((key for key in reversed(path) if not key.isdigit()), argument)
                binding = self._explain(named, parts, tracks)
                own = (argument, *path)
                binding = binding or self._around(call, named, parts, tracks, own)
                yield own, binding or self._declare(call, named, parts, tracks, own)
            return
        inside = self._around(call, argument, values, tracks, (argument,))
        yield (argument,), inside or self._declare(call, argument, values, tracks, (argument,))

    def _around(
        self, call: Call, name: str, values: Sequence[Json], tracks: Sequence[Track], leaf: Path
    ) -> Template | None:
        """A text in which only what the users said differs: `release/1.4.0` where they spoke of 1.4.0."""
        texts = [value for value in values if isinstance(value, str)]
        runs = [track.run for track in tracks]
        if len(texts) < len(values) or len(set(texts)) < 2 or len(set(runs)) < len(runs):
            return None
        if all(self._names(run, text) for run, text in zip(runs, texts, strict=True)):
            return None
        for left, right in _ends(texts):
            inner: list[Json] = [text[len(left) : len(text) - len(right)] for text in texts]
            words = list(zip(runs, inner, strict=True))
            if all(self._names(run, part) and not self._names(run, part, inside=True) for run, part in words):
                break
        else:
            return None
        made = self._declare(call, name, inner, tracks, leaf)
        if not isinstance(made, Parameter):
            return None
        return Template((*([left] if left else []), Place(Root("parameter", made.name)), *([right] if right else [])))

    def _bind_words(
        self, call: Call, argument: str, values: Sequence[Json], tracks: Sequence[Track]
    ) -> Iterator[tuple[Path, Binding]]:
        """A command word by word; like commands have their options in the same places."""
        first = values[0]
        assert isinstance(first, list)
        for path, _ in leaves(first):
            parts = [part_of(value, path) for value in values]
            if distinct(parts) == 1:
                yield (argument, *path), Constant(parts[0])
                continue
            texts = [part for part in parts if isinstance(part, str)]
            if not may_vary(first, int(path[0])) or len(texts) < len(parts):
                raise Unexplained(f"`{shown(call.symbol[0])}`: what it is to run differs between the runs")
            name, kind = named_kind(first, path, texts, noun_of(call.symbol[0]))
            call.kinds[(argument, *path)] = kind
            found = self._explain(name, parts, tracks)
            yield (argument, *path), found or self._part(call, name, kind, texts, tracks, (argument, *path))

    def _part(
        self, call: Call, name: str, kind: str, texts: Sequence[str], tracks: Sequence[Track], leaf: Path
    ) -> Binding:
        """A word that the caller gives: the whole of it where that was said, else the part of it that differs."""
        left, right = common_ends(texts) if kind in ("path", "test", "name", "branch") else ("", "")
        said = [self._texts[track.run] for track in tracks]
        if all(words and text in words for text, words in zip(texts, said, strict=True)):
            left, right = "", ""
        inner: list[Json] = [text[len(left) : len(text) - len(right)] for text in texts]
        whole = not left and not right
        own = kind if whole else kind_of([str(value) for value in inner], "name")
        found = None if whole else self._explain("name", inner, tracks)
        if isinstance(found, FromPlace):
            return Template((*([left] if left else []), found.place, *([right] if right else [])))
        if isinstance(found, Parameter):
            binding = found
        else:
            binding = self._declare(call, name if whole else "name", inner, tracks, leaf)
            if isinstance(binding, Parameter | Given):
                declared = self._state.parameters[binding.name]
                declared.kind, declared.command = own, shown(call.symbol[0])
        if whole:
            return binding
        if isinstance(binding, FromPlace):
            place = binding.place
        elif isinstance(binding, Parameter):
            place = Place(Root("parameter", binding.name))
        else:
            raise Unexplained(f"`{shown(call.symbol[0])}`: a part of a word comes from inside in some runs only")
        return Template((*([left] if left else []), place, *([right] if right else [])))

    def _explain(self, name: str, values: Sequence[Json], tracks: Sequence[Track]) -> Binding | None:
        instances = [
            Instance(value, {**track.env, **self._state.values[track.run]}, track.run)
            for value, track in zip(values, tracks, strict=True)
        ]
        return explain(name, instances, self._state.order)

    def _declare(self, call: Call, name: str, values: Sequence[Json], tracks: Sequence[Track], leaf: Path) -> Binding:
        by_run: dict[int, Json] = {}
        for value, track in zip(values, tracks, strict=True):
            if track.run in by_run and not same(by_run[track.run], value):
                raise Unexplained(
                    f"{call.tool}, `{'.'.join(leaf)}`: differs within one run, and nothing earlier explains it"
                )
            by_run[track.run] = value
        if len(by_run) < _MIN_RUNS:
            raise Unexplained(
                f"{call.tool}, `{'.'.join(leaf)}`: the step happens in some runs only and its value has no source"
            )
        names = Names(frozenset(self._state.parameters) | Names().reserved)
        noun = result_name(call.noun)
        parameter = names.take(identifier(name), f"{noun}_{identifier(name)}")
        hole = self._hole(by_run, tracks)
        self._state.parameters[parameter] = Declared(parameter, name, call.tool, by_run, hole, leaf)
        for run, value in by_run.items():
            self._state.values[run][Root("parameter", parameter)] = value
        return Parameter(parameter)

    def _usual(self, call: Call, name: str, binding: Binding, tracks: Sequence[Track]) -> Parameter | None:
        """An input that few runs had the same of: the users said it every time, and the next one may say another."""
        if not isinstance(binding, Constant) or len(self._runs) >= _MANY_RUNS or is_weak(binding.value):
            return None
        runs = {track.run for track in tracks}
        if isinstance(binding.value, dict | list) or not all(self._names(run, binding.value) for run in runs):
            return None
        declared = self._declare(call, name, [binding.value] * len(tracks), tracks, (name,))
        if not isinstance(declared, Parameter):
            return None
        if not any(self._names(run, binding.value, inside=True) for run in runs):
            self._state.parameters[declared.name].default = binding.value  # else it is a part of what differs
        return declared

    def _names(self, run: int, value: Json, *, inside: bool = False) -> bool:
        """Whether the user of a run said this very value as words of their own, or as a part of a longer word."""
        text = re.escape(str(value))
        pattern = rf"\w[-/@:._]{text}(?!\w)|(?<!\w){text}[-/@:._]\w" if inside else rf"(?<!\w){text}(?!\w)"
        return re.search(pattern, self._texts[run]) is not None

    def _hole(self, by_run: dict[int, Json], tracks: Sequence[Track]) -> str:
        """Why a value is a choice that the runs do not explain; empty for what the caller said or may have said."""
        told = [run for run in by_run if self._texts[run]]
        if told and all(_said(by_run[run], self._texts[run]) for run in told):
            return ""
        found = sum(_anywhere(by_run[track.run], track.env) for track in tracks)
        if found == len(tracks):
            return "a choice among values of an earlier result, which the runs do not explain"
        if told and not any(_said(by_run[run], self._texts[run]) for run in told):
            return "differs in every run, no source" if distinct(list(by_run.values())) == len(by_run) else "no source"
        return ""

    def _repeat(self, call: Call, steps: Sequence[Step], tracks: Sequence[Track]) -> Repeat | None:
        """The same call made again until its answer says that it is enough."""
        stretches = [list(itertools.takewhile(lambda step: step.tool == call.tool, track.steps)) for track in tracks]
        saved = self._state.copy()
        found = repeat_of(
            call, [step.result for step in steps], stretches, [step.arguments for step in steps], self._fresh("again")
        )
        if found is None:
            self._state = saved
            return None
        for track, step, stretch in zip(tracks, steps, stretches, strict=True):
            answers = [step.result, *(again.result for again in stretch)]
            track.env[Root("result", call.id)] = answers[-1]
            if found.pages:
                track.env[Root("collected", call.id)] = answers
            del track.steps[: len(stretch)]
        return found

    # loops

    def _loop(self, tracks: list[Track], depth: int) -> Node | None:
        heads = list(dict.fromkeys(track.head for track in tracks if track.head is not None))
        known = [self._known(track) for track in tracks]
        for symbol in heads:
            for source in self._sources(known):
                elements = [elements_of(env, source) for env in known]
                track = next(((t, e) for t, e in zip(tracks, elements, strict=True) if t.head == symbol and e), None)
                for driver in drivers(track[0].steps[0], track[1] or []) if track else []:
                    loop = self._attempt(tracks, symbol, source, driver, depth)
                    if loop is not None:
                        return loop
        return None

    def _given_loop(self, tracks: list[Track], depth: int) -> Node | None:
        """A loop over a list that the caller gave: like calls, as many as there are, on values from nowhere else."""
        heads = {track.head for track in tracks}
        symbol = next(iter(heads))
        if depth or len(heads) != 1 or symbol is None:
            return None
        for argument in symbol[1]:
            given = [_stretch(track.steps, symbol, argument) for track in tracks]
            lengths = {len(values) for values in given}
            values = [value for part in given for value in part]
            if len(lengths) < 2 or len(values) < 3 or any(distinct(part) < len(part) for part in given):
                continue
            if isinstance(given[0][0], int) and all(
                same(value, given[0][0] + number) for part in given for number, value in enumerate(part)
            ):
                continue  # counted, as pages are
            if sum(len(part) > 1 for part in given) < _MIN_RUNS or any(map(_follows, (t.steps for t in tracks))):
                continue  # one run that makes a call twice shows no list, and an answer may name the next one
            if not all(isinstance(value, str | int) and not isinstance(value, bool) for value in values):
                continue
            if any(_anywhere(value, track.env) for part, track in zip(given, tracks, strict=True) for value in part):
                continue
            if any(
                same(value, known)
                for part, track in zip(given, tracks, strict=True)
                for value in part
                for known in self._state.values[track.run].values()
            ):
                continue
            saved = self._state.copy()
            name = self._declare_list(symbol[0], argument, given, tracks)
            loop = self._attempt(
                tracks, symbol, Source(Place(Root("parameter", name))), Driver(False, argument, ()), depth
            )
            if loop is not None:
                return loop
            self._state = saved
        return None

    def _declare_list(self, tool: str, argument: str, given: Sequence[list[Json]], tracks: Sequence[Track]) -> str:
        names = Names(frozenset(self._state.parameters) | Names().reserved)
        name = names.take(plural(identifier(argument)), f"{result_name(tool)}_{plural(identifier(argument))}")
        by_run: dict[int, Json] = {track.run: values for track, values in zip(tracks, given, strict=True)}
        hole = self._hole(by_run, tracks)
        self._state.parameters[name] = Declared(name, argument, tool, by_run, hole, (argument,))
        for run, value in by_run.items():
            self._state.values[run][Root("parameter", name)] = value
        return name

    def _sources(self, known: Sequence[Env]) -> list[Source]:
        """Lists known in every track, the nearest first, then lists in their elements; some track has two elements."""
        first, *rest = known
        lists = [place for place, value in places_of(first) if isinstance(value, list)]
        lists = [place for place in lists if all(isinstance(look(env, place), list) for env in rest)]
        lists.sort(key=lambda place: (-self._state.order.get(place.root.name, 0), len(place.path), place))
        found = [Source(place) for place in lists]
        for place in lists:
            paths = dict.fromkeys(path for env in known for path in inner_lists(look(env, place)))
            found.extend(Source(place, path) for path in paths)
        return [source for source in found if self._is_filled(source, known)]

    def _is_filled(self, source: Source, known: Sequence[Env]) -> bool:
        elements = [elements_of(env, source) for env in known]
        return all(part is not None for part in elements) and any(len(part or []) > 1 for part in elements)

    def _attempt(self, tracks: list[Track], symbol: Symbol, source: Source, driver: Driver, depth: int) -> Loop | None:
        """A loop over the source, if the tracks' next steps are its turns; otherwise nothing has changed."""
        every = [turns(track.steps, symbol, elements_of(self._known(track), source) or [], driver) for track in tracks]
        if any(part is None for part in every):
            return None
        known = [part for part in every if part is not None]
        taken = sum(1 for part in known for turn in part if turn.steps)
        skipped = sum(1 for part in known for turn in part if not turn.steps)
        if taken < 3 or max(sum(1 for turn in part if turn.steps) for part in known) < 2:
            return None
        inner = {symbol_of(step) for part in known for turn in _before_last(part) for step in turn.steps}
        saved, before = self._state.copy(), [list(track.steps) for track in tracks]
        loops = [self._fresh("loop") for _ in range(2 if source.inner else 1)]
        body_tracks: list[tuple[Track, Track]] = []
        rests: list[list[Step]] = []
        for track, part in zip(tracks, known, strict=True):
            rest: list[Step] = []
            last = max((index for index, turn in enumerate(part) if turn.steps), default=-1)
            for index, turn in enumerate(part):
                own = turn.steps
                if index == last:
                    cut = next((i for i, step in enumerate(own) if i and symbol_of(step) not in inner), len(own))
                    own, rest = own[:cut], own[cut:]
                if len(own) > _MAX_LOOP_BODY * 4:
                    self._state = saved
                    return None
                scope = {Root("element", name): value for name, value in zip(loops, turn.scope, strict=True)}
                body_tracks.append((track, Track(list(own), {**track.env, **scope}, track.run)))
            rests.append(rest if last >= 0 else list(track.steps))
        try:
            body = self._block([turn for _, turn in body_tracks], depth + 1)
        except Unexplained as stop:
            self._loop_failure = stop.reason
            self._state = saved
            for track, steps in zip(tracks, before, strict=True):
                track.steps[:] = steps
            return None
        if skipped and not any(isinstance(node, Choice) for node in body):
            self._state = saved
            return None
        for track, rest in zip(tracks, rests, strict=True):
            track.steps[:] = rest
            self._collect(track, [turn for owner, turn in body_tracks if owner is track], body)
        filled = all(elements_of(self._known(track), source) for track in tracks)
        seen = [turn.scope[-1] for part in known for turn in part]
        if source.inner:
            within = Place(Root("element", loops[0]), source.inner)
            inner_loop = Loop(loops[1], within, body, always_filled=False, examples=seen)
            return Loop(loops[0], source.place, [inner_loop], filled)
        return Loop(loops[0], source.place, body, filled, examples=seen)

    def _collect(self, track: Track, turns: Sequence[Track], body: Block) -> None:
        for node in body:
            if isinstance(node, Call):
                root = Root("result", node.id)
                track.env[Root("collected", node.id)] = [turn.env[root] for turn in turns if root in turn.env]

    # optional steps

    def _meet(self, tracks: Sequence[Track]) -> bool:
        """Bring a read forward that other runs make now: reads that depend on nothing between may change places."""
        heads = [track.head for track in tracks if track.head is not None]
        if len(heads) < len(tracks):
            return False
        wanted = max(dict.fromkeys(heads), key=heads.count)
        moved = False
        for track in tracks:
            if track.head == wanted:
                continue
            ahead = track.steps[:_LOOK_AHEAD]
            index = next((i for i, step in enumerate(ahead) if symbol_of(step) == wanted), None)
            if index is None or not all(is_read(step) for step in ahead[: index + 1]):
                return False
            step = ahead[index]
            if any(_depends(step, earlier) for earlier in ahead[:index]):
                return False
            del track.steps[index]
            track.steps.insert(0, step)
            moved = True
        return moved

    def _choice(self, tracks: Sequence[Track], depth: int) -> Choice:
        heads = [track.head for track in tracks]
        for symbol in dict.fromkeys(head for head in heads if head is not None):
            taking = [track for track in tracks if track.head == symbol]
            others = [track for track in tracks if track.head != symbol]
            following = {track.head for track in others}
            if all(track.last is not None and _same_call(track.steps[0], track.last) for track in taking):
                raise Unexplained(
                    f"{shown(symbol[0])} is called again until something changes; the runs do not show until what"
                )
            if any(symbol_of(step) == symbol for track in others for step in track.steps):
                continue
            if not depth and len(others) == 1 and len(taking) >= _RARE:
                raise Unexplained(
                    f"{shown(symbol[0])} is left out in one run only, which shows nothing about when that is right"
                )
            found = condition_for([self._known(t) for t in taking], [self._known(t) for t in others], self._state.order)
            if found is None:
                continue
            if self._asked_for({track.run for track in taking}, {track.run for track in others}):
                raise Unexplained(f"the runs part ways at {shown(symbol[0])}, as the users asked for different things")
            if len(found[1]) > MAX_RIVALS:
                raise Unexplained(
                    f"the runs part ways at {shown(symbol[0])}, and too many things in earlier results tell them apart"
                )
            return self._chosen(taking, following, found, depth)
        several = " or ".join(sorted({shown(head[0]) if head else "the end" for head in heads}))
        raise Unexplained(f"the runs part ways at {several}, and nothing in earlier results tells them apart")

    def _chosen(
        self,
        taking: Sequence[Track],
        following: set[Symbol | None],
        found: tuple[Condition, tuple[Condition, ...]],
        depth: int,
    ) -> Choice:
        inner: list[Track] = []
        before = [list(track.steps) for track in taking]
        for track in taking:
            cut = next((i for i, step in enumerate(track.steps) if symbol_of(step) in following), len(track.steps))
            inner.append(Track(track.steps[:cut], track.env, track.run))
            track.steps[:] = track.steps[cut:]
        try:
            body = self._block(inner, depth)
            condition, rivals = needed(found, places(body))
            return Choice(condition, body, rivals)
        except Unexplained:
            for track, steps in zip(taking, before, strict=True):
                track.steps[:] = steps
            raise

    def _asked_for(self, taken: set[int], skipped: set[int]) -> bool:
        """Whether a word of the users, not a value of the work, tells the runs apart: then it is two workflows."""
        if taken & skipped:
            return False
        said = {run: self._words(run) for run in taken | skipped}
        common = set[str].intersection(*(said[run] for run in taken))
        return bool(common.difference(*(said[run] for run in skipped)))

    def _words(self, run: int) -> set[str]:
        values = " ".join(canonical([dict(step.arguments), step.result]) for step in self._runs[run]).casefold()
        return {word for word in re.findall(r"[^\W\d_]{3,}", self._texts[run].casefold()) if word not in values}

    def _known(self, track: Track) -> Env:
        return {**track.env, **self._state.values[track.run]}

    def _fresh(self, kind: str) -> str:
        self._state.next_id += 1
        name = f"{kind}{self._state.next_id}"
        self._state.order[name] = self._state.next_id
        return name


def _ends(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What all texts begin and end with, cut where a word ends; the longest first, and never nothing at all."""
    left, right = beginning(texts), beginning([text[::-1] for text in texts])[::-1]
    lefts = [left[:cut] for cut in range(len(left), 0, -1) if not left[cut - 1].isalnum()]
    rights = [right[cut:] for cut in range(len(right)) if not right[cut].isalnum()]
    for one, other in itertools.product([*lefts, ""], [*rights, ""]):
        if (one or other) and all(len(text) > len(one) + len(other) + 1 for text in texts):
            yield one, other


def _follows(steps: Sequence[Step]) -> bool:
    """Whether an argument of a step comes from the answer of a like step just before."""
    like = itertools.takewhile(lambda step: symbol_of(step) == symbol_of(steps[0]), steps)
    return any(_depends(step, earlier) for earlier, step in itertools.pairwise(like))


def _stretch(steps: Sequence[Step], symbol: Symbol, argument: str) -> list[Json]:
    """The values of an argument in the calls of a symbol that a run goes on with, other calls of each turn between."""
    return [step.arguments[argument] for step in itertools.takewhile(lambda step: symbol_of(step) == symbol, steps)]


def _same_call(step: Step, other: Step) -> bool:
    return step.tool == other.tool and typed_equal(dict(step.arguments), dict(other.arguments))


def _before_last(turns: Sequence[Turn]) -> list[Turn]:
    taken = [turn for turn in turns if turn.steps]
    return taken[:-1]


def part_of(value: Json, path: Path) -> Json:
    """The part of an argument at a path; list elements by their index as text."""
    for key in path:
        if isinstance(value, list):
            value = value[int(key)]
        elif isinstance(value, dict):
            value = value[key]
    return value


def _depends(step: Step, earlier: Step) -> bool:
    """Whether an argument of `step` may come from the result of `earlier`, which may also repeat what it was given."""
    own = [value for _, value in leaves(dict(earlier.arguments))]
    return any(
        _anywhere(value, {Root("result", "x"): earlier.result})
        for _, value in leaves(dict(step.arguments))
        if not any(same(value, given) for given in own)
    )


def _anywhere(value: Json, env: Env) -> bool:
    """Whether a value stands anywhere in the results, inside lists too."""
    if isinstance(value, dict | list) or value is None or isinstance(value, bool):
        return False
    stack: list[Json] = [found for root, found in env.items() if root.kind != "parameter"]
    while stack:
        current = stack.pop()
        if isinstance(current, dict):
            if isinstance(value, str) and value in current:
                return True
            stack.extend(current.values())
        elif isinstance(current, list):
            stack.extend(current)
        elif same(current, value):
            return True
    return False


def _said(value: Json, text: str) -> bool:
    if value is None or isinstance(value, bool) or value in ("", [], {}):
        return True
    if isinstance(value, dict | list):
        return all(_said(part, text) for _, part in leaves(value))
    return str(value).casefold() in text.casefold()
