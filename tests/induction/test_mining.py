"""Parts of longer runs: what recurs is found and made a program; what only looks alike is not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from benchmarks._execution import Tool
from benchmarks.fold import fold, proof
from hypothesis import given, settings
from hypothesis import strategies as st

from druse.induction import Part, mine
from druse.induction.mining import inputs
from druse.model import Run, RunStatus, Step

Row = tuple[str, dict[str, Any], Any]


def run(name: str, *stretches: tuple[str, Sequence[Row]]) -> Run:
    """A run of stretches, each a user's message and the calls that follow it."""
    turn, steps, turns = 0, list[Step](), list[tuple[int, str]]()
    for words, rows in stretches:
        turns.append((turn, words))
        turn += 1
        for tool, arguments, result in rows:
            failed = result is FAILED
            steps.append(Step(tool, arguments, None if failed else result, failed=failed, turn=turn))
            turn += 1
    return Run(name, turns[0][1], RunStatus.SUCCESS, tuple(steps), tuple(turns), task=name)


FAILED = object()
NAMES = ["ann", "ben", "cat", "dan", "eve", "fay"]


def user(name: str) -> dict[str, Any]:
    number = NAMES.index(name)
    orders = [f"O-{number}{place}" for place in range(1 + number % 3)]
    return {"id": f"user_{name}_{number * 37}", "orders": orders, "mail": f"{name}@x.io"}


def reading(name: str) -> list[Row]:
    found = user(name)
    rows: list[Row] = [("find_user", {"name": name}, found["id"]), ("get_user", {"user_id": found["id"]}, found)]
    return rows + [("get_order", {"order_id": order}, {"id": order, "total": 10}) for order in found["orders"]]


def sources(parts: Sequence[Part]) -> dict[tuple[str, ...], str]:
    return {tuple(body[0][0] for body, _ in part.shape): part.induction.source for part in parts}


@pytest.mark.requirement("H-11")
def test_a_part_shared_by_longer_runs_of_different_work_is_found_with_its_loop() -> None:
    endings = ["cancel", "refund", "note", "call_back", "escalate", "close"]
    runs = [
        run(name, (f"I am {name}", [*reading(name), (ending, {"text": f"{name} {ending}"}, "ok")]))
        for name, ending in zip(NAMES, endings, strict=True)
    ]

    source = sources(mine(runs, prove=proof))[("find_user", "get_user", "get_order")]

    assert 'for order in user_result["orders"]:' in source and "def run(call, *, name: str)" in source


def test_a_user_turn_ends_a_part() -> None:
    runs = [run(name, (f"I am {name}", reading(name)[:1]), ("go on", reading(name)[1:2])) for name in NAMES]

    assert mine(runs, prove=proof) == []


def test_failed_calls_and_notes_to_oneself_are_no_steps() -> None:
    noise: list[Row] = [("find_user", {"name": "?"}, FAILED), ("think", {"thought": "which one?"}, "")]
    runs = [
        run(name, (f"I am {name}", [*noise, *reading(name)[:1], *noise[1:], *reading(name)[1:2]])) for name in NAMES
    ]

    assert list(sources(mine(runs, prove=proof))) == [("find_user", "get_user")]


def test_independent_reads_in_another_order_are_one_part() -> None:
    def reads(name: str) -> list[Row]:
        rows: list[Row] = [
            ("get_orders", {"name": name}, {"orders": [f"O-{name}"]}),
            ("get_mail", {"name": name}, {"mail": f"{name}@x.io"}),
        ]
        random.Random(name).shuffle(rows)
        return [*rows, ("send_mail", {"to": f"{name}@x.io"}, "ok")]

    runs = [run(name, (f"I am {name}", reads(name))) for name in NAMES]
    parts = mine(runs, prove=proof)

    assert parts[0].tasks == len(NAMES)
    assert 'to=mail["mail"]' in parts[0].induction.source


def test_two_reads_of_one_tool_are_told_apart_by_their_use_not_by_their_order() -> None:
    codes = {"Oslo": "0150", "Rome": "00118", "Lima": "15001", "Kyoto": "600-8216", "Cairo": "11511", "Quito": "170101"}

    def way(start: str, end: str, *, swapped: bool) -> list[Row]:
        reads: list[Row] = [("get_code", {"city": city}, {"code": codes[city]}) for city in (start, end)]
        return [*(reads[::-1] if swapped else reads), ("measure", {"a": codes[start], "b": codes[end]}, {"km": 7})]

    cities = list(codes)
    runs = [
        run(f"r{number}", (f"how far is {a} from {b}?", way(a, b, swapped=number % 2 == 1)))
        for number, (a, b) in enumerate(zip(cities, cities[1:] + cities[:1], strict=True))
    ]

    source = sources(mine(runs, prove=proof))["get_code", "get_code", "measure"]

    assert 'a=code["code"] if a is None else a, b=code_result["code"] if b is None else b' in source


def test_what_nothing_inside_explains_is_an_input_and_repeated_steps_are_a_loop_over_a_given_list() -> None:
    runs = [
        run(name, (f"close {' and '.join(ids)}", [("close", {"ticket": ticket}, "ok") for ticket in ids]))
        for name, ids in zip(NAMES, (["T-1", "T-22"], ["T-3"], ["T-40", "T-5", "T-6"]), strict=False)
    ]

    source = mine(runs, prove=proof)[0].induction.source

    assert "def run(call, *, tickets: list)" in source and "for ticket in tickets:" in source


