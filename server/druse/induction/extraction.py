"""Values cut out of plain text: what stands between the same words in every run (FlashFill's substring between tokens).

Many servers answer in sentences, `Created issue 123: title`. A value is taken from such a text only where what stands
before and after it is the same in every run, three runs differ, and cutting there gives the value in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from druse.induction.instances import Instance
from druse.induction.procedure import Extracted
from druse.induction.values import distinct, look, places_of, same
from druse.model import Json

_MIN_DIFFERENT = 3
_CONTEXT = 24  # characters kept on each side
_MAX_TEXT = 50_000


def extracted(instances: Sequence[Instance]) -> Extracted | None:
    """The cut that gives the value in every instance, if there is one."""
    values = [instance.value for instance in instances]
    if distinct(values) < _MIN_DIFFERENT or not all(_written(value) for value in values):
        return None
    for place, text in places_of(instances[0].env):
        if not isinstance(text, str) or len(text) > _MAX_TEXT or place.root.kind == "parameter":
            continue
        if text.lstrip()[:1] in ("{", "["):  # data written as text has a structure that cutting does not see
            continue
        texts = [look(instance.env, place) for instance in instances]
        found = _context([part for part in texts if isinstance(part, str)], [_written(value) for value in values])
        if found is None:
            continue
        binding = Extracted(place, found[0], found[1], number=isinstance(values[0], int))
        if all(same(cut(binding, look(item.env, place)), item.value) for item in instances):
            return binding
    return None


def cut(binding: Extracted, text: Json) -> Json:
    """Apply a cut; None where the text does not have its words."""
    if not isinstance(text, str):
        return None
    rest = text
    if binding.left:
        if binding.left not in text:
            return None
        rest = text.split(binding.left, 1)[1]
    if binding.right:
        if binding.right not in rest:
            return None
        rest = rest.split(binding.right, 1)[0]
    if binding.number:
        return int(rest) if rest.isdecimal() else None
    return rest


def _written(value: Json) -> str:
    if isinstance(value, str):
        return value if len(value) > 1 else ""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _context(texts: Sequence[str], values: Sequence[str]) -> tuple[str, str] | None:
    """What stands before and after the value in all texts; an empty side means the text's own end."""
    if len(texts) != len(values):
        return None
    places = [text.find(value) for text, value in zip(texts, values, strict=True)]
    if any(place < 0 for place in places):
        return None
    before = [text[max(0, at - _CONTEXT) : at] for text, at in zip(texts, places, strict=True)]
    after = [text[at + len(value) :][:_CONTEXT] for text, at, value in zip(texts, places, values, strict=True)]
    left = _common([part[::-1] for part in before])[::-1]
    right = _common(after)
    starts, ends = all(at == 0 for at in places), not any(after)
    if (not left and not starts) or (not right and not ends):
        return None
    # The first of a list is an index in disguise; punctuation alone stands everywhere.
    in_list = right[:1] in (",", ";", "]", "|") or left.rstrip()[-1:] in (",", ";", "[", "|")
    wordy = any(len(side) >= 3 and any(letter.isalpha() for letter in side) for side in (left, right))
    return (left, right) if wordy and not in_list else None


def _common(texts: Sequence[str]) -> str:
    """The longest beginning that all texts share."""
    first, last = min(texts), max(texts)
    length = next((i for i, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), None)
    return first if length is None else first[:length]
