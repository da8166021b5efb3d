"""A goal of any length and form is dealt with in the time of its length: nobody stops the server with a question."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from druse.planner import parts_of
from druse.retrieval import Taught, match_goal
from druse.retrieval.wording import wording
from druse.traces import shape_of

TAUGHT = Taught(("Note the city of {name}",), {"type": "object", "properties": {"name": {}}}, {"name": ["Ada"]})
UNITS = ("x", " ", "\t \n", "a-", "sk-", "a.", "@", "x@", "'", '"', "/", "1", "{", " and ", ", ", "日本", "ÀÉ", "😀")
# One that took the square of its length before took minutes to hours here; in a process of its own it can be ended.
TRY = """
import sys
from druse.capabilities.orchestrating import parts_in
from druse.planner import parts_of, words_of
from druse.retrieval.wording import wording
from druse.traces import shape_of
for unit in {units!r}:
    goal = "start " + unit * (20_000 // len(unit)) + "x"
    for one in (wording, shape_of, parts_of, words_of, parts_in):
        one(goal)
print("done")
"""


@pytest.mark.requirement("H-30")
def test_the_longest_words_gaps_and_signs_are_read_in_the_time_of_their_length() -> None:
    command = [sys.executable, "-c", TRY.format(units=UNITS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.stdout == "done\n", done.stderr


def test_a_goal_of_nothing_or_of_signs_alone_is_no_known_goal() -> None:
    for goal in (
        "",
        " \n\t",
        "🎉🎉🎉",
        "\0",
        "\u202e",
        "{name}",
        "'; DROP TABLE run; --",
        *(unit * 10_000 for unit in UNITS),
    ):
        assert match_goal(goal, TAUGHT, {}).confidence < 0.5, goal[:20]


def test_what_was_bounded_reads_ordinary_goals_as_before() -> None:
    goal = "Send a-1_b of ada@x.io, ./src/a.py and https://x.io/y?z=1 to sk-12-ab by 2026-01-02"
    assert shape_of(goal) == "send <slot> of <slot> <slot> and <slot> to <slot> by <slot>"
    assert wording(goal) == "send of and to by"
    parts = ["Look it  up", "note it", "close it", "Tell Ada"]
    assert parts_of(f"Look it  up;  note it,   then  close it.\n\n{9 * ' '}\nTell Ada") == parts
    assert not re.search(r"\s", shape_of("x" * 300))
