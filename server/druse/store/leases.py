"""Leases whose end lies too far ahead, because the clock was set back since they were given."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", int, str)


class Unrenewed(Generic[Key]):
    """Notices by another clock than the one on the wall which of them nobody renews any more.

    `longest`: seconds that a lease lasts.
    """

    def __init__(self, longest: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._longest = longest
        self._monotonic = monotonic
        self._seen: dict[Key, tuple[float, float]] = {}  # its end, and when it was first seen with that end

    def over(self, ends: Mapping[Key, float], now: float) -> list[Key]:
        """Those that end later than any lease can and stayed as they are for the time of one. Ask again and again."""
        at, found = self._monotonic(), list[Key]()
        ahead = {key: end for key, end in ends.items() if end > now + self._longest}
        self._seen = {key: held for key, held in self._seen.items() if ahead.get(key) == held[0]}
        for key, end in ahead.items():
            _, since = self._seen.setdefault(key, (end, at))
            if at - since >= self._longest:
                found.append(key)
        return found
