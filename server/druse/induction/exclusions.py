"""What a program is kept from because one run went another way: everything that told that run apart from the rest.

Nobody knows whether the run was a mistake or the only one of a rare kind. Whatever was known in it before it went its
own way, and was not so in any other run, may have been the reason: the program stops there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from druse.induction.conditions import is_id, is_state_name
from druse.induction.guards import GRADES, TELLING
from druse.induction.procedure import Exclusion
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
from druse.model import Json

MAX_EXCLUSIONS = 12
_MAX_STATE = 40  # characters; longer texts are content
_GENERAL = 3  # so many other values seen make it enough to keep from the odd one
_MAX_PAIRS = 3  # equalities that broke, of any two answers
_KINDS = ("result", "element", "parameter")


def telling(odd: Sequence[Env], others: Sequence[Env]) -> list[Exclusion]:
    """Tests that hold in all the others and in none of the odd moments' circumstances, the plainest first."""
    if not others:
        return []
    found: dict[Exclusion, None] = {}
    for env in odd:
        roots = {root for root in env if root.kind in _KINDS and all(root in other for other in others)}
        own = {root: value for root, value in env.items() if root in roots}
        for exclusion in (*_single(own, others), *_absent(own, others), *_unequal(own, others)):
            found[exclusion] = None
    return sorted(found, key=_rank)


def _rank(exclusion: Exclusion) -> tuple[object, ...]:
    tests = ("among", "not", "filled", "empty", "missing", "there", "matches", "at_most", "at_least")
    return not _is_telling(exclusion.path), tests.index(exclusion.test), len(exclusion.place.path), exclusion.place


def _single(own: Env, others: Sequence[Env]) -> Iterator[Exclusion]:
    for place, value in places_of(own):
        if is_handle(value):
            continue
        seen = [look(env, place) for env in others]
        if place.path and place.path[-1] != ONLY and value is not None and all(v is MISSING or v is None for v in seen):
            yield Exclusion(place, "missing")
            continue
        if isinstance(value, list | dict):
            yield from _filled(place, value, seen)
            if isinstance(value, list) and len(value) != 1:
                yield from _inside(place, value, seen)
        elif not any(v is MISSING for v in seen):
            yield from _scalar(place, (), value, seen)


def _filled(place: Place, value: Json, seen: Sequence[Json]) -> Iterator[Exclusion]:
    kinds = [isinstance(v, list | dict) for v in seen]
    if all(kinds) and all(bool(v) != bool(value) for v in seen):
        yield Exclusion(place, "empty" if value else "filled")
    elif all(kinds) and isinstance(value, list):
        lengths = [len(v) for v in seen if isinstance(v, list)]
        if lengths and len(value) > max(lengths):
            yield Exclusion(place, "at_most", max(lengths), size=True)
        elif lengths and len(value) < min(lengths):
            yield Exclusion(place, "at_least", min(lengths), size=True)


def _inside(place: Place, value: Sequence[Json], seen: Sequence[Json]) -> Iterator[Exclusion]:
    """States of the elements of a list that no element had in the others."""
    if not all(isinstance(v, list) for v in seen):
        return
    known = [element for v in seen if isinstance(v, list) for element in v if isinstance(element, dict)]
    for key in dict.fromkeys(key for element in value if isinstance(element, dict) for key in element):
        if not known or not all(key in element for element in known):
            continue
        values = [element[key] for element in known]
        for element in value:
            own = element.get(key, MISSING) if isinstance(element, dict) else MISSING
            if isinstance(own, bool | str):
                yield from _scalar(place, (key,), own, values)


def _scalar(place: Place, inside: Path, value: Json, seen: Sequence[Json]) -> Iterator[Exclusion]:
    if any(same(value, other) for other in seen) or any(isinstance(other, list | dict) for other in seen):
        return
    path = (*place.path, *inside)
    repeated = distinct(list(seen)) < len(seen)
    limits = [v for v in seen if isinstance(v, int | float) and not isinstance(v, bool)]
    if isinstance(value, int | float) and not isinstance(value, bool) and len(limits) == len(seen) and not inside:
        if _is_identity(path):
            return
        if value > max(limits):
            yield Exclusion(place, "at_most", max(limits))
        elif value < min(limits):
            yield Exclusion(place, "at_least", min(limits))
        elif repeated:
            yield Exclusion(place, "not", value)
        return
    if isinstance(value, str) and (len(value) > _MAX_STATE or (is_id(value) and not _is_telling(path))):
        return
    if value is None or repeated or isinstance(value, bool) or _is_telling(path):
        known = sorted({(type(v).__name__, v) for v in seen if isinstance(v, str | bool | int | float)}, key=str)
        if len(known) < _GENERAL and len(known) == distinct(list(seen)) and not inside:
            yield Exclusion(place, "among", [v for _, v in known], odd=value)
        else:
            yield Exclusion(place, "not", value, inside=inside)


def _is_telling(path: Path) -> bool:
    """Whether people decide by such a thing, as its name says: a state, a plan, a grade."""
    last = next((key for key in reversed(path) if key != ONLY), "").lower()
    return is_state_name(path) or bool((TELLING | GRADES) & set(last.split("_")))


def _is_identity(path: Path) -> bool:
    """Whether a number by its name is one of many that mean nothing by being larger."""
    last = next((key for key in reversed(path) if key != ONLY), "").lower()
    return last in ("id", "number", "no", "phone", "zip", "version") or last.endswith(("_id", "_no", "_number", "_at"))


def _absent(own: Env, others: Sequence[Env]) -> Iterator[Exclusion]:
    """What every other one had and the odd one had not."""
    for place, value in places_of(others[0]):
        if place.root not in own or not place.path or place.path[-1] == ONLY or value is None:
            continue
        above = look(own, Place(place.root, place.path[:-1]))
        if isinstance(above, dict) and above.get(place.path[-1]) is None:
            there = [look(env, place) for env in others]
            if all(v is not MISSING and v is not None for v in there) and place.path[-1] not in above:
                yield Exclusion(place, "there")


def _unequal(own: Env, others: Sequence[Env]) -> Iterator[Exclusion]:
    """Two places that told the same in every other one and not in the odd one."""
    by_value: dict[Json, list[Place]] = {}
    for place, value in places_of({root: value for root, value in others[0].items() if root in own}):
        if isinstance(value, str | int) and not is_weak(value):
            by_value.setdefault(value, []).append(place)
    counts: dict[tuple[Root, Root], int] = {}
    for alike in by_value.values():
        for one, other in itertools.combinations(alike[:6], 2):
            pair = one.root, other.root
            left, right = look(own, one), look(own, other)
            if left is MISSING or right is MISSING or same(left, right) or counts.get(pair, 0) >= _MAX_PAIRS:
                continue
            if all(same(look(env, one), look(env, other)) for env in others):
                counts[pair] = counts.get(pair, 0) + 1
                yield Exclusion(one, "matches", other=other)
