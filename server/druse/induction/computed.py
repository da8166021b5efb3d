"""Arithmetic and transforms under the strict rule: at least three different values, all runs agreeing.

One table of operations; an operation is tried on every pair of places that could be its operands and kept only if no
other pair does as well, so that an accident among many numbers is refused rather than believed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from itertools import combinations

from druse.induction.instances import Instance
from druse.induction.procedure import Computed
from druse.induction.values import Place, distinct, look, places_of, same
from druse.model import Json

_MIN_DIFFERENT = 3
_MIN_JOINED = 2  # runs whose list had two texts, or nothing shows what stands between
_BETWEEN = (", ", ",", "; ", ";", " ", "\n", "|", " | ", " and ", "-")
_LARGE = 10  # a number that shows a factor of two or three digits
_DATE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?)?$")
_MAX_NUMBERS = 60
_FACTORS = frozenset((*range(2, 13), 24, 60, 100, 1000, 3600, 86400))  # what people multiply by

TEXT_OPERATIONS: dict[str, Callable[[str], Json]] = {
    "lower": str.lower,
    "upper": str.upper,
    "title": str.title,
    "strip": str.strip,
    "text": str,
    "date": lambda text: text[:10],
    "compact": lambda text: text.replace(" ", ""),
    "slug": lambda text: text.lower().replace(" ", "-"),
    "underscored": lambda text: text.lower().replace(" ", "_"),
    "before_at": lambda text: _cut(text, "@", 0),
    "after_at": lambda text: _cut(text, "@", 1),
    "first_word": lambda text: _cut(text, " ", 0),
    "after_slash": lambda text: _cut(text, "/", -1),
}


def _cut(text: str, mark: str, part: int) -> str:
    """One part of a text that a mark divides; a text without it has no parts."""
    if mark not in text.strip():
        raise ValueError("not divided")
    return text.rsplit(mark, 1)[1] if part < 0 else text.split(mark, 1)[part]


def computed(instances: Sequence[Instance]) -> Computed | None:
    """The one operation that explains the value in every instance, if there is exactly one."""
    if distinct([instance.value for instance in instances]) < _MIN_DIFFERENT:
        return None
    return (
        _transformed(instances)
        or _listed(instances)
        or _later(instances)
        or _measured(instances)
        or _scaled_place(instances)
        or _arithmetic(instances)
    )


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
    if operation == "join" and isinstance(first, list):
        return _joined(first, str(constant))
    if operation in DATED and isinstance(first, str) and isinstance(constant, int):
        return DATED[operation](first, constant)
    if operation == "counted" and isinstance(first, list) and isinstance(constant, list):
        step, start = (part if isinstance(part, int) else 0 for part in constant)
        return len(first) * step + start
    if operation == "divide" and _is_number(first) and isinstance(constant, int):
        assert isinstance(first, int | float)
        return first / constant
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


def _joined(elements: Sequence[Json], how: str) -> str:
    """The texts of a list, or of one key of its elements; `how` is the key and what stands between, see `_listed`."""
    key, _, between = how.partition("\n")
    words = [element.get(key) if key and isinstance(element, dict) else element for element in elements]
    texts = [word for word in words if isinstance(word, str)]
    if len(texts) < len(words):
        raise TypeError("not a text")
    return between.join(texts)


def _days(text: str, days: int) -> str:
    return (date.fromisoformat(text[:10]) + timedelta(days=days)).isoformat()


def _minutes(text: str, minutes: int) -> str:
    if len(text) <= 10:
        raise ValueError("not a time")
    return (datetime.fromisoformat(text) + timedelta(minutes=minutes)).isoformat()


# A date, or a time, some fixed time later or earlier, written as it was.
DATED: dict[str, Callable[[str, int], str]] = {"days": _days, "minutes": _minutes}


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


def _listed(instances: Sequence[Instance]) -> Computed | None:
    """The texts of a list in one text, with the same words between them; some run must have two."""
    if not all(isinstance(instance.value, str) for instance in instances):
        return None
    found: list[Computed] = []
    for place, value in places_of(instances[0].env):
        if not isinstance(value, list) or place.root.kind == "collected":
            continue
        lists = [look(instance.env, place) for instance in instances]
        if sum(isinstance(part, list) and len(part) > 1 for part in lists) < _MIN_JOINED:
            continue
        keys = dict.fromkeys(key for element in value if isinstance(element, dict) for key in element)
        for key in keys or ("",):
            how = [f"{key}\n{between}" for between in _BETWEEN]
            found += [Computed("join", (place,), one) for one in how if _agree(instances, "join", (place,), one)]
    return found[0] if len(found) == 1 else None


def _later(instances: Sequence[Instance]) -> Computed | None:
    """A date or time that is always as long after, or before, one other."""
    if not all(isinstance(instance.value, str) and _DATE.match(instance.value) for instance in instances):
        return None
    value = str(instances[0].value)
    operation, unit = ("days", timedelta(days=1)) if len(value) == 10 else ("minutes", timedelta(minutes=1))
    found: list[Computed] = []
    for place, text in places_of(instances[0].env):
        if not isinstance(text, str) or not _DATE.match(text) or (operation == "minutes" and len(text) == 10):
            continue
        try:
            own = slice(None, 10 if operation == "days" else None)
            apart = (datetime.fromisoformat(value) - datetime.fromisoformat(text[own])) / unit
        except (ValueError, TypeError):
            continue
        if apart and apart.is_integer() and _agree(instances, operation, (place,), int(apart)):
            found.append(Computed(operation, (place,), int(apart)))
    texts = {tuple(str(look(instance.env, one.operands[0]))[:16] for instance in instances) for one in found}
    return found[0] if len(texts) == 1 else None  # one date that stands in two places is one source


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
        tried += [("divide", factor) for factor in (10, 60, 100, 1000, 3600, 1024) if same(value / factor, first)]
        rate = _rate(instances, place)
        tried += [("times", rate)] if rate else []
        for operation, constant in tried:
            different = distinct([look(item.env, place) for item in instances]) >= _MIN_DIFFERENT
            if constant and different and _agree(instances, operation, (place,), constant):
                found.append(Computed(operation, (place,), constant))
                break
    return found[0] if len(found) == 1 else None


def _rate(instances: Sequence[Instance], place: Place) -> float | None:
    """The plain factor, 1.19 or 0.2, that makes amounts of the numbers at a place; found where they are largest."""
    pairs = [(look(instance.env, place), instance.value) for instance in instances]
    numbers = [(known, value) for known, value in pairs if _is_number(known) and isinstance(value, float) and known]
    if len(numbers) < len(pairs):
        return None
    known, value = max(numbers, key=lambda pair: abs(float(str(pair[0]))))
    rate = round(value / float(str(known)), 3)
    return rate if rate and abs(float(str(known))) >= _LARGE and not rate.is_integer() else None


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
