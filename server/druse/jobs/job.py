"""What a job is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from druse.model import JsonObject


class Trigger(StrEnum):
    """What lets a job run beside its schedule."""

    SESSION_END = "session_end"
    FILES = "files"
    COMMIT = "commit"


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `schedule` is a cron expression in local time, empty for none; `budget` is in seconds."""

    name: str
    about: str
    work: Callable[[], Awaitable[JsonObject]]
    schedule: str = ""
    triggers: tuple[Trigger, ...] = ()
    budget: float = 300.0
    every: float = 0.0  # seconds between two runs, beside or instead of a schedule; 0: none
    so_far: Callable[[], JsonObject] | None = None  # what the report of a run that was stopped says as well
    on_commit: Callable[[str], Awaitable[JsonObject]] | None = None  # carried out for each new commit, given its id
