"""Texts made of literal parts and known values, anti-unified over the runs (Plotkin; FlashFill's concatenation)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from druse.induction.instances import Instance
from druse.induction.procedure import Template
from druse.induction.values import MISSING, Place, look, places_of
from druse.model import Json

_MIN_LENGTH = 2
_MANY = 3  # different values that make a shorter source, a single digit, believable
_MAX_TEXT = 20_000
_MAX_PARTS = 24


def template(instances: Sequence[Instance], rank: Callable[[Place], tuple[object, ...]]) -> Template | None:
    """Literal text around places, if that explains the value in every instance."""
    texts: list[str] = []
    for instance in instances:
        if not isinstance(instance.value, str) or len(instance.value) > _MAX_TEXT:
            return None
        texts.append(instance.value)
    sources = _sources(instances, texts)
    if not sources:
        return None
    ranked = sorted(sources, key=lambda source: (-_total(source[1]), rank(source[0])))
    parts = _split(texts, ranked, depth=0)
    if parts is None or not any(isinstance(part, Place) for part in parts):
        return None
    return Template(tuple(_merged(parts)))


def written(value: Json) -> str | None:
    """How a value stands in a text; None for what no text holds in one obvious way."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return None
    return str(value) if isinstance(value, int | float) else None


def _sources(instances: Sequence[Instance], texts: Sequence[str]) -> list[tuple[Place, list[str]]]:
    """Places whose written value stands in the text of every instance."""
    found: list[tuple[Place, list[str]]] = []
    first = instances[0]
    for place, value in places_of(first.env):
        text = written(value)
        if not text or text not in texts[0]:
            continue
        column = [text]
        for instance, whole in zip(instances[1:], texts[1:], strict=True):
            other = written(look(instance.env, place)) if look(instance.env, place) is not MISSING else None
            if not other or other not in whole:
                break
            column.append(other)
        else:
            # A value that never changes is literal text as far as anyone knows.
            if len(set(column)) >= (2 if min(map(len, column)) >= _MIN_LENGTH else _MANY):
                found.append((place, column))
    return found


def _total(column: Sequence[str]) -> int:
    return sum(map(len, column))


def _split(texts: Sequence[str], sources: Sequence[tuple[Place, list[str]]], *, depth: int) -> list[str | Place] | None:
    """The parts of all texts at once: equal text, or a source with what stands left and right of it."""
    if len(set(texts)) == 1:
        return [texts[0]] if texts[0] else []
    if depth > _MAX_PARTS:
        return None
    for place, column in sources:
        if not all(value in text for value, text in zip(column, texts, strict=True)):
            continue
        for occurrence in ("find", "rfind"):
            cuts = [getattr(text, occurrence)(value) for value, text in zip(column, texts, strict=True)]
            left = [text[:cut] for text, cut in zip(texts, cuts, strict=True)]
            right = [text[cut + len(value) :] for text, cut, value in zip(texts, cuts, column, strict=True)]
            before = _split(left, sources, depth=depth + 1)
            after = _split(right, sources, depth=depth + 1) if before is not None else None
            if before is not None and after is not None:
                return [*before, place, *after]
    return None


def _merged(parts: Sequence[str | Place]) -> list[str | Place]:
    merged: list[str | Place] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        else:
            merged.append(part)
    return merged
