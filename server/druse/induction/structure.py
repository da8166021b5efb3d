"""From runs to a program: alignment, loops by demonstration, optional steps.

All runs are walked at once. At each position either every run makes the same call (a `Call`), or a stretch of like
calls follows the elements of an earlier list (a `Loop`; Rousillon's "relation"), or some runs make a call that others
leave out and something known tells them apart (a `Choice`). What fits none of these ends the program: the part before
is kept and the reason is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from druse.induction.conditions import condition_for
from druse.induction.explain import explain
from druse.induction.instances import Instance
from druse.induction.naming import Names, identifier, result_name
from druse.induction.procedure import (
    Binding,
    Block,
    Call,
    Choice,
    Condition,
    Declared,
    Loop,
    Node,
    Parameter,
    Symbol,
)
from druse.induction.values import Env, Path, Place, Root, at, distinct, leaves, look, places_of, same
from druse.model import Json, Step, canonical

_MAX_LOOP_BODY = 12
_MIN_RUNS = 2  # runs that must have used an input
_MAX_RIVALS = 3  # conditions beside the best one that code can be asked to compare
_LOOK_AHEAD = 6  # how far a read may be moved to meet the other runs
_READS = ("get", "list", "find", "search", "read", "fetch", "describe", "show", "lookup", "query", "count", "check")


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

    @property
    def head(self) -> Symbol | None:
        """The symbol of the next step."""
        return symbol_of(self.steps[0]) if self.steps else None


@dataclass(slots=True)
class _State:
    """What an attempt adds and a failed attempt takes back."""

    parameters: dict[str, Declared] = field(default_factory=dict[str, Declared])
    values: dict[int, Env] = field(default_factory=dict[int, Env])  # parameters of each run
    order: dict[str, int] = field(default_factory=dict[str, int])
    next_id: int = 0

    def copy(self) -> _State:
        return _State(
            dict(self.parameters), {run: dict(env) for run, env in self.values.items()}, dict(self.order), self.next_id
        )


def symbol_of(step: Step) -> Symbol:
    """What makes two steps alike: the tool and the names of its arguments."""
    return step.tool, tuple(sorted(step.arguments))


def is_read(step: Step) -> bool:
    """Whether a step reads, by what the recorder knew or by its verb."""
    if step.effect in ("read", "write"):
        return step.effect == "read"
    return step.tool.rpartition("__")[2].lower().startswith(_READS)


class Builder:
    """Builds the program of some runs. `texts` is what the caller said in each run: it tells inputs from choices."""

    def __init__(self, runs: Sequence[Sequence[Step]], texts: Sequence[str]) -> None:
        self._runs = runs
        self._texts = texts
        self._state = _State(values={number: {} for number in range(len(runs))})
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
            loop = self._loop(tracks, depth) if depth < 3 else None
            if loop is not None:
                yield loop
            elif len(heads) == 1:
                yield self._call(tracks)
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
        steps = [track.steps.pop(0) for track in tracks]
        call = Call(self._fresh("step"), symbol, {}, writes=not all(map(is_read, steps)))
        for argument in symbol[1]:
            values = [step.arguments[argument] for step in steps]
            for path, binding in self._bind(call, argument, values, tracks):
                call.bindings[path] = binding
        root = Root("result", call.id)
        for track, step in zip(tracks, steps, strict=True):
            track.env[root] = step.result
        call.examples = [step.result for step in steps]
        return call

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
                parts = [_part(value, path) for value in values]
                named = next((key for key in reversed(path) if not key.isdigit()), argument)
                binding = self._explain(named, parts, tracks)
                yield (argument, *path), binding or self._declare(call, named, parts, tracks, (argument, *path))
            return
        yield (argument,), self._declare(call, argument, values, tracks, (argument,))

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
        noun = result_name(call.tool)
        parameter = names.take(identifier(name), f"{noun}_{identifier(name)}")
        hole = self._hole(by_run, tracks)
        self._state.parameters[parameter] = Declared(parameter, name, call.tool, by_run, hole, leaf)
        for run, value in by_run.items():
            self._state.values[run][Root("parameter", parameter)] = value
        return Parameter(parameter)

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

    # loops

    def _loop(self, tracks: list[Track], depth: int) -> Loop | None:
        heads = list(dict.fromkeys(track.head for track in tracks if track.head is not None))
        for symbol in heads:
            for source in self._sources(tracks):
                for argument, item in self._drivers(tracks, symbol, source):
                    loop = self._attempt(tracks, symbol, source, argument, item, depth)
                    if loop is not None:
                        return loop
        return None

    def _sources(self, tracks: Sequence[Track]) -> list[Place]:
        """Lists known in every track, the nearest first; at least one of them has two elements."""
        first, *rest = tracks
        found = [place for place, value in places_of(first.env) if isinstance(value, list)]
        found = [place for place in found if all(isinstance(look(track.env, place), list) for track in rest)]
        filled = [place for place in found if any(_size(look(track.env, place)) > 1 for track in tracks)]
        return sorted(filled, key=lambda place: (-self._state.order.get(place.root.name, 0), len(place.path), place))

    def _drivers(self, tracks: Sequence[Track], symbol: Symbol, source: Place) -> list[tuple[str, Path]]:
        """Arguments of the head call that hold (a field of) an element of the list."""
        track = next((t for t in tracks if t.head == symbol and _size(look(t.env, source)) > 0), None)
        if track is None:
            return []
        elements = look(track.env, source)
        assert isinstance(elements, list)
        found: list[tuple[str, Path]] = []
        for argument, value in track.steps[0].arguments.items():
            for element in elements[:200]:
                fields = [((), element)]
                if isinstance(element, dict):
                    fields = [((key,), item) for key, item in element.items() if not isinstance(item, dict | list)]
                    fields += [
                        ((key, inner), item)
                        for key, part in element.items()
                        if isinstance(part, dict)
                        for inner, item in part.items()
                        if not isinstance(item, dict | list)
                    ]
                found.extend((argument, path) for path, item in fields if same(item, value))
        return list(dict.fromkeys(found))

    def _attempt(
        self, tracks: list[Track], symbol: Symbol, source: Place, argument: str, item: Path, depth: int
    ) -> Loop | None:
        turns = [_turns(track, symbol, source, argument, item) for track in tracks]
        if any(turn is None for turn in turns):
            return None
        known = [turn for turn in turns if turn is not None]
        taken = sum(1 for turn in known for _, steps in turn if steps)
        skipped = sum(1 for turn in known for _, steps in turn if not steps)
        if taken < 3 or max(sum(1 for _, steps in turn if steps) for turn in known) < 2:
            return None
        inner = {symbol_of(step) for turn in known for _, steps in _before_last(turn) for step in steps}
        saved, before = self._state.copy(), [list(track.steps) for track in tracks]
        loop_id = self._fresh("loop")
        element = Root("element", loop_id)
        body_tracks: list[tuple[Track, Track]] = []
        rests: list[list[Step]] = []
        for track, turn in zip(tracks, known, strict=True):
            rest: list[Step] = []
            last = max((index for index, (_, steps) in enumerate(turn) if steps), default=-1)
            for index, (value, steps) in enumerate(turn):
                own = steps
                if index == last:
                    cut = next((i for i, step in enumerate(steps) if i and symbol_of(step) not in inner), len(steps))
                    own, rest = steps[:cut], steps[cut:]
                if len(own) > _MAX_LOOP_BODY * 4:
                    self._state = saved
                    return None
                body_tracks.append((track, Track(list(own), {**track.env, element: value}, track.run)))
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
        filled = all(_size(look(track.env, source)) > 0 for track in tracks)
        return Loop(loop_id, source, body, filled)

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
            if any(symbol_of(step) == symbol for track in others for step in track.steps):
                continue
            found = condition_for([self._known(t) for t in taking], [self._known(t) for t in others], self._state.order)
            if found is None:
                continue
            if self._asked_for({track.run for track in taking}, {track.run for track in others}):
                raise Unexplained(f"the runs part ways at {symbol[0]}, as the users asked for different things")
            if len(found[1]) > _MAX_RIVALS:
                raise Unexplained(
                    f"the runs part ways at {symbol[0]}, and too many things in earlier results tell them apart"
                )
            return self._chosen(taking, following, found, depth)
        shown = " or ".join(sorted({head[0] if head else "the end" for head in heads}))
        raise Unexplained(f"the runs part ways at {shown}, and nothing in earlier results tells them apart")

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
        condition, rivals = found
        try:
            return Choice(condition, self._block(inner, depth), rivals)
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


def _turns(
    track: Track, symbol: Symbol, source: Place, argument: str, item: Path
) -> list[tuple[Json, list[Step]]] | None:
    """The track's steps by element: each element with the steps of its turn, none where it was passed over.

    None where the calls of this symbol do not follow the list in order.
    """
    elements = look(track.env, source)
    if not isinstance(elements, list):
        return None
    turns: list[tuple[Json, list[Step]]] = [(element, []) for element in elements]
    if track.head != symbol:
        # Nothing of the loop here: right for an empty list, and where every element was passed over.
        return turns if not any(symbol_of(step) == symbol for step in track.steps) else None
    current = -1
    for position, step in enumerate(track.steps):
        if symbol_of(step) == symbol:
            value = step.arguments.get(argument)
            following = next(
                (i for i in range(current + 1, len(elements)) if same(_item(elements[i], item), value)), None
            )
            if following is None:
                if position and current >= 0:
                    # A later call of the same tool on something else ends the loop.
                    turns[current][1].extend(track.steps[position:])
                    return turns
                return None
            current = following
        turns[current][1].append(step)
    return turns


def _before_last(turn: Sequence[tuple[Json, list[Step]]]) -> list[tuple[Json, list[Step]]]:
    taken = [part for part in turn if part[1]]
    return taken[:-1]


def _item(element: Json, path: Path) -> Json:
    return at(element, path)


def _size(value: Json) -> int:
    return len(value) if isinstance(value, list) else 0


def _part(value: Json, path: Path) -> Json:
    for key in path:
        if isinstance(value, list):
            value = value[int(key)]
        elif isinstance(value, dict):
            value = value[key]
    return value


def _depends(step: Step, earlier: Step) -> bool:
    """Whether an argument of `step` may come from the result of `earlier`."""
    return any(_anywhere(value, {Root("result", "x"): earlier.result}) for value in step.arguments.values())


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
