"""Traps that break the naive version of each evidence rule. Refusing is right; being silently wrong is the failure."""

from __future__ import annotations

import random
from typing import Any

import pytest

from druse.induction import bind, induce, workflow_key
from druse.model import Run, RunStatus, Step
from druse_sandbox.language import compile_source
from workflows import Diverged, execute, learned, record, same_calls

CITIES = ["Paris", "Rome", "Oslo", "New York", "Lima", "Kyoto", "Cairo", "Quito"]


def weather() -> Any:
    def server(tool: str, a: dict[str, Any]) -> Any:
        if tool == "geocode":
            seed = sum(map(ord, a["city"]))
            return {"lat": seed / 7, "lon": seed / 3, "city": a["city"]}
        if tool == "forecast":
            return {"summary": "rain" if a["lat"] > 70 else "sun", "tmax": round(a["lat"] / 5, 1)}
        return {"sent": True}

    return server


def notify_weather(call: Any, city: str) -> None:
    place = call("geocode", city=city)
    found = call("forecast", lat=place["lat"], lon=place["lon"], days=3)
    call("notify", channel="#weather", text=f"Weather in {city}: {found['summary']}, {found['tmax']}C")


@pytest.mark.requirement("H-11")
def test_constants_parameters_paths_and_templates_are_told_apart() -> None:
    found = learned(notify_weather, weather, [{"city": city} for city in CITIES[:6]])

    assert found.status == "induced"
    assert [parameter.name for parameter in found.parameters] == ["city"]
    assert "days=3" in found.source and '"#weather"' in found.source
    assert same_calls(found, notify_weather, weather, {"city": "Quito"}, {"city": "Quito"})


@pytest.mark.requirement("H-11")
def test_one_run_is_refused() -> None:
    found = learned(notify_weather, weather, [{"city": "Paris"}])

    assert found.status == "refused" and "at least two" in found.reasons[0]


def test_two_equal_runs_are_refused() -> None:
    found = learned(notify_weather, weather, [{"city": "Paris"}] * 2)

    assert found.status == "refused"


def test_the_order_of_the_runs_does_not_change_a_byte() -> None:
    runs = record(notify_weather, weather, [{"city": city} for city in CITIES[:6]])
    sources = set()
    for seed in range(5):
        random.Random(seed).shuffle(runs)
        sources.add(induce(runs).source)

    assert len(sources) == 1


def test_a_constant_that_equals_an_earlier_count_stays_a_constant() -> None:
    def server() -> Any:
        return lambda tool, a: {"count": 10, "name": a.get("name")} if tool == "count" else {"rows": []}

    def program(call: Any, name: str) -> None:
        call("count", name=name)
        call("list", name=name, page_size=10)

    found = learned(program, server, [{"name": n} for n in ("ada", "bob", "cyd")])

    assert "page_size=10" in found.source


def test_two_parameters_of_one_name_stay_two() -> None:
    def server() -> Any:
        return lambda tool, a: {"ok": True}

    def program(call: Any, one: str, two: str) -> None:
        call("depart", city=one)
        call("arrive", city=two)

    inputs = [{"one": a, "two": b} for a, b in zip(CITIES[:4], CITIES[4:], strict=True)]
    found = learned(program, server, inputs)

    assert len(found.parameters) == 2
    (run,) = record(program, server, [{"one": "Bern", "two": "Graz"}])
    assert bind(found, run) == {found.parameters[0].name: "Bern", found.parameters[1].name: "Graz"}


def orders(lists: dict[str, list[dict[str, Any]]]) -> Any:
    def server(tool: str, a: dict[str, Any]) -> Any:
        if tool == "list_orders":
            return {"orders": lists[a["user"]]}
        if tool == "get_order":
            return {"id": a["id"], "total": len(a["id"]), "owner": {"name": a["id"][::-1]}}
        return {"done": a}

    return lambda: server


