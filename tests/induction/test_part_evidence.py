"""What is not enough evidence in parts of longer runs, which share a shape and not a purpose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from benchmarks._execution import Tool
from benchmarks.fold import Walked, proof, walk

from druse.induction import Part, mine
from druse.model import Run, RunStatus, Step

Row = tuple[str, dict[str, Any], Any]
WORDS = ["amber", "birch", "cedar", "delta", "ember", "flint"]


def run(number: int, said: str, rows: Sequence[Row]) -> Run:
    """A run of one stretch, with a last call of its own so that no two runs are one workflow."""
    own: Row = (f"ending_{number}", {}, "ok")
    steps = [Step(tool, arguments, result, turn=turn) for turn, (tool, arguments, result) in enumerate([*rows, own], 1)]
    return Run(f"run{number}", said, RunStatus.SUCCESS, tuple(steps), ((0, said),), task=f"task{number}")


def part_of(runs: Sequence[Run], *tools: str) -> Part:
    return next(p for p in mine(runs, prove=proof) if tuple(body[0][0] for body, _ in p.shape) == tools)


@pytest.mark.requirement("H-11")
def test_an_amount_that_was_always_added_is_given_and_not_built_in() -> None:
    runs = [
        run(n, f"one {word} more", [("get_stock", {"item": word}, {"value": 40 + 7 * n}), _put(word, 41 + 7 * n)])
        for n, word in enumerate(WORDS)
    ]
    more = [run(9, "put birch to 90, cedar to 77", [_put("birch", 90), _put("cedar", 77)])]

    sources = [part.induction.source for part in mine(runs + more, prove=proof)]

    assert all("+ 1" not in source for source in sources)


def test_a_text_with_the_word_of_an_input_that_never_changed_checks_that_input() -> None:
    runs = [
        run(n, f"weekly report on {word}", [_report(word, "weekly"), ("post", {"text": f"{word} weekly report"}, "ok")])
        for n, word in enumerate(WORDS)
    ]

    source = part_of(runs, "make_report", "post").induction.source

    assert 'text=f"{topic} weekly report"' in source
    assert 'require(kind == "weekly"' in source


def test_two_inputs_of_one_name_are_told_apart_by_more_than_one_run() -> None:
    pairs = [(11, 11), (12, 12), (13, 13), (14, 14), (15, 15), (16, 99)]
    runs = [
        run(
            n,
            f"comment {WORDS[n]} on {first} and done on {second}",
            [
                ("comment", {"issue": first, "text": WORDS[n]}, {"issue": first}),
                ("comment", {"issue": second, "text": "done"}, {"issue": second}),
                ("close", {"issue": first}, "ok"),
            ],
        )
        for n, (first, second) in enumerate(pairs)
    ]

    found = [part for part in mine(runs, prove=proof) if part.shape[-1][0][0][0] == "close" and len(part.shape) == 3]

    assert all('close", issue=comment' not in part.induction.source for part in found)


def test_a_connection_that_other_runs_contradict_is_not_taken_from_the_few_that_agree() -> None:
    agreeing = [
        run(n, f"loan for {w}", [_listing(w, 100_000 + n), _loan(100_000 + n)]) for n, w in enumerate(WORDS[:3])
    ]
    others = [
        run(
            10 + n,
            f"loan of {50_000 + n} for {word}",
            [_listing(word, 200_000 + n), ("get_rates", {"area": word}, {"area": word}), _loan(50_000 + n)],
        )
        for n, word in enumerate(WORDS)
    ]

    sources = [part.induction.source for part in mine(agreeing + others, prove=proof)]

    assert all('amount=listing["price"]' not in source for source in sources)


@pytest.mark.requirement("H-24")
def test_where_some_runs_read_all_of_a_list_and_others_a_part_the_list_is_an_optional_input() -> None:
    runs = []
    for n, word in enumerate(WORDS):
        orders = [f"{word}-{place}" for place in range(2 + n % 3)]
        read = orders if n % 2 else orders[-1:]
        rows: list[Row] = [("get_user", {"name": word}, {"orders": orders})]
        rows += [("get_order", {"order_id": order}, {"total": place}) for place, order in enumerate(read)]
        runs.append(run(n, f"I am {word}", rows))

    part = part_of(runs, "get_user", "get_order")

    assert "order_ids: list | None = None" in part.induction.source
    assert 'order_ids = user["orders"]' in part.induction.source
    assert {occurrence.stretch.task for occurrence in part.covers} == {"task1", "task3", "task5"}
    schema = part.induction.input_schema
    assert schema["required"] == ["name"]


def test_changes_are_made_for_all_of_a_list_unless_the_caller_names_some() -> None:
    runs = []
    for n, word in enumerate(WORDS):
        orders = [f"{word}-{place}" for place in range(2 + n % 3)]
        rows: list[Row] = [("get_user", {"name": word}, {"orders": orders})]
        runs.append(run(n, f"I am {word}", rows + [("cancel_order", {"order_id": o}, "ok") for o in orders]))

    source = part_of(runs, "get_user", "cancel_order").induction.source

    assert "if order_ids is None:" in source


def team(number: int, word: str, assignee: str) -> Run:
    """A ticket for a team, given to its lead in all runs that are learned from."""
    rows: list[Row] = [
        ("get_team", {"name": word}, {"team_id": f"T-{word}"}),
        ("get_lead", {"team_id": f"T-{word}"}, {"lead": f"lead-{word}"}),
        ("create_ticket", {"title": f"fix {word}", "assignee": assignee}, {"ticket_id": f"K-{number}"}),
    ]
    return run(number, f'"fix {word}" for team {word}, or ask user-{word}', rows)


@pytest.mark.requirement("H-11")
def test_what_a_change_takes_from_inside_can_be_named_by_the_caller_however_many_runs_agree() -> None:
    words = [f"{first}-{second}" for first in WORDS for second in WORDS[:3]]

    part = part_of([team(n, w, f"lead-{w}") for n, w in enumerate(words)], "get_team", "get_lead", "create_ticket")

    assert "assignee: str | None = None" in part.induction.source
    assert 'assignee=lead["lead"] if assignee is None else assignee' in part.induction.source
    assert part.induction.input_schema["required"] == ["name"]
    assert "from lead in the answer of get_lead" in str(part.induction.input_schema["properties"])


def test_a_run_that_went_another_way_than_those_before_is_no_wrong_attempt() -> None:
    words = [f"{first}-{second}" for first in WORDS for second in WORDS[:3]]
    learned = [team(n, w, f"lead-{w}") for n, w in enumerate(words)]
    part = part_of(learned, "get_team", "get_lead", "create_ticket")
    tool = Tool(part.induction.source)
    said, unsaid, found = team(90, "onyx", "user-onyx"), team(91, "opal", "nobody-said"), Walked()

    walk([(part, tool)], [said, unsaid], found)

    assert (found.saved, found.wrong, found.unbound, found.left_out) == (2, 0, 1, 1)


def test_a_read_is_closed_to_the_caller_where_key_and_argument_have_one_name_and_no_run_contradicts() -> None:
    part = part_of([team(n, w, f"lead-{w}") for n, w in enumerate(WORDS)], "get_team", "get_lead", "create_ticket")

    assert 'call("get_lead", team_id=team["team_id"])' in part.induction.source


def test_a_text_that_a_change_is_told_in_words_of_its_inputs_can_be_given_as_a_whole() -> None:
    rows = [
        [
            ("revoke", {"role": f"R-{word}", "user": f"U-{n}"}, {"done": n}),
            ("log", {"details": f"Role R-{word} taken from U-{n}."}, {"entry": n}),
        ]
        for n, word in enumerate(WORDS)
    ]
    runs = [run(n, f"take R-{word} from U-{n}", rows[n]) for n, word in enumerate(WORDS)]

    source = part_of(runs, "revoke", "log").induction.source

    assert 'details=f"Role {role} taken from {user}." if details is None else details' in source


def test_a_table_of_states_is_given_and_not_built_in() -> None:
    table = {"gold": "express", "plain": "standard"}
    states = ["gold", "plain", "gold", "plain", "gold", "plain"]
    rows: list[list[Row]] = [
        [
            ("get_client", {"name": word}, {"client_id": f"C-{word}", "tier": states[n]}),
            ("ship", {"client_id": f"C-{word}", "service": table[states[n]]}, {"done": n}),
        ]
        for n, word in enumerate(WORDS)
    ]
    runs = [run(n, f"ship to {word}, express or standard", rows[n]) for n, word in enumerate(WORDS)]

    source = part_of(runs, "get_client", "ship").induction.source

    assert "service=service" in source and "tier" not in source


def _put(item: str, value: int) -> Row:
    return "put_stock", {"item": item, "value": value}, "ok"


def _report(topic: str, kind: str) -> Row:
    return "make_report", {"topic": topic, "kind": kind}, "ok"


def _listing(word: str, price: int) -> Row:
    return "get_listing", {"name": word}, {"price": price}


def _loan(amount: int) -> Row:
    return "compute_loan", {"amount": amount}, {"monthly": amount // 100}
