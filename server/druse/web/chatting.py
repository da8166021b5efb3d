"""`POST /chat`: build the context, ask the model, save the run (seed id L-19)."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import cast

from druse.front.chat import CHAT
from druse.model import JsonObject, NotAllowed, Outcome, OutcomeStatus, Step, Verdict
from druse.web.shapes import ChatRequest, ChatResponse
from druse.web.visit import Refused, Reply, Visit, waits

_NO_MODEL = (
    "There is no model to ask. Name one under [model] in your own config.toml and run "
    '"druse policy approve"; `context` is what it was to be told.'
)
_REPORT = "answered over HTTP; how it went was not reported (druse traces mark, or learning.record_feedback)"


async def chat(visit: Visit) -> Reply:
    """Answers 503 with the context where no provider is in force, 202 where a rule asks a person first."""
    body: ChatRequest = visit.body
    visit.own(body)
    base = visit.application.base
    asked: JsonObject = {"message": body.message, "tokens": body.tokens}
    asked["max_skills"] = body.max_skills if body.include_skills else 0
    if base.rules.fresh().model is None:
        if visit.application.decide(CHAT, asked, visit.caller).verdict is Verdict.DENY:
            raise NotAllowed(f"{CHAT.name} over HTTP is not allowed: a rule denies it. Have the rule changed.")
        made = await visit.application.chat.context(asked, visit.caller)
        used = [f"{skill.origin}/{skill.name}" for skill in made.skills]
        raise Refused(503, _NO_MODEL, "no_model", context=made.text, skills_used=used)
    run_id = await base.recorder.open(body.message, visit.caller, mode="CHAT")
    visit.caller = replace(visit.caller, run_id=run_id)
    began = time.time()
    outcome = await visit.application.call(CHAT.name, asked, visit.caller)
    took = (time.time() - began) * 1000
    if outcome.status is OutcomeStatus.PENDING:
        await base.recorder.end(run_id, "waited for a person's approval")
        return waits(outcome.approval_id, outcome.message, trace_id=run_id)
    if not outcome.ok:
        await base.recorder.end(run_id, f"the model was not asked or did not answer: {outcome.message}"[:500])
        raise _failure(outcome, run_id)
    told = cast("JsonObject", outcome.data)
    step = Step(CHAT.name, asked, told, started_at=began, duration_ms=took)
    async with base.store.database.transaction() as transaction:
        await base.recorder.add(transaction, run_id, step, CHAT)
    reply = ChatResponse.model_validate({**told, "trace_id": run_id})
    tokens = None if reply.tokens_in is None or reply.tokens_out is None else reply.tokens_in + reply.tokens_out
    await base.recorder.end(run_id, _REPORT, tokens=tokens)
    return Reply(200, reply)


def _failure(outcome: Outcome, run_id: str) -> Exception:
    if outcome.status is OutcomeStatus.DENIED:
        return NotAllowed(outcome.message)
    status = 502 if outcome.kind == "model_failure" else 503
    return Refused(status, outcome.message, outcome.kind, trace_id=run_id)
