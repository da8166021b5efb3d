"""Names that look like other names: letters of two alphabets in one word, and words of another alphabet's twins."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection

# Alphabets with letters that a reader takes for Latin ones. Others (Kana, Han ...) are mixed with Latin rightly.
_ALIKE = frozenset(("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"))
_TWINS = str.maketrans(
    {
        **dict(zip("аеорсухіјѕһԁԛԝкмтвнп", "aeopcyxijshdqwkmtbhn", strict=True)),
        **dict(zip("ονρυικχαγτωε", "ovpuikxaytwe", strict=True)),
        **dict(zip("օսոցհք", "ounghp", strict=True)),
    }
)
# Folders of these names cannot be made on Windows, nor copied to it.
_DEVICES = frozenset(("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))))


def mixed(name: str) -> str:
    """The two alphabets that a name mixes so that it can pass for another; empty if it does not."""
    if name.isascii():
        return ""
    scripts = {unicodedata.name(letter, "").split(" ")[0] for letter in name if letter.isalpha()}
    confusing = scripts & (_ALIKE | {"LATIN"})
    return " and ".join(sorted(script.title() for script in confusing)) if len(confusing) > 1 else ""


def twin(name: str, others: Collection[str]) -> str:
    """The other name that a name of another alphabet looks like; empty if there is none."""
    plain = name.translate(_TWINS)
    return plain if plain != name and plain in others else ""


def device(name: str) -> bool:
    """Whether Windows takes the name for a device."""
    return name in _DEVICES
