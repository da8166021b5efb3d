"""Loops beyond one list of results: nested, given, in another order, by text, paged, waiting; and lists as arguments."""

from __future__ import annotations

from typing import Any

import pytest

from druse.induction import bind, induce
from workflows import Diverged, execute, learned, record, same_calls

Lists = dict[str, list[dict[str, Any]]]


def items(name: str, count: int) -> list[dict[str, Any]]:
    kinds = ["log", "doc", "log", "doc", "log"]
    return [{"name": f"{name}_{n}.txt", "sku": f"{name}-{n}", "kind": kinds[(n + len(name)) % 5]} for n in range(count)]


FOLDERS: Lists = {
    name: items(name, count)
    for name, count in {"alpha": 3, "beta": 1, "gamma": 4, "delta": 2, "eps": 5, "new": 4, "old": 2}.items()
}
SIX = [{"folder": name} for name in ("alpha", "beta", "gamma", "delta", "eps")]


def files(tool: str, a: dict[str, Any]) -> Any:
    if tool == "list_files":
        return {"entries": FOLDERS[a["folder"]], "folder": a["folder"]}
    return {"ok": True, "tool": tool}


def test_lists_in_the_elements_of_a_list_are_gone_over() -> None:
    def server(tool: str, a: dict[str, Any]) -> Any:
        if tool != "list_orders":
            return {"ok": True}
        size = len(a["user"])
        return [{"id": f"{a['user']}{n}", "lines": items(f"{a['user']}{n}", (n + size) % 3)} for n in range(size % 4)]

    def program(call: Any, user: str) -> None:
        for order in call("list_orders", user=user):
            for line in order["lines"]:
                call("open_return", order=order["id"], sku=line["sku"])

    users = ["anna", "bo", "cleo d", "dan", "eve x", "fay", "gus yy"]
    found = learned(program, lambda: server, [{"user": user} for user in users])

    assert found.source.count("for ") == 2
    for user in ("hannah x", "ivo j"):
        assert same_calls(found, program, lambda: server, {"user": user}, {"user": user})


def test_a_loop_whose_argument_is_a_text_with_the_element_in_it() -> None:
    def program(call: Any, folder: str) -> None:
        for entry in call("list_files", folder=folder)["entries"]:
            if entry["kind"] == "log":
                call("delete", path=f"{folder}/{entry['name']}")

    found = learned(program, lambda: files, SIX)

    assert same_calls(found, program, lambda: files, {"folder": "new"}, {"folder": "new"})


def test_reads_made_together_for_each_element_may_come_in_any_order() -> None:
    turn = iter(range(100))

    def program(call: Any, folder: str) -> None:
        names = [entry["sku"] for entry in call("list_files", folder=folder)["entries"]]
        shift = next(turn) % len(names)
        for name in names[shift:] + names[:shift]:
            call("get_item", sku=name)

    found = learned(program, lambda: files, SIX)

    assert found.status == "induced" and found.source.count("for ") == 1
    assert all(bind(found, run) for run in record(program, lambda: files, [{"folder": "new"}]))


def test_writes_in_another_order_than_the_list_are_no_loop() -> None:
    def program(call: Any, folder: str) -> None:
        names = [entry["sku"] for entry in call("list_files", folder=folder)["entries"]]
        for name in reversed(names):
            call("delete_item", sku=name)

    found = learned(program, lambda: files, SIX)

    assert found.status == "refused"


PEOPLE = ["Ana", "Ben", "Cleo", "Dan", "Eva", "Finn"]


def book(call: Any, names: list[str], day: str) -> None:
    ids = [call("find_person", name=name)["id"] for name in names]
    call("book", people=ids, day=day)


def people(tool: str, a: dict[str, Any]) -> Any:
    return {"id": f"u-{sum(map(ord, a['name']))}"} if tool == "find_person" else {"ok": True}


def test_a_list_that_the_caller_gives_is_gone_over() -> None:
    inputs = [{"names": PEOPLE[n : n + size], "day": f"2026-01-1{n}"} for n, size in enumerate((2, 1, 3, 2))]
    found = learned(book, lambda: people, inputs)

    values = {"names": PEOPLE[1:], "day": "2026-02-02"}
    (run,) = record(book, lambda: people, [values])
    assert [parameter.name for parameter in found.parameters] == ["names", "day"]
    assert bind(found, run) == values
    assert same_calls(found, book, lambda: people, values, values)


def test_as_many_calls_in_every_run_are_no_list() -> None:
    inputs = [{"names": PEOPLE[n : n + 2], "day": f"2026-01-1{n}"} for n in range(4)]
    found = learned(book, lambda: people, inputs)

    assert "for " not in found.source and len(found.parameters) == 3


