"""The only way to an effect.

resolve the name -> check the arguments -> decide -> ask a person where needed -> audit -> run -> record -> audit.

Agents, generated tools, replays, code-mode scripts and jobs all come in through `Router.call`; there is one decision
function, and it sees what is really called, never what somebody declared (D6).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from druse.model import (
    CallContext,
    Caller,
    CallerKind,
    Decision,
    DruseError,
    Effect,
    Invalid,
    Json,
    JsonObject,
    NeedsApproval,
    NotAllowed,
    NotFound,
    Outcome,
    OutcomeStatus,
    Progress,
    Source,
    Step,
    ToolSpec,
    UpstreamFailure,
    Verdict,
    digest,
)
from druse.routing.arguments import ArgumentCheck
from druse.routing.lanes import Aside, Lanes, Turn, is_read
from druse.routing.registry import Entry, Registry
from druse.routing.unstopped import unstopped

log = logging.getLogger("druse.routing")

MAX_DEPTH = 5  # crystallized tools calling crystallized tools, where the configuration says nothing


class Consent(Protocol):
    """Where calls wait for a person (see `druse.governance.Approvals`)."""

    async def granted(self, subject_hash: str, caller: Caller) -> bool:
        """Whether a person approved exactly this call; the approval is used up, unless given for longer."""
        ...

    async def ask(self, subject_hash: str, title: str, details: JsonObject, caller: Caller) -> str:
        """Put the call before a person; the id of the (new or already open) request."""
        ...


class Journal(Protocol):
    """The audit chain and the recorder as the router sees them."""

    async def begin(self, call: Call, decision: Decision) -> str:
        """The entry before the effect, on disk before this returns when `call.writes` (D19). Its id."""
        ...

    async def refuse(self, call: Call, outcome: Outcome) -> None:
        """The entry of a call that never ran."""
        ...

    async def finish(self, call: Call, cause: str, outcome: Outcome, step: Step) -> None:
        """The entry after the effect, together with the recorded step of the caller's run, in one transaction."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it stands before the router: what, with which arguments, by whom."""

    spec: ToolSpec
    arguments: JsonObject
    caller: Caller
    writes: bool

    @property
    def subject_hash(self) -> str:
        """What an approval of this call binds to: the tool, its schema and the arguments (D9)."""
        return digest({"tool": self.spec.name, "schema": self.spec.schema_hash, "arguments": self.arguments})


