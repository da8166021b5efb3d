"""How much alike two skills are, by their words: what keeps near-copies from piling up (X-01)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from druse.skills.document import SkillDocument

ALIKE = 0.6  # from here on only an edit can be proposed

_EMPTY = frozenset(
    "a an and are as at be by can do does for from has have how if in into is it its like not of on or so that the "
    "then there this to use used uses using was when where which with you your step "
    "steps skill approach example".split()
)


def words_of(document: SkillDocument) -> frozenset[str]:
    """The words that say what a skill is about."""
    text = f"{document.name} {document.description} {' '.join(document.keywords)} {document.body}".lower()
    return frozenset(word for word in re.findall(r"[^\W_]+", text) if word not in _EMPTY and len(word) > 1)


def likeness(left: SkillDocument, right: SkillDocument) -> float:
    """0 to 1. The purpose (name and description) counts as much as the whole text; the larger of both is told."""
    whole = _share(words_of(left), words_of(right))
    short = [SkillDocument(d.name, d.description) for d in (left, right)]
    return round(max(whole, _share(words_of(short[0]), words_of(short[1]))), 4)


def nearest(document: SkillDocument, others: Iterable[SkillDocument]) -> tuple[SkillDocument, float] | None:
    """The most alike of others, by likeness and then by name."""
    rated = sorted(((likeness(document, other), other.name, other) for other in others), key=lambda r: (-r[0], r[1]))
    return (rated[0][2], rated[0][0]) if rated else None


def _share(left: frozenset[str], right: frozenset[str]) -> float:
    return len(left & right) / len(left | right) if left and right else 0.0
