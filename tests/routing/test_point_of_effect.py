"""What a call may do is decided when it does it: also where it waited, and where the rules changed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from druse.model import (
    CallContext,
    Caller,
    CallerKind,
    Decision,
    Effect,
    JsonObject,
    Outcome,
    OutcomeStatus,
    Source,
    Step,
    ToolSpec,
    Verdict,
)
from druse.routing import Call, Registry, Router

AGENT = Caller(CallerKind.AGENT, session="s", connection="c", client="client 1")


class Office:
    """Rules, consent, journal and one server whose writes last until they are let go."""

    def __init__(self) -> None:
        self.verdict = Verdict.ALLOW
        self.approved = 0
        self.made: list[str] = []
        self.refused: list[str] = []
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        self.spec = ToolSpec("shop__pay", Source.UPSTREAM, effect=Effect.WRITE, server="shop", upstream_name="pay")
        self.registry = Registry([self])
        self.router = Router(self.registry, decide=self.decide, consent=self, journal=self, clock=lambda: 0.0)

    def decide(self, spec: ToolSpec, arguments: JsonObject, caller: Caller) -> Decision:
        return Decision(self.verdict, "shop__*" if self.verdict is not Verdict.ASK else "")

    async def granted(self, subject_hash: str, caller: Caller) -> bool:
        self.approved -= 1
        return self.approved >= 0

    async def ask(self, subject_hash: str, title: str, details: JsonObject, caller: Caller) -> str:
        return "a1"

    async def begin(self, call: Call, decision: Decision) -> str:
        return "e1"

    async def refuse(self, call: Call, outcome: Outcome) -> None:
        self.refused.append(str(outcome.status))

    async def finish(self, call: Call, cause: str, outcome: Outcome, step: Step) -> None:
        pass

    def specs(self) -> Sequence[ToolSpec]:
        return [self.spec]

    async def call(self, spec: ToolSpec, arguments: JsonObject, context: CallContext) -> Outcome:
        self.made.append(str(arguments["what"]))
        self.reached.set()
        await self.go_on.wait()
        return Outcome.of({"done": True})

    async def second_waits(self) -> tuple[asyncio.Task[Outcome], asyncio.Task[Outcome]]:
        """Two writes to one server: one at work, one behind it."""
        first = asyncio.create_task(self.router.call("shop__pay", {"what": "first"}, AGENT))
        await self.reached.wait()
        second = asyncio.create_task(self.router.call("shop__pay", {"what": "second"}, AGENT))
        for _ in range(20):
            await asyncio.sleep(0)
        return first, second


@pytest.mark.parametrize(("now", "status"), [(Verdict.DENY, "denied"), (Verdict.ASK, "pending")])
async def test_a_call_that_waited_for_its_turn_is_decided_by_the_rules_of_that_moment(
    now: Verdict, status: str
) -> None:
    office = Office()
    first, second = await office.second_waits()
    office.verdict = now
    office.go_on.set()
    assert (await first).ok
    assert (await second).status == status
    assert (office.made, office.refused) == (["first"], [status])


async def test_a_yes_to_exactly_this_call_counts_on_while_it_waits_and_no_deny_does() -> None:
    for now, made in ((Verdict.ASK, ["first", "second"]), (Verdict.DENY, ["first"])):
        office = Office()
        office.verdict, office.approved = Verdict.ASK, 2
        first, second = await office.second_waits()
        office.verdict = now
        office.go_on.set()
        assert (await first).ok
        assert (await second).ok is (now is Verdict.ASK)
        assert office.made == made


async def test_a_tool_that_went_away_or_changed_while_a_call_of_it_waited_is_not_called_as_it_was() -> None:
    office = Office()
    office.verdict, office.approved = Verdict.ASK, 2
    first, second = await office.second_waits()
    office.spec = replace(office.spec, input_schema={"type": "object", "properties": {"what": {"type": "string"}}})
    office.registry.refresh()
    office.go_on.set()
    assert (await first).ok
    assert (await second).status is OutcomeStatus.PENDING  # the yes was to a call of the tool as it was declared
    third = Office()
    first, second = await third.second_waits()
    third.spec = replace(third.spec, name="shop__other")
    third.registry.refresh()
    third.go_on.set()
    await first
    assert ((await second).status, third.made) == (OutcomeStatus.INVALID, ["first"])
