"""Text of others, made fit to be shown to a person who decides."""

from __future__ import annotations

import unicodedata


def visible(text: str) -> str:
    """`text` with control and formatting characters written out."""
    return "".join(
        letter
        if letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cf", "Zl", "Zp", "Cs")
        else f"\\u{ord(letter):04x}"
        for letter in text
    )