USERS = {
    "ann": [{"id": "o-11", "state": "open"}, {"id": "o-12", "state": "shut"}],
    "ben": [{"id": "o-21", "state": "shut"}],
    "cat": [{"id": "o-31", "state": "open"}, {"id": "o-32", "state": "open"}, {"id": "o-33", "state": "lost"}],
    "dan": [{"id": "o-41", "state": "lost"}, {"id": "o-42", "state": "void"}, {"id": "o-43", "state": "open"}],
    "eve": [{"id": "o-51", "state": "open"}, {"id": "o-52", "state": "shut"}],
    "new": [{"id": "o-91", "state": "void"}, {"id": "o-92", "state": "open"}, {"id": "o-93", "state": "shut"}],
}
TRAIN = [{"user": user} for user in ("ann", "ben", "cat", "dan", "eve")]


def test_a_for_each_over_all_elements_is_a_loop() -> None:
    def program(call: Any, user: str) -> None:
        for order in call("list_orders", user=user)["orders"]:
            call("get_order", id=order["id"])

    found = learned(program, orders(USERS), TRAIN)

    assert found.status == "induced" and "for order in" in found.source
    assert same_calls(found, program, orders(USERS), {"user": "new"}, {"user": "new"})


def test_a_for_each_over_some_elements_keeps_its_condition() -> None:
    def program(call: Any, user: str) -> None:
        for order in call("list_orders", user=user)["orders"]:
            if order["state"] == "open":
                call("close_order", id=order["id"])

    found = learned(program, orders(USERS), TRAIN)

    assert '== "open"' in found.source
    assert same_calls(found, program, orders(USERS), {"user": "new"}, {"user": "new"})


def test_a_loop_with_several_steps_binds_inside_its_turn() -> None:
    def program(call: Any, user: str) -> None:
        for order in call("list_orders", user=user)["orders"]:
            full = call("get_order", id=order["id"])
            call("tell", to=full["owner"]["name"], text=f"Order {order['id']} costs {full['total']}0")

    found = learned(program, orders(USERS), TRAIN)

    assert found.status == "induced"
    assert same_calls(found, program, orders(USERS), {"user": "new"}, {"user": "new"})


def test_a_bare_list_index_is_never_learned() -> None:
    def program(call: Any, user: str) -> None:
        call("get_order", id=call("list_orders", user=user)["orders"][0]["id"])

    found = learned(program, orders(USERS), TRAIN)

    assert "[0]" not in found.source
    assert found.status != "induced" or len(found.parameters) == 2


def test_the_largest_element_is_never_learned() -> None:
    lists = {
        user: {"items": [{"id": f"{user}{n}", "price": price} for n, price in enumerate(prices)]}
        for user, prices in {"a": [3, 9, 4], "b": [8, 1, 2], "c": [5, 6, 7], "d": [1, 2, 9], "x": [4, 9, 1]}.items()
    }

    def server() -> Any:
        return lambda tool, a: lists[a["user"]] if tool == "list" else {"ok": True}

    def program(call: Any, user: str) -> None:
        items = call("list", user=user)["items"]
        call("buy", id=max(items, key=lambda item: item["price"])["id"])

    found = learned(program, server, [{"user": user} for user in "abcd"])

    assert found.status != "induced"


def test_a_lookup_by_a_known_key_is_a_lookup() -> None:
    people = {
        team: {"members": [{"mail": f"{n}@{team}.io", "id": f"{team}-{i}"} for i, n in enumerate(names)]}
        for team, names in {"red": "abcd", "blue": "bdef", "teal": "acgh", "grey": "fgab"}.items()
    }

    def server() -> Any:
        return lambda tool, a: people[a["team"]] if tool == "team" else {"ok": True}

    def program(call: Any, team: str, mail: str) -> None:
        call("check", address=mail)
        members = call("team", team=team)["members"]
        call("invite", member=next(m["id"] for m in members if m["mail"] == mail))

    pairs = [("red", "b@red.io"), ("blue", "e@blue.io"), ("teal", "a@teal.io")]
    found = learned(program, server, [{"team": t, "mail": m} for t, m in pairs])

    assert "one(" in found.source
    values = {"team": "grey", "mail": "g@grey.io"}
    (run,) = record(program, server, [values])
    arguments = bind(found, run)
    assert arguments is not None
    assert same_calls(found, program, server, values, arguments)


