"""Places in JSON data: where a value stands, and which places hold a given value.

A *place* is a root and a path. Roots are the results of earlier steps, the element of a loop in scope, or a parameter;
a path is keys only: a bare list index is never evidence of anything (see docs/induction.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

from druse.model import Json, typed_equal

Path: TypeAlias = "tuple[str, ...]"
ONLY = "[only]"  # the single element of a list that never held another number of elements

MAX_DEPTH = 8
MAX_PLACES = 4000


class _Missing:
    """Nothing stands there. No JSON value equals it."""


MISSING = cast("Json", _Missing())


@dataclass(frozen=True, slots=True, order=True)
class Root:
    """What a place begins at: `result` of a step, `element` of a loop, `collected` results of a loop, `parameter`."""

    kind: str
    name: str  # node id, or the parameter's name


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A value in the data known at some step."""

    root: Root
    path: Path = ()


Env: TypeAlias = "dict[Root, Json]"


def at(value: Json, path: Path) -> Json:
    """The value at a path, or MISSING."""
    for key in path:
        if key == ONLY:
            if not isinstance(value, list) or len(value) != 1:
                return MISSING
            value = value[0]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            return MISSING
    return value


def look(env: Mapping[Root, Json], place: Place) -> Json:
    """The value at a place, or MISSING."""
    if place.root not in env:
        return MISSING
    return at(env[place.root], place.path)


def walk(value: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    """Every value inside `value` that keys lead to, itself first; only lists of one element are entered."""
    yield path, value
    if len(path) >= MAX_DEPTH:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, (*path, key))
    elif isinstance(value, list) and len(value) == 1:
        yield from walk(value[0], (*path, ONLY))


def places_of(env: Mapping[Root, Json]) -> Iterator[tuple[Place, Json]]:
    """Every place of an environment with its value, at most MAX_PLACES for each root."""
    for root, value in env.items():
        for count, (path, item) in enumerate(walk(value)):
            if count >= MAX_PLACES:
                break
            yield Place(root, path), item


def same(left: Json, right: Json) -> bool:
    """Typed equality that knows MISSING."""
    return left is not MISSING and typed_equal(left, right)


def leaves(value: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    """The scalars and empty containers of an argument, each with its path; list elements by their index as text."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from leaves(item, (*path, str(index)))
    else:
        yield path, value


def leaf_at(arguments: Mapping[str, Json], path: Path) -> Json:
    """What `leaves` gave this path, or MISSING."""
    value: Json = arguments.get(path[0], MISSING)
    for key in path[1:]:
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return MISSING
    return value


def distinct(values: list[Json]) -> int:
    """How many different values there are."""
    scalars: set[tuple[type, Json]] = set()
    found: list[Json] = []
    for value in values:
        if not isinstance(value, dict | list):
            scalars.add((type(value), value))
        elif not any(typed_equal(value, other) for other in found):
            found.append(value)
    return len(scalars) + len(found)


def is_weak(value: Json) -> bool:
    """Whether equality with this value is easily a coincidence: booleans, null, small numbers, very short texts."""
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        return abs(value) < 100 and value == int(value)
    if isinstance(value, str):
        return len(value) < 3
    return not value


def is_handle(value: Json) -> bool:
    """Whether a value is, or holds, the handle of a secret (D10)."""
    if isinstance(value, str):
        return "secret://" in value
    if isinstance(value, list):
        return any(is_handle(item) for item in value)
    if isinstance(value, dict):
        return any(is_handle(item) for item in value.values())
    return False
