"""What few runs do not show: each test is a case in which a bolder reading of the runs calls something wrong."""

from __future__ import annotations

from typing import Any

import pytest

from druse.induction import bind, induce, macro_of
from druse.model import Run, RunStatus, Step
from workflows import Diverged, execute, learned, same_calls


def shop(users: dict[str, dict[str, Any]]) -> Any:
    def server(tool: str, a: dict[str, Any]) -> Any:
        return {"id": a["user"], **users[a["user"]]} if tool == "get_user" else {"ok": True, "tool": tool}

    return lambda: server


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay"]


def test_a_step_that_one_run_alone_has_is_not_learned() -> None:
    users = {name: {"tier": "gold" if name == "ann" else "basic", "mail": f"{name}@x.io"} for name in NAMES}

    def program(call: Any, user: str) -> None:
        found = call("get_user", user=user)
        if found["tier"] == "gold":
            call("grant_perk", mail=found["mail"], perk="hat")
        call("list_offers", tier=found["tier"])

    found = learned(program, shop(users), [{"user": name} for name in NAMES])

    assert found.status != "induced" and "grant_perk" not in found.source
    assert any("one run only" in reason for reason in found.reasons)


def test_runs_told_apart_by_the_words_of_the_user_are_two_workflows() -> None:
    users = {name: {"region": "north" if name in "ann cat eve" else "south"} for name in NAMES}
    runs: list[Run] = []
    for number, name in enumerate(NAMES):
        keep = users[name]["region"] == "north"  # an accident of these six
        steps = (
            Step("get_user", {"user": name}, {"id": name, **users[name]}, turn=1),
            Step("keep" if keep else "remove", {"user": name}, {"ok": True}, turn=2),
        )
        goal = f"Please {'keep' if keep else 'delete'} {name}"
        runs.append(Run(f"r{number}", goal, RunStatus.SUCCESS, steps))

    found = induce(runs)

    assert "remove" not in found.source and "keep" not in found.source
    assert any("asked for different things" in reason for reason in found.reasons)


def test_conditions_that_no_run_told_apart_are_compared_whatever_their_kind() -> None:
    users: dict[str, dict[str, Any]] = {
        name: {"owner": "Elm" if name in "ann ben cat" else "Fir", "debts": [1] if name in "ann ben cat" else []}
        for name in NAMES
    }
    users["new"] = {"owner": "Elm", "debts": []}
    users["old"] = {"owner": "Fir", "debts": []}

    def program(call: Any, user: str) -> None:
        found = call("get_user", user=user)
        if found["debts"]:
            call("open_case", user=user)
        call("list_offers", user=user)

    found = learned(program, shop(users), [{"user": name} for name in NAMES])

    assert same_calls(found, program, shop(users), {"user": "old"}, {"user": "old"})
    with pytest.raises(Diverged):
        execute(found, shop(users)(), {"user": "new"})


def test_a_constant_that_is_also_a_value_of_every_result_is_compared_with_it() -> None:
    users = {name: {"segment": "small"} for name in NAMES} | {"big": {"segment": "large"}}

    def program(call: Any, user: str) -> None:
        call("get_user", user=user)
        call("save", user=user, tag="small")

    found = learned(program, shop(users), [{"user": name} for name in NAMES])

    assert same_calls(found, program, shop(users), {"user": "ann"}, {"user": "ann"})
    with pytest.raises(Diverged):
        execute(found, shop(users)(), {"user": "big"})


def test_a_constant_beside_a_field_of_its_name_that_never_changed_is_kept_to_that_case() -> None:
    users = {name: {"limit": 500} for name in NAMES} | {"rich": {"limit": 2000}}

    def program(call: Any, user: str) -> None:
        call("set_limit", user=user, limit=call("get_user", user=user)["limit"] * 2)

    found = learned(program, shop(users), [{"user": name} for name in NAMES])

    with pytest.raises(Diverged):
        execute(found, shop(users)(), {"user": "rich"})


def test_double_the_value_is_learned_from_three_different_ones() -> None:
    users = {name: {"limit": limit} for name, limit in zip(NAMES, (500, 700, 500, 900, 150, 60), strict=True)}

    def program(call: Any, user: str) -> None:
        call("set_limit", user=user, limit=call("get_user", user=user)["limit"] * 2)

    found = learned(program, shop(users), [{"user": name} for name in NAMES[:4]])
    two = learned(program, shop(users), [{"user": name} for name in NAMES[:2]])

    assert "* 2" in found.source and "* 2" not in two.source
    assert same_calls(found, program, shop(users), {"user": "fay"}, {"user": "fay"})


def test_an_amount_in_cents_is_a_whole_number() -> None:
    users = {name: {"due": due} for name, due in zip(NAMES, (5.1, 7.25, 0.57, 9.99, 1.1, 4.35), strict=True)}

    def program(call: Any, user: str) -> None:
        call("charge", user=user, cents=round(call("get_user", user=user)["due"] * 100))

    found = learned(program, shop(users), [{"user": name} for name in NAMES[:5]])

    assert same_calls(found, program, shop(users), {"user": "fay"}, {"user": "fay"})


def test_reading_the_same_again_is_no_step_and_reading_after_a_write_is() -> None:
    runs: list[Run] = []
    for number, name in enumerate(NAMES):
        read = Step("get_user", {"user": name}, {"id": name * 2}, turn=1)
        save = Step("save", {"id": name * 2}, {"ok": True}, turn=3)
        again = Step("get_user", {"user": name}, {"id": name * 2}, turn=4)
        steps = (read, *([read] if number % 2 else []), save, again)
        runs.append(Run(f"r{number}", name, RunStatus.SUCCESS, steps))

    found = induce(runs)

    assert [step.tool for step in macro_of(runs[1])] == ["get_user", "save", "get_user"]
    assert found.status == "induced" and found.source.count('call("get_user"') == 2
    assert all(bind(found, run) for run in runs)


def test_a_single_digit_in_a_text_has_a_source_after_three_different_ones() -> None:
    users = {name: {"sprint": sprint} for name, sprint in zip(NAMES, (3, 14, 7, 20, 2, 58), strict=True)}

    def program(call: Any, user: str) -> None:
        call("rename", user=user, title=f"Sprint {call('get_user', user=user)['sprint']} (20 min)")

    found = learned(program, shop(users), [{"user": name} for name in NAMES[:5]])

    assert same_calls(found, program, shop(users), {"user": "fay"}, {"user": "fay"})


def test_the_element_marked_as_such_is_found_by_its_mark() -> None:
    def server(tool: str, a: dict[str, Any]) -> Any:
        mine = sum(map(ord, a.get("user", "")))
        cards = [{"id": f"{a.get('user')}-{n}", "primary": n == mine % 3} for n in range(3)]
        return {"cards": cards} if tool == "get_cards" else {"ok": True}

    def program(call: Any, user: str) -> None:
        cards = call("get_cards", user=user)["cards"]
        call("charge", card=next(card["id"] for card in cards if card["primary"]))

    found = learned(program, lambda: server, [{"user": name} for name in NAMES[:4]])

    assert same_calls(found, program, lambda: server, {"user": "eve"}, {"user": "eve"})