def test_an_optional_step_needs_something_that_tells_the_runs_apart() -> None:
    coin = iter([True, False, True, True, False, True])

    def server() -> Any:
        return lambda tool, a: {"ok": True, "id": a.get("id")}

    def program(call: Any, id: str) -> None:
        call("read", id=id)
        if next(coin):
            call("flag", id=id)
        call("archive", id=id)

    found = learned(program, server, [{"id": f"x-{n}{n}"} for n in range(6)])

    assert found.status != "induced"
    assert any("part ways" in reason for reason in found.reasons)


def test_a_failed_call_and_its_retry_are_one_step() -> None:
    runs = record(notify_weather, weather, [{"city": city} for city in CITIES[:3]])
    noisy = runs[0]
    failed = Step("geocode", {"city": "Pariss"}, "not found", failed=True, turn=0)
    runs[0] = Run(noisy.id, noisy.goal, noisy.status, (failed, *noisy.steps), inputs=noisy.inputs)

    found = induce(runs)

    assert found.status == "induced" and found.source.count('call("geocode"') == 1


def test_equal_numbers_of_another_type_are_not_the_same_value() -> None:
    def server() -> Any:
        return lambda tool, a: {"code": str(a["n"])} if tool == "make" else {"ok": True}

    def program(call: Any, n: int, m: int) -> None:
        call("make", n=n)
        call("use", code=m)

    inputs = [{"n": n, "m": n} for n in (1001, 1002, 1003)]
    found = learned(program, server, inputs)

    assert 'code=code["code"]' not in found.source and "make[" not in found.source.split("use")[1]


def test_a_redaction_handle_is_an_input_and_never_stands_in_the_code() -> None:
    def server() -> Any:
        return lambda tool, a: {"ok": True}

    def program(call: Any, user: str) -> None:
        call("login", user=user, password="secret://" + "ab" * 12)

    found = learned(program, server, [{"user": user} for user in ("ann", "ben", "cat")])

    assert "secret://" not in found.source
    assert {parameter.name for parameter in found.parameters} == {"user", "password"}


def test_reads_in_another_order_are_the_same_workflow() -> None:
    flip = iter([True, False, True, False])

    def server() -> Any:
        return lambda tool, a: {"id": a["name"] * 2, "kind": tool}

    def program(call: Any, name: str) -> None:
        reads = ["get_user", "get_team"]
        for tool in reads if next(flip) else reversed(reads):
            call(tool, name=name)
        call("save", name=name)

    found = learned(program, server, [{"name": name} for name in ("ann", "ben", "cat", "dan")])

    assert found.status == "induced" and found.source.count("call(") == 3


def test_two_fields_that_were_always_equal_are_compared_before_either_is_used() -> None:
    def server() -> Any:
        return lambda tool, a: (
            {"billing": f"adr-{a['user']}", "shipping": "adr-odd" if a["user"] == "zed" else f"adr-{a['user']}"}
            if tool == "get_user"
            else {"ok": True}
        )

    def program(call: Any, user: str) -> None:
        call("send", address=call("get_user", user=user)["shipping"])

    found = learned(program, server, [{"user": user} for user in ("ann", "ben", "cat", "dan")])

    with pytest.raises(Diverged):
        execute(found, server(), {"user": "zed"})


def test_a_shape_never_seen_stops_before_the_write() -> None:
    def server() -> Any:
        return lambda tool, a: (
            {"owner": {"id": 7}} if a.get("user") == "odd" else {"owner": {"id": f"id-{a.get('user')}"}}
        )

    def program(call: Any, user: str) -> None:
        call("delete_all", owner=call("get_user", user=user)["owner"]["id"])

    found = learned(program, server, [{"user": user} for user in ("ann", "ben", "cat")])
    calls: list[str] = []

    def watching(tool: str, a: dict[str, Any]) -> Any:
        calls.append(tool)
        return server()(tool, a)

    with pytest.raises(Diverged):
        execute(found, watching, {"user": "odd"})
    assert calls == ["get_user"]


def test_a_workflow_key_does_not_depend_on_values_or_repeats() -> None:
    def program(call: Any, user: str) -> None:
        for order in call("list_orders", user=user)["orders"]:
            call("get_order", id=order["id"])

    keys = {workflow_key(run) for run in record(program, orders(USERS), TRAIN)}

    assert len(keys) == 1


