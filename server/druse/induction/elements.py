"""What a loop goes over: the elements of a list, or of the lists inside its elements, and the steps made for each.

A stretch of steps belongs to the elements if the calls it begins with hold, in order, a value of one element after the
other: the very value, or a text with the value in it. Reads that were made together may come in any order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from druse.induction.procedure import Symbol
from druse.induction.values import MISSING, Path, Place, Root, at, look, same
from druse.model import Json, Step

_MAX_ELEMENTS = 200  # of one list are searched for what drives a loop
_MIN_TEXT = 3  # characters of a value that is looked for inside a text


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """A list, and for lists in its elements the path to them: `for order in orders: for item in order["items"]`."""

    place: Place
    inner: Path = ()


@dataclass(frozen=True, slots=True, order=True)
class Driver:
    """The argument of a loop's first call that holds `path` of an element; `inside` if only as a part of its text."""

    inside: bool
    argument: str
    path: Path


@dataclass(slots=True)
class Turn:
    """One element with the steps made for it, none where it was passed over. `scope` is the outer element, if any."""

    scope: tuple[Json, ...]
    steps: list[Step]


def elements_of(env: Mapping[Root, Json], source: Source) -> list[tuple[Json, ...]] | None:
    """The elements as (element,) or (outer, element); None where the data has no such list."""
    outer = look(env, source.place)
    if not isinstance(outer, list):
        return None
    if not source.inner:
        return [(element,) for element in outer]
    found: list[tuple[Json, ...]] = []
    for element in outer:
        inner = at(element, source.inner)
        if not isinstance(inner, list):
            return None
        found.extend((element, item) for item in inner)
    return found


def inner_lists(elements: Json) -> list[Path]:
    """Paths to lists that the elements of a list have."""
    paths: dict[Path, None] = {}
    for element in elements[:_MAX_ELEMENTS] if isinstance(elements, list) else []:
        if isinstance(element, dict):
            paths.update({(key,): None for key, value in element.items() if isinstance(value, list)})
    return list(paths)


def fields(elements: Json) -> list[Path]:
    """Paths inside the elements of a list, one or two keys deep."""
    paths: dict[Path, None] = {}
    for element in elements[:50] if isinstance(elements, list) else []:
        if isinstance(element, dict):
            for key, value in element.items():
                paths[(key,)] = None
                if isinstance(value, dict):
                    paths.update({(key, inner): None for inner in value})
    return list(paths)


def column(elements: Json, path: Path) -> Json:
    """What stands at a path in each element; MISSING where one has nothing there, or where it is no list."""
    if not isinstance(elements, list):
        return MISSING
    column: list[Json] = []
    for element in elements:
        value: Json = element
        for key in path:
            value = value.get(key, MISSING) if isinstance(value, dict) else MISSING
        if value is MISSING:
            return MISSING
        column.append(value)
    return column


def drivers(step: Step, elements: Sequence[tuple[Json, ...]]) -> list[Driver]:
    """What could tie a step to one of the elements; equality before containment."""
    found: dict[Driver, None] = {}
    for argument, value in step.arguments.items():
        for scope in elements[:_MAX_ELEMENTS]:
            for path, item in _scalars(scope[-1]):
                if same(item, value):
                    found[Driver(False, argument, path)] = None
                elif _inside(item, value):
                    found[Driver(True, argument, path)] = None
    return sorted(found, key=lambda driver: driver.inside)


def turns(
    steps: Sequence[Step], symbol: Symbol, elements: Sequence[tuple[Json, ...]], driver: Driver
) -> list[Turn] | None:
    """The steps by element; None where the calls of this symbol do not follow the list."""
    found = [Turn(scope, []) for scope in elements]
    if not steps or symbol_of(steps[0]) != symbol:
        # Nothing of the loop here: right for an empty list, and where every element was passed over.
        return None if any(symbol_of(step) == symbol for step in steps) else found
    current = -1
    for position, step in enumerate(in_order(steps, symbol, elements, driver)):
        if symbol_of(step) == symbol:
            following = next((i for i in range(current + 1, len(elements)) if holds(step, elements[i], driver)), None)
            if following is None:
                if current < 0:
                    return None
                # A later call of the same tool on something else ends the loop.
                found[current].steps.extend(steps[position:])
                return found
            current = following
        found[current].steps.append(step)
    return found


def in_order(steps: Sequence[Step], symbol: Symbol, elements: Sequence[tuple[Json, ...]], driver: Driver) -> list[Step]:
    """The steps with the reads they begin with in the order of the list, if each is of an element of its own."""
    length = next((i for i, step in enumerate(steps) if symbol_of(step) != symbol), len(steps))
    if length < 2 or not all(is_read(step) for step in steps[:length]):
        return list(steps)
    placed: list[tuple[int, Step]] = []
    for step in steps[:length]:
        fits = [index for index, scope in enumerate(elements) if holds(step, scope, driver)]
        if len(fits) != 1:
            return list(steps)
        placed.append((fits[0], step))
    if len({index for index, _ in placed}) < len(placed):
        return list(steps)
    return [*(step for _, step in sorted(placed, key=lambda pair: pair[0])), *steps[length:]]


def holds(step: Step, scope: tuple[Json, ...], driver: Driver) -> bool:
    """Whether a step is about an element."""
    value, item = step.arguments.get(driver.argument), at(scope[-1], driver.path)
    return _inside(item, value) if driver.inside else same(item, value)


def symbol_of(step: Step) -> Symbol:
    """What makes two steps alike: the tool and the names of its arguments."""
    return step.tool, tuple(sorted(step.arguments))


_READS = ("get", "list", "find", "search", "read", "fetch", "describe", "show", "lookup", "query", "count", "check")


def is_read(step: Step) -> bool:
    """Whether a step reads, by what the recorder knew or by its verb."""
    if step.effect in ("read", "write"):
        return step.effect == "read"
    return step.tool.rpartition("__")[2].lower().startswith(_READS)


_SURELY = frozenset(("get", "list", "find", "search", "read", "fetch", "describe", "show", "lookup", "query", "count"))
_CHANGING = frozenset(
    (
        *("or", "and", "create", "update", "delete", "remove", "mark", "add", "insert", "upsert", "write", "save"),
        *("clear", "lock", "unlock", "ack", "claim", "reserve", "pop", "reset", "send"),
    )
)


def surely_reads(step: Step) -> bool:
    """Whether a step changes nothing, sure enough to be left out: its server says so, or all words of its name."""
    if step.effect in ("read", "write"):
        return step.effect == "read"
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", step.tool.rpartition("__")[2]).lower()
    words = [word for word in re.split(r"[^a-z0-9]+", name) if word]
    return bool(words) and words[0] in _SURELY and not _CHANGING.intersection(words)


def _inside(item: Json, value: Json) -> bool:
    """Whether a text holds another one as words of its own."""
    if not isinstance(item, str) or not isinstance(value, str) or len(item) < _MIN_TEXT or item == value:
        return False
    start = value.find(item)
    if start < 0:
        return False
    around = value[start - 1 : start] + value[start + len(item) : start + len(item) + 1]
    return not any(letter.isalnum() for letter in around)


def _scalars(element: Json) -> Iterator[tuple[Path, Json]]:
    """An element and its fields, two keys deep."""
    yield (), element
    if isinstance(element, dict):
        for key, item in element.items():
            if not isinstance(item, dict | list):
                yield (key,), item
            elif isinstance(item, dict):
                yield from (((key, name), part) for name, part in item.items() if not isinstance(part, dict | list))
