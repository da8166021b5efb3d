"""One request of somebody who was let in."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from druse.front.application import Application
from druse.model import (
    Caller,
    Effect,
    Invalid,
    JsonObject,
    NotAllowed,
    NotFound,
    Outcome,
    OutcomeStatus,
    Source,
    ToolSpec,
    Verdict,
)
from druse.skills import Actor
from druse.web.shapes import Pending, Problem
from druse.web.visitors import HttpRole, Visitor


class RoleTooLow(NotAllowed):
    """Somebody with the role `needed` may do this."""

    def __init__(self, message: str, needed: HttpRole) -> None:
        super().__init__(message)
        self.needed = needed


class Refused(Exception):
    """An answer that is none of the operation's own."""

    def __init__(self, status: int, detail: str, kind: str, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.problem = Problem(detail=detail, kind=kind, **more)


@contextmanager
def at_the_gate() -> Generator[None]:
    """What is found invalid here was a well-formed request: it is refused with 409. Raises Refused."""
    try:
        yield
    except Invalid as error:
        raise Refused(409, str(error), "refused") from error


@dataclass(frozen=True, slots=True)
class Reply:
    """A status of the operation and its content."""

    status: int
    content: BaseModel


class Visit:
    """The request, read and checked, with what its handler works with. Every visit is a session of its own."""

    def __init__(
        self, application: Application, visitor: Visitor, tool: str, *, query: Any, body: Any, path: dict[str, str]
    ) -> None:
        self.application = application
        self.visitor = visitor
        self.tool = tool
        self.query = query
        self.body = body
        self.path = path
        self.caller: Caller = visitor.caller(
            f"http-{visitor.key_id or ('oauth' if visitor.by_token else 'local')}-{secrets.token_hex(6)}"
        )

    @property
    def actor(self) -> Actor:
        """The visitor before the volumes."""
        return self.visitor.actor(self.application.base.skills.volumes)

    def decide(self, arguments: JsonObject) -> None:
        """Have a read decided by the rules, under the operation's name. Raises NotAllowed."""
        spec = ToolSpec(
            self.tool, Source.CAPABILITY, "An operation of the HTTP API.", effect=Effect.READ, read_only_hint=True
        )
        decision = self.application.decide(spec, arguments, self.caller)
        if decision.verdict is not Verdict.ALLOW:
            raise NotAllowed(
                f"{self.tool} over HTTP is not allowed: {decision.verdict} {decision.rule} in {decision.origin}. Have "
                "the rule changed, or look with the druse command.",
                rule=decision.rule,
            )

    async def call(self, name: str, arguments: JsonObject) -> Outcome:
        """One call of a capability through the router. Raises what is no success and no request for approval."""
        outcome = await self.application.call(name, arguments, self.caller)
        if outcome.status in (OutcomeStatus.OK, OutcomeStatus.PENDING):
            return outcome
        if outcome.status is OutcomeStatus.DENIED:
            raise NotAllowed(outcome.message)
        if outcome.kind == "not_found":
            raise NotFound(outcome.message)
        if outcome.status is OutcomeStatus.INVALID:
            raise Invalid(outcome.message)
        raise Refused(500, outcome.message, outcome.kind)

    def own(self, given: Any) -> None:
        """The user and team that a request names are the token's own. Raises NotAllowed."""
        identity = self.application.base.skills.volumes.identity
        for name, asked, known in (
            ("user_id", given.user_id, identity.user),
            ("team_id", given.team_id, identity.team),
        ):
            if asked is not None and asked != known:
                raise NotAllowed(
                    f"Cannot act for {name} {asked!r}: this server speaks for {known or 'no team'}. Leave {name} out."
                )


def waits(approval_id: str, message: str, **more: Any) -> Reply:
    """Nothing happened yet: a person is asked."""
    detail = message or f'A person decides: "druse approvals show {approval_id}".'
    return Reply(202, Pending(status="pending", approval_id=approval_id, detail=detail, **more))
