"""What a stranger's workflows showed: constants that were none, branches, data that is not always there."""

from __future__ import annotations

from typing import Any

import pytest

from druse.induction import bind, induce
from druse.model import Run, RunStatus, Step
from workflows import Diverged, execute, learned, record, same_calls

PEOPLE = {
    "ann": {"email": "ann@globex.example", "vip": True, "boss": None, "severity": "low"},
    "bo": {"email": "bo@globex.example", "vip": True, "boss": {"email": "boss1@x.example"}, "severity": "normal"},
    "cy": {"email": "cy@globex.example", "vip": True, "boss": {"email": "boss2@x.example"}, "severity": "low"},
    "di": {"email": "di@globex.example", "vip": True, "boss": None, "severity": "normal"},
    "ed": {"email": "ed@globex.example", "vip": True, "boss": None, "severity": "low"},
    "fo": {"email": "fo@acme.example", "vip": False, "boss": {"email": "boss3@x.example"}, "severity": "critical"},
    "gu": {"email": "gu@globex.example", "vip": True, "boss": None, "severity": "critical"},
}
KNOWN = [{"name": name} for name in list(PEOPLE)[:5]]


def crm() -> Any:
    def server(tool: str, a: dict[str, Any]) -> Any:
        if tool == "get_person":
            return PEOPLE[a["name"]]
        if tool == "search":
            return {"results": [{"id": f"id-{a['email']}"}] if not a["email"].startswith("new") else []}
        return {"done": True, "at": 1}

    return server


def test_a_constant_that_is_a_part_of_every_text_is_kept_to_texts_with_that_part() -> None:
    def program(call: Any, name: str) -> None:
        call("get_person", name=name)
        call("add_to_company", name=name, domain=PEOPLE[name]["email"].split("@")[1])

    found = learned(program, crm, KNOWN)

    assert same_calls(found, program, crm, {"name": "di"}, {"name": "di"})
    with pytest.raises(Diverged, match="always had in it"):
        execute(found, crm(), {"name": "fo"})


def test_an_argument_that_may_hang_on_a_plan_or_a_vip_is_kept_to_the_plan_that_was_seen() -> None:
    def program(call: Any, name: str) -> None:
        person = call("get_person", name=name)
        call("send", to=person["email"], template="gold" if person["vip"] else "standard")

    found = learned(program, crm, KNOWN)

    with pytest.raises(Diverged, match="vip was True in all runs"):
        execute(found, crm(), {"name": "fo"})


def test_a_flag_that_was_always_off_is_kept_to_the_grades_that_were_seen() -> None:
    def program(call: Any, name: str) -> None:
        person = call("get_person", name=name)
        call("set_flags", to=person["email"], urgent=person["severity"] == "critical")

    found = learned(program, crm, KNOWN)

    with pytest.raises(Diverged, match="severity was 'low' or 'normal' in all runs"):
        execute(found, crm(), {"name": "gu"})


def test_a_constant_that_is_how_many_elements_there_were_is_compared_with_it() -> None:
    sizes = {"a": 3, "b": 3, "c": 3, "d": 5}

    def server() -> Any:
        return lambda tool, a: {"rows": list(range(sizes[a["day"]]))} if tool == "list_rows" else {}

    def program(call: Any, day: str) -> None:
        rows = call("list_rows", day=day)["rows"]
        call("post", day=day, count=len(rows))

    found = learned(program, server, [{"day": day} for day in "abc"])

    with pytest.raises(Diverged, match="as many as"):
        execute(found, server(), {"day": "d"})


def test_what_every_user_of_few_runs_said_alike_is_an_input_with_a_default() -> None:
    def program(call: Any, mail: str, label: str) -> None:
        call("add_label", id=mail, label=label)

    few = [{"mail": f"m-{number}", "label": "family"} for number in range(5)]
    found = learned(program, crm, few[:3])

    assert [(part.name, part.required) for part in found.parameters] == [("id", True), ("label", False)]
    assert same_calls(found, program, crm, {"mail": "m-9", "label": "urgent"}, {"id": "m-9", "label": "urgent"})
    assert same_calls(found, program, crm, few[0], {"id": "m-0"})
    assert [part.name for part in learned(program, crm, few).parameters] == ["id"]


def test_found_or_not_is_one_branch_and_the_other_and_each_answers() -> None:
    def program(call: Any, email: str) -> None:
        found = call("search", email=email)["results"]
        if found:
            call("update_contact", id=found[0]["id"], source="form")
        else:
            call("create_contact", email=email, source="form")

    emails = ["a@x.io", "new1@x.io", "b@x.io", "new2@x.io", "c@x.io", "new3@x.io"]
    runs = record(program, crm, [{"email": email} for email in emails])
    found = induce(runs)

    assert "else:" in found.source and "return contact\n" in found.source
    for run, email in zip(runs, emails, strict=True):
        assert bind(found, run) == {"email": email}
        assert execute(found, crm(), {"email": email}) == list(run.steps)


