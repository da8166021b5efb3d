"""A call made again and again: paging until there is no next cursor, waiting until a state changes.

After a call, the same tool is called with the same arguments, or with one more that comes from the answer before. What
goes on is told from what stops by a condition on the last answer, as for optional steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from druse.induction.conditions import MAX_RIVALS, condition_for
from druse.induction.elements import is_read, symbol_of
from druse.induction.procedure import Binding, Call, Computed, Condition, FromPlace, Repeat, Symbol
from druse.induction.values import MISSING, Env, Path, Place, Root, at, same, walk
from druse.model import Json, Step

_MIN_AGAIN = 2  # calls after the first, in all runs together


def repeat_of(
    first: Call,
    opening: Sequence[Json],
    stretches: Sequence[Sequence[Step]],
    arguments: Sequence[Mapping[str, Json]],
    id: str,
) -> Repeat | None:
    """The repetition of `first` in the runs' next steps, if they are one.

    `opening` are the results of the first call by run, `arguments` its arguments, `stretches` the calls of the same
    tool that follow it.
    """
    follow = [step for stretch in stretches for step in stretch]
    symbols = {symbol_of(step) for step in follow}
    if len(follow) < _MIN_AGAIN or len(symbols) != 1 or sum(1 for stretch in stretches if stretch) < 2:
        return None
    symbol = symbols.pop()
    answers = [[result, *(step.result for step in stretch)] for result, stretch in zip(opening, stretches, strict=True)]
    bindings = _bindings(first, symbol, arguments, stretches, answers)
    if bindings is None:
        return None
    found = _condition(first, bindings, answers)
    if found is None or len(found[1]) > MAX_RIVALS:
        return None
    paging = any(
        isinstance(b, Computed) or (isinstance(b, FromPlace) and b.place.root == Root("result", first.id))
        for b in bindings.values()
    )
    if not paging and not all(is_read(step) for step in follow):
        return None  # the same change made twice is no waiting
    again = Call(id, symbol, bindings, [step.result for step in follow], writes=first.writes)
    return Repeat(id, first.id, again, found[0], found[1], pages=paging)


def _bindings(
    first: Call,
    symbol: Symbol,
    arguments: Sequence[Mapping[str, Json]],
    stretches: Sequence[Sequence[Step]],
    answers: Sequence[Sequence[Json]],
) -> dict[Path, Binding] | None:
    """Each argument is what it was in the first call, or one place of the answer before."""
    bindings: dict[Path, Binding] = {}
    for name in symbol[1]:
        pairs = [
            (step.arguments[name], given.get(name), answer[number])
            for stretch, given, answer in zip(stretches, arguments, answers, strict=True)
            for number, step in enumerate(stretch)
        ]
        own = {path: binding for path, binding in first.bindings.items() if path[0] == name}
        if own and all(same(value, before) for value, before, _ in pairs):
            bindings.update(own)
            continue
        path = _path([(value, answer) for value, _, answer in pairs])
        if path is None:
            counted = _counted(
                first,
                [given.get(name) for given in arguments],
                [[s.arguments[name] for s in part] for part in stretches],
            )
            if counted is None:
                return None
            bindings[name,] = counted
            continue
        bindings[name,] = FromPlace(Place(Root("result", first.id), path))
    return bindings


def _counted(first: Call, begun: Sequence[Json], later: Sequence[Sequence[Json]]) -> Computed | None:
    """A number that goes up by the same with every call: of a page, or of what was read before."""
    start = begun[0]
    if isinstance(start, bool) or not isinstance(start, int) or not all(same(start, other) for other in begun):
        return None
    steps = {value - start for part in later for value in part[:1] if isinstance(value, int)}
    if len(steps) != 1:
        return None
    (step,) = steps
    if step < 1 or not any(len(part) > 1 for part in later):
        return None
    if any(not same(value, start + step * number) for part in later for number, value in enumerate(part, 1)):
        return None
    return Computed("counted", (Place(Root("collected", first.id)),), [step, start])


def _path(pairs: Sequence[tuple[Json, Json]]) -> Path | None:
    """The one place of the answers that holds the values; None where there is none, or where it does not change."""
    value, answer = pairs[0]
    found = [path for path, item in walk(answer) if path and same(item, value)]
    found = [path for path in found if all(same(at(answer, path), value) for value, answer in pairs)]
    return min(found, key=lambda path: (len(path), path)) if found else None


def _condition(
    first: Call, bindings: Mapping[Path, Binding], answers: Sequence[Sequence[Json]]
) -> tuple[Condition, tuple[Condition, ...]] | None:
    """What an answer has that is followed by another call and the last answer has not."""
    root = Root("result", first.id)
    going: list[Env] = [{root: answer} for run in answers for answer in run[:-1]]
    ended: list[Env] = [{root: run[-1]} for run in answers]
    for binding in bindings.values():
        if isinstance(binding, FromPlace) and binding.place.root == root:
            cursor = Condition(binding.place, "present")
            gone = all(_is_gone(at(env[root], binding.place.path)) for env in ended)
            return (cursor, ()) if gone else None
    return condition_for(going, ended, {})


def _is_gone(cursor: Json) -> bool:
    return cursor is MISSING or cursor is None or cursor == ""