class Router:
    """Carries every call from its name to its outcome. Never raises for what a caller can get wrong."""

    def __init__(
        self,
        registry: Registry,
        *,
        decide: Callable[[ToolSpec, JsonObject, Caller], Decision],
        consent: Consent,
        journal: Journal,
        clock: Callable[[], float],
        parallel_reads: int = 10,
        max_depth: Callable[[], int] = lambda: MAX_DEPTH,
    ) -> None:
        self._max_depth = max_depth
        self.registry = registry
        self._decide = decide
        self._consent = consent
        self._journal = journal
        self._clock = clock
        self._lanes = Lanes(parallel_reads)
        self._arguments = ArgumentCheck()

    async def call(self, name: str, arguments: Json, caller: Caller, *, progress: Progress | None = None) -> Outcome:
        """Carry out one call. Cancelling the caller's task cancels the effect and is recorded as a failed step."""
        try:
            entry, call = self._looked_up(name, arguments, caller)
            if caller.depth > self._max_depth():
                raise Invalid(
                    f"Cannot call {name}: tools are nested {caller.depth} deep, {self._max_depth()} is the limit. Call "
                    'it from the agent, or raise "max_plan_depth" under [self_programming] in .druse/config.toml.',
                    where="depth",
                    problem="too deep",
                )
        except (NotFound, Invalid) as error:
            return _refused(OutcomeStatus.INVALID, error)
        try:
            decision = await self._permit(call)
            async with self._lanes.turn(call.spec) as turn:
                if turn.waited or decision.consented:
                    # Time went by since it was decided: whatever changed meanwhile counts before the effect.
                    entry, call, decision = await self._permit_still(call, decision)
                return await self._run(entry, call, decision, progress, turn)
        except (NotAllowed, NeedsApproval) as error:
            outcome = _refused(
                OutcomeStatus.PENDING if isinstance(error, NeedsApproval) else OutcomeStatus.DENIED, error
            )
            await self._journal.refuse(call, outcome)
            return outcome
        except (NotFound, Invalid) as error:  # the tool is gone, or is declared differently
            return _refused(OutcomeStatus.INVALID, error)

    def _looked_up(self, name: str, arguments: Json, caller: Caller) -> tuple[Entry, Call]:
        """The tool as it is registered at this moment, and the call of it. Raises NotFound and Invalid."""
        entry = self.registry.resolve(name, caller)
        checked = self._arguments.check(entry.spec, arguments)
        return entry, Call(entry.spec, checked, caller, writes=not is_read(entry.spec))

    def preview(self, name: str, arguments: Json, caller: Caller) -> Decision:
        """What the decision function says of a call, without making it. Raises NotFound and Invalid."""
        entry = self.registry.resolve(name, caller)
        return self._decide(entry.spec, self._arguments.check(entry.spec, arguments), caller)

    async def _permit(self, call: Call) -> Decision:
        decision = self._decide(call.spec, call.arguments, call.caller)
        if decision.verdict is Verdict.ALLOW:
            return decision
        shown = _shown(call)
        if decision.verdict is Verdict.DENY:
            raise NotAllowed(
                f"{shown} is not allowed: {_because(decision)}. Do not look for a way around it; "
                "ask the user whether the rule should change.",
                rule=decision.rule,
                how_to_allow=decision.how_to_allow,
            )
        if call.caller.kind is CallerKind.PERSON:
            return decision  # who asks is the person who is asked
        if await self._consent.granted(call.subject_hash, call.caller):
            why = "approved by a person for exactly this call"
            return replace(decision, verdict=Verdict.ALLOW, why=why, consented=True)
        details: JsonObject = {
            "tool": call.spec.name,
            "arguments": call.arguments,
            "source": str(call.spec.source),
            "security": call.spec.security,
            "effect": _recorded_effect(call),
            "why": decision.why,
            "how_to_allow": decision.how_to_allow,
        }
        approval_id = await self._consent.ask(call.subject_hash, shown, details, call.caller)
        hint = f', or to allow all such calls, the rule "{decision.how_to_allow}"' if decision.how_to_allow else ""
        raise NeedsApproval(
            f"{shown} waits for a person: {_because(decision)}. Nothing has happened. Ask the user to run "
            f'"druse approvals approve {approval_id}"{hint}; then make the same call again.',
            approval_id=approval_id,
        )

    async def _permit_still(self, call: Call, before: Decision) -> tuple[Entry, Call, Decision]:
        """The same call decided by what holds now. A person's yes to exactly this call counts on, a deny does not wait.

        Raises NotAllowed, NeedsApproval, NotFound and Invalid.
        """
        entry, now = self._looked_up(call.spec.name, call.arguments, call.caller)
        decision = self._decide(now.spec, now.arguments, now.caller)
        asks = decision.verdict is Verdict.ASK
        if asks and before.consented and now.subject_hash == call.subject_hash:
            return entry, now, before
        return entry, now, await self._permit(now) if decision.verdict is not Verdict.ALLOW else decision

    async def _run(
        self, entry: Entry, call: Call, decision: Decision, progress: Progress | None, turn: Turn
    ) -> Outcome:
        cause = await self._journal.begin(call, decision)
        started = self._clock()
        outcome = Outcome(OutcomeStatus.FAILED, message=f"{_shown(call)} was cancelled.", kind="cancelled")
        try:
            caller, side = call.caller, call.caller.client_side
            if side is not None:
                caller = replace(caller, client_side=Aside(side, turn))
            context = CallContext(caller, progress, cause, decision)
            outcome = await self._carry_out(entry, call, context)
        finally:
            step = Step(
                tool=call.spec.name,
                arguments=call.arguments,
                result=outcome.data if outcome.ok or outcome.data is not None else _told(outcome),
                failed=not outcome.ok,
                started_at=started,
                duration_ms=(self._clock() - started) * 1000,
                effect=_recorded_effect(call),
            )
            # A cancelled call has happened, in part or whole: it must reach the disk all the same.
            await unstopped(self._journal.finish(call, cause, outcome, step))
        return outcome

    async def _carry_out(self, entry: Entry, call: Call, context: CallContext) -> Outcome:
        try:
            return await entry.provider.call(entry.spec, call.arguments, context)
        except DruseError as error:
            return _refused(OutcomeStatus.FAILED, error)


def _told(outcome: Outcome) -> Json:
    """What a failure without a result is recorded with, so that it can be told apart from others later."""
    return {"error": {"kind": outcome.kind, "message": outcome.message[:2000]}}


def _recorded_effect(call: Call) -> str:
    """What is known of the effect: an upstream tool without a hint may read or write."""
    if not call.writes:
        return "read"
    return "unknown" if call.spec.effect is Effect.UNKNOWN else "write"


def _refused(status: OutcomeStatus, error: DruseError) -> Outcome:
    return Outcome(
        status,
        message=str(error),
        kind=error.kind,
        approval_id=error.approval_id if isinstance(error, NeedsApproval) else "",
        unsure=isinstance(error, UpstreamFailure) and error.asked,
    )


def _because(decision: Decision) -> str:
    if not decision.rule:
        return decision.why or "no rule allows it"
    where = f" in {decision.origin}" if decision.origin else ""
    why = f" ({decision.why})" if decision.why else ""
    return f"rule {decision.verdict} {decision.rule}{where}{why}"


def _shown(call: Call) -> str:
    if call.spec.source is Source.LOCAL and isinstance(call.arguments.get("command"), str):
        text = f'{call.spec.name}("{call.arguments["command"]}")'
    else:
        text = f"{call.spec.name}({', '.join(f'{key}={value!r}' for key, value in call.arguments.items())})"
    return text if len(text) <= 200 else text[:200] + "…"
