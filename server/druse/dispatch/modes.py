"""The five execution modes and the one place of their thresholds (seed ids H-23, H-24)."""

from __future__ import annotations

from enum import StrEnum

FOLLOWER_FROM = 0.92
MIXED_FROM = 0.75
CRYSTALLIZED_FROM = 0.80  # a tool's own threshold: below it, words alone do not start a program


class Mode(StrEnum):
    """How a goal is worked on, cheapest first."""

    CRYSTALLIZED = "CRYSTALLIZED"
    FOLLOWER = "FOLLOWER"
    MIXED = "MIXED"
    LEARNER = "LEARNER"
    ORCHESTRATOR = "ORCHESTRATOR"


def mode_for(confidence: float, *, tool_binds: bool) -> Mode:
    """The mode of a goal with this confidence; `tool_binds`: an approved tool fits and all its parameters are known."""
    if tool_binds and confidence >= CRYSTALLIZED_FROM:
        return Mode.CRYSTALLIZED
    if confidence >= FOLLOWER_FROM:
        return Mode.FOLLOWER
    if confidence >= MIXED_FROM:
        return Mode.MIXED
    return Mode.LEARNER
