"""The quick look that leaves most texts alone misses nothing that the patterns find."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from druse import redaction

KEY = b"k" * 32
TABLES = (*redaction._SHAPES, *redaction._SAID)  # pyright: ignore[reportPrivateUsage]
WORDS = sorted({word for words, _, _ in TABLES for word in words})
OTHERS = (
    *("=", ":", "-", "_", ".", "@", " ", "\n", '"', "\\", ";", "://", "x", "user", "ſ", "İ"),
    *("PASSWORD", "Bearer ", "BASIC ", "RSA PRIVATE KEY-----", "secret://" + "a" * 24),
    *("A" * 20, "a1b2c3d4e5f6" * 4, "9" * 8),
)


def by_every_pattern(text: str) -> str:
    for words, _, pattern in redaction._SHAPES:  # pyright: ignore[reportPrivateUsage]
        text = redaction._masked(KEY, text, text, words, pattern)  # pyright: ignore[reportPrivateUsage]
    for words, _, pattern in redaction._SAID:  # pyright: ignore[reportPrivateUsage]
        small = redaction._small(text)  # pyright: ignore[reportPrivateUsage]
        text = redaction._masked(KEY, text, small, words, pattern)  # pyright: ignore[reportPrivateUsage]
    return text


@given(st.lists(st.sampled_from([*WORDS, *OTHERS]), max_size=9).map("".join))
def test_a_text_is_masked_as_if_every_pattern_were_tried(text: str) -> None:
    assert redaction.mask_text(KEY, text) == by_every_pattern(text)
