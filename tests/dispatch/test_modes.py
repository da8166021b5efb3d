"""The five modes: thresholds, binding in words, replay and guide."""

from __future__ import annotations

from typing import Any

import pytest

from druse.dispatch import Mode, mode_for
from druse.retrieval import Taught, match_goal

SCHEMA: dict[str, Any] = {
    "properties": {"first": {"type": "string"}, "last": {"type": "string"}, "zip": {"type": "string"}},
    "required": ["first", "last", "zip"],
}
TOOL = Taught(
    ("Cancel the pending orders of {first} {last}, zip {zip}",),
    SCHEMA,
    {"first": ["Ada", "Bob"], "last": ["Lovelace", "Ross"], "zip": ["10001", "94145"]},
)
WANTED = {"first": "Chen", "last": "Johnson", "zip": "77004"}


@pytest.mark.requirement("H-23", "H-24")
@pytest.mark.parametrize(
    ("confidence", "binds", "mode"),
    [
        (1.0, True, Mode.CRYSTALLIZED),
        (0.80, True, Mode.CRYSTALLIZED),
        (0.79, True, Mode.MIXED),
        (1.0, False, Mode.FOLLOWER),
        (0.92, False, Mode.FOLLOWER),
        (0.9199, False, Mode.MIXED),
        (0.75, False, Mode.MIXED),
        (0.7499, False, Mode.LEARNER),
        (0.0, False, Mode.LEARNER),
    ],
)
def test_the_mode_follows_from_confidence_and_binding(confidence: float, binds: bool, mode: Mode) -> None:
    assert mode_for(confidence, tool_binds=binds) is mode


@pytest.mark.requirement("H-24")
@pytest.mark.parametrize(
    "goal",
    [
        "Cancel the pending orders of Chen Johnson, zip 77004",
        "cancel the  pending orders of Chen Johnson, zip 77004.",
        "Please cancel every pending order of Chen Johnson (zip 77004)",
    ],
)
def test_a_goal_in_other_words_binds_the_same_values(goal: str) -> None:
    found = match_goal(goal, TOOL, {})
    assert (found.arguments, found.missing) == (WANTED, ()), found
    assert found.confidence >= 0.8


@pytest.mark.requirement("H-24")
@pytest.mark.parametrize(
    "goal",
    [
        "Do not cancel the pending orders of Chen Johnson, zip 77004",
        "Cancel the pending orders of Chen Johnson, zip 77004, except the newest",
        "Refund the delivered items of Chen Johnson, zip 77004",
        "Cancel the pending orders of Johnson, Chen, zip 77004",
        "Cancel the pending orders of Chen Johnson and Mia Davis, zip 77004",
        "Cancel the pending orders of Chen Johnson",
        "What is the weather?",
    ],
)
def test_what_means_something_else_or_says_too_little_is_not_bound(goal: str) -> None:
    found = match_goal(goal, TOOL, {})
    assert found.missing or found.confidence < 0.8, found


def test_given_values_come_before_words() -> None:
    found = match_goal("cancel pending orders", TOOL, {"first": "A", "last": "B", "zip": "1"})
    assert not found.missing and found.arguments == {"first": "A", "last": "B", "zip": "1"}
