"""What the runs showed and later steps rely on, as checks between the steps."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence

from druse.induction.procedure import (
    ITEM,
    Binding,
    Block,
    Call,
    Cases,
    Choice,
    Computed,
    Condition,
    Constant,
    Each,
    Extracted,
    FromPlace,
    Given,
    Lookup,
    Loop,
    Procedure,
    Repeat,
    Template,
    calls_of,
)
from druse.induction.values import MISSING, ONLY, Path, Place, Root, at, distinct
from druse.model import Json

_STATES = frozenset(("status", "state", "phase", "stage"))
_FLAGS = frozenset(("ok", "success", "active", "enabled", "available", "valid"))
TELLING = frozenset(  # what people make the same argument for, until it is another one
    (
        *("tier", "plan", "class", "vip", "premium", "role", "membership", "category"),
        *("country", "region", "currency", "language", "locale"),
    )
)
GRADES = frozenset(("severity", "priority", "urgency", "risk", "level", "grade"))
_FEW = 2  # grades that are too few to show which flag others lead to
_ENOUGH = 3  # runs that show more than one case


def used_paths(node: str, procedure: Procedure, *, kind: str = "result") -> list[tuple[str, ...]]:
    """The paths of a result (or element) that the program reads."""
    found: dict[Path, None] = {}
    for place in (*places(procedure.nodes), *excluding(procedure)):
        if place.root == Root(kind, node):
            found[place.path] = None
        elif kind == "result" and place.root == Root("collected", node):
            found[()] = None
    for loop in _loops(procedure.nodes):
        if loop.source.root == Root("collected", node):
            for path in used_paths(loop.id, procedure, kind="element"):
                found[path] = None
    return [path for path in found if path]


def excluding(procedure: Procedure) -> Iterator[Place]:
    """Every place that is looked at because of runs that were set aside."""
    for part in procedure.exclusions:
        open_ended = part.test in ("missing", "there")
        yield Place(part.place.root, part.place.path[:-1]) if open_ended else part.place
        if part.other is not None:
            yield part.other


def shape_literal(call: Call, paths: Sequence[Path]) -> str:
    """The shape that `expect` checks after a call: the keys later steps use, with the types the runs had."""
    if not paths:
        return ""
    return _shape(call.examples, sorted(set(paths)))


def state_guards(
    call: Call, procedure: Procedure, bound: Sequence[Root], known: Collection[Root]
) -> Iterator[tuple[Place, tuple[Json, ...]]]:
    """States that a write may hang on, with the values they had: more was never shown.

    Of the data that the write takes its arguments from, states that never changed. Where an argument of the write never
    changed either, of all data read before it also what such arguments often hang on: a severity, a plan, a country.
    Two runs show so little that this holds for every write. Where a search never found anything, a write was made for
    want of it.
    """
    tested = _tested(procedure)
    fixed = [binding.value for binding in call.bindings.values() if isinstance(binding, Constant)]
    flagged = any(isinstance(value, bool) for value in fixed)
    searches = {other.id for other in calls_of(procedure.nodes) if not other.writes and _is_search(other)}
    for root, examples in _seen_before(call, procedure):
        if root not in known or not examples:
            continue
        if root.name in searches:
            yield from ((Place(root, path), ([],)) for path in _never_filled(examples))
        for path in _paths(examples[0]):
            values = [at(example, path) for example in examples]
            place, key = Place(root, path), path[-1].lower()
            if place in tested or any(value is MISSING or isinstance(value, dict | list) for value in values):
                continue
            if root in bound and key in _STATES | _FLAGS and distinct(values) == 1 and _is_state(key, values[0]):
                yield place, (values[0],)
            elif any(fixed) or flagged or len(examples) < _ENOUGH:
                words = set(key.split("_"))
                few = _FEW if flagged and GRADES & words else 1 if (GRADES | TELLING) & words else 0
                few = _FEW if few and len(examples) < _ENOUGH else few
                if distinct(values) <= few and all(
                    isinstance(value, bool) or (isinstance(value, str) and _is_state("", value)) for value in values
                ):
                    yield place, tuple(sorted(dict.fromkeys(values), key=str))


def _is_search(call: Call) -> bool:
    """Whether a call looks for something, by its verb."""
    return call.tool.rpartition("__")[2].lower().startswith(("search", "find", "list", "query", "check", "lookup"))


def _never_filled(examples: Sequence[Json]) -> list[Path]:
    """The list that an answer is, or the one it has, if it was empty in all runs."""
    paths: list[Path] = [(), *((key,) for key in (examples[0] if isinstance(examples[0], dict) else {}))]
    lists = [path for path in paths if all(isinstance(at(example, path), list) for example in examples)]
    return lists if len(lists) == 1 and not any(at(example, lists[0]) for example in examples) else []


def _tested(procedure: Procedure) -> set[Place]:
    """Places that a condition of the program looks at."""
    found: set[Place] = set()
    for node in _choices(procedure.nodes):
        for condition in (node.condition, *node.rivals):
            found |= {part.place for part in (condition, condition.also) if part is not None}
    return found


def _seen_before(call: Call, procedure: Procedure) -> Iterator[tuple[Root, Sequence[Json]]]:
    """What was known before a call, with the examples of it: results, and the elements of loops around it."""

    def before(block: Block) -> tuple[list[tuple[Root, Sequence[Json]]], bool]:
        found: list[tuple[Root, Sequence[Json]]] = []
        for node in block:
            if node is call:
                return found, True
            if isinstance(node, Call):
                found.append((Root("result", node.id), node.examples))
            elif isinstance(node, Loop | Choice):
                inner, here = before(node.body)
                if here:
                    around = [(Root("element", node.id), node.examples)] if isinstance(node, Loop) else []
                    return [*found, *around, *inner], True
        return found, False

    yield from before(procedure.nodes)[0]


def _paths(example: Json) -> list[Path]:
    """Keys of the top of a result and one level down."""
    if not isinstance(example, dict):
        return []
    paths: list[Path] = [(key,) for key in example]
    return paths + [(key, inner) for key, value in example.items() if isinstance(value, dict) for inner in value]


def _is_state(key: str, value: Json) -> bool:
    if key in _FLAGS:
        return value is True
    return isinstance(value, str) and 0 < len(value) <= 40 and not any(letter.isdigit() for letter in value)


def _shape(examples: Sequence[Json], paths: Sequence[Path]) -> str:
    keys = list(dict.fromkeys(path[0] for path in paths if path))
    if not keys or not _alike(examples, keys):
        return json.dumps(_type_of(examples))
    if keys == [ONLY]:
        inner = [example[0] for example in examples if isinstance(example, list) and len(example) == 1]
        return "[" + _shape(inner, [path[1:] for path in paths]) + ', "1"]'
    parts: list[str] = []
    for key in keys:
        if key == ONLY:
            continue
        values = [example[key] for example in examples if isinstance(example, dict) and key in example]
        deeper = [path[1:] for path in paths if path[0] == key and len(path) > 1]
        mark = "" if len(values) == len(examples) else "?"
        parts.append(f"{json.dumps(key + mark, ensure_ascii=False)}: {_shape(values, deeper)}")
    return "{" + ", ".join(parts) + "}"


def _alike(examples: Sequence[Json], keys: Sequence[str]) -> bool:
    """Whether every value seen has an inside to look at: null in some runs, or an empty list, has none."""
    if keys == [ONLY]:
        return all(isinstance(example, list) and len(example) == 1 for example in examples)
    return all(isinstance(example, dict) for example in examples)


def _type_of(values: Sequence[Json]) -> Json:
    """The type of a value in the language of `expect`."""
    if values and all(isinstance(value, list) for value in values):
        elements = [element for value in values if isinstance(value, list) for element in value]
        inner = _type_of(elements) if elements else "any"
        filled = all(value for value in values)
        return [inner, "+"] if filled else [inner]
    names = dict.fromkeys(_type_name(value) for value in values)
    if "int" in names and "float" in names:
        names = dict.fromkeys("number" if name in ("int", "float") else name for name in names)
    elif "float" in names:
        names = dict.fromkeys("number" if name == "float" else name for name in names)
    return "|".join(sorted(names)) if names else "any"


def _type_name(value: Json) -> str:
    if value is None:
        return "null"
    return {bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "dict"}[type(value)]


def places(block: Block) -> Iterator[Place]:
    """Every place that the block reads."""
    for node in block:
        if isinstance(node, Call):
            for binding in node.bindings.values():
                yield from places_in(binding)
        elif isinstance(node, Loop):
            yield node.source
            if node.otherwise is not None:
                yield from places_in(node.otherwise)
            yield from places(node.body)
        else:
            for condition in (node.condition, *node.rivals):
                yield from _condition_places(condition)
            yield from places(node.body if isinstance(node, Choice) else [node.call])
            if isinstance(node, Repeat) and node.pages:
                yield Place(Root("collected", node.first))


def _condition_places(condition: Condition) -> Iterator[Place]:
    # A test for presence reads the place above: the key itself may be missing.
    present = condition.test in ("present", "absent")
    yield Place(condition.place.root, condition.place.path[:-1]) if present else condition.place
    if condition.other is not None:
        yield condition.other
    if condition.also is not None:
        yield from _condition_places(condition.also)


def places_in(binding: Binding) -> Iterator[Place]:
    """Every place that a binding reads."""
    if isinstance(binding, FromPlace):
        yield binding.place
        yield from binding.others
    elif isinstance(binding, Template):
        yield from (part for part in binding.parts if isinstance(part, Place))
        yield from (place for place, _ in binding.agrees)
    elif isinstance(binding, Each):
        yield binding.source
        for condition in (*([binding.condition] if binding.condition else []), *binding.rivals):
            yield from (place for place in _condition_places(condition) if place.root != ITEM)
    elif isinstance(binding, Cases):
        yield binding.place
    elif isinstance(binding, Extracted):
        yield binding.source
    elif isinstance(binding, Lookup):
        yield binding.source
        if not isinstance(binding.known, Constant):
            yield from places_in(binding.known)
    elif isinstance(binding, Computed):
        yield from binding.operands
    elif isinstance(binding, Given):
        yield from places_in(binding.otherwise)
    elif isinstance(binding, Constant) and binding.agrees is not None:
        yield binding.agrees


def _loops(block: Block) -> Iterator[Loop]:
    for node in block:
        if isinstance(node, Loop):
            yield node
            yield from _loops(node.body)
        elif isinstance(node, Choice):
            yield from _loops(node.body)


def _choices(block: Block) -> Iterator[Choice]:
    for node in block:
        if isinstance(node, Call | Repeat):
            continue
        if isinstance(node, Choice):
            yield node
        yield from _choices(node.body)