def test_steps_after_an_unexplained_choice_are_left_out_and_named() -> None:
    def server() -> Any:
        return lambda tool, a: {"rows": [{"id": f"{a['q']}-{n}"} for n in range(4)]} if tool == "search" else {"ok": 1}

    picks = iter([2, 0, 3, 1, 2])

    def program(call: Any, q: str) -> None:
        rows = call("search", q=q)["rows"]
        call("open", id=rows[next(picks)]["id"])

    found = learned(program, server, [{"q": q} for q in ("alpha", "beta", "gamma", "delta", "eps")])

    assert found.status == "partial"
    assert any("choice among values" in reason for reason in found.reasons)


def test_a_user_turn_in_the_middle_ends_the_program() -> None:
    runs = []
    for number, city in enumerate(CITIES[:4]):
        steps = (
            Step("geocode", {"city": city}, {"lat": number + 0.5, "code": f"c-{city}"}, turn=1),
            Step("forecast", {"code": f"c-{city}"}, {"t": number}, turn=2),
            Step("book", {"code": f"c-{city}"}, {"ok": True}, turn=5),
        )
        runs.append(Run(f"r{number}", city, RunStatus.SUCCESS, steps, user_turns=((0, city), (4, "yes, book it"))))

    found = induce(runs)

    assert "book" not in found.source and "forecast" in found.source


def test_a_value_inside_a_sentence_is_cut_out_where_the_words_around_it_stay() -> None:
    def server() -> Any:
        return lambda tool, a: (
            (
                "Sorry, nothing was made."
                if a["title"] == "odd"
                else f"Created issue {sum(map(ord, a['title']))}: {a['title']}"
            )
            if tool == "create"
            else "ok"
        )

    def program(call: Any, title: str) -> None:
        text = call("create", title=title)
        call("label", issue=int(text.split("issue ")[1].split(":")[0]), label="bug")

    found = learned(program, server, [{"title": title} for title in ("alpha", "beta x", "gamma", "delta")])

    assert [parameter.name for parameter in found.parameters] == ["title"], found.source
    assert same_calls(found, program, server, {"title": "new one"}, {"title": "new one"})
    with pytest.raises(Diverged):
        execute(found, server(), {"title": "odd"})


def test_the_first_of_a_list_written_as_text_is_not_cut_out() -> None:
    def server() -> Any:
        return lambda tool, a: f"Files: {a['q'][::-1]}1, {a['q'][::-1]}2, {a['q'][::-1]}3" if tool == "list" else "ok"

    def program(call: Any, q: str) -> None:
        call("open", file=call("list", q=q).split(": ")[1].split(", ")[0])

    found = learned(program, server, [{"q": q} for q in ("alpha", "beta", "gamma", "delta")])

    assert ".split(" not in found.source


def test_an_empty_list_as_an_argument_is_no_trouble() -> None:
    def server() -> Any:
        return lambda tool, a: {"ok": True}

    def program(call: Any, tags: list[str]) -> None:
        call("tag", tags=tags)

    found = learned(program, server, [{"tags": tags} for tags in ([], ["a"], ["b", "c"])])

    assert [parameter.name for parameter in found.parameters] == ["tags"]


def test_a_result_is_never_named_as_a_word_of_the_language() -> None:
    def server() -> Any:
        return lambda tool, a: {"id": a["id"] * 2}

    def program(call: Any, id: str) -> None:
        call("close_ticket", id=call("open_return", id=id)["id"])

    found = learned(program, server, [{"id": id} for id in ("ab", "cd", "ef")])

    assert same_calls(found, program, server, {"id": "xy"}, {"id": "xy"})


def _plain(number: int, goal: str, *calls: tuple[str, dict[str, Any], Any]) -> Run:
    steps = tuple(Step(tool, given, result, turn=turn) for turn, (tool, given, result) in enumerate(calls, 1))
    return Run(f"r{number}", goal, RunStatus.SUCCESS, steps)


