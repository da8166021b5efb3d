"""What could be seen in a run before a step: the user's words and earlier results, and whether a value stands there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from druse.model import Json, Run, Step

_MAX_TEXT = 200_000  # characters of one result's text that are searched


class Knowledge:
    """The values of one run by the time they were first seen."""

    def __init__(self, run: Run, steps: Sequence[Step]) -> None:
        self._turns = run.user_turns
        self._times = [step.turn for step in steps]
        self._said = [run.goal] if not run.user_turns else []
        self._said += [value for value in map(_written, scalars(dict(run.inputs))) if value]
        self._values: dict[tuple[type, Json], int] = {}
        self._texts: list[list[str]] = []
        for number, step in enumerate(steps):
            texts: list[str] = []
            for value in scalars(step.result, keys=True):
                self._values.setdefault((type(value), value), number)
                if isinstance(value, str) and len(value) <= _MAX_TEXT:
                    texts.append(value)
            self._texts.append(texts)

    def visible(self, value: Json, results: int) -> bool:
        """Whether a value is literally visible with so many results seen, before the step that follows them.

        A text or number stands as a whole word in a user's message or a result, or is a value or key of a result;
        true, false and null count only as values of a result; a list or object when all it holds is visible, and an
        empty one never.
        """
        if isinstance(value, dict | list):
            inner = list(scalars(value))
            return bool(inner) and all(self._scalar(part, results) for part in inner)
        return self._scalar(value, results)

    def _scalar(self, value: Json, results: int) -> bool:
        first = self._values.get((type(value), value)) if not isinstance(value, dict | list) else None
        if first is not None and first < results:
            return True
        text = _written(value)
        if not text:
            return False
        now = self._times[results] if results < len(self._times) else None
        said = [words for turn, words in self._turns if now is None or turn <= now]
        number = isinstance(value, int | float)
        if any(_stands_in(text, words, number) for words in (*self._said, *said)):
            return True
        return any(_stands_in(text, held, number) for texts in self._texts[:results] for held in texts)


def _stands_in(text: str, words: str, number: bool) -> bool:
    """Whether a text stands in others as a whole word; a number is not the end or the beginning of another one."""
    return text in words and _word(text, number).search(words) is not None


@lru_cache(maxsize=10_000)
def _word(text: str, number: bool) -> re.Pattern[str]:
    if number:
        return re.compile(rf"(?<![\w.]){re.escape(text)}(?:\.0+)?(?!\w|\.\d)")
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")


def scalars(value: Json, *, keys: bool = False) -> Iterator[Json]:
    """The scalars inside a value, with the keys of objects if wanted."""
    stack: list[Json] = [value]
    while stack:
        current = stack.pop()
        if isinstance(current, dict):
            if keys:
                yield from current
            stack.extend(current.values())
        elif isinstance(current, list):
            stack.extend(current)
        else:
            yield current


def _written(value: Json) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or value is None or isinstance(value, dict | list):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
