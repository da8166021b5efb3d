from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from druse.governance import Approval, Approvals, SteadyClock, why_tool
from druse.model import Caller, CallerKind, Invalid, NotAllowed, NotFound
from druse.store import Store
from governance.bench import AGENT, PERSON, Bench, chain_over

OTHER = replace(AGENT, session="s2")


async def approved(bench: Bench, subject: str = "h1", scope: str = "once") -> Approval:
    asked = await bench.approvals.request("call", subject, "Bash(git push)", {}, AGENT)
    return await bench.approvals.decide(asked.id, PERSON, approve=True, how="cli", scope=scope)


async def test_an_approval_is_good_for_exactly_what_was_asked_and_for_once(bench: Bench) -> None:
    await approved(bench)
    assert await bench.approvals.take("call", "h2", AGENT) is None
    assert await bench.approvals.take("tool", "h1", AGENT) is None
    assert await bench.approvals.take("call", "h1", AGENT) is not None
    assert await bench.approvals.take("call", "h1", AGENT) is None


@pytest.mark.requirement("S-19")
@pytest.mark.parametrize("kind", [kind for kind in CallerKind if kind is not CallerKind.PERSON])
async def test_nobody_but_a_person_decides(bench: Bench, kind: CallerKind) -> None:
    asked = await bench.approvals.request("call", "h1", "x", {}, AGENT)
    for approve in (True, False):
        with pytest.raises(NotAllowed, match="only a person decides"):
            await bench.approvals.decide(asked.id, Caller(kind, client="root (cli)"), approve=approve, how="cli")
    assert (await bench.approvals.get(asked.id)).status == "pending"
    assert await bench.approvals.take("call", "h1", Caller(kind)) is None


async def test_asking_again_for_the_same_thing_makes_no_second_request(bench: Bench) -> None:
    first = await bench.approvals.request("call", "h1", "x", {}, AGENT)
    assert (await bench.approvals.request("call", "h1", "x", {}, OTHER)).id == first.id
    assert (await bench.approvals.request("call", "h2", "x", {}, AGENT)).id != first.id
    assert (await bench.approvals.request("tool", "h1", "x", {}, AGENT)).id != first.id
    assert len(await bench.approvals.list(open_only=True)) == 3


async def test_a_request_nobody_answers_expires_and_can_be_made_anew(bench: Bench) -> None:
    first = await bench.approvals.request("call", "h1", "x", {}, AGENT)
    bench.clock.now += 3601
    assert (await bench.approvals.get(first.id)).status == "expired"
    assert await bench.approvals.list(open_only=True) == []
    with pytest.raises(Invalid, match="it is expired"):
        await bench.approvals.decide(first.id, PERSON, approve=True, how="cli")
    assert (await bench.approvals.request("call", "h1", "x", {}, AGENT)).id != first.id


async def test_a_yes_expires_an_hour_after_it_was_said(bench: Bench) -> None:
    asked = await bench.approvals.request("call", "h1", "x", {}, AGENT)
    bench.clock.now += 3000
    await bench.approvals.decide(asked.id, PERSON, approve=True, how="cli")
    bench.clock.now += 3000
    assert await bench.approvals.take("call", "h1", AGENT) is not None
    await approved(bench, "h2")
    bench.clock.now += 3601
    assert await bench.approvals.take("call", "h2", AGENT) is None


async def test_a_yes_for_the_session_holds_for_that_session_only(bench: Bench) -> None:
    given = await approved(bench, scope="session")
    for _ in range(3):
        assert await bench.approvals.take("call", "h1", AGENT) is not None
    assert await bench.approvals.take("call", "h1", OTHER) is None
    asked = await bench.approvals.request("call", "h1", "x", {}, OTHER)
    assert (asked.status, asked.id != given.id) == ("pending", True)
    bench.clock.now += 12 * 3600 + 1
    assert await bench.approvals.take("call", "h1", AGENT) is None


async def test_only_a_yes_to_a_call_can_be_given_for_a_session(bench: Bench) -> None:
    call = await bench.approvals.request("call", "h1", "x", {}, AGENT)
    tool = await bench.approvals.request("tool", "h1", "x", {}, AGENT)
    for approval, approve in ((call, False), (tool, True)):
        with pytest.raises(Invalid, match="for session"):
            await bench.approvals.decide(approval.id, PERSON, approve=approve, how="cli", scope="session")


async def test_a_no_stands_until_it_expires_or_the_person_thinks_again(bench: Bench) -> None:
    asked = await bench.approvals.request("call", "h1", "x", {}, AGENT)
    await bench.approvals.decide(asked.id, PERSON, approve=False, how="cli", note="not on a Friday")
    again = await bench.approvals.request("call", "h1", "x", {}, AGENT)
    assert (again.id, again.status, again.note) == (asked.id, "rejected", "not on a Friday")
    with pytest.raises(Invalid, match="it is rejected"):
        await bench.approvals.decide(asked.id, PERSON, approve=False, how="cli")
    await bench.approvals.decide(asked.id, PERSON, approve=True, how="cli")
    assert await bench.approvals.take("call", "h1", AGENT) is not None
    other = await bench.approvals.request("call", "h2", "x", {}, AGENT)
    await bench.approvals.decide(other.id, PERSON, approve=False, how="cli")
    bench.clock.now += 3601
    assert (await bench.approvals.request("call", "h2", "x", {}, AGENT)).status == "pending"


