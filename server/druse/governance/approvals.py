"""Approvals: a person's yes to exactly one thing.

An approval binds to a hash (D9): of a call with its arguments, of a tool's code, permissions and upstream schemas, of
the rules. It expires. What asks is an agent or a tool; what decides is a person at the CLI, never a caller of another
kind. What follows from a decision (a tool is published, rules come into force) is done by the handler of its kind, and
done after all if the process ended between the two.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from druse.governance.audit import AuditChain
from druse.governance.entries import seq_of
from druse.governance.reviewing import SECONDED, account_identity, needed, reviewer_identity
from druse.governance.trust import Action
from druse.model import (
    Caller,
    CallerKind,
    DruseError,
    Invalid,
    Json,
    JsonObject,
    NotAllowed,
    NotFound,
    StoreDamaged,
    Verdict,
)
from druse.settings import People
from druse.store import Store, Transaction
from druse.store.approvals import Approval, Decided

log = logging.getLogger("druse.governance")

Handler: TypeAlias = "Callable[[Approval, Caller], Awaitable[None]]"

_HOUR, _DAY = 3600.0, 86400.0
LIFETIME_SECONDS = {
    "call": _HOUR,
    "trust": 12 * _HOUR,
    "tool": 30 * _DAY,
    "policy": 30 * _DAY,
    "skill": 30 * _DAY,
    "promotion": 30 * _DAY,
    "retirement": 30 * _DAY,
    "successor": 30 * _DAY,
}  # of a request, and again of a decision
SESSION_SECONDS = 12 * _HOUR
_OTHER_SECONDS = _DAY
_CLOCK_TOLERANCE = 5.0  # how far clocks of processes on one machine may differ
_UNFINISHED_AFTER = 30.0  # a decision that another process is still carrying out is younger


class Approvals:
    """Requests and decisions of one workspace."""

    def __init__(
        self, store: Store, audit: AuditChain, *, clock: Callable[[], float], new_id: Callable[[], str]
    ) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._new_id = new_id
        self._handlers: dict[str, Handler] = {}
        self.trust: Callable[[Action, str], Verdict] = lambda action, client: Verdict.ASK
        self.people: Callable[[], People] = People
        self.elicits: Callable[[Approval], bool] = lambda approval: False  # see `elicitation.may_elicit`

    def on_decided(self, kind: str, handler: Handler) -> None:
        """Name what follows from decisions of a kind. It is told of both answers and may be told twice of one."""
        self._handlers[kind] = handler

    async def request(
        self,
        kind: str,
        subject_hash: str,
        title: str,
        details: JsonObject,
        caller: Caller,
        *,
        evidence: Sequence[str] = (),
        cause: str = "",
    ) -> Approval:
        """Ask a person. The same subject, asked again, keeps its request; a no holds until it expires.

        The answer's status says which it is: `pending`, `rejected`, or for a call `approved` (then `take` it).
        `evidence`: ids of the runs that speak for it. `cause`: the audit entry that led here.
        """
        now = self._clock()
        async with self._store.database.transaction() as transaction:
            for held in await self._standing(kind, subject_hash, transaction):
                # A yes to a tool or to rules was carried out, one for another session is not the caller's.
                if held.status != "approved" or (kind == "call" and _usable(held, caller)):
                    return held
            requested: JsonObject = {"kind": str(caller.kind), "session": caller.session, "client": caller.client}
            if caller.identity:
                requested["identity"] = f"{caller.identity} as {caller.role}"
            approval_id = self._new_id()
            until = now + LIFETIME_SECONDS.get(kind, _OTHER_SECONDS)
            payload: JsonObject = {"kind": kind, "subject": subject_hash, "until": round(until, 3)}
            if evidence:
                payload["evidence"] = list[Json](evidence)
            entry = await self._audit.append(
                transaction, "approval.requested", approval_id, caller, payload, cause=cause or caller.cause
            )
            approval = Approval(
                id=approval_id,
                kind=kind,
                subject_hash=subject_hash,
                title=title,
                details=details,
                requested_by=requested,
                requested_at=now,
                expires_at=until,
                requested_entry=entry,
            )
            await self._store.approvals.add(transaction, approval)
        return approval

    async def take(self, kind: str, subject_hash: str, caller: Caller) -> Approval | None:
        """Use an approval of exactly this subject; None if there is none.

        A call's is used up, unless it was given for the session: then it is good for that session only.
        """
        if not any(_usable(held, caller) for held in await self._standing(kind, subject_hash)):
            return None
        async with self._store.database.transaction(durable=True) as transaction:
            if await self._voided(transaction, kind, subject_hash, caller):
                return None
            for held in await self._standing(kind, subject_hash, transaction):
                if not _usable(held, caller) or not await self._vouched(held):
                    continue
                if kind == "call" and held.scope == "once":
                    await self._store.approvals.set_status(transaction, held.id, "used", before="approved")
                await self._audit.append(
                    transaction,
                    "approval.used",
                    held.id,
                    caller,
                    {"subject": subject_hash, "scope": held.scope},
                    cause=held.decided_entry,
                )
                return held
        return None

    async def decide(
        self,
        approval_id: str,
        caller: Caller,
        *,
        approve: bool,
        how: str,
        note: str = "",
        scope: str = "once",
        reviewer: tuple[str, str] | None = None,
        looked_at: float | None = None,
    ) -> Approval:
        """A person's decision, and what follows from it. A no may be turned into a yes as long as it stands.

        `reviewer`: name and signature of the reviewer who decides, else it is the account of this process. Where more
        identities must say yes, the request stays pending until they have (seed id N-45). `looked_at`: when the person
        looked, in seconds since the epoch; a no that somebody said after that is not turned round.
        Raises NotAllowed for any other caller, NotFound, Invalid if it was decided already or has expired.
        """
        if caller.kind is not CallerKind.PERSON:
            raise NotAllowed(
                f"Approval {approval_id} cannot be decided here: only a person decides, with "
                f'"druse approvals approve {approval_id}" in a terminal.'
            )
        approval = await self.get(approval_id)
        if (
            approve
            and approval.status == "rejected"
            and looked_at is not None
            and looked_at < (approval.decided_at or 0)
        ):
            raise Invalid(
                f"Approval {approval_id} cannot be given: {approval.decided_by} rejected it while you looked at it. "
                "Look at it again; approving it then turns that round.",
                where="approval",
                problem="rejected meanwhile",
            )
        if scope != "once" and (approval.kind != "call" or not approve):
            raise Invalid(
                f"Approval {approval_id} cannot be given for {scope}: it is of kind {approval.kind}. "
                "Approve it as it is.",
                where="scope",
                problem=scope,
            )
        unfinished = approval.status == ("approved" if approve else "rejected") and self._unfinished(approval)
        identity = reviewer_identity(approval, *reviewer, self.people()) if reviewer else account_identity()
        if approve and not unfinished and not await self._enough(approval, caller, identity):
            return await self.get(approval_id)
        if not unfinished:
            approval = await self._write(approval, caller, approve=approve, how=how, note=note, scope=scope)
        await self._apply(approval, caller)
        return await self.get(approval_id)

    async def _enough(self, approval: Approval, caller: Caller, identity: str) -> bool:
        """Note one more identity that says yes, where more than one must; whether they are enough by now."""
        wanted = needed(approval, self.people())
        if wanted <= 1 or approval.status not in ("pending", "rejected"):
            return True
        since = seq_of(approval.decided_entry) if approval.decided_entry else 0  # what was said before a no is void
        payload: JsonObject = {"identity": identity, "subject": approval.subject_hash}
        # Two who say yes at the same moment, in two processes: the later one counts the earlier one.
        async with self._store.database.transaction(durable=True) as transaction:
            said = await self._audit.newest(1000, {"action": SECONDED, "subject": approval.id}, transaction)
            known: set[str] = set()
            for entry in said:
                told, number = entry.get("payload"), entry.get("seq")
                if isinstance(told, dict) and isinstance(number, int) and number > since:
                    known.add(str(told.get("identity")))
            if len(known) >= wanted and identity in known:
                return True  # the process that was to write the decision down ended before it did
            if identity in known:
                raise NotAllowed(
                    f"Approval {approval.id} needs {wanted} people, and this one said yes already. Another one "
                    "decides, from another account or as a reviewer: druse approvals approve --help."
                )
            cause = approval.requested_entry
            await self._audit.append(transaction, SECONDED, approval.id, caller, payload, cause=cause)
        return len(known) + 1 >= wanted

    async def grant(self, approval_id: str, caller: Caller) -> Approval | None:
        """Say yes to a tool where the trust level in force lets Druse do so by itself; None where it does not.

        The level is asked here, so no caller can claim one.
        """
        approval = await self.get(approval_id)
        steps = (Action.SYNTHESIZE, Action.REGISTER)
        came_from_outside = bool(approval.details.get("needs_person"))
        if (
            came_from_outside
            or needed(approval, self.people()) > 1
            or (approval.kind, approval.status) != ("tool", "pending")
            or any(
                self.trust(step, str(approval.requested_by.get("client") or "")) is not Verdict.ALLOW for step in steps
            )
        ):
            return None
        approval = await self._write(approval, caller, approve=True, how="trust", note="", scope="once")
        await self._apply(approval, caller)
        return await self.get(approval_id)

    async def answer(self, approval_id: str, caller: Caller, *, approve: bool) -> Approval:
        """What a client answered when it was asked whether one call may be made; `caller` is the agent behind it.

        It need not come from a person, so it decides only what `elicits` lets it: a pending request for a call, once.
        A no to such a call can be turned into a yes by a person. Raises NotAllowed, NotFound, Invalid.
        """
        approval = await self.get(approval_id)
        if not self.elicits(approval) or needed(approval, self.people()) > 1:
            raise NotAllowed(
                f"Approval {approval_id} cannot be decided by an answer of the client: the rules do not let it. "
                f'Decide it with "druse approvals approve {approval_id}" in a terminal.'
            )
        if approval.status != "pending":
            raise Invalid(f"Approval {approval_id} cannot be answered any more: it is {approval.status}. Call again.")
        return await self._write(approval, caller, approve=approve, how="elicitation", note="", scope="once")

    async def withdraw(self, kind: str, *, keep: str = "", only: str = "") -> None:
        """Take back open requests of a kind: what they asked for is no longer wanted.

        Those for other subjects than the hash `keep`; with `only`, just the one of that id.
        """
        for held in await self._store.approvals.list(status="pending", limit=-1):
            if held.kind == kind and held.subject_hash != keep and only in ("", held.id):
                async with self._store.database.transaction() as transaction:
                    await self._store.approvals.set_status(transaction, held.id, "expired", before="pending")

    async def settle(self) -> None:
        """Do what follows from decisions whose process ended before it was done."""
        for kind in self._handlers:
            for approval in await self._store.approvals.unapplied(
                kind, decided_before=self._clock() - _UNFINISHED_AFTER
            ):
                caller = Caller(CallerKind.JOB, client=f"for {approval.decided_by}")
                try:
                    await self._apply(approval, caller)
                except DruseError as error:
                    log.warning("What follows from approval %s could not be done: %s", approval.id, error)

    async def get(self, approval_id: str) -> Approval:
        """One request, expired ones told as such. Raises NotFound."""
        approval = await self._store.approvals.get(approval_id)
        if approval is None:
            raise NotFound(f'Cannot find approval {approval_id!r}. List the open ones with "druse approvals list".')
        return self._aged(approval)

    async def list(self, *, open_only: bool = False, limit: int = 100) -> list[Approval]:
        """Requests, newest first; -1 for all of them."""
        status = "pending" if open_only else None
        found = [self._aged(approval) for approval in await self._store.approvals.list(status=status, limit=limit)]
        return [approval for approval in found if approval.status == "pending"] if open_only else found

    # inside

    async def _standing(
        self, kind: str, subject_hash: str, transaction: Transaction | None = None
    ) -> Sequence[Approval]:
        return await self._store.approvals.standing(kind, subject_hash, self._clock(), transaction)

    async def _write(
        self, approval: Approval, caller: Caller, *, approve: bool, how: str, note: str, scope: str
    ) -> Approval:
        if approval.status != "pending" and not (approve and approval.status == "rejected"):
            raise Invalid(
                f"Approval {approval.id} cannot be decided: it is {approval.status}. "
                'List the open ones with "druse approvals list".',
                where="approval",
                problem=approval.status,
            )
        status = "approved" if approve else "rejected"
        lasts = SESSION_SECONDS if scope == "session" else LIFETIME_SECONDS.get(approval.kind, _OTHER_SECONDS)
        payload: JsonObject = {"kind": approval.kind, "subject": approval.subject_hash, "how": how, "scope": scope}
        async with self._store.database.transaction(durable=True) as transaction:
            now = self._clock()  # other processes may have kept the database for seconds
            payload["until"] = round(now + lasts, 3)
            entry = await self._audit.append(
                transaction, f"approval.{status}", approval.id, caller, payload, cause=approval.requested_entry
            )
            by = {"trust": "the trust level", "elicitation": f"an answer of the client {caller.client}"}.get(
                how, caller.client
            )
            decided = Decided(status, by, how, note, scope, now + lasts, entry)
            if not await self._store.approvals.decide(
                transaction, approval.id, decided, now=now, before=approval.status
            ):
                raise Invalid(f"Approval {approval.id} was decided meanwhile, or has expired. Look at it again.")
        return await self.get(approval.id)

    async def _vouched(self, approval: Approval) -> bool:
        """Whether the audit chain has the decision that the row claims: a row changed by hand decides nothing."""
        if not approval.decided_entry:
            return False
        entry = await self._audit.get(seq_of(approval.decided_entry)) or {}
        payload = entry.get("payload")
        said = payload.get("subject") if isinstance(payload, dict) else None
        return (entry.get("action"), entry.get("subject"), said) == (
            f"approval.{approval.status}",
            approval.id,
            approval.subject_hash,
        )

    async def _apply(self, approval: Approval, caller: Caller) -> None:
        handler = self._handlers.get(approval.kind)
        if handler is not None:
            if not await self._vouched(approval):
                raise StoreDamaged(
                    f"Cannot carry out approval {approval.id}: the table says {approval.status}, and no entry of the "
                    'audit chain decides that. See "druse audit verify".',
                    first_bad=f"approval {approval.id}",
                )
            current = await self._store.approvals.get(approval.id)
            if current is None or current.decided_entry != approval.decided_entry:
                return  # a no that was turned round meanwhile: what follows is the business of the newer decision
            await handler(approval, caller)
            await self._store.approvals.applied(approval.id, approval.decided_entry, now=self._clock())

    def _unfinished(self, approval: Approval) -> bool:
        return approval.kind in self._handlers and approval.applied_at is None

    async def _voided(self, transaction: Transaction, kind: str, subject_hash: str, caller: Caller) -> bool:
        """Whether the clock was set back since the newest entry.

        Then what was approved before is void: nobody can say any more how old it is.
        """
        newest = await self._audit.newest_time(transaction)
        if newest <= self._clock() + _CLOCK_TOLERANCE:
            return False
        for held in await self._standing(kind, subject_hash, transaction):
            if held.status == "approved":
                await self._store.approvals.set_status(transaction, held.id, "expired", before="approved")
                await self._audit.append(
                    transaction, "approval.voided", held.id, caller, {"why": "the clock was set back"}
                )
        return True

    def _aged(self, approval: Approval) -> Approval:
        # What was carried out stays what it is; what still waits or could be used is over.
        over = approval.status == "pending" or (approval.kind == "call" and approval.status in ("approved", "rejected"))
        return replace(approval, status="expired") if over and approval.expires_at <= self._clock() else approval


def _usable(held: Approval, caller: Caller) -> bool:
    return held.status == "approved" and (held.scope == "once" or held.session == caller.session)
