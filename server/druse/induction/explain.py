"""Explanations of one argument over all runs: version spaces, intersected (Mitchell; Lau; Gulwani's FlashFill).

`explain` takes the values an argument had and the environments it was given in, one for each instance, and returns the
binding that is right on all of them, or None: then the argument is a parameter. Rules of evidence: a place needs
values that differ; values that are easily equal by coincidence need three different ones or the same name; never
min/max, never a bare index; arithmetic and transforms need three different agreeing runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from druse.induction.cases import cases
from druse.induction.computed import computed
from druse.induction.conditions import MAX_RIVALS, condition_for
from druse.induction.elements import column, fields
from druse.induction.extraction import extracted
from druse.induction.instances import Instance
from druse.induction.procedure import ITEM, Binding, Constant, Each, FromPlace, Lookup, Parameter
from druse.induction.templates import template
from druse.induction.values import (
    MISSING,
    ONLY,
    Env,
    Path,
    Place,
    distinct,
    is_handle,
    is_weak,
    look,
    places_of,
    same,
)
from druse.model import Json

_SHORT_TEXT = 200  # characters; what stands in longer texts is content
_ECHO = frozenset(("arguments", "args", "params", "parameters", "input", "inputs", "request", "query", "echo"))


def explain(name: str, instances: Sequence[Instance], order: dict[str, int]) -> Binding | None:
    """The binding of an argument called `name`. `order` ranks nodes by their time: later is nearer."""
    values = [instance.value for instance in instances]
    if any(is_handle(value) for value in values):
        return _place(name, instances, order)
    if distinct(values) == 1:
        agrees = _agreeing(name, instances)
        if agrees is not None:
            return Constant(values[0], agrees, look(instances[0].env, agrees))
        measured = _measured(instances)
        return Constant(values[0], *measured) if measured else Constant(values[0])
    return (
        _place(name, instances, order)
        or _each(instances, order)
        or template(instances, lambda place: _rank(name, place, order))
        or _lookup(instances, order)
        or computed(instances)
        or extracted(instances)
        or cases(instances)
    )


def candidates(instances: Sequence[Instance]) -> list[Place]:
    """All places that hold the value in every instance."""
    first, *rest = instances
    found = [place for place, value in places_of(first.env) if same(value, first.value)]
    for instance in rest:
        found = [place for place in found if same(look(instance.env, place), instance.value)]
    return found


def _place(name: str, instances: Sequence[Instance], order: dict[str, int]) -> Binding | None:
    values = [instance.value for instance in instances]
    found = [place for place in candidates(instances) if _evident(name, place, values)]
    if not found:
        return None
    ranked = sorted(found, key=lambda place: _rank(name, place, order))
    best = ranked[0]
    if best.root.kind == "parameter" and not best.path:
        return Parameter(best.root.name)
    return FromPlace(best, tuple(_indistinct(name, best, ranked[1:])))


def _evident(name: str, place: Place, values: Sequence[Json]) -> bool:
    if place.root.kind == "element" or not any(is_weak(value) for value in values):
        return True
    return distinct(list(values)) >= 3 or (bool(place.path) and place.path[-1] == name)


def _indistinct(name: str, best: Place, others: Sequence[Place]) -> list[Place]:
    """Places in the same data, no deeper than the best one, that might mean something else on other data.

    The name settles it where exactly one of them is called as the argument is.
    """
    if best.root.kind not in ("result", "element"):
        return []
    rivals = [
        place
        for place in others
        if place.root == best.root and len(place.path) <= len(best.path) and not _ECHO.intersection(place.path)
    ]
    if best.path and best.path[-1] == name and not any(place.path and place.path[-1] == name for place in rivals):
        return []
    return rivals[:2]


def _rank(name: str, place: Place, order: dict[str, int]) -> tuple[object, ...]:
    """Which of several places a person would mean; smaller is better."""
    last = next((key for key in reversed(place.path) if key != ONLY), "")
    kind = {"element": 0, "parameter": 1}.get(place.root.kind, 2)
    return (
        bool(_ECHO.intersection(place.path)),
        kind if not (place.root.kind == "element" and place.path) else 1.5,
        0 if last == name else 1 if last and (name.endswith(last) or last.endswith(name)) else 2,
        -order.get(place.root.name, 0),
        len(place.path),
        place,
    )


def _agreeing(name: str, instances: Sequence[Instance]) -> Place | None:
    """A place that never changed either and may be the true source of a constant: it has the argument's own name, or
    the very value, if that is no everyday one.

    The generated code compares, so that data that tells the two apart ends the run before the call.
    """
    if len(instances) < 2:
        return None
    first, *rest = instances
    everyday = is_weak(first.value) or isinstance(first.value, dict | list)
    found: list[tuple[bool, int, Place]] = []
    for place, value in places_of(first.env):
        if place.root.kind not in ("result", "element") or not place.path or _ECHO.intersection(place.path):
            continue
        named = place.path[-1] == name and not isinstance(value, dict | list)
        equal = (_is_count(value) or not everyday) and same(value, first.value)
        if (named or equal) and all(same(look(item.env, place), value) for item in rest):
            found.append((not named, len(place.path), place))
    return min(found)[2] if found else None


def _measured(instances: Sequence[Instance]) -> tuple[Place, Json, str] | None:
    """What a constant may be made of though it stands nowhere itself: a part of a text, how many elements a list has.

    The texts differ from run to run, and the part that is the constant does not: other data may have another part.
    """
    value = instances[0].value
    count = _is_count(value)
    word = isinstance(value, str) and not is_weak(value) and len(value) > 3 and any(map(str.isalpha, value))
    if len(instances) < 2 or not (count or word):
        return None
    found: list[tuple[int, Place, Json, str]] = []
    for place, first in places_of(instances[0].env):
        if place.root.kind not in ("result", "element") or _ECHO.intersection(place.path):
            continue
        others = [look(item.env, place) for item in instances]
        if count and isinstance(first, list) and all(isinstance(o, list) and len(o) == value for o in others):
            found.append((len(place.path), place, value, "len"))
        elif (
            word
            and place.path
            and distinct(others) > 1
            and all(isinstance(o, str) and _part_of(str(value), o) for o in others)
        ):
            found.append((len(place.path), place, value, "in"))
    return min(found)[1:] if found else None


def _is_count(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 1


def _part_of(value: str, text: str) -> bool:
    """Whether a value stands in a short text as a part of its own."""
    start = text.find(value) if len(text) <= _SHORT_TEXT else -1
    around = text[max(0, start - 1) : start] + text[start + len(value) : start + len(value) + 1]
    return start >= 0 and len(text) > len(value) and not any(map(str.isalnum, around))


def _lists(instances: Sequence[Instance]) -> list[Place]:
    """Places that hold a list in every instance."""
    first, *rest = instances
    found = [place for place, value in places_of(first.env) if isinstance(value, list)]
    return [place for place in found if all(isinstance(look(item.env, place), list) for item in rest)]


def _each(instances: Sequence[Instance], order: dict[str, int]) -> Each | None:
    """The argument is a list: one field of every element of an earlier list."""
    if not all(isinstance(instance.value, list) for instance in instances):
        return None
    lengths = {len(instance.value) for instance in instances if isinstance(instance.value, list)}
    if max(lengths) < 2:  # a list of one may hold anything; where it is empty at times, something chose
        return _each_chosen(instances, order) if len(lengths) > 1 else None
    for place in sorted(_lists(instances), key=lambda place: (-order.get(place.root.name, 0), place)):
        for path in fields(look(instances[0].env, place)):
            if all(same(column(look(item.env, place), path), item.value) for item in instances):
                return Each(place, path)
        made = _objects(place, instances)
        if made is not None:
            return made
    return _each_chosen(instances, order)


def _objects(place: Place, instances: Sequence[Instance]) -> Each | None:
    """The argument is a list of objects, one for each element of an earlier list, made of what the element has."""
    rows: list[tuple[Json, Json]] = []
    for instance in instances:
        elements, values = look(instance.env, place), instance.value
        if not isinstance(elements, list) or not isinstance(values, list) or len(elements) != len(values):
            return None
        rows.extend(zip(elements, values, strict=True))
    made = [value for _, value in rows if isinstance(value, dict)]
    if len(made) < max(3, len(rows)) or not made[0] or any(value.keys() != made[0].keys() for value in made):
        return None
    keys: list[tuple[str, Constant | FromPlace]] = []
    for key in made[0]:
        column_of = [value[key] for value in made]
        paths = [
            path
            for path in fields([element for element, _ in rows])
            if all(same(_down(element, path), value) for (element, _), value in zip(rows, column_of, strict=True))
        ]
        if paths and (distinct(column_of) > 1 or (key,) in paths):
            paths.sort(key=lambda path: (path[-1] != key, len(path), path))
            if len(paths) > 1 and paths[0][-1] != key:
                return None  # which of two fields is meant was never told apart
            keys.append((key, FromPlace(Place(ITEM, paths[0]))))
        elif distinct(column_of) == 1 and not isinstance(column_of[0], dict | list):
            keys.append((key, Constant(column_of[0])))
        else:
            return None
    return Each(place, (), keys=tuple(keys)) if any(isinstance(part, FromPlace) for _, part in keys) else None


def _each_chosen(instances: Sequence[Instance], order: dict[str, int]) -> Each | None:
    """The argument is one field of some elements of an earlier list, in order, and a state tells which."""
    for place in sorted(_lists(instances), key=lambda place: (-order.get(place.root.name, 0), place)):
        for path in fields(look(instances[0].env, place)) or fields(look(instances[-1].env, place)):
            taken: list[Env] = []
            skipped: list[Env] = []
            fits = all(_divided(instance, place, path, taken, skipped) for instance in instances)
            if not fits or len(taken) < 3 or distinct([item.value for item in instances]) < 2:
                continue
            found = condition_for(taken, skipped, order)
            if found is not None and len(found[1]) <= MAX_RIVALS:
                return Each(place, path, found[0], found[1])
    return None


def _divided(instance: Instance, place: Place, path: Path, taken: list[Env], skipped: list[Env]) -> bool:
    """Whether the value is this field of some elements in order; sorts the elements into taken and skipped."""
    elements, values = look(instance.env, place), instance.value
    if not isinstance(elements, list) or not isinstance(values, list):
        return False
    position = 0
    for element in elements:
        env = {**instance.env, ITEM: element}
        if position < len(values) and same(_down(element, path), values[position]):
            taken.append(env)
            position += 1
        else:
            skipped.append(env)
    return position == len(values)


def _lookup(instances: Sequence[Instance], order: dict[str, int]) -> Lookup | None:
    """An element selected by a key whose value is known, in a list of objects or a mapping."""
    if distinct([instance.value for instance in instances]) < 2:
        return None
    return _lookup_in_list(instances, order) or _lookup_in_mapping(instances, order)


def _lookup_in_list(instances: Sequence[Instance], order: dict[str, int]) -> Lookup | None:
    for place in sorted(_lists(instances), key=lambda place: (-order.get(place.root.name, 0), place)):
        elements = look(instances[0].env, place)
        for path in fields(elements):
            chosen = [_chosen(look(item.env, place), path, item.value) for item in instances]
            if any(element is None for element in chosen):
                continue
            for key in dict.fromkeys(key for element in chosen if element for key in element):
                if (key,) == path:
                    continue
                known = _known_key(place, key, chosen, instances, order)
                if known is not None:
                    return Lookup(place, key, known, path)
    return None


def _chosen(elements: Json, path: Path, value: Json) -> dict[str, Json] | None:
    """The one element whose field has the value; None where there is none or several."""
    if not isinstance(elements, list):
        return None
    found = [element for element in elements if isinstance(element, dict) and same(_down(element, path), value)]
    return found[0] if len(found) == 1 else None


def _down(value: Json, path: Path) -> Json:
    current: Json = value
    for key in path:
        if not isinstance(current, dict) or key not in current:
            return MISSING
        current = current[key]
    return current


def _known_key(
    place: Place,
    key: str,
    chosen: Sequence[dict[str, Json] | None],
    instances: Sequence[Instance],
    order: dict[str, int],
) -> Constant | FromPlace | Parameter | None:
    keyed: list[Instance] = []
    others = 0
    for element, instance in zip(chosen, instances, strict=True):
        if element is None or key not in element or isinstance(element[key], dict | list):
            return None
        elements = look(instance.env, place)
        if not isinstance(elements, list):
            return None
        others += len(elements) - 1
        if sum(isinstance(item, dict) and same(item.get(key, MISSING), element[key]) for item in elements) != 1:
            return None
        env = {root: value for root, value in instance.env.items() if root != place.root}
        keyed.append(Instance(element[key], env, instance.run))
    if others < 3:  # with hardly anything else to choose from, any key would do
        return None
    values = [item.value for item in keyed]
    if distinct(values) == 1:
        # A constant key needs more than one list to have told it from an accident.
        return Constant(values[0]) if isinstance(values[0], str | bool) and len(keyed) >= 3 else None
    bound = _place(key, keyed, order)
    return bound if isinstance(bound, FromPlace | Parameter) else None


def _lookup_in_mapping(instances: Sequence[Instance], order: dict[str, int]) -> Lookup | None:
    first = instances[0]
    for place, value in places_of(first.env):
        if not isinstance(value, dict) or len(value) < 2:
            continue
        for entry in value.values():
            for path in [(), *([(inner,) for inner in entry] if isinstance(entry, dict) else [])]:
                if not same(_down(entry, path), first.value):
                    continue
                known = _known_entry(place, path, instances, order)
                if known is not None:
                    return Lookup(place, "", known, path)
                break
    return None


def _known_entry(
    place: Place, path: Path, instances: Sequence[Instance], order: dict[str, int]
) -> FromPlace | Parameter | None:
    keyed: list[Instance] = []
    for instance in instances:
        mapping = look(instance.env, place)
        if not isinstance(mapping, dict):
            return None
        keys = [key for key, entry in mapping.items() if same(_down(entry, path), instance.value)]
        if len(keys) != 1:
            return None
        env = {root: value for root, value in instance.env.items() if root != place.root}
        keyed.append(Instance(keys[0], env, instance.run))
    if distinct([item.value for item in keyed]) < 2:
        return None
    bound = _place("", keyed, order)
    return bound if isinstance(bound, FromPlace | Parameter) else None
