"""What is written down of a call: the audit entries around it and the recorded step."""

from __future__ import annotations

from druse.governance import Approvals, AuditChain
from druse.model import Caller, CallerKind, Decision, JsonObject, NotAllowed, Outcome, Source, Step, digest
from druse.routing.router import Call
from druse.store import Store, Transaction
from druse.traces import Recorder

# Steps of these belong to the caller's run; what a tool does inside is its own affair (and in the audit chain), and
# what a person tries at the command line is no repeated work of an agent. Nor is Druse looking at or changing itself.
_RECORDED = (CallerKind.AGENT, CallerKind.CODE, CallerKind.REPLAY)


class CallJournal:
    """Implements `Journal` over the audit chain and the recorder."""

    def __init__(self, store: Store, audit: AuditChain, recorder: Recorder) -> None:
        self._store = store
        self._audit = audit
        self._recorder = recorder

    async def begin(self, call: Call, decision: Decision) -> str:
        """The entry before the effect; synced to the disk for a write."""
        payload = self._described(call) | {"rule": decision.rule, "origin": decision.origin}

        async def entry(transaction: Transaction) -> str:
            return await self._audit.append(
                transaction, "call.begin", call.spec.name, call.caller, payload, cause=call.caller.cause
            )

        return await self._store.database.write(entry, durable=call.writes)

    async def refuse(self, call: Call, outcome: Outcome) -> None:
        """The entry of a call that never ran."""
        payload = self._described(call) | {"status": str(outcome.status), "approval": outcome.approval_id}

        async def entry(transaction: Transaction) -> str:
            return await self._audit.append(
                transaction, "call.refused", call.spec.name, call.caller, payload, cause=call.caller.cause
            )

        await self._store.database.write(entry)

    async def finish(self, call: Call, cause: str, outcome: Outcome, step: Step) -> None:
        """The entry after the effect and the step of the run, together."""
        recorded = call.caller.kind in _RECORDED and call.spec.source is not Source.CAPABILITY
        run_id = await self._recorder.run_of(call.caller) if recorded else ""
        masked = self._recorder.masked(step, call.spec) if run_id else None
        same = masked is not None and step.result is outcome.data
        result = masked.result if masked is not None and same else self._recorder.handles.mask(outcome.data)
        payload: JsonObject = {
            "status": str(outcome.status),
            "result": digest(result),
            "run": run_id,
            "ms": round(step.duration_ms or 0.0, 3),
        }

        async def entry_and_step(transaction: Transaction) -> bool:
            there = True
            if masked is not None:
                # A call that is made in the name of a run is part of a goal or a plan, not a request of its own.
                asked = call.caller.kind is CallerKind.AGENT and not call.caller.run_id
                there = await self._recorder.add_masked(transaction, run_id, masked, asked=asked)
                if not there:
                    payload["run"] = ""
                elif call.caller.call_id:
                    await self._store.clients.key_call(transaction, call.caller.call_id, run_id)
            await self._audit.append(transaction, "call.end", call.spec.name, call.caller, payload, cause=cause)
            return there

        if not await self._store.database.write(entry_and_step):
            self._recorder.forget(run_id)  # set back with all that was learned since; the chain has the call

    def _described(self, call: Call) -> JsonObject:
        masked = self._recorder.handles.mask_object(call.arguments, call.spec.input_schema)
        return {"arguments": digest(masked), "schema": call.spec.schema_hash, "run": call.caller.run_id}


class CallConsent:
    """Implements `Consent` over the approvals; what a person is shown holds no secret."""

    def __init__(self, approvals: Approvals, recorder: Recorder) -> None:
        self._approvals = approvals
        self._recorder = recorder

    async def granted(self, subject_hash: str, caller: Caller) -> bool:
        """Whether a person approved exactly this call."""
        return await self._approvals.take("call", _own(subject_hash, caller), caller) is not None

    async def ask(self, subject_hash: str, title: str, details: JsonObject, caller: Caller) -> str:
        """Put the call before a person. Raises NotAllowed where one rejected exactly this call a while ago."""
        handles = self._recorder.handles
        masked = handles.mask_object(details)
        subject = _own(subject_hash, caller)
        approval = await self._approvals.request("call", subject, handles.mask_text(title), masked, caller)
        if approval.status == "rejected":
            said = f": {approval.note}" if approval.note else ""
            elicited = approval.decided_how == "elicitation"  # which need not have been a person
            by = approval.decided_by if elicited else "a person"
            raise NotAllowed(
                f"{title} is not allowed: {by} rejected exactly this call{said}. Do not look for a way around it. "
                f'If they changed their mind, they run "druse approvals approve {approval.id}".'
            )
        return approval.id


def _own(subject_hash: str, caller: Caller) -> str:
    """What was approved for one person is not approved for another who makes the same call."""
    return digest({"call": subject_hash, "identity": caller.identity}) if caller.identity else subject_hash