def test_a_step_that_needs_what_is_there_only_at_times_hangs_on_that_and_on_no_accident() -> None:
    people = {
        "a": {"last": "Kaya", "boss": {"mail": "b1"}},
        "b": {"last": "Kaya", "boss": {"mail": "b2"}},
        "c": {"last": "Ito", "boss": None},
        "d": {"last": "Rossi", "boss": None},
        "e": {"last": "Haddad", "boss": {"mail": "b3"}},
    }

    def server() -> Any:
        return lambda tool, a: people[a["name"]] if tool == "get_person" else {"sent": True}

    def program(call: Any, name: str) -> None:
        person = call("get_person", name=name)
        if person["boss"]:
            call("send_mail", to=person["boss"]["mail"])

    found = learned(program, server, [{"name": name} for name in "abcd"])

    assert "Kaya" not in found.source
    assert same_calls(found, program, server, {"name": "e"}, {"name": "e"})
    assert same_calls(found, program, server, {"name": "c"}, {"name": "c"})


def test_an_address_that_the_last_answer_names_is_the_next_page_and_no_list_of_the_caller() -> None:
    pages = {
        f"https://x.example/{name}/{number}": {
            "data": [f"{name}{number}a", f"{name}{number}b"],
            "next": f"https://x.example/{name}/{number + 1}" if number < last else None,
        }
        for name, last in (("p", 1), ("q", 2), ("r", 3), ("s", 1), ("t", 4))
        for number in range(1, last + 1)
    }

    def server() -> Any:
        return lambda tool, a: pages[a["url"]]

    def program(call: Any, url: str) -> None:
        answer = call("fetch", url=url)
        while answer["next"]:
            answer = call("fetch", url=answer["next"])

    found = learned(program, server, [{"url": f"https://x.example/{name}/1"} for name in "pqrs"])

    assert [part.name for part in found.parameters] == ["url"]
    assert same_calls(found, program, server, {"url": "https://x.example/t/1"}, {"url": "https://x.example/t/1"})


def test_one_run_that_made_a_call_twice_shows_no_list() -> None:
    def run(number: int, *names: str) -> Run:
        steps = tuple(
            Step("get_person", {"name": name}, {"email": f"{name}@x.io"}, turn=turn)
            for turn, name in enumerate(names, 1)
        )
        return Run(f"r{number}", f"look at {names[-1]}", RunStatus.SUCCESS, steps)

    found = induce([run(1, "stray", "ann"), run(2, "bo"), run(3, "cy"), run(4, "di")])

    assert not any(part.schema.get("type") == "array" for part in found.parameters)


def test_reads_that_repeat_what_they_were_given_may_still_change_places() -> None:
    def server() -> Any:
        return lambda tool, a: {"service": a.get("service"), tool: f"{tool}-{a.get('service')}"}

    names = iter(range(6))

    def program(call: Any, service: str) -> None:
        first, second = ("get_owner", "get_deploy") if next(names) % 2 else ("get_deploy", "get_owner")
        got = {tool: call(tool, service=service) for tool in (first, second)}
        call("notify", channel=got["get_owner"]["get_owner"])

    found = learned(program, server, [{"service": f"svc-{number}x"} for number in range(4)])

    assert found.status == "induced" and [part.name for part in found.parameters] == ["service"]


def test_a_state_that_every_element_had_is_asked_of_the_next_ones() -> None:
    lists = {team: [{"id": f"{team}{n}", "state": "open"} for n in range(3)] for team in "abc"}
    lists["d"] = [{"id": "d0", "state": "open"}, {"id": "d1", "state": "done"}]

    def server() -> Any:
        return lambda tool, a: {"tasks": lists[a["team"]]} if tool == "list_tasks" else {}

    def program(call: Any, team: str) -> None:
        for task in call("list_tasks", team=team)["tasks"]:
            if task["state"] == "open":
                call("close_task", id=task["id"])

    found = learned(program, server, [{"team": team} for team in "abc"])

    with pytest.raises(Diverged, match="state was 'open' in all runs"):
        execute(found, server(), {"team": "d"})


def test_what_was_written_as_nothing_was_found_is_not_written_where_something_is() -> None:
    def program(call: Any, email: str) -> None:
        if not call("search", email=email)["results"]:
            call("create_contact", email=email)

    found = learned(program, crm, [{"email": f"new{number}@x.io"} for number in range(3)])

    assert same_calls(found, program, crm, {"email": "new9@x.io"}, {"email": "new9@x.io"})
    with pytest.raises(Diverged, match="results was"):
        execute(found, crm(), {"email": "known@x.io"})


def test_a_rate_under_a_key_that_all_users_said_is_looked_up_under_what_they_say() -> None:
    def server() -> Any:
        return lambda tool, a: {"rates": {"USD": 1.5 + a["day"], "GBP": 2.25}} if tool == "get_rates" else {}

    def program(call: Any, day: int, currency: str) -> None:
        call("set_price", currency=currency, rate=call("get_rates", day=day)["rates"][currency])

    found = learned(program, server, [{"day": day, "currency": "USD"} for day in (11, 12, 13)])

    assert same_calls(found, program, server, {"day": 14, "currency": "GBP"}, {"day": 14, "currency": "GBP"})
