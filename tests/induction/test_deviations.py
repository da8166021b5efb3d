"""One run in five or six goes astray: the rest still teach, and what that run shows is never lost or believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from benchmarks._execution import replayed
from benchmarks.suite import measure_noise, rare, workflows

from druse.induction import Learned, induce, inputs_met, learn
from druse.model import Run, RunStatus, Step

Made = list[tuple[str, dict[str, Any], Any, str]]
TIERS = ("basic", "plus", "basic", "plus", "basic", "plus")
TOTALS = (310, 120, 290, 205, 150, 266)


def calls(number: int, *, tier: str | None = None) -> Made:
    """The refund of one order: two reads, two writes."""
    order, customer = f"ord-{number}{number}7", f"cus-{number}5{number}"
    found = {"customer": customer, "total": TOTALS[number], "state": "paid"}
    known = {"id": customer, "tier": tier or TIERS[number], "mail": f"m{number}@shop.example"}
    return [
        ("get_order", {"order": order}, found, "read"),
        ("get_customer", {"id": customer}, known, "read"),
        ("refund", {"order": order, "amount": TOTALS[number]}, {"ok": True}, "write"),
        ("send_mail", {"to": known["mail"], "text": "Your refund is on its way."}, {"ok": True}, "write"),
    ]


def run(number: int, made: Made, goal: str = "") -> Run:
    steps = tuple(Step(t, a, r, turn=at + 1, effect=e) for at, (t, a, r, e) in enumerate(made))
    said = goal or f"Refund order ord-{number}{number}7"
    return Run(f"run-{number}", said, RunStatus.SUCCESS, steps, ((0, said),))


def runs(odd: Made, *, goal: str = "", count: int = 6) -> list[Run]:
    """Runs of one workflow of which the third is the odd one."""
    return [run(n, odd, goal) if n == 2 else run(n, calls(n)) for n in range(count)]


def stops(learned: Learned, odd: Run) -> bool:
    """Whether the tool stops with the inputs and answers of a run, before any call that this run did not make."""
    inputs = inputs_met(learned.induction, odd)
    return inputs is None or replayed(learned.induction.source, inputs, odd)[0] == "refused"


def proved(learned: Learned) -> bool:
    """Whether each run that is evidence is reproduced by what all, and by what the others teach."""

    def right(found: Any, one: Run) -> bool:
        inputs = inputs_met(found, one)
        return inputs is not None and replayed(found.source, inputs, one)[0] == "right"

    others = [(induce([other for other in learned.runs if other is not one]), one) for one in learned.runs]
    return all(right(learned.induction, one) for one in learned.runs) and all(right(*part) for part in others)


def test_reads_that_nothing_used_are_left_out_and_named_and_the_run_stays_evidence() -> None:
    detour: Made = [
        ("search_help", {"query": "refunds"}, {"pages": ["How to refund"]}, "read"),
        ("get_stock", {"sku": "x-1"}, {"left": 7}, "read"),
    ]
    made = calls(2)
    learned = learn(runs([*made[:2], *detour, *made[2:], made[0]]))
    assert learned.induction.status == "induced" and proved(learned)
    assert [len(one.runs) for one in [learned]] == [6] and not learned.aside
    (told,) = learned.disagreements
    assert not told.set_aside and learned.induction.reasons[0] == str(told)
    assert "search_help" in str(told) and "get_stock" in str(told) and "nothing used" in str(told)
    assert "search_help" not in learned.induction.source


def test_a_write_is_never_left_out_of_a_run() -> None:
    made = calls(2)
    note: Made = [("add_note", {"order": "ord-227", "text": "Called the customer."}, {"ok": True}, "write")]
    learned = learn(runs([*made[:3], *note, made[3]]))
    assert [one.id for one in learned.aside] == ["run-2"]
    assert "add_note" in learned.induction.reasons[0] and "DOES NOT STOP" in learned.induction.reasons[0]


@pytest.mark.parametrize("tool", ["checkout_cart", "get_or_create_case", "check_in_goods", "readAndClear", "add_note"])
def test_a_call_that_may_change_something_is_not_left_out_whatever_its_name_begins_with(tool: str) -> None:
    made = [run(n, calls(n)) for n in range(6)]
    steps = list(made[2].steps)
    steps.insert(3, Step(tool, {"order": "ord-227"}, {"ok": True}, turn=3))
    made[2] = replace(made[2], steps=tuple(steps))
    learned = learn(made)
    assert not learned.disagreements or [one.id for one in learned.aside] == ["run-2"]


@pytest.mark.parametrize("count", [5, 6])
@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_run_that_lost_a_step_is_set_aside_and_the_others_are_proved(lost: int, count: int) -> None:
    made = calls(2)
    learned = learn(runs([*made[:lost], *made[lost + 1 :]], count=count))
    assert learned.induction.status == "induced" and proved(learned)
    assert [one.id for one in learned.aside] == ["run-2"] and len(learned.runs) == count - 1
    assert learned.induction.source.count("call(") == 4
    assert f"it did not call {made[lost][0]}" in learned.induction.reasons[0]


def test_a_wrong_argument_sets_its_run_aside_and_says_both_values() -> None:
    made = calls(2)
    made[2] = ("refund", {"order": "ord-227", "amount": 999}, {"ok": True}, "write")
    learned = learn(runs(made))
    assert proved(learned) and [one.id for one in learned.aside] == ["run-2"]
    assert "`amount` was 999; by the others it is 290" in learned.induction.reasons[0]


def test_what_a_user_asked_for_is_no_mistake() -> None:
    """The amount that one user named is an input, however many others took the whole."""
    made = calls(2)
    made[2] = ("refund", {"order": "ord-227", "amount": 199}, {"ok": True}, "write")
    learned = learn(runs(made, goal="Refund 199 of order ord-227"))
    assert not learned.aside and not learned.disagreements
    learned = learn(runs([*made[:2], made[3]], goal="Refund order ord-227 as store credit"))
    assert not learned.aside and learned.induction.status != "induced"


GOLD = ("send_mail", {"to": "m2@shop.example", "text": "A present is on its way."}, {"ok": True}, "write")


@pytest.mark.parametrize(
    "odd",
    [
        [*calls(2, tier="gold")[:3], GOLD],  # another text
        [*calls(2, tier="gold"), ("send_gift", {"order": "ord-227"}, {"ok": True}, "write")],  # one write more
        calls(2, tier="gold")[:3],  # one write less
        [*calls(2, tier="gold")[:2], calls(2)[3]],  # one write less, in the middle
    ],
)
def test_a_rare_branch_is_not_taken_for_noise_and_the_tool_stops_in_its_case(odd: Made) -> None:
    learned = learn(runs(odd))
    if not proved(learned):  # a table of states that one run alone shows
        assert not learned.disagreements  # the gate refuses it
        return
    assert proved(learned) and [one.id for one in learned.aside] == ["run-2"]
    assert '"tier"]' in learned.induction.source and stops(learned, learned.aside[0])
    gold = run(9, [(t, a, {**r, "tier": "gold"} if "tier" in r else r, e) for t, a, r, e in calls(1)])
    assert stops(learned, gold)
    assert not stops(learned, run(1, calls(1)))


def case(change: dict[str, Any], keep: dict[str, Any]) -> list[Run]:
    """Five runs with these fields of the order, and one with others that goes without the last write."""
    made: list[Run] = []
    for number in range(6):
        own = calls(number)
        first = own[0]
        own[0] = (first[0], first[1], {**first[2], **(change if number == 2 else keep)}, first[3])
        made.append(run(number, own[:3] if number == 2 else own))
    return made


@pytest.mark.parametrize(
    ("change", "keep"),
    [
        ({"hold": True}, {"hold": False}),
        ({"weight": 90}, {"weight": 12}),
        ({"gift": "for Ann"}, {}),
        ({"gift": "for Ann"}, {"gift": None}),
        ({"notes": []}, {"notes": ["n"]}),
        ({"notes": ["n"]}, {"notes": []}),
        ({"lines": [{"kind": "toy"}, {"kind": "acid"}]}, {"lines": [{"kind": "toy"}, {"kind": "book"}]}),
        ({"lines": ["a", "b", "c"]}, {"lines": ["a", "b"]}),
        ({}, {"checked": "by us"}),
        ({"billed_to": "DE4", "sent_to": "CH9"}, {"billed_to": "DE4", "sent_to": "DE4"}),
    ],
)
def test_whatever_told_the_odd_run_apart_stops_the_tool(change: dict[str, Any], keep: dict[str, Any]) -> None:
    learned = learn(case(change, keep))
    assert learned.aside and proved(learned) and stops(learned, learned.aside[0])


def test_the_largest_amount_of_all_stops_the_tool_too() -> None:
    """It may have been over a limit that nobody told."""
    made = calls(2)[:3]
    made[0][2]["total"] = made[2][1]["amount"] = 480
    learned = learn(runs(made))
    assert '["total"] <= 310' in learned.induction.source
    assert stops(learned, learned.aside[0])


def test_two_camps_are_a_condition_that_nobody_explained() -> None:
    made = [run(n, calls(n)[:3] if n % 2 else calls(n)) for n in range(6)]
    assert not learn(made).disagreements
    made = [run(n, calls(n)[:3] if n in (2, 3) else calls(n)) for n in range(6)]
    assert not learn(made).disagreements


def test_of_four_runs_none_is_set_aside() -> None:
    assert not learn(runs(calls(2)[:3], count=4)).disagreements


def test_a_run_that_differs_in_two_things_is_another_work() -> None:
    made = calls(2)
    assert not learn(runs([made[0], made[2]])).disagreements


def test_the_order_of_the_runs_does_not_matter() -> None:
    made: Sequence[Run] = runs(calls(2)[:3])
    assert learn(made).induction.source == learn(list(reversed(made))).induction.source


async def test_noise_in_one_of_six_runs_leaves_the_work_learnable_and_nothing_wrong() -> None:
    (some,) = [one for one in workflows() if one.name == "cal_meeting"]
    told = (await measure_noise([some], ["read", "lost"]))["totals"]
    for kind, total in told["one may differ"].items():
        assert total["silently_wrong"] == 0
        assert total["right"] > told["all runs must agree"][kind]["right"]


@pytest.mark.parametrize("reason", ["a flag", "a limit"])
def test_a_rule_of_which_one_run_is_the_only_case_is_kept_even_where_it_shows_in_a_loop(reason: str) -> None:
    some = [one for one in workflows() if one.name in ("archive_folder", "restock_all")]
    told = rare(some, reason)
    assert told["workflows"] == 2 and told["went_on"] == 0 and told["stopped"] >= 1
