"""Asking the person behind a client, where it can ask and the rules let it (D8).

How the question reaches the client, and which call an answer is for, is the business of `druse.front.interaction`.
Anything but a clear answer in time leaves the request as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from druse.model import (
    Caller,
    Counterpart,
    DruseError,
    Json,
    JsonObject,
    NotFound,
    Outcome,
    OutcomeStatus,
    asks_forms,
)

_WAITING = 1000  # questions remembered at a time

# Sends one question; the client's `ElicitResult` as JSON, None where none came in time.
Ask: TypeAlias = "Callable[[Question], Awaitable[JsonObject | None]]"
Again: TypeAlias = "Callable[[], Awaitable[Outcome]]"


@dataclass(frozen=True, slots=True)
class Question:
    """What a client is asked; `seconds` is how long its answer counts, `tool` what the approval is for."""

    approval_id: str
    tool: str
    message: str
    seconds: float


class Decider(Protocol):
    """Where answers go (see `druse.front.application`)."""

    async def question(self, approval_id: str) -> Question | None:
        """What to ask; None where the rules let no client's answer decide it."""
        ...

    async def answer(self, approval_id: str, caller: Caller, *, approve: bool) -> None:
        """Take the answer for a decision. Raises NotAllowed, NotFound, Invalid."""
        ...


class Decisions(Protocol):
    """Where a call that waits for a person learns what became of it (see `druse.front.application`)."""

    async def decided(self, approval_id: str) -> str:
        """Wait until it is decided or has expired; its status then."""
        ...


class Elicitation:
    """The questions of one front."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], None] = {}  # approval and connection: nobody is asked the same twice

    async def carry(self, desk: Decider, first: Outcome, caller: Caller, tool: str, ask: Ask, again: Again) -> Outcome:
        """The end of a call after its client, if need be, was asked. `again` makes the call once more."""
        question = await self._question(desk, first, caller)
        if question is None:
            return first
        return await self._settle(desk, question, first, caller, tool, await ask(question), again)

    async def _question(self, desk: Decider, outcome: Outcome, caller: Caller) -> Question | None:
        if outcome.status is not OutcomeStatus.PENDING or not outcome.approval_id:
            return None
        key = (outcome.approval_id, caller.connection)
        if key in self._asked:
            return None
        try:
            question = await desk.question(outcome.approval_id)
        except NotFound:
            return None
        if question is not None:
            self._asked[key] = None
            _trim(self._asked)
        return question

    async def _settle(
        self,
        desk: Decider,
        question: Question,
        first: Outcome,
        caller: Caller,
        tool: str,
        answer: JsonObject | None,
        again: Again,
    ) -> Outcome:
        approve = decision_of(answer)
        if approve is None:
            told = "cancelled" if answer and answer.get("action") == "cancel" else "no answer"
            return replace(first, details={**first.details, "elicitation": told})
        try:
            await desk.answer(question.approval_id, caller, approve=approve)
        except DruseError as error:  # decided elsewhere meanwhile, or the rules changed while the client was asked
            return replace(first, details={**first.details, "elicitation": f"not taken: {error}"})
        if tool == question.tool:
            return await again()
        # What was called did part of its work before it came to this; it is not for us to do that part twice.
        said = "approved" if approve else "declined"
        what = f"The call of {question.tool} inside it was {said} in the client and has not been made. "
        advice = "Make the same call again." if approve else "Do not look for a way around it."
        return replace(first, message=what + advice, details={**first.details, "elicitation": said})


async def after_decision(decisions: Decisions, first: Outcome, again: Again) -> Outcome:
    """The end of a call that waits for a person: made when they said yes."""
    status = await decisions.decided(first.approval_id)
    if status == "expired":
        return replace(first, message=f"Nobody decided in time, and nothing has happened. {first.message}")
    return await again()


def decision_of(answer: JsonObject | None) -> bool | None:
    """Yes, no, or None where the answer is neither: cancelled, malformed, none at all."""
    if answer is None:
        return None
    if answer.get("action") == "decline":
        return False
    content = answer.get("content")
    given = content.get("approve") if answer.get("action") == "accept" and isinstance(content, dict) else None
    return given if isinstance(given, bool) else None


def asking(side: Counterpart | None) -> Ask | None:
    """The way of a question to a client; None where it did not declare that it can put one before its user."""
    if side is None or not asks_forms(side.capabilities):
        return None

    async def ask(question: Question) -> JsonObject | None:
        from druse.governance import ELICITATION_SCHEMA

        form: JsonObject = {"mode": "form", "message": question.message, "requestedSchema": ELICITATION_SCHEMA}
        request: JsonObject = {"method": "elicitation/create", "params": form}
        return (await side.ask({"approval": request}, seconds=question.seconds))["approval"]

    return ask


def called_tool(name: str, arguments: Json) -> str:
    """The tool a `tools/call` is for, seen through `run_tool`."""
    return str(arguments.get("name")) if name == "run_tool" and isinstance(arguments, dict) else name


async def within(seconds: float, answer: Awaitable[Any]) -> Any:
    """The answer; None where it does not come in time."""
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        return None


def _trim(held: dict[Any, Any]) -> None:
    while len(held) > _WAITING:
        del held[next(iter(held))]
