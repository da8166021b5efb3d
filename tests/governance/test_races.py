"""What several processes decide about the same thing at the same moment: one decision, and the effect it says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from druse.crystal import Shelf, VersionFiles
from druse.front.base import open_base
from druse.governance import Approvals, AuditChain, SigningKey, review_statement
from druse.model import Invalid, JsonObject, NotAllowed, NotFound, ToolVersion, VersionStatus
from druse.settings import People, Workspace
from druse.store import Store, VersionRecord
from governance.bench import AGENT, PERSON, Clock, chain_over

BOTH = 3  # rounds: which of two comes first differs from round to round


@dataclass
class Desk:
    """One process of the workspace: connections, chain and approvals of its own."""

    store: Store
    chain: AuditChain
    approvals: Approvals
    shelf: Shelf

    async def said(self, approval_id: str) -> list[str]:
        return [str(entry["action"]) for entry in await self.chain.newest(1000, {"subject": approval_id})]

    async def told(self, action: str) -> list[str]:
        return [str(entry["subject"]) for entry in await self.chain.newest(1000, {"action": action})]

    async def statuses(self) -> list[str]:
        return [str(record.status) for record in await self.store.tools.versions("tool")]


@pytest.fixture
async def desks(tmp_path: Path) -> AsyncGenerator[list[Desk]]:
    clock, found = Clock(), list[Desk]()
    async with AsyncExitStack() as stack:
        for number in range(3):
            store = await stack.enter_async_context(Store.open(tmp_path / "druse.db"))
            chain = chain_over(store, tmp_path, clock)
            ids = iter(f"id{number}-{count}" for count in range(1000))
            approvals = Approvals(store, chain, clock=clock, new_id=lambda ids=ids: next(ids))
            shelf = Shelf(store, VersionFiles(tmp_path / "generated"), chain, clock=clock)
            approvals.on_decided("tool", shelf.decided)
            found.append(Desk(store, chain, approvals, shelf))
        yield found


async def proposed(desk: Desk, number: int) -> str:
    manifest: JsonObject = {"version": number, "permissions": [], "upstream_schemas": {}, "input_schema": {}}
    source = f'"""Number {number}."""\n\n\ndef run(call) -> int:\n    return {number}\n'
    version = ToolVersion("tool", number, source, manifest)
    row = VersionRecord("tool", number, VersionStatus.PROPOSED, version.approval_hash, "w", 0.0, 0.0, "", 2, 2)
    async with desk.store.database.transaction() as transaction:
        await desk.store.tools.add(transaction, row)
    details: JsonObject = {"name": "tool", "version": number, "workflow": "w", "source": source, "manifest": manifest}
    return (await desk.approvals.request("tool", version.approval_hash, "New tool", details, AGENT)).id


async def test_of_a_yes_and_a_no_at_the_same_moment_one_is_taken_and_the_other_is_told(desks: list[Desk]) -> None:
    for number in range(BOTH):
        asked = await desks[0].approvals.request("call", f"h{number}", "x", {}, AGENT)
        ways = [(desks[0], True, "cli"), (desks[1], False, "page"), (desks[2], True, "cli")]
        done = await asyncio.gather(
            *(
                desk.approvals.decide(asked.id, PERSON, approve=approve, how=how, looked_at=asked.requested_at - 1)
                for desk, approve, how in ways[number % 3 :] + ways[: number % 3]
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(one, Invalid) for one in done) == 2, done
        final = await desks[0].approvals.get(asked.id)
        assert await desks[0].said(asked.id) == ["approval.requested", f"approval.{final.status}"]
        used = [desk.approvals.take("call", f"h{number}", AGENT) for desk in desks]
        taken = [one for one in await asyncio.gather(*used) if one is not None]
        assert len(taken) == (final.status == "approved")


async def test_a_no_said_while_somebody_reads_is_not_turned_round_unseen(desks: list[Desk]) -> None:
    asked = await desks[0].approvals.request("call", "h", "x", {}, AGENT)
    await desks[1].approvals.decide(asked.id, PERSON, approve=False, how="page")
    rejected_at = (await desks[0].approvals.get(asked.id)).decided_at or 0.0
    with pytest.raises(Invalid, match="rejected it while you looked"):
        await desks[0].approvals.decide(asked.id, PERSON, approve=True, how="cli", looked_at=rejected_at - 1)
    assert (await desks[0].approvals.get(asked.id)).status == "rejected"
    await desks[0].approvals.decide(asked.id, PERSON, approve=True, how="cli", looked_at=rejected_at + 1)
    assert (await desks[0].approvals.get(asked.id)).status == "approved"


@pytest.mark.requirement("N-45")
async def test_two_people_who_say_yes_at_the_same_moment_are_two(desks: list[Desk], tmp_path: Path) -> None:
    key = SigningKey.from_file(tmp_path / "bob")
    for desk in desks:
        desk.approvals.people = lambda: People(high_needs=2, reviewers={"bob": key.public})
    for number in range(1, 1 + BOTH):
        asked = await desks[0].approvals.get(await proposed(desks[0], number))
        signed = ("bob", key.sign(review_statement(asked)))
        done = await asyncio.gather(
            desks[0].approvals.decide(asked.id, PERSON, approve=True, how="cli"),
            desks[1].approvals.decide(asked.id, PERSON, approve=True, how="cli", reviewer=signed),
        )
        assert "approved" in {one.status for one in done}  # whoever was first may hear of it already
        assert (await desks[0].approvals.get(asked.id)).status == "approved"
        assert (await desks[0].said(asked.id)).count("approval.approved") == 1


async def test_a_process_that_ended_between_the_second_yes_and_the_decision_does_not_block_it(
    desks: list[Desk], tmp_path: Path
) -> None:
    key = SigningKey.from_file(tmp_path / "bob")
    desks[0].approvals.people = lambda: People(high_needs=2, reviewers={"bob": key.public})
    asked = await desks[0].approvals.get(await proposed(desks[0], 1))
    await desks[0].approvals.decide(asked.id, PERSON, approve=True, how="cli")
    with pytest.raises(NotAllowed, match="said yes already"):
        await desks[0].approvals.decide(asked.id, PERSON, approve=True, how="cli")
    payload: JsonObject = {"identity": f"key {key.public}", "subject": asked.subject_hash}
    await desks[1].chain.record("approval.seconded", asked.id, PERSON, payload)
    assert (await desks[0].approvals.decide(asked.id, PERSON, approve=True, how="cli")).status == "approved"


async def test_of_versions_approved_at_the_same_moment_one_serves(desks: list[Desk]) -> None:
    for first in range(1, 1 + 3 * BOTH, 3):
        asked = [await proposed(desks[0], number) for number in range(first, first + 3)]
        await asyncio.gather(
            *(
                desk.approvals.decide(one, PERSON, approve=True, how="cli")
                for desk, one in zip(desks, asked, strict=True)
            )
        )
        statuses = await desks[0].statuses()
        assert statuses.count("active") == 1 and set(statuses) == {"active", "superseded"}
        await desks[0].shelf.reload()
        last = (await desks[0].told("tool.published"))[-1]
        assert f"tool v{desks[0].shelf.active['tool'].version}" == last


async def test_approving_rolling_back_and_retiring_at_once_leave_what_the_chain_says_last(desks: list[Desk]) -> None:
    await desks[0].approvals.decide(await proposed(desks[0], 1), PERSON, approve=True, how="cli")
    for number in range(2, 2 + BOTH):
        asked = await proposed(desks[0], number)
        done = await asyncio.gather(
            desks[0].approvals.decide(asked, PERSON, approve=True, how="cli"),
            desks[1].shelf.rollback("tool", 1, PERSON),
            desks[2].shelf.retire("tool", PERSON, "not needed"),
            return_exceptions=True,
        )
        assert all(not isinstance(one, BaseException) or isinstance(one, NotFound) for one in done), done
        entry = (await desks[0].chain.newest(1, {"action": "tool.*"}))[-1]
        serving = [] if entry["action"] == "tool.retired" else [str(entry["subject"])]
        await desks[1].shelf.reload()
        assert [f"tool v{version.version}" for version in desks[1].shelf.active.values()] == serving
        assert (await desks[0].statuses()).count("active") == len(serving)


async def test_what_follows_from_a_no_that_was_turned_round_does_not_follow_any_more(desks: list[Desk]) -> None:
    first, second = desks[0], desks[1]
    asked = await proposed(first, 1)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow(approval: object, caller: object) -> None:
        reached.set()
        await go_on.wait()
        await first.shelf.decided(approval, caller)  # type: ignore[arg-type]

    first.approvals.on_decided("tool", slow)  # a process that is held up between its decision and what follows
    rejecting = asyncio.create_task(first.approvals.decide(asked, PERSON, approve=False, how="cli"))
    await reached.wait()
    await second.approvals.decide(asked, PERSON, approve=True, how="cli")
    go_on.set()
    await rejecting
    assert await first.statuses() == ["active"]
    assert await first.told("tool.rejected") == []
    assert (await first.store.approvals.get(asked)).applied_at is not None  # type: ignore[union-attr]


async def test_what_was_published_and_rolled_back_is_not_published_again_by_who_settles(desks: list[Desk]) -> None:
    first, second = desks[0], desks[1]
    await first.approvals.decide(await proposed(first, 1), PERSON, approve=True, how="cli")
    asked = await proposed(first, 2)

    async def killed(approval: object, caller: object) -> None:
        await first.shelf.decided(approval, caller)  # type: ignore[arg-type]
        raise asyncio.CancelledError  # published, and ended before that was noted

    first.approvals.on_decided("tool", killed)
    with pytest.raises(asyncio.CancelledError):
        await first.approvals.decide(asked, PERSON, approve=True, how="cli")
    await second.shelf.rollback("tool", 1, PERSON)
    await second.approvals.decide(asked, PERSON, approve=True, how="cli")
    assert await second.statuses() == ["active", "superseded"]
    assert await second.told("tool.published") == ["tool v1", "tool v2"]


async def test_rules_approved_later_stay_in_force_whoever_finishes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    workspace = Workspace.find(tmp_path)
    workspace.config.parent.mkdir()

    def wanted(*rules: str) -> None:
        workspace.config.write_text(f"[permissions]\nallow = {json.dumps(rules)}\n")

    wanted("Bash(ls:*)")
    async with open_base(workspace) as first, open_base(workspace) as second:
        wanted("Bash(ls:*)", "Bash(one:*)")
        (asked,) = await first.adoption.ask()
        reached, go_on, seal = asyncio.Event(), asyncio.Event(), first.audit.seal

        async def held_up() -> object:
            reached.set()
            await go_on.wait()
            return await seal()

        monkeypatch.setattr(first.audit, "seal", held_up)
        deciding = asyncio.create_task(first.decide(asked.id, approve=True, how="cli"))
        await reached.wait()
        wanted("Bash(ls:*)", "Bash(two:*)")
        (newer,) = await second.adoption.ask()
        await second.decide(newer.id, approve=True, how="cli")
        go_on.set()
        await deciding
        for base in (first, second):
            assert base.rules.fresh().policy.allow.of_tool("Bash")
            assert (base.rules.record.number, base.rules.waiting) == (3, [])
        written = json.loads(first.rules.path.read_text())
        assert (written["number"], "Bash(two:*)" in written["content"]["allow"]) == (3, True)
