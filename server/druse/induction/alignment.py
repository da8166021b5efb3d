"""A recorded run against a program that was not made from it: where the two part, and what was known there.

An *alignment* (van der Aalst, Adriansyah and van Dongen 2012, "Replaying history on process models") pairs the calls of
a program with the steps of a run. Here a pair may differ in one argument, a call may have no step, and steps may be
left that no call makes. Only alignments with a single such deviation are looked for: a run that needs more is another
work.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from druse.induction.conditions import evaluate
from druse.induction.elements import is_read, surely_reads, symbol_of
from druse.induction.overrides import worked_out
from druse.induction.procedure import (
    Block,
    Call,
    Given,
    Loop,
    Node,
    Parameter,
    Procedure,
    Repeat,
    Template,
    calls_of,
)
from druse.induction.values import MISSING, Env, Path, Place, Root, leaf_at, look, same
from druse.model import Json, Step

_END = ""  # where a program ends, as the name of a call
_MAX_REPEATS = 500
_MAX_READS = 3  # in a row, that may be struck


@dataclass(frozen=True, slots=True)
class Moment:
    """What was known when a call of the program was due; `odd` where the run parts from the program there."""

    env: Env
    odd: bool = False


@dataclass(frozen=True, slots=True)
class Alignment:
    """One way to read a run: nothing differs, or one call is `lost`, `changed`, or some steps are `extra`."""

    kind: str  # fits | lost | changed | extra
    call: str = _END  # id of the call of the program before which the run parts from it
    tool: str = ""
    argument: Path = ()
    expected: Json = None
    got: Json = None
    extra: tuple[Step, ...] = ()
    moments: tuple[Moment, ...] = ()  # each time that call was due
    inputs: Env = field(default_factory=dict[Root, Json])
    in_order: bool = True  # the changes stand in the run in the order of the program


class _Parts(Exception):
    """The run parts from the program in a way that is not tried now."""


def align(procedure: Procedure, steps: Sequence[Step]) -> Alignment | None:
    """The simplest reading of a run with at most one deviation from the program; None if there is none."""
    for kind in ("extra", "changed", "lost"):
        if kind == "changed":  # a read too many may have been taken for one that belongs
            between = _without_reads(procedure, steps)
            if between is not None:
                return between
        walk = _Walk(procedure, steps, allow=kind)
        try:
            walk.whole()
        except _Parts:
            continue
        left = walk.left
        if walk.deviation is None and not left:
            return Alignment("fits", inputs=walk.parameters, in_order=walk.in_order)
        if walk.deviation is None and kind == "extra":
            at = walk.due_after(left[0])
            found = Alignment("extra", at, steps[left[0]].tool, extra=tuple(steps[index] for index in left))
        elif walk.deviation is not None and not left:
            found = walk.deviation
        else:
            continue
        moments = _moments(procedure, steps, found.call, allow=kind)
        moments = _all_odd(moments) if kind == "extra" else moments
        return replace(found, moments=moments, inputs=walk.parameters, in_order=walk.in_order)
    return None


def _without_reads(procedure: Procedure, steps: Sequence[Step]) -> Alignment | None:
    """The run with some reads in a row struck from it, if the rest is what the program makes."""
    for first, many in itertools.product(range(len(steps)), range(1, _MAX_READS + 1)):
        struck = steps[first : first + many]
        if len(struck) < many or not all(map(surely_reads, struck)):
            continue
        walk = _Walk(procedure, [*steps[:first], *steps[first + many :]], allow="extra")
        try:
            walk.whole()
        except _Parts:
            continue
        if not walk.left:
            return Alignment(
                "extra", "", struck[0].tool, extra=tuple(struck), inputs=walk.parameters, in_order=walk.in_order
            )
    return None


def moments_of(procedure: Procedure, steps: Sequence[Step], call: str) -> tuple[Moment, ...] | None:
    """What a run that fits the program knew each time a call was due; None if it does not fit."""
    try:
        return _moments(procedure, steps, call, allow="")
    except _Parts:
        return None


def _moments(procedure: Procedure, steps: Sequence[Step], call: str, *, allow: str) -> tuple[Moment, ...]:
    walk = _Walk(procedure, steps, allow=allow, watched=call)
    walk.whole()
    return tuple(walk.moments)


def _all_odd(moments: tuple[Moment, ...]) -> tuple[Moment, ...]:
    """The moments of a call before which steps were made that belong to nothing; nobody knows in which turn."""
    return tuple(Moment(moment.env, odd=True) for moment in moments)


@dataclass(slots=True)
class _Walk:
    """The program on the steps of a run: it looks for each call that is due, and binds inputs as it meets them."""

    procedure: Procedure
    steps: Sequence[Step]
    allow: str
    watched: str | None = None
    used: dict[int, int] = field(default_factory=dict[int, int])  # index of a step -> number of the call that made it
    due: list[str] = field(default_factory=list[str])  # the calls in the order they were due
    parameters: Env = field(default_factory=dict[Root, Json])
    moments: list[Moment] = field(default_factory=list[Moment])
    openings: Env = field(default_factory=dict[Root, Json])  # the first answers of calls that were made again
    deviation: Alignment | None = None

    @property
    def left(self) -> list[int]:
        """The steps that no call made."""
        return [index for index in range(len(self.steps)) if index not in self.used]

    @property
    def in_order(self) -> bool:
        """Whether the changes were made in the order in which the program makes them."""
        made = [number for index, number in sorted(self.used.items()) if not is_read(self.steps[index])]
        return made == sorted(made)

    def whole(self) -> None:
        """Walk the whole program. Raises _Parts where the run needs a deviation that is not allowed."""
        env: Env = {}
        self._block(self.procedure.nodes, env)
        if self.watched == _END:
            self.moments.append(Moment(self._told(env)))

    def due_after(self, index: int) -> str:
        """The first call whose step stands behind this one."""
        later = [number for step, number in self.used.items() if step > index]
        return self.due[min(later)] if later else _END

    def _known(self, env: Env) -> Env:
        return {**env, **self.parameters}

    def _told(self, env: Env) -> Env:
        """What was known, each answer as it was when the program first had it: that is where a test can stand."""
        return {**self._known(env), **{root: value for root, value in self.openings.items() if root in env}}

    def _block(self, block: Block, env: Env) -> None:
        for node in block:
            self._node(node, env)

    def _node(self, node: Node, env: Env) -> None:
        if isinstance(node, Call):
            self._call(node, env)
        elif isinstance(node, Repeat):
            self._repeat(node, env)
        elif isinstance(node, Loop):
            self._loop(node, env)
        elif evaluate(node.condition, self._known(env)):
            self._block(node.body, env)

    def _loop(self, node: Loop, env: Env) -> None:
        elements = look(self._known(env), node.source)
        if elements is MISSING and node.otherwise is not None:
            elements = worked_out(node.otherwise, self._known(env))
        gathered: dict[Root, list[Json]] = {Root("collected", call.id): [] for call in calls_of(node.body)}
        for element in elements if isinstance(elements, list) else self._unknown(node):
            inner: Env = dict(env) if element is MISSING else {**env, Root("element", node.id): element}
            self._block(node.body, inner)
            for root, value in inner.items():
                if root.kind == "result" and root not in env and Root("collected", root.name) in gathered:
                    gathered[Root("collected", root.name)].append(value)
                elif root.kind == "collected" and root not in env and isinstance(value, list):
                    gathered.setdefault(root, []).extend(value)
        env.update(gathered)

    def _unknown(self, node: Loop) -> list[Json]:
        """As many turns as the first call of the body is still made, where the list itself is not known."""
        first = calls_of(node.body)[0].symbol
        return [MISSING for index in self.left if symbol_of(self.steps[index]) == first]

    def _repeat(self, node: Repeat, env: Env) -> None:
        first = Root("result", node.first)
        if first not in env:
            raise _Parts
        answers = [env[first]]
        self.openings[first] = env[first]
        while evaluate(node.condition, env):
            self._call(node.call, env)
            if Root("result", node.call.id) not in env or len(answers) > _MAX_REPEATS:
                raise _Parts
            answers.append(env.pop(Root("result", node.call.id)))
            env[first] = answers[-1]
        if node.pages:
            env[Root("collected", node.first)] = answers

    def _call(self, call: Call, env: Env) -> None:
        self.due.append(call.id)
        alike = [index for index in self.left if symbol_of(self.steps[index]) == call.symbol]
        expected = self._expected(call, env)
        index = next(
            (i for i in alike if all(same(v, leaf_at(self.steps[i].arguments, p)) for p, v in expected.items())), None
        )
        odd = index is None
        if call.id == self.watched:
            self.moments.append(Moment(self._told(env), odd))
        if index is None:
            index = self._deviated(call, expected, alike)
        if index is None:
            return
        step = self.steps[index]
        self.used[index] = len(self.due) - 1
        for path, binding in call.bindings.items():
            self._bind(binding, leaf_at(step.arguments, path))
        env[Root("result", call.id)] = step.result

    def _expected(self, call: Call, env: Env) -> dict[Path, Json]:
        """What is known of the call's arguments; inputs not met before, and what hangs on a lost answer, are not."""
        known = self._known(env)
        made = {path: worked_out(binding, known) for path, binding in call.bindings.items()}
        free = {path for path, binding in call.bindings.items() if isinstance(binding, Given)}
        return {path: value for path, value in made.items() if value is not MISSING and path not in free}

    def _deviated(self, call: Call, expected: dict[Path, Json], alike: Sequence[int]) -> int | None:
        """The step that stands for a call that no step is equal to, None for a lost one."""
        if self.deviation is not None or self.allow not in ("changed", "lost"):
            raise _Parts
        if self.allow == "lost":
            self.deviation = Alignment("lost", call.id, call.tool)
            return None
        for index in alike:
            differing = [
                path for path, value in expected.items() if not same(value, leaf_at(self.steps[index].arguments, path))
            ]
            if len(differing) == 1:
                path = differing[0]
                got = leaf_at(self.steps[index].arguments, path)
                self.deviation = Alignment(
                    "changed", call.id, call.tool, path, expected[path], None if got is MISSING else got
                )
                return index
        raise _Parts

    def _bind(self, binding: object, value: Json) -> None:
        if value is MISSING:
            return
        if isinstance(binding, Parameter):
            self.parameters.setdefault(Root("parameter", binding.name), value)
        elif isinstance(binding, Template) and isinstance(value, str):
            self._solve(binding, value)

    def _solve(self, template: Template, value: str) -> None:
        """An input that is first met inside a text gets its value from there."""
        new = [
            place
            for place in template.parts
            if isinstance(place, Place) and place.root.kind == "parameter" and place.root not in self.parameters
        ]
        if len(new) != 1 or len([part for part in template.parts if isinstance(part, Place)]) != 1:
            return
        at = template.parts.index(new[0])
        left, right = "".join(map(str, template.parts[:at])), "".join(map(str, template.parts[at + 1 :]))
        if value.startswith(left) and value.endswith(right) and len(value) > len(left) + len(right):
            self.parameters[new[0].root] = value[len(left) : len(value) - len(right)]
