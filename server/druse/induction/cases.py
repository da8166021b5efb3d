"""One value for each state: `{"low": "P4", "normal": "P3"}[ticket["severity"]]`.

A table is learned only of what is a state (a flag, or a short word that comes again), where two states came at least
twice, and every one did unless it is called a state or a grade, no other field of the data tells the values apart as
well, and nothing simpler explains them. A state that no run had is not in the table and stops the run.
"""

from __future__ import annotations

from collections.abc import Sequence

from druse.induction.instances import Instance
from druse.induction.procedure import Cases
from druse.induction.values import MISSING, distinct, look, places_of
from druse.model import Json, typed_equal

_MAX_STATES = 6
NAMED = frozenset(
    ("status", "state", "phase", "stage", "severity", "priority", "urgency", "level", "tier", "plan", "grade")
)
_TIMES = 2  # that every state must have been seen
_MAX_WORD = 40


def cases(instances: Sequence[Instance]) -> Cases | None:
    """The table that gives the value in every instance, if there is exactly one."""
    values = [instance.value for instance in instances]
    if len(instances) < 2 * _TIMES or any(isinstance(value, dict | list) or value is None for value in values):
        return None
    if distinct(values) > _MAX_STATES:
        return None
    found: list[Cases] = []
    for place, _ in places_of(instances[0].env):
        if place.root.kind == "parameter" or not place.path:
            continue
        named = bool(NAMED.intersection(place.path[-1].lower().split("_")))
        table = _table([look(instance.env, place) for instance in instances], values, named=named)
        if table:
            found.append(Cases(place, table))
    return found[0] if len(found) == 1 else None


def _table(states: Sequence[Json], values: Sequence[Json], *, named: bool) -> tuple[tuple[Json, Json], ...]:
    """State and value, sorted by state; empty where the states do not tell the values."""
    known: dict[Json, list[Json]] = {}
    for state, value in zip(states, values, strict=True):
        if state is MISSING or not (isinstance(state, bool) or _is_word(state)):
            return ()
        known.setdefault(state, []).append(value)
    again = sum(len(part) >= _TIMES for part in known.values())
    if not 1 < len(known) <= _MAX_STATES or again < (2 if named else len(known)):
        return ()
    if any(not typed_equal(part[0], other) for part in known.values() for other in part):
        return ()
    return tuple((state, known[state][0]) for state in sorted(known, key=str))


def _is_word(state: Json) -> bool:
    return isinstance(state, str) and 0 < len(state) <= _MAX_WORD and not any(map(str.isdigit, state))
