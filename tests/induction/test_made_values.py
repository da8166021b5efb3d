"""Values that are made of what is known: tables of states, dates, rates, lists of objects, parts of what users said."""

from __future__ import annotations

from typing import Any

import pytest

from druse.induction import induce
from druse.model import Run, RunStatus, Step
from workflows import Diverged, execute, learned, same_calls

SERVED = {
    "a": {"net": 119.5, "cents": 1999, "issued": "2026-02-20", "severity": "low", "mail": "a@x.example"},
    "b": {"net": 45.25, "cents": 2050, "issued": "2026-03-01", "severity": "high", "mail": "b@y.example"},
    "c": {"net": 1200.0, "cents": 10, "issued": "2025-12-24", "severity": "low", "mail": "c@z.example"},
    "d": {"net": 77.77, "cents": 31415, "issued": "2026-01-31", "severity": "high", "mail": "d@w.example"},
    "e": {"net": 9.99, "cents": 123, "issued": "2024-02-28", "severity": "low", "mail": "e@v.example"},
    "f": {"net": 10.0, "cents": 7, "issued": "2026-10-30", "severity": "odd", "mail": "f"},
}


def server() -> Any:
    return lambda tool, a: SERVED[a["id"]] if tool == "get_case" else {"ok": True}


@pytest.mark.parametrize(
    ("make", "written"),
    [
        (lambda case: round(case["net"] * 1.19, 2), 'round(case["net"] * 1.19, 2)'),
        (lambda case: case["cents"] / 100, 'case["cents"] / 100'),
        (lambda case: case["mail"].split("@", 1)[-1], 'case["mail"].split("@", 1)[1]'),
        (lambda case: {"low": 4, "high": 1}.get(case["severity"], 9), '{"high": 1, "low": 4}[case["severity"]]'),
    ],
)
def test_a_value_that_is_made_of_another_one(make: Any, written: str) -> None:
    def program(call: Any, id: str) -> None:
        call("set_value", id=id, value=make(call("get_case", id=id)))

    found = learned(program, server, [{"id": id} for id in "abcd"])

    assert found.status == "induced" and written in found.source
    assert same_calls(found, program, server, {"id": "e"}, {"id": "e"})


def test_a_state_that_is_not_in_the_table_stops_the_run() -> None:
    def program(call: Any, id: str) -> None:
        call("set_value", id=id, value={"low": "P4", "high": "P1"}.get(call("get_case", id=id)["severity"], "P9"))

    found = learned(program, server, [{"id": id} for id in "abcd"])

    with pytest.raises(Diverged, match="severity is new"):
        execute(found, server(), {"id": "f"})


def test_a_date_that_is_always_as_many_days_later_is_counted_over_months_and_leap_years() -> None:
    due = {"a": "2026-03-06", "b": "2026-03-15", "c": "2026-01-07", "d": "2026-02-14", "e": "2024-03-13"}

    def program(call: Any, id: str) -> None:
        call("get_case", id=id)
        call("remind", id=id, on=due[id])

    found = learned(program, server, [{"id": id} for id in "abcd"])

    assert 'date.fromisoformat(case["issued"][:10]) + timedelta(days=14)' in found.source
    assert same_calls(found, program, server, {"id": "e"}, {"id": "e"})


def test_an_end_is_made_of_a_start_whichever_name_comes_first() -> None:
    def program(call: Any, start: str, end: str) -> None:
        call("create_event", start=start, end=end)

    times = [("09:10", "09:40"), ("10:45", "11:15"), ("23:50", "24:20"), ("12:00", "12:30")]
    runs = [
        Run(
            f"r{number}",
            f"a meeting at 2026-05-0{number}T{start}:00",
            RunStatus.SUCCESS,
            (Step("create_event", {"start": f"2026-05-0{number}T{start}:00", "end": _plain(number, end)}, {}, turn=1),),
        )
        for number, (start, end) in enumerate(times, 1)
    ]
    found = induce(runs)

    assert [part.name for part in found.parameters] == ["start"]
    (step,) = execute(found, lambda tool, a: {}, {"start": "2026-12-31T23:45:00"})
    assert step.arguments["end"] == "2027-01-01T00:15:00"


def _plain(day: int, end: str) -> str:
    return f"2026-05-0{day + 1}T00:20:00" if end == "24:20" else f"2026-05-0{day}T{end}:00"


def test_a_list_of_objects_is_made_of_the_elements_of_an_earlier_list() -> None:
    carts = {
        name: {"lines": [{"sku": f"{name}{n}", "qty": n + size, "price": 5} for n in range(size)]}
        for size, name in enumerate(("p", "q", "r", "s"), 1)
    }

    def shop() -> Any:
        return lambda tool, a: carts[a["cart"]] if tool == "get_cart" else {}

    def program(call: Any, cart: str) -> None:
        lines = call("get_cart", cart=cart)["lines"]
        items = [{"sku": line["sku"], "quantity": line["qty"], "gift": False} for line in lines]
        call("return_items", cart=cart, items=items)

    found = learned(program, shop, [{"cart": cart} for cart in "pqr"])

    assert '"quantity": item["qty"]' in found.source
    assert same_calls(found, program, shop, {"cart": "s"}, {"cart": "s"})


def test_names_joined_in_one_text() -> None:
    teams = {"a": ["ann"], "b": ["bo", "cy"], "c": ["di", "ed", "fo"], "d": []}

    def server() -> Any:
        return lambda tool, a: [{"name": name} for name in teams[a["team"]]] if tool == "list_people" else {}

    def program(call: Any, team: str) -> None:
        call("post", team=team, text=", ".join(one["name"] for one in call("list_people", team=team)))

    found = learned(program, server, [{"team": team} for team in "abc"])

    assert same_calls(found, program, server, {"team": "b"}, {"team": "b"}) and '", ".join(' in found.source


def test_pages_by_number_go_on_until_there_is_no_more() -> None:
    last = {"a": 1, "b": 3, "c": 2, "d": 4, "e": 6}

    def server() -> Any:
        return lambda tool, a: {"items": [a["page"]], "has_more": a["page"] < last[a["of"]]}

    def program(call: Any, of: str) -> None:
        page = 1
        while call("list_items", of=of, page=page)["has_more"]:
            page += 1

    found = learned(program, server, [{"of": of} for of in "abcd"])

    assert same_calls(found, program, server, {"of": "e"}, {"of": "e"})


def test_only_what_the_users_said_of_a_text_is_the_input() -> None:
    def program(call: Any, repo: str, version: str) -> None:
        call("create_branch", repo=repo, name=f"release/{version}")
        call("open_pull", repo=repo, head=f"release/{version}", title=f"Release {version}")

    versions = ("1.2.0", "1.3.1", "1.10.4")
    found = learned(program, server, [{"repo": f"acme/r{n}", "version": v} for n, v in enumerate(versions)])

    assert [part.name for part in found.parameters] == ["repo", "name"]
    wanted = {"repo": "acme/zz", "version": "2.0.0"}
    assert same_calls(found, program, server, wanted, {"repo": "acme/zz", "name": "2.0.0"})
