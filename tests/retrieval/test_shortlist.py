"""The shortlist looks at few names and misses none that reads as the goal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from druse.retrieval import Taught, match_goal
from druse.retrieval.shortlist import Patterns, Wordings

_PATTERNS = {
    "cancel": ["Cancel order {order}", "Please cancel the order {order}."],
    "refund": ["Refund #{order} to {name}"],
    "anything": ["{what}"],
    "joined": ["get user{id} now"],
}


@pytest.mark.parametrize(
    ("goal", "name"),
    [
        ("cancel  ORDER 17.", "cancel"),
        ("please cancel the order W1", "cancel"),
        ("refund #8 to Ada Lovelace", "refund"),
        ("\u0130t is done", "anything"),
        ("get user17 now", "joined"),
    ],
)
def test_a_pattern_that_reads_as_the_goal_is_found(goal: str, name: str) -> None:
    assert name in Patterns(_PATTERNS).fitting(goal)


def test_a_pattern_with_another_fixed_word_is_not_looked_at() -> None:
    assert Patterns(_PATTERNS).fitting("Cancel flight 17") == {"anything"}


_words = st.sampled_from(
    ["cancel", "Order", "the", "{a}", "{b}", "x{a}", "#{b}", "\u0131d", "\u212aelvin", "id", "kelvin", "now"]
)


@given(st.lists(_words, min_size=1, max_size=5), st.lists(_words, min_size=1, max_size=5))
def test_what_matches_exactly_is_always_in_the_shortlist(pattern: list[str], goal: list[str]) -> None:
    text, said = " ".join(pattern), " ".join(goal).replace("{a}", "7").replace("{b}", "Ada")
    taught = Taught((text,), {"properties": {"a": {"type": "string"}, "b": {"type": "string"}}}, {})
    if match_goal(said, taught, {}, probability=0.0).exact:
        assert Patterns({"tool": [text]}).fitting(said) == {"tool"}


def test_the_names_with_the_rarest_words_in_common_come_first() -> None:
    goals = {f"list {n}": [f"list the things of kind {chr(97 + n)}{chr(98 + n)}"] for n in range(20)}
    goals["invoice"] = ["list the invoices of a customer"]
    assert Wordings(goals).nearest("list the invoices", 3)[0] == "invoice"
    assert len(Wordings(goals).nearest("list the invoices", 3)) == 3


def test_a_goal_without_a_known_word_has_no_near_names() -> None:
    assert Wordings({"a": ["list orders"]}).nearest("xyzzy", 3) == []
