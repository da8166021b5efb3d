"""A clock that cannot be turned back while a process lives."""

from __future__ import annotations

from collections.abc import Callable


class SteadyClock:
    """Seconds since the epoch, never fewer than a moment ago: what is to expire expires, whatever the wall clock says.

    It follows the wall clock forward (also over a suspend) and runs on by the monotonic clock when that is set back.
    """

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._offset = wall() - monotonic()

    def __call__(self) -> float:
        """The time."""
        self._offset = max(self._offset, self._wall() - self._monotonic())
        return self._monotonic() + self._offset