@pytest.mark.requirement("H-11")
def test_an_id_of_digits_is_a_text_and_the_number_beside_it_another_value() -> None:
    runs = [
        _plain(
            number,
            f"ship 00{number * 13 + 100}",
            ("get", {"code": f"00{number * 13 + 100}"}, {"n": number * 13 + 100}),
            ("ship", {"code": f"00{number * 13 + 100}", "n": number * 13 + 100}, "ok"),
        )
        for number in range(4)
    ]
    found = induce(runs)
    assert found.status == "induced"
    assert found.input_schema["properties"] == {"code": {"type": "string"}}
    assert 'call("ship", code=code, n=get["n"])' in found.source


@pytest.mark.requirement("H-11")
def test_a_time_and_an_id_that_the_server_made_are_taken_from_its_answer() -> None:
    runs = [
        _plain(
            number,
            f"open {name}",
            (
                "open",
                {"name": name},
                {"id": f"{number}f3c-{number * 7}ab", "at": f"2026-0{number + 1}-17T08:0{number}:00Z"},
            ),
            ("log", {"id": f"{number}f3c-{number * 7}ab", "since": f"2026-0{number + 1}-17T08:0{number}:00Z"}, "ok"),
        )
        for number, name in enumerate(("ann", "ben", "cat", "dan"))
    ]
    found = induce(runs)
    assert found.status == "induced"
    assert list(found.input_schema["properties"]) == ["name"]  # type: ignore[call-overload]
    assert "2026" not in found.source and "f3c" not in found.source


@pytest.mark.requirement("H-11")
def test_the_smallest_element_is_never_learned_as_the_smallest() -> None:
    runs = [
        _plain(
            number,
            f"cheapest of q{number}",
            (
                "list",
                {"q": f"q{number}"},
                {"items": [{"id": f"a{number}", "p": 9}, {"id": f"b{number}", "p": 3 + number % 2}]},
            ),
            ("buy", {"id": f"b{number}"}, "ok"),
        )
        for number in range(4)
    ]
    found = induce(runs)
    assert found.status == "partial" and "min(" not in found.source and "[1]" not in found.source
    assert any("a choice among values of an earlier result" in reason for reason in found.reasons)


@pytest.mark.requirement("H-11")
def test_two_workflows_with_the_same_beginning_are_not_made_one() -> None:
    def both(number: int, name: str) -> Run:
        last = (
            ("refund", {"id": f"U{number}"}, "ok") if number % 2 else ("ban", {"id": f"U{number}", "why": "spam"}, "ok")
        )
        return _plain(number, f"see to {name}", ("find", {"name": name}, {"id": f"U{number}"}), last)

    runs = [both(number, name) for number, name in enumerate(("ann", "ben", "cat", "dan", "eve", "fay"))]
    assert len({workflow_key(run) for run in runs}) == 2
    found = induce(runs)
    assert "refund" not in found.source and "ban" not in found.source


@pytest.mark.parametrize(
    "key", ["it's", 'say "x"', "a\\b", "a.b", "{x}", "#id", "\n", "'" * 3, "a'] + str(call('evil')) + x['a"]
)
def test_a_key_of_a_server_is_data_in_a_text_and_never_code(key: str) -> None:
    def server() -> Any:
        return lambda tool, a: {key: a["id"] * 2, "a": "b"} if tool == "get_x" else {}

    def program(call: Any, id: str) -> None:
        call("send", text=f"Hello {call('get_x', id=id)[key]}!")

    found = learned(program, server, [{"id": id} for id in ("ada", "bob", "cyd")])

    assert same_calls(found, program, server, {"id": "dan"}, {"id": "dan"})


@pytest.mark.parametrize("argument", ["from", "user-id", "user.id", "class", "1st", "a b", "id); evil("])
def test_an_argument_that_is_no_name_in_python_is_written_as_data(argument: str) -> None:
    def server() -> Any:
        return lambda tool, a: {"at": a[argument] * 2} if tool == "get_x" else {}

    def program(call: Any, id: str) -> None:
        call("send", at=call("get_x", **{argument: id})["at"])

    found = learned(program, server, [{"id": id} for id in ("ada", "bob", "cyd")])
    (name,) = (part.name for part in found.parameters)

    assert same_calls(found, program, server, {"id": "dan"}, {name: "dan"})
    assert compile_source(found.source, script=False).code is not None
