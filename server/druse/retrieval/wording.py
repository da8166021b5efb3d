"""What a goal says besides its values."""

from __future__ import annotations

import re


def wording(text: str) -> str:
    """A goal without its values: slots, quoted text, paths, addresses, numbers and names inside a sentence go."""
    # Sought from the beginning of a word only: from anywhere in it, a long word takes the square of its length.
    bare = re.sub(r"\{\w+\}|https?://\S+|(?<!\S)\S+@\S+|[\"“][^\"”]{1,120}[\"”]|(?<!\w)[~.]{0,2}/[\w./-]+", " ", text)
    bare = re.sub(r"(?<!\S)\S*\d\S*", " ", bare)
    bare = re.sub(r"(?<=[^\s.!?:] )[A-Z][\w’'-]*", " ", bare)
    return " ".join(bare.split()).lower() or text.lower()
