"""What all runs together show of a value or of a connection between two tools, beyond the runs of one shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from druse.induction.shapes import Stretch
from druse.induction.values import MISSING, Path, at, same
from druse.model import Json, Step, canonical

_TRUSTED = 0.9  # of the tasks that make two calls must agree with a connection between them


class Evidence:
    """What all runs together show, beyond the occurrences of one shape."""

    def __init__(self, parts: Sequence[Stretch]) -> None:
        self._unsaid: dict[tuple[str, Path, str], set[str]] = {}
        self._edges: set[tuple[str, Path, str, str]] = set()
        self._users: dict[tuple[str, str], list[Stretch]] = {}  # by tool and key in its arguments, once each
        self._tallies: dict[tuple[str, Path, str, str], tuple[int, int]] = {}
        for stretch in parts:
            for user in {(step.tool, key) for step in stretch.steps for key, _ in _keyed(dict(step.arguments))}:
                self._users.setdefault(user, []).append(stretch)
            for number, step in enumerate(stretch.steps):
                results = stretch.seen(number, 1)
                for leaf, value in _arguments(step):
                    if not stretch.knowledge.visible(value, results):
                        self._unsaid.setdefault((step.tool, leaf, canonical(value)), set()).add(stretch.task)

    def usual(self, tool: str, leaf: Path, value: Json) -> int:
        """In how many tasks an argument had this value though nobody had said it."""
        return len(self._unsaid.get((tool, leaf, canonical(value)), ()))

    def learn(self, source: str, path: Path, tool: str, argument: str) -> None:
        """Remember that enough tasks showed an argument to come from this place of another tool's result."""
        self._edges.add((source, path, tool, argument))

    def knows(self, source: str, path: Path, tool: str, argument: str) -> bool:
        """Whether that was learned."""
        return (source, path, tool, argument) in self._edges

    def speaks_against(self, source: str, path: Path, tool: str, argument: str) -> bool:
        """Whether more than one task, and one in ten, has both calls and something else in the argument.

        The occurrences of one shape may agree by accident; the same two calls stand in other shapes too.
        """
        agree, against = self.tally(source, path, tool, argument)
        return against > max(1, (1 - _TRUSTED) * (agree + against))

    def tally(self, source: str, path: Path, tool: str, argument: str) -> tuple[int, int]:
        """In how many tasks with both calls the argument came from there, and in how many it was something else."""
        key = (source, path, tool, argument)
        if key not in self._tallies:
            tasks: dict[bool, set[str]] = {True: set(), False: set()}
            for stretch in self._users.get((tool, argument), ()):
                for fits in _connected(stretch.steps, source, path, tool, argument):
                    tasks[fits].add(stretch.task)
            self._tallies[key] = len(tasks[True]), len(tasks[False])
        return self._tallies[key]


def _connected(steps: Sequence[Step], source: str, path: Path, tool: str, argument: str) -> Iterator[bool]:
    """For each such call: whether one of the source's results before it has the argument's value at the path."""
    held: list[Json] = []
    for step in steps:
        given = [value for key, value in _keyed(dict(step.arguments)) if key == argument] if step.tool == tool else []
        if given and held:
            yield any(same(value, other) for value in held for other in given)
        if step.tool == source and at(step.result, path) is not MISSING:
            held.append(at(step.result, path))


def _keyed(value: Json) -> Iterator[tuple[str, Json]]:
    """Every key inside a value with what it holds."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key, item
            yield from _keyed(item)
    elif isinstance(value, list):
        for item in value:
            yield from _keyed(item)


def _arguments(step: Step) -> Iterator[tuple[Path, Json]]:
    """Argument leaves; whatever holds a list is one leaf."""
    stack: list[tuple[Path, Json]] = [((name,), value) for name, value in step.arguments.items()]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict) and value and not listed(value):
            stack.extend(((*path, key), part) for key, part in value.items())
        else:
            yield path, value


def listed(value: Json) -> bool:
    """Whether there is a list in a value."""
    return isinstance(value, list) or (isinstance(value, dict) and any(map(listed, value.values())))