def pages(tool: str, a: dict[str, Any]) -> Any:
    if tool != "list_rows":
        return {"ok": True}
    rows = FOLDERS[a["table"]]
    start = int(a.get("cursor", "c0")[1:])
    after = f"c{start + 2}" if start + 2 < len(rows) else None
    return {"rows": rows[start : start + 2], "next": after}


def read_pages(call: Any, table: str) -> list[Any]:
    page = call("list_rows", table=table)
    rows = list(page["rows"])
    while page["next"]:
        page = call("list_rows", table=table, cursor=page["next"])
        rows += page["rows"]
    return rows


def test_paging_goes_on_until_there_is_no_next_cursor() -> None:
    def program(call: Any, table: str) -> None:
        for row in read_pages(call, table):
            if row["kind"] == "log":
                call("flag", sku=row["sku"])

    short = [{"table": name} for name in ("alpha", "beta", "gamma", "delta", "new")]  # at most two pages
    found = learned(program, lambda: pages, short)

    assert "while " in found.source
    assert same_calls(found, program, lambda: pages, {"table": "eps"}, {"table": "eps"})  # three pages


def test_waiting_goes_on_until_the_state_changes_and_stops_at_a_new_state() -> None:
    def server() -> Any:
        polls: list[int] = []

        def answer(tool: str, a: dict[str, Any]) -> Any:
            if tool != "get_job":
                return {"ok": True, "job": a.get("app", "") + "!"}
            polls.append(1)
            if a["job"] == "odd!":
                return {"state": "failed"}
            return {"state": "running" if len(polls) < len(a["job"]) % 4 else "done"}

        return answer

    def program(call: Any, app: str) -> None:
        job = call("deploy", app=app)["job"]
        while call("get_job", job=job)["state"] == "running":
            pass
        call("announce", app=app)

    found = learned(program, server, [{"app": app} for app in ("web", "ab", "cored", "queue", "indexer")])

    assert "while " in found.source
    assert same_calls(found, program, server, {"app": "parse-x"}, {"app": "parse-x"})
    with pytest.raises(Diverged):
        execute(found, server(), {"app": "odd"})


def test_a_list_of_some_elements_keeps_what_chose_them() -> None:
    def program(call: Any, folder: str) -> None:
        entries = call("list_files", folder=folder)["entries"]
        call("close_many", skus=[entry["sku"] for entry in entries if entry["kind"] == "log"])

    found = learned(program, lambda: files, SIX)

    assert same_calls(found, program, lambda: files, {"folder": "new"}, {"folder": "new"})


def test_elements_that_match_what_the_caller_said_are_chosen_by_it() -> None:
    def program(call: Any, folder: str, kind: str) -> None:
        call("search", kind=kind)
        for entry in call("list_files", folder=folder)["entries"]:
            if entry["kind"] == kind:
                call("move", sku=entry["sku"])

    inputs = [{**values, "kind": kind} for values, kind in zip(SIX, ("log", "doc", "doc", "log", "log"), strict=True)]
    found = learned(program, lambda: files, inputs)

    values = {"folder": "new", "kind": "doc"}
    assert same_calls(found, program, lambda: files, values, values)


def test_two_states_that_must_both_hold_are_found_where_no_other_pair_fits() -> None:
    def server(tool: str, a: dict[str, Any]) -> Any:
        if tool != "list_rows":
            return {"ok": True}
        return [
            {"id": f"{a['q']}{n}", "state": ["open", "shut"][(n + len(a["q"])) % 2], "mine": n % 3 == 0, "n": n}
            for n in range(8)
        ]

    def program(call: Any, q: str) -> None:
        for row in call("list_rows", q=q):
            if row["state"] == "open" and row["mine"]:
                call("take", id=row["id"])

    found = learned(program, lambda: server, [{"q": q} for q in ("al", "bet", "gamm", "delta")])

    assert same_calls(found, program, lambda: server, {"q": "epsilon"}, {"q": "epsilon"})


def test_which_of_many_are_taken_by_a_rule_that_no_state_shows_is_refused() -> None:
    def server(tool: str, a: dict[str, Any]) -> Any:
        size = len(a.get("q", ""))
        rows = [{"id": f"{a.get('q')}{n}", "amount": (n * 37 + size * 11) % 100} for n in range(6)]
        return rows if tool == "list_rows" else {"ok": True}

    def program(call: Any, q: str) -> None:
        for row in call("list_rows", q=q):
            if row["amount"] > 50:
                call("flag", id=row["id"])

    runs = record(program, lambda: server, [{"q": q} for q in ("al", "bet", "gamm", "delta")])

    assert induce(runs).status == "refused"
