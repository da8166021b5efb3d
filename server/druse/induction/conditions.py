"""When a step happens in some runs only: the one thing in earlier results that tells them apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations

from druse.induction.procedure import Condition
from druse.induction.values import (
    MISSING,
    ONLY,
    Env,
    Path,
    Place,
    Root,
    distinct,
    is_handle,
    is_weak,
    look,
    places_of,
    same,
)
from druse.model import Json, typed_equal

_STATUS = frozenset(("status", "state", "type", "kind", "phase", "stage", "level", "category", "priority", "severity"))
_MAX_ENUM = 40  # characters; longer texts are content, not states
_MAX_SOURCES = 4
MAX_RIVALS = 3  # conditions beside the best one that code can be asked to compare
_MIN_SEEN = 4  # cases that a test on anything else than a state must have told apart
_GENERAL = 3  # so many other values seen make `equals` a rule; fewer are checked against what was seen


def condition_for(
    taken: Sequence[Env], skipped: Sequence[Env], order: dict[str, int]
) -> tuple[Condition, tuple[Condition, ...]] | None:
    """The condition true in every `taken` and false in every `skipped` environment, and its rivals.

    Rivals are conditions on other data that do as well; code made of the condition stops where a rival disagrees.
    Two tests together are tried where no single one tells them apart. None where nothing does, or where there is too
    little evidence.
    """
    if not taken or not skipped or len(taken) + len(skipped) < 3:
        return None
    taken, skipped = _shared(taken, skipped)
    necessary = [condition for condition in _candidates(taken[0]) if all(evaluate(condition, env) for env in taken)]
    found = [condition for condition in necessary if _excludes(condition, skipped)]
    found.extend(_absences(taken, skipped))
    if not found:
        return _both(necessary, taken, skipped, order)
    ranked = sorted(found, key=lambda condition: _rank(condition, order))
    if not any(_is_plain(condition) for condition in ranked) and len(taken) + len(skipped) < _MIN_SEEN:
        return None  # of many fields, some one always tells so few cases apart
    best = _with_seen(ranked[0], taken, skipped)
    return best, tuple(_with_seen(rival, taken, skipped) for rival in _rivals(best, ranked[1:]))


def _shared(taken: Sequence[Env], skipped: Sequence[Env]) -> tuple[list[Env], list[Env]]:
    """The environments with what all of them know: the result of a step that some leave out is no test for the next."""
    roots = set[Root].intersection(*({*env} for env in (*taken, *skipped)))
    parts = (
        [{root: value for root, value in env.items() if root in roots} for env in part] for part in (taken, skipped)
    )
    return next(parts), next(parts)


def needed(
    found: tuple[Condition, tuple[Condition, ...]], used: Iterable[Place]
) -> tuple[Condition, tuple[Condition, ...]]:
    """The condition that what it guards cannot do without, if one of those found is such: data that is there.

    Of the others only states stay as rivals: that all who had it also had the same name is what few runs are like.
    """
    best, rivals = found
    paths = [(place.root, place.path) for place in used]
    for condition in (best, *rivals):
        if condition.test in ("filled", "present") and any(
            root == condition.place.root and path[: len(condition.place.path)] == condition.place.path
            for root, path in paths
        ):
            return condition, tuple(rival for rival in (best, *rivals) if rival != condition and _is_state(rival))
    return found


def _is_plain(condition: Condition) -> bool:
    """Whether people usually decide by such a thing: a state, an input, or whether there is anything at all."""
    return is_state_name(condition.place.path) or condition.test not in ("equals",)


def is_state_name(path: Path) -> bool:
    """Whether a place is by its name a state: what people decide by."""
    last = next((key for key in reversed(path) if key != ONLY), "").lower()
    return bool(_STATUS.intersection(last.split("_"))) or last.startswith(("is_", "has_")) or last == "exit_code"


def _is_state(condition: Condition) -> bool:
    return isinstance(condition.value, bool) or is_state_name(condition.place.path)


def _both(
    necessary: Sequence[Condition], taken: Sequence[Env], skipped: Sequence[Env], order: dict[str, int]
) -> tuple[Condition, tuple[Condition, ...]] | None:
    """Two states that must both hold, if exactly one pair of them explains everything.

    Each of the two must be needed: it alone turns away at least two of those that the other lets through.
    """
    tests = [c for c in necessary if c.test in ("equals", "matches") and sum(evaluate(c, env) for env in skipped) > 0]
    tests = [c for c in tests if all(look(env, c.place) is not MISSING for env in skipped)]
    pairs: list[tuple[Condition, Condition]] = []
    for left, right in combinations(sorted(tests, key=lambda condition: _rank(condition, order)), 2):
        held = [(evaluate(left, env), evaluate(right, env)) for env in skipped]
        if (True, True) not in held and held.count((True, False)) >= 2 and held.count((False, True)) >= 2:
            pairs.append((left, right))
    if len(pairs) != 1 or len(taken) < 3:
        return None
    left, right = pairs[0]
    return replace(_with_seen(left, taken, skipped), also=_with_seen(right, taken, skipped)), ()


def _rivals(best: Condition, others: Sequence[Condition]) -> list[Condition]:
    """One condition for each other thing that tells the runs apart; what follows from a part of it adds nothing."""
    found: list[Condition] = []
    for condition in others:
        place = condition.place
        known = (best.place, *(rival.place for rival in found))
        other_reading = {best.test, condition.test} == {"equals", "matches"}
        implied = any(place.root == one.root and place.path[: len(one.path)] == one.path for one in known)
        if not implied or (place == best.place and other_reading):
            found.append(condition)
    return found


def evaluate(condition: Condition, env: Env) -> bool:
    """Whether a condition is true in an environment."""
    if condition.also is not None and not evaluate(condition.also, env):
        return False
    value = look(env, condition.place)
    if condition.test == "matches":
        return condition.other is not None and same(value, look(env, condition.other))
    if condition.test == "equals":
        return value is not MISSING and typed_equal(value, condition.value)
    if condition.test == "filled":
        return bool(value) if isinstance(value, list | dict | str) else False
    if condition.test == "empty":
        return value is None or (isinstance(value, list | dict | str) and not value)
    if condition.test == "absent":
        return value is MISSING or value is None
    return value is not MISSING and value is not None


def _candidates(env: Env) -> list[Condition]:
    found: list[Condition] = _matches(env)
    for place, value in places_of(env):
        if place.root.kind == "parameter" or is_handle(value):
            continue
        text = isinstance(value, str) and 0 < len(value) <= _MAX_ENUM and not is_id(value)
        if isinstance(value, bool) or text or (isinstance(value, int) and place.path == ("exit_code",)):
            found.append(Condition(place, "equals", value))
        if isinstance(value, list | dict):
            found.append(Condition(place, "filled" if value else "empty"))
        if place.path and place.path[-1] != ONLY and value is not None:
            found.append(Condition(place, "present"))
    return found


def _matches(env: Env) -> list[Condition]:
    """Fields of the element, or of the last result, that equal something known from elsewhere."""
    known: dict[Json, list[Place]] = {}
    for place, value in places_of(env):
        if place.root.kind in ("parameter", "result") and isinstance(value, str | int) and not is_weak(value):
            known.setdefault(value, []).append(place)
    found: list[Condition] = []
    for place, value in places_of(env):
        if place.root.kind == "element" and isinstance(value, str | int) and not isinstance(value, bool):
            found.extend(Condition(place, "matches", other=other) for other in known.get(value, [])[:_MAX_SOURCES])
    return found


def _absences(taken: Sequence[Env], skipped: Sequence[Env]) -> list[Condition]:
    """Things that are there only where the step was skipped."""
    candidates = [
        Condition(place, "absent")
        for place, value in places_of(skipped[0])
        if place.path and place.path[-1] != ONLY and value is not None and place.root.kind != "parameter"
    ]
    return [c for c in candidates if all(evaluate(c, env) for env in taken) and _excludes(c, skipped)]


def is_id(text: str) -> bool:
    """Ids, dates and amounts are no states: a digit in a short text without blanks."""
    return any(letter.isdigit() for letter in text)


def _excludes(condition: Condition, skipped: Sequence[Env]) -> bool:
    if any(evaluate(condition, env) for env in skipped):
        return False
    # The opposite must have been seen, not merely be missing.
    return condition.test not in ("equals", "matches") or all(
        look(env, condition.place) is not MISSING for env in skipped
    )


def _rank(condition: Condition, order: dict[str, int]) -> tuple[object, ...]:
    last = next((key for key in reversed(condition.place.path) if key != ONLY), "")
    words = last.lower().split("_")
    return (
        {"equals": 0, "matches": 0, "filled": 1, "empty": 1, "present": 2, "absent": 2}[condition.test],
        0 if _STATUS.intersection(words) or words[0] in ("is", "has") else 1,
        0 if condition.place.root.kind == "element" else 1,
        -order.get(condition.place.root.name, 0),
        len(condition.place.path),
        condition.place,
        condition.test,
        (condition.other.root.kind != "parameter", condition.other) if condition.other else (),
    )


def _with_seen(condition: Condition, taken: Sequence[Env], skipped: Sequence[Env]) -> Condition:
    if condition.test != "equals" or isinstance(condition.value, bool):
        return condition
    others: list[Json] = []
    for env in skipped:
        value = look(env, condition.place)
        if isinstance(value, str | int | float) or value is None:
            if not any(typed_equal(value, other) for other in others):
                others.append(value)
        else:
            return condition
    if distinct(others) >= _GENERAL:
        return condition
    seen = sorted([condition.value, *others], key=str)
    return replace(condition, seen=tuple(seen))
