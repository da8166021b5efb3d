"""Arithmetic and transforms under the strict rule: at least three different values, all runs agreeing.

One table of operations; an operation is tried on every pair of places that could be its operands and kept only if no
other pair does as well, so that an accident among many numbers is refused rather than believed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

from druse.induction.instances import Instance
from druse.induction.procedure import Computed
from druse.induction.values import Place, distinct, look, places_of, same
from druse.model import Json

_MIN_DIFFERENT = 3
_MAX_NUMBERS = 60
_FACTORS = frozenset((*range(2, 13), 24, 60, 100, 1000, 3600, 86400))  # what people multiply by

TEXT_OPERATIONS: dict[str, Callable[[str], Json]] = {
    "lower": str.lower,
    "upper": str.upper,
    "title": str.title,
    "strip": str.strip,
    "text": str,
    "date": lambda text: text[:10],
}


def computed(instances: Sequence[Instance]) -> Computed | None:
    """The one operation that explains the value in every instance, if there is exactly one."""
    if distinct([instance.value for instance in instances]) < _MIN_DIFFERENT:
        return None
    found = _transformed(instances) or _measured(instances) or _scaled_place(instances) or _arithmetic(instances)
    return found


def apply(operation: str, operands: Sequence[Json], constant: Json = None) -> Json:
    """Evaluate an operation. Raises TypeError or ValueError for operands it is not made for."""
    first = operands[0]
    if operation in TEXT_OPERATIONS and isinstance(first, str):
        if operation == "date" and not (len(first) > 10 and first[4:5] == "-" and first[10] in "T "):
            raise ValueError("not a timestamp")
        return TEXT_OPERATIONS[operation](first)
    if operation == "text" and isinstance(first, int) and not isinstance(first, bool):
        return str(first)
    if operation == "int" and isinstance(first, str) and first.isdecimal():
        return int(first)
    if operation == "len" and isinstance(first, list):
        return len(first)
    if operation == "sum" and isinstance(first, list):
        return _sum(first, str(constant))
    if operation in ("plus", "times", "times_whole"):
        return _scaled(operation, first, constant)
    numbers = [value for value in operands if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == 2:
        left, right = numbers
        value = {"add": left + right, "subtract": left - right, "multiply": left * right}.get(operation)
        if value is not None:
            return round(value, 2) if isinstance(value, float) else value
    raise TypeError(f"{operation} cannot be applied")


def _scaled(operation: str, first: Json, constant: Json) -> Json:
    """A number and a constant; `times_whole` is the whole number nearest to the product (an amount in cents)."""
    if not _is_number(first) or not _is_number(constant):
        raise TypeError("not a number")
    assert isinstance(first, int | float) and isinstance(constant, int | float)
    value = first + constant if operation == "plus" else first * constant
    if operation == "times_whole":
        return round(value)
    return round(value, 2) if isinstance(value, float) else value


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _sum(elements: Sequence[Json], key: str) -> Json:
    numbers: list[int | float] = []
    for element in elements:
        value = element.get(key) if key and isinstance(element, dict) else element
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError("not a number")
        numbers.append(value)
    total = sum(numbers)
    return round(total, 2) if isinstance(total, float) else total


def _agree(instances: Sequence[Instance], operation: str, places: tuple[Place, ...], constant: Json = None) -> bool:
    for instance in instances:
        operands = [look(instance.env, place) for place in places]
        try:
            value = apply(operation, operands, constant)
        except (TypeError, ValueError, OverflowError):
            return False
        if not same(value, instance.value):
            return False
    return True


def _transformed(instances: Sequence[Instance]) -> Computed | None:
    if not all(isinstance(instance.value, str | int) for instance in instances):
        return None
    for operation in (*TEXT_OPERATIONS, "int"):
        for place, value in places_of(instances[0].env):
            if isinstance(value, str | int) and _agree(instances, operation, (place,)):
                return Computed(operation, (place,))
    return None


def _measured(instances: Sequence[Instance]) -> Computed | None:
    if not all(isinstance(instance.value, int | float) for instance in instances):
        return None
    found: list[Computed] = []
    for place, value in places_of(instances[0].env):
        if not isinstance(value, list):
            continue
        # The results of a loop are as many as the elements it went over; the elements are the plainer source.
        if place.root.kind != "collected" and _agree(instances, "len", (place,)):
            found.append(Computed("len", (place,)))
        keys = dict.fromkeys(key for element in value if isinstance(element, dict) for key in element)
        for key in ("", *keys):
            if _agree(instances, "sum", (place,), key):
                found.append(Computed("sum", (place,), key))
    return found[0] if len(found) == 1 else None


def _scaled_place(instances: Sequence[Instance]) -> Computed | None:
    """One number and one constant: the difference, or the whole ratio, is the same in all runs."""
    first = instances[0].value
    if not all(_is_number(instance.value) for instance in instances):
        return None
    assert isinstance(first, int | float)
    found: list[Computed] = []
    for place, value in places_of(instances[0].env):
        if not _is_number(value) or place.root.kind == "parameter":
            continue
        assert isinstance(value, int | float)
        tried = [("plus", round(first - value, 2) if isinstance(first - value, float) else first - value)]
        if value and abs(round(first / value)) in _FACTORS:
            whole = round(first / value)
            tried += [("times", whole)] + ([("times_whole", whole)] if isinstance(value, float) else [])
        for operation, constant in tried:
            different = distinct([look(item.env, place) for item in instances]) >= _MIN_DIFFERENT
            if constant and different and _agree(instances, operation, (place,), constant):
                found.append(Computed(operation, (place,), constant))
                break
    return found[0] if len(found) == 1 else None


def _arithmetic(instances: Sequence[Instance]) -> Computed | None:
    if not all(isinstance(instance.value, int | float) for instance in instances):
        return None
    numbers = [
        place
        for place, value in places_of(instances[0].env)
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    if len(numbers) > _MAX_NUMBERS:
        return None
    found: list[Computed] = []
    for left, right in combinations(numbers, 2):
        for operation in ("add", "multiply"):
            if _agree(instances, operation, (left, right)):
                found.append(Computed(operation, (left, right)))
        for pair in ((left, right), (right, left)):
            if _agree(instances, "subtract", pair):
                found.append(Computed("subtract", pair))
    return found[0] if len(found) == 1 else None
