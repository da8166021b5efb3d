"""The few of many names whose goals come into question for a goal, found by words.

Two indexes, neither of which looks at a name that shares no telling word with the goal. `Patterns` misses no pattern
that reads as the goal; `Wordings` gives the names whose goals share the rarest words with it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from druse.retrieval.wording import wording

_LOOKED_AT = 2000  # names of one word that are counted; words that more of them share tell nothing apart


class Patterns:
    """Goal patterns of names, each filed under its rarest fixed word."""

    def __init__(self, patterns: Mapping[str, Sequence[str]]) -> None:
        fixed = [(name, _fixed(pattern)) for name, held in patterns.items() for pattern in held]
        count: dict[str, int] = {}
        for _, words in fixed:
            for word in words:
                count[word] = count.get(word, 0) + 1
        self._filed: dict[str, list[tuple[str, frozenset[str]]]] = {}
        for name, words in fixed:
            rarest = min(words, key=lambda word: (count[word], word), default="")
            self._filed.setdefault(rarest, []).append((name, words))

    def fitting(self, goal: str) -> set[str]:
        """Every name with a pattern whose fixed words all stand in the goal."""
        heard = frozenset(re.findall(r"\w+", _folded(goal)))
        return {name for word in ("", *heard) for name, words in self._filed.get(word, ()) if words <= heard}


class Wordings:
    """Goals of names by their words, values taken out."""

    def __init__(self, goals: Mapping[str, Iterable[str]]) -> None:
        self._names: dict[str, list[str]] = {}
        self._size = len(goals)
        for name, texts in goals.items():
            for word in {word for text in texts for word in _words(text)}:
                self._names.setdefault(word, []).append(name)

    def nearest(self, goal: str, limit: int) -> list[str]:
        """At most `limit` names, those with the most telling words in common first."""
        scores: dict[str, float] = {}
        shared = sorted((names for word in _words(goal) if (names := self._names.get(word))), key=len)
        for names in shared:
            if len(names) > _LOOKED_AT and scores:
                break
            told = math.log1p(self._size / len(names))
            for name in names[-_LOOKED_AT:]:
                scores[name] = scores.get(name, 0.0) + told
        return sorted(scores, key=lambda name: (-scores[name], name))[:limit]


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", wording(text)))


def _folded(text: str) -> str:
    # Regular expressions that ignore case take both Turkish letters for an i; folding alone does not.
    return text.replace("\u0130", "i").replace("\u0131", "i").casefold()


def _fixed(pattern: str) -> frozenset[str]:
    """Words that every goal of a pattern has: plain ones that touch no slot."""
    held: set[str] = set()
    parts = re.split(r"\{\w+\}", pattern.strip().rstrip(".!"))
    for at, part in enumerate(parts):
        for found in re.finditer(r"\w+", part):
            touches = (found.start() == 0 and at > 0) or (found.end() == len(part) and at < len(parts) - 1)
            if not touches and found[0].isascii():
                held.add(found[0].lower())
    return frozenset(held)
