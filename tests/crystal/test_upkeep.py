"""The life of tools in service: made anew, taken out of service, kept apart from their likes, and what they save."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import doors
from druse.crystal import due, is_better, median_cost, propose_retirements, savings
from druse.crystal.candidates import Candidate
from druse.crystal.makers import Aligned, Refused
from druse.crystal.upkeep import nearest
from druse.front.application import Application, open_application
from druse.front.base import person
from druse.front.review import reviewed, text_of
from druse.model import Caller, CallerKind, Json, JsonObject, Run, RunStatus, Step, ToolSpec, ToolVersion
from druse.settings import Workspace
from druse.store import RunRecord

AGENT = Caller(CallerKind.AGENT, session="s", connection="c")
SERVER = doors.plain_server("""
TOOLS = [
    {"name": n, "inputSchema": {"type": "object", "properties": {"id": {"type": "string"}, "order": {"type": "string"}}}}
    for n in ("get", "ship", "find")
]
def answer(name, a):
    if name == "ship":
        return json.dumps({"shipped": a["order"]})
    return json.dumps({"customer": a["id"], "order": "O-" + a["id"][::-1]})
""")


@pytest_asyncio.fixture
async def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Application]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    (tmp_path / "server.py").write_text(SERVER, encoding="utf-8")
    (tmp_path / "mcp.json").write_text(
        json.dumps({"mcpServers": {"shop": {"command": sys.executable, "args": [str(tmp_path / "server.py")]}}}),
        encoding="utf-8",
    )
    (tmp_path / ".druse").mkdir()
    (tmp_path / ".druse" / "config.toml").write_text('[permissions]\nallow = ["shop__*"]\n', encoding="utf-8")
    async with open_application(Workspace.find(tmp_path)) as found:
        yield found


async def work(application: Application, customer: str, *, goal: str = "", reader: str = "get", **told: Any) -> str:
    """One order shipped by hand and reported."""
    opened = await application.serve_call(
        "dispatch_goal", {"goal": goal or f"Ship the order of customer {customer}"}, AGENT, None
    )
    assert isinstance(opened.data, dict)
    run_id = str(opened.data["run_id"])
    found = await application.call(f"shop__{reader}", {"id": customer}, AGENT)
    assert isinstance(found.data, dict)
    await application.call("shop__ship", {"order": found.data["order"]}, AGENT)
    await application.serve_call("report_outcome", {"run_id": run_id, "success": True, **told}, AGENT, None)
    return run_id


async def begun_after_five(application: Application) -> str:
    """Five orders shipped in the same way, and a sixth that was looked at only; the run of that one, which is open."""
    for number in range(5):
        await work(application, f"c{number}{number + 3}x")
    opened = await application.serve_call("dispatch_goal", {"goal": "Ship the order of customer c99x"}, AGENT, None)
    assert isinstance(opened.data, dict)
    await application.call("shop__get", {"id": "c99x"}, AGENT)
    return str(opened.data["run_id"])


async def in_service(application: Application, count: int = 5, **told: Any) -> str:
    """A tool made of `count` runs and approved; its name."""
    for number in range(count):
        await work(application, f"c{number}{number + 3}x", **told)
    (candidate,) = await application.candidates()
    report = await application.making.crystallize(candidate.signature, person())
    assert report.status == "proposed", report.message
    await application.base.decide(report.approval_id, approve=True, how="test")
    assert report.version is not None
    await application.base.shelf.reload()
    await application.tools_changed()
    return report.version.name


@pytest.mark.requirement("H-39")
def test_a_gain_of_more_than_five_points_makes_a_tool_anew_and_one_of_five_does_not() -> None:
    assert is_better(0.9, 0.9501)
    assert not is_better(0.9, 0.95)
    assert not is_better(0.85, 0.9)


@pytest.mark.requirement("H-39")
async def test_a_workflow_that_goes_better_by_now_gets_a_new_version_and_the_old_one_stays(
    application: Application,
) -> None:
    name = await in_service(application)
    store = application.base.store
    # It was made when one run in four had failed.
    async with store.database.transaction() as transaction:
        await transaction.execute("UPDATE tool_version SET made_runs = 8, made_successes = 6 WHERE name = ?", (name,))
    (found,) = await due(store)
    assert (found.name, found.rating, found.rating_now) == (name, 0.75, 1.0)
    told = await application.making.tend(person())
    assert [part["tool"] for part in told["improved"]] == [f"{name} v1"]  # type: ignore[index,union-attr,call-overload]
    assert application.base.shelf.active[name].version == 1


@pytest.mark.requirement("H-39")
async def test_the_old_version_stays_until_the_new_one_reproduces_the_runs_of_both_and_is_approved(
    application: Application,
) -> None:
    name = await in_service(application)
    store, shelf = application.base.store, application.base.shelf
    old_runs = set(shelf.active[name].manifest["made_from"])  # type: ignore[arg-type,call-overload]
    async with store.database.transaction() as transaction:
        await transaction.execute("UPDATE tool_version SET made_runs = 8, made_successes = 6 WHERE name = ?", (name,))
    new_run = await work(application, "n7w8z", goal="By hand, please")  # words that dispatch makes nothing of
    told = await application.making.tend(person())
    (proposed,) = told["improved"]  # type: ignore[misc]
    assert proposed["status"] == "proposed", proposed  # type: ignore[index,call-overload]
    (approval,) = [a for a in await application.base.approvals.list(open_only=True) if a.kind == "tool"]
    manifest: Any = approval.details["manifest"]
    assert set(manifest["made_from"]) == old_runs | {new_run}
    assert {(part["run"], part["result"]) for part in manifest["verification"]} == {
        (run, "right") for run in old_runs | {new_run}
    }
    await shelf.reload()
    assert shelf.active[name].version == 1
    await application.base.decide(approval.id, approve=True, how="test")
    await shelf.reload()
    assert shelf.active[name].version == 2


@pytest.mark.requirement("X-04")
async def test_what_nobody_uses_and_what_mostly_fails_is_proposed_for_retirement_once(
    application: Application,
) -> None:
    name = await in_service(application)
    base = application.base
    record = (await base.store.tools.versions(name))[0]
    assert await propose_retirements(base.store, base.approvals, person(), record.changed_at + 29 * 86400) == []
    later = record.changed_at + 30 * 86400
    (asked,) = await propose_retirements(base.store, base.approvals, person(), later)
    assert "unused for 30 days" in asked.title
    (again,) = await propose_retirements(base.store, base.approvals, person(), later)
    assert again.id == asked.id
    assert name in base.shelf.active
    await base.decide(asked.id, approve=True, how="test")
    await base.shelf.reload()
    assert name not in base.shelf.active


@pytest.mark.requirement("X-01")
async def test_a_tool_that_is_nearly_another_one_is_refused_and_the_other_one_named(application: Application) -> None:
    name = await in_service(application)
    runs = [await work(application, f"d{n}{n + 5}y", goal=f"Dispatch parcel of buyer d{n}{n + 5}y") for n in range(3)]
    twin = application.base.shelf.active[name].source.replace('"""', '"""Another one. ', 1)
    outcome = await application.serve_call(
        "propose_tool", {"name": "send_parcel", "code": twin, "run_ids": list[Json](runs)}, AGENT, None
    )
    assert name in outcome.message and "Improve" in outcome.message, outcome.message


def test_tools_that_call_other_tools_are_never_alike() -> None:
    source = "def run(call, *, a: str) -> dict:\n    return call('x__get', id=a)\n"
    own: JsonObject = {"permissions": ["x__get"]}
    left = ToolVersion("left", 1, source, own)
    right = ToolVersion("right", 1, source, own)
    other = ToolVersion("other", 1, source, {"permissions": ["y__get"]})
    assert nearest(left, [other])[1] == 0.0
    assert nearest(left, [other, right]) == (right, 1.0)


@pytest.mark.requirement("H-33")
def test_the_savings_of_the_seed_come_out_to_the_cent() -> None:
    found = savings(0.50, 10, 1.00)
    assert (found.gross, found.net, found.break_even_run) == (5.00, 4.00, 2)
    assert savings(0.0, 10, 1.0).break_even_run is None
    assert median_cost([None, 0.4, 0.6]) == 0.5
    assert median_cost([None]) is None


@pytest.mark.requirement("H-32", "H-33")
async def test_the_report_is_made_of_what_hosts_told_and_what_was_measured(application: Application) -> None:
    name = await in_service(application, cost=0.5, tokens=4000)
    took: list[float] = []

    async def ten_calls() -> None:
        for number in range(10):
            began = time.perf_counter()
            outcome = await application.call(name, _only(application, name, f"e{number}"), AGENT)
            took.append(time.perf_counter() - began)
            assert outcome.ok, outcome.message

    await ten_calls()
    told = await doors.command(application.base.workspace.root, os.environ, "stats", "--making-cost", "1.00")
    (row,) = told["tools"]
    assert (row["saved"], row["saved_net"], row["break_even_run"]) == (5.0, 4.0, 2)
    learner = next(part for part in told["modes"] if part["mode"] == "LEARNER")
    assert (learner["cost"], learner["tokens"]) == (0.5, 4000.0)
    assert learner["wall_ms"] > 0
    await ten_calls()
    assert sorted(took)[18] < 1.0  # the 95th percentile: others use this machine as well
    assert 0 < row["mean_wall_ms"] < 1000 and (row["runs"], row["stale"]) == (10, False)


@pytest.mark.requirement("H-32")
async def test_what_no_host_told_stays_unknown(application: Application) -> None:
    await in_service(application)
    told = await doors.command(application.base.workspace.root, os.environ, "stats")
    (row,) = told["tools"]
    assert (row["baseline_cost"], row["saved"], row["break_even_run"]) == (None, None, None)
    learner = next(part for part in told["modes"] if part["mode"] == "LEARNER")
    assert (learner["cost"], learner["tokens"]) == (None, None) and learner["wall_ms"] > 0


def _only(application: Application, name: str, customer: str) -> JsonObject:
    """The arguments under the names the tool itself gave them."""
    return dict.fromkeys(application.base.shelf.active[name].manifest["input_schema"]["properties"], customer)  # type: ignore[index,call-overload]


@pytest.mark.requirement("H-39")
async def test_a_tool_whose_server_changed_is_suspended_with_the_difference_and_made_anew_of_the_runs_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D9: the old version never runs again, work goes on by hand, and five runs later there is a new version to read."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    changed = SERVER.replace('"order": {"type": "string"}}', '"order": {"type": "string"}, "by": {"type": "integer"}}')
    now = [1_800_000_000.0]
    (tmp_path / "mcp.json").write_text(
        json.dumps({"mcpServers": {"shop": {"command": sys.executable, "args": [str(tmp_path / "server.py")]}}}),
        encoding="utf-8",
    )
    (tmp_path / ".druse").mkdir()
    (tmp_path / ".druse" / "config.toml").write_text('[permissions]\nallow = ["shop__*"]\n', encoding="utf-8")
    workspace = Workspace.find(tmp_path)
    (tmp_path / "server.py").write_text(SERVER, encoding="utf-8")
    async with open_application(workspace, clock=lambda: now[0]) as application:
        name = await in_service(application)
    (tmp_path / "server.py").write_text(changed, encoding="utf-8")
    now[0] += 86400
    async with open_application(workspace, clock=lambda: now[0]) as application:
        for spec in (await application.specs_of(["shop__get", "shop__ship"])).values():
            await application.base.declarations.accept(spec, person())
        told = await application.serve_call("dispatch_goal", {"goal": "Ship the order of customer q9"}, AGENT, None)
        assert isinstance(told.data, dict)
        assert told.data["mode"] == "MIXED"  # not a call that can only fail
        assert f"{name} v1 is suspended: shop__get has another schema now" in str(told.data["why"])
        assert "argument by is new" in str(told.data["why"])
        refused = await application.call(name, {"customer": "q9", "id": "q9"}, AGENT)
        now[0] += 60
        for number in range(5):
            waits: Any = (await application.making.tend(person()))["improved"]
            assert [part["status"] for part in waits] == ["waits"]
            await work(application, f"d{number}{number + 4}y")
        proposed: Any = (await application.making.tend(person()))["improved"]
        assert [part["status"] for part in proposed] == ["proposed"], proposed
        (approval,) = await application.base.approvals.list(open_only=True)
        assert approval.details["version"] == 2
        await application.base.decide(approval.id, approve=True, how="test")
        await application.base.shelf.reload()
        assert (await application.making.tend(person()))["improved"] == []
        notices = [str(notice["text"]) for notice in await application.base.store.notices.list()]
        assert any("is suspended: shop__get has another schema" in text for text in notices)
    assert refused.kind in ("suspended", "invalid")


@pytest.mark.requirement("H-24")
async def test_a_tool_that_does_only_the_beginning_of_its_work_never_answers_for_the_whole(
    application: Application, tmp_path: Path
) -> None:
    name = await in_service(application)
    goal: Any = {"goal": "Ship the order of customer q9", "dry_run": True}
    planned = await application.serve_call("dispatch_goal", goal, AGENT, None)
    assert isinstance(planned.data, dict) and planned.data["mode"] == "CRYSTALLIZED"
    # What the manifest of a tool says whose last steps could not be learned.
    path = tmp_path / "tools" / "generated" / name / "v1.json"
    manifest = json.loads(path.read_text())
    assert manifest["left_out"] == 0
    path.write_text(json.dumps({**manifest, "left_out": 1, "status": "partial"}))
    await application.base.shelf.reload()
    application.base.shelf.swaps += 1
    planned = await application.serve_call("dispatch_goal", goal, AGENT, None)
    assert isinstance(planned.data, dict) and planned.data["mode"] != "CRYSTALLIZED"
    improved: Any = (await application.making.tend(person()))["improved"]
    assert [part["status"] for part in improved] == ["proposed"]  # its runs show the whole by now


@pytest.mark.requirement("H-37")
async def test_a_beginning_alone_is_not_proposed_by_itself() -> None:
    def one(number: int) -> RunRecord:
        steps = [
            Step("find", {"name": f"n{number}"}, {"id": f"U{number}"}, turn=1, effect="read"),
            Step("list", {"id": f"U{number}"}, {"count": 3}, turn=2, effect="read"),
        ]
        steps += [Step("close", {"id": f"U{number}"}, "ok", turn=3, effect="write")] if number % 2 else []
        goal = f"Close what n{number} has open"
        return RunRecord(Run(f"r{number}", goal, RunStatus.SUCCESS, tuple(steps)))

    async def none(_names: Sequence[str]) -> dict[str, ToolSpec]:
        return {}

    records = [one(number) for number in range(6)]
    family = Candidate("x", ("find(name) > list(id) > close(id)",), "", 6, 6, None)
    asked = await Aligned(family, records, None).draft(none)
    assert not isinstance(asked, Refused)
    assert asked.induction.left_out == 1 and asked.induction.goal_patterns == ()
    assert asked.induction.description.startswith("Only the beginning of: Close what")
    whole = await Aligned(family, records, None, whole=True).draft(none)
    assert isinstance(whole, Refused) and "only a beginning could be learned" in whole.message


@pytest.mark.requirement("H-10", "H-14")
async def test_a_tool_of_runs_of_which_one_disagrees_says_so_first_and_waits_for_a_person(
    application: Application,
) -> None:
    odd = await begun_after_five(application)
    await application.call("shop__ship", {"order": "O-wrong"}, AGENT)
    await application.serve_call("report_outcome", {"run_id": odd, "success": True}, AGENT, None)
    (candidate,) = await application.candidates()
    report = await application.making.crystallize(candidate.signature, person())
    assert report.status == "proposed", report.message
    assert report.version is not None and odd not in report.version.manifest["made_from"]  # type: ignore[operator]
    told: Any = report.as_dict()["disagreements"]
    assert told[0]["run"] == odd and told[0]["tool"] == "went on" and '"O-wrong"' in told[0]["what"]
    assert odd not in [row["run"] for row in report.as_dict()["verification"]]  # type: ignore[index,call-overload,union-attr]
    approval = await application.base.approvals.get(report.approval_id)
    assert approval.title.startswith("ONE RUN DISAGREES") and approval.details["needs_person"] is True
    shown = text_of(await reviewed(application.base, report.approval_id)).splitlines()
    assert shown[1].startswith("DISAGREEMENT: run ") and "DOES NOT STOP" in shown[1]


async def test_a_read_too_many_in_one_run_is_left_out_and_the_run_is_proved(application: Application) -> None:
    noisy = await begun_after_five(application)
    await application.call("shop__find", {"id": "c11x"}, AGENT)
    await application.call("shop__ship", {"order": "O-x99c"}, AGENT)
    await application.serve_call("report_outcome", {"run_id": noisy, "success": True}, AGENT, None)
    (candidate,) = await application.candidates()
    report = await application.making.crystallize(candidate.signature, person())
    assert report.status == "proposed", report.message
    told: Any = report.as_dict()
    assert [(row["run"], row["set_aside"]) for row in told["disagreements"]] == [(noisy, False)]
    assert noisy in [row["run"] for row in told["verification"] if row["result"] == "right"]
    assert "shop__find" not in told["source"]