def test_a_value_that_nobody_says_and_that_never_differs_is_a_default() -> None:
    runs = [
        run(
            name,
            (f"lock {name}", [("get_door", {"door": name}, {"id": f"door {name}"}), ("lock", {"mode": "full"}, 1)]),
        )
        for name in NAMES
    ]

    assert 'def run(call, *, door: str, mode: str = "full")' in mine(runs, prove=proof)[0].induction.source


def test_a_value_that_the_caller_had_may_be_given_and_is_worked_out_where_it_is_not() -> None:
    def limit(name: str, number: int) -> Run:
        rate: Row = ("convert", {"amount": 100 + number}, {"value": 300.5 + number})
        if number == 5:  # the user wants another limit than the converted amount
            return run(name, ("105, but set it to 333", [rate, ("set_limit", {"limit": 333}, "ok")]))
        return run(name, (f"limit {100 + number}", [rate, ("set_limit", {"limit": 300.5 + number}, "ok")]))

    source = mine([limit(name, number) for number, name in enumerate(NAMES)], prove=proof)[0].induction.source

    assert "limit: float | None = None" in source
    assert 'limit=convert["value"] if limit is None else limit' in source


def test_a_loop_that_only_some_runs_finish_is_not_taken_for_a_loop_over_all() -> None:
    runs = [run(name, (f"I am {name}", reading(name)[:3])) for name in NAMES]

    found = sources(mine(runs, prove=proof))

    assert ("find_user", "get_user") in found
    assert all('["orders"]' not in source for source in found.values())


def test_a_list_of_one_in_all_runs_is_given_as_a_list() -> None:
    runs = [
        run(name, (f"{name}: tag {name}1", [("log_in", {"user": name}, "ok"), ("post", {"tags": [f"{name}1"]}, "ok")]))
        for name in NAMES
    ]

    assert "tags=tags" in mine(runs, prove=proof)[0].induction.source


@settings(max_examples=5, deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_the_runs_does_not_matter(order: list[int]) -> None:
    runs = [run(name, (f"I am {name}", reading(name))) for name in NAMES]

    mined = [part.induction.source for part in mine([runs[place] for place in order], prove=proof)]

    assert mined == [part.induction.source for part in mine(runs, prove=proof)]


def test_held_out_runs_are_folded_and_nothing_wrong_is_called() -> None:
    runs = [run(f"{name}{n}", (f"I am {name}", reading(name))) for name in NAMES for n in range(3)]

    measured = fold(runs)

    assert measured["wrong_emissions"] == 0
    assert measured["saved_all"] > 0.6 and measured["saved_5"] == measured["saved_all"]


def test_a_generated_part_runs_in_the_language_of_the_sandbox() -> None:
    runs = [run(name, (f"I am {name}", reading(name))) for name in NAMES]
    part = mine(runs, prove=proof)[0]

    played = Tool(part.induction.source).played({"name": "fay"}, runs[-1].steps)

    assert (played.status, played.made) == ("right", tuple(range(len(runs[-1].steps))))


_VALUES = st.sampled_from(["aa", "bb", "cc", 7, 300.5, True, None, ["aa"], ["aa", "bb"], {"k": "aa"}, []])
_CALLS = st.tuples(
    st.sampled_from(["get_a", "list_b", "set_c"]),
    st.dictionaries(st.sampled_from(["x", "y"]), _VALUES, max_size=2),
    st.dictionaries(st.sampled_from(["x", "items", "next"]), _VALUES, max_size=2),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(_CALLS, min_size=1, max_size=6), min_size=3, max_size=8))
def test_whatever_the_runs_hold_a_part_reproduces_the_steps_it_was_made_of(rows: list[list[Row]]) -> None:
    runs = [run(f"r{number}", ("do aa and bb with 7", row)) for number, row in enumerate(rows)]

    for part in mine(runs, prove=proof):
        for occurrence in part.covers:
            arguments = inputs(part.induction, occurrence)
            assert arguments is not None and proof(part.induction, arguments, occurrence.steps) == "right"


def test_two_workflows_that_share_a_prefix_share_only_the_prefix() -> None:
    endings: list[Row] = [("refund", {"amount": 5}, "ok"), ("ship_again", {"express": True}, "ok")]
    runs = [run(name, (f"I am {name}", [*reading(name)[:2], endings[number % 2]])) for number, name in enumerate(NAMES)]

    found = sources(mine(runs, prove=proof))

    assert "refund" not in found["find_user", "get_user"] and "ship_again" not in found["find_user", "get_user"]


def test_a_connection_of_two_tools_shown_elsewhere_is_evidence_where_few_tasks_have_it() -> None:
    def runs_of(names: Sequence[str], extra: list[Row]) -> list[Run]:
        return [run(name + str(len(extra)), (f"I am {name}", [*reading(name)[:2], *extra])) for name in names]

    few = runs_of(NAMES[:2], [("wave", {}, "ok")])

    alone = sources(mine(few, prove=proof)).get(("find_user", "get_user", "wave"))
    together = sources(mine([*few, *runs_of(NAMES[2:], [])], prove=proof))["find_user", "get_user", "wave"]

    assert alone is None
    assert "get_user" in together and "user_id=user" in together