async def test_what_was_used_or_decided_cannot_be_decided_again(bench: Bench) -> None:
    given = await approved(bench)
    with pytest.raises(Invalid, match="it is approved"):
        await bench.approvals.decide(given.id, PERSON, approve=False, how="cli")
    await bench.approvals.take("call", "h1", AGENT)
    with pytest.raises(Invalid, match="it is used"):
        await bench.approvals.decide(given.id, PERSON, approve=True, how="cli")
    with pytest.raises(NotFound, match="nothing"):
        await bench.approvals.decide("nothing", PERSON, approve=True, how="cli")


async def test_of_two_clients_that_race_for_one_approval_one_gets_it(bench: Bench) -> None:
    await approved(bench)
    async with Store.open(bench.folder / "druse.db") as second:
        chain = chain_over(second, bench.folder, bench.clock)
        other = Approvals(second, chain, clock=bench.clock, new_id=lambda: "never")
        taken = await asyncio.gather(*(a.take("call", "h1", AGENT) for a in (bench.approvals, other) * 4))
    assert sum(one is not None for one in taken) == 1
    assert (await bench.chain.verify()).entries == 3


async def test_setting_the_clock_back_voids_what_was_approved(bench: Bench) -> None:
    await approved(bench)
    await approved(bench, "h2")
    bench.clock.now += 3500
    await bench.chain.record("call.begin", "x", AGENT, {})
    bench.clock.now -= 3400  # another 3,400 seconds to use it in, were it not for the chain
    assert await bench.approvals.take("call", "h1", AGENT) is None
    assert "approval.voided" in [entry["action"] for entry in await bench.chain.newest()]
    bench.clock.now += 3400
    assert await bench.approvals.take("call", "h1", AGENT) is None
    await approved(bench, "h3")
    assert await bench.approvals.take("call", "h3", AGENT) is not None


def test_a_steady_clock_follows_the_wall_clock_forward_and_never_back() -> None:
    wall, monotonic = [1000.0], [5.0]
    clock = SteadyClock(lambda: wall[0], lambda: monotonic[0])
    assert clock() == 1000
    wall[0], monotonic[0] = 1060, 65
    assert clock() == 1060
    wall[0], monotonic[0] = 500, 75  # set back
    assert clock() == 1070
    wall[0], monotonic[0] = 4000, 80  # set forward, or woken up
    assert clock() == 4000


async def test_what_follows_from_a_decision_is_done_after_a_crash_between_the_two(bench: Bench) -> None:
    done: list[tuple[str, str]] = []
    broken = [True]

    async def publish(approval: Approval, caller: Caller) -> None:
        if broken[0]:
            raise Invalid("the disk is full")
        done.append((approval.id, approval.status))

    bench.approvals.on_decided("tool", publish)
    asked = await bench.approvals.request("tool", "h1", "x", {}, AGENT)
    with pytest.raises(Invalid, match="disk"):
        await bench.approvals.decide(asked.id, PERSON, approve=True, how="cli")
    bench.clock.now += 60
    await bench.approvals.settle()  # still broken: it is tried again the next time
    broken[0] = False
    await bench.approvals.settle()
    await bench.approvals.settle()
    assert done == [(asked.id, "approved")]


async def test_a_person_may_repeat_a_decision_whose_consequences_failed(bench: Bench) -> None:
    outcomes = [Invalid("the disk is full"), None, None]

    async def publish(approval: Approval, caller: Caller) -> None:
        problem = outcomes.pop(0)
        if problem is not None:
            raise problem

    bench.approvals.on_decided("tool", publish)
    asked = await bench.approvals.request("tool", "h1", "x", {}, AGENT)
    with pytest.raises(Invalid, match="disk"):
        await bench.approvals.decide(asked.id, PERSON, approve=True, how="cli")
    done = await bench.approvals.decide(asked.id, PERSON, approve=True, how="cli")
    assert done.applied_at is not None
    with pytest.raises(Invalid, match="it is approved"):
        await bench.approvals.decide(asked.id, PERSON, approve=True, how="cli")


@pytest.mark.requirement("S-33", "S-35")
async def test_every_decision_is_in_the_chain_and_leads_back_to_who_asked_and_why(bench: Bench) -> None:
    cause = await bench.chain.record("run.reported", "run-1", AGENT, {"success": True})
    asked = await bench.approvals.request(
        "tool", "h1", "New tool cancel", {}, AGENT, evidence=["run-1", "run-2"], cause=cause
    )
    given = await bench.approvals.decide(asked.id, PERSON, approve=True, how="cli")
    await bench.chain.record("tool.published", "cancel v1", PERSON, {}, cause=given.decided_entry)
    await bench.chain.record("tool.published", "cancel_all v1", PERSON, {})
    chain: list[Any] = await why_tool(bench.chain, "cancel")
    assert [(entry["action"], entry["actor"]) for entry in chain] == [
        ("tool.published", "person"),
        ("approval.approved", "person"),
        ("approval.requested", "agent"),
        ("run.reported", "agent"),
    ]
    assert chain[1]["client"] == PERSON.client
    assert chain[2]["payload"]["evidence"] == ["run-1", "run-2"]
    with pytest.raises(NotFound, match="nothing in the audit chain"):
        await why_tool(bench.chain, "canc*")
