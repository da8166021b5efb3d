"""Approvals: a person's yes to exactly one thing.

An approval binds to a hash (D9): of a call with its arguments, of a tool's code, permissions and upstream schemas. It
expires. What asks is an agent or a tool; what decides is a person at the CLI, never a caller of another kind.
"""

from __future__ import annotations

from collections.abc import Callable

from druse.governance.audit import AuditChain
from druse.model import Caller, CallerKind, Invalid, JsonObject, NotAllowed, NotFound
from druse.store import Store
from druse.store.approvals import Approval

LIFETIME_SECONDS = {"call": 3600.0, "tool": 30 * 86400.0}


class Approvals:
    """Requests and decisions of one workspace."""

    def __init__(
        self, store: Store, audit: AuditChain, *, clock: Callable[[], float], new_id: Callable[[], str]
    ) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._new_id = new_id

    async def request(self, kind: str, subject_hash: str, title: str, details: JsonObject, caller: Caller) -> Approval:
        """Ask a person. The same subject, asked again while it is open, keeps its id."""
        now = self._clock()
        async with self._store.database.transaction() as transaction:
            held = await self._store.approvals.open_for(transaction, kind, subject_hash, now)
            if held is not None:
                return held
            requested: JsonObject = {"kind": str(caller.kind), "session": caller.session, "client": caller.client}
            approval = Approval(
                id=self._new_id(),
                kind=kind,
                subject_hash=subject_hash,
                title=title,
                details=details,
                requested_by=requested,
                requested_at=now,
                expires_at=now + LIFETIME_SECONDS.get(kind, 86400.0),
            )
            await self._store.approvals.add(transaction, approval)
            await self._audit.append(
                transaction, "approval.requested", approval.id, caller, {"kind": kind, "subject": subject_hash}
            )
        return approval

    async def take(self, kind: str, subject_hash: str, caller: Caller) -> Approval | None:
        """Use up an approval of exactly this subject; None if there is none. A tool's approval stays."""
        now = self._clock()
        async with self._store.database.transaction(durable=True) as transaction:
            held = await self._store.approvals.open_for(transaction, kind, subject_hash, now)
            if held is None or held.status != "approved":
                return None
            # A clock set back must not bring an old approval to life again.
            if held.decided_at is not None and now < held.decided_at - 60:
                return None
            if kind == "call":
                used = await self._store.approvals.use(transaction, held.id)
                if not used:
                    return None
                await self._audit.append(transaction, "approval.used", held.id, caller, {"subject": subject_hash})
            return held

    async def decide(self, approval_id: str, caller: Caller, *, approve: bool, how: str, note: str = "") -> Approval:
        """A person's decision. Raises NotAllowed for any other caller, NotFound, Invalid if it is decided already."""
        if caller.kind is not CallerKind.PERSON:
            raise NotAllowed(
                f"Approval {approval_id} cannot be decided here: only a person decides, with "
                f'"druse approvals approve {approval_id}" in a terminal.'
            )
        approval = await self.get(approval_id)
        if approval.status != "pending":
            raise Invalid(
                f"Approval {approval_id} cannot be decided: it is {approval.status}. "
                'List the open ones with "druse approvals list".',
                where="approval",
                problem=approval.status,
            )
        status = "approved" if approve else "rejected"
        now = self._clock()
        async with self._store.database.transaction(durable=True) as transaction:
            changed = await self._store.approvals.decide(
                transaction, approval_id, status=status, by=caller.client, how=how, now=now, note=note
            )
            if not changed:
                raise Invalid(f"Approval {approval_id} was decided by somebody else meanwhile. Look at it again.")
            await self._audit.append(
                transaction, f"approval.{status}", approval_id, caller, {"how": how, "subject": approval.subject_hash}
            )
        return await self.get(approval_id)

    async def get(self, approval_id: str) -> Approval:
        """One request, expired ones told as such. Raises NotFound."""
        approval = await self._store.approvals.get(approval_id)
        if approval is None:
            raise NotFound(f'Cannot find approval {approval_id!r}. List the open ones with "druse approvals list".')
        return self._aged(approval)

    async def list(self, *, open_only: bool = False) -> list[Approval]:
        """Requests, newest first."""
        found = [self._aged(approval) for approval in await self._store.approvals.list()]
        return [approval for approval in found if approval.status == "pending"] if open_only else found

    def _aged(self, approval: Approval) -> Approval:
        from dataclasses import replace

        if approval.status == "pending" and approval.expires_at <= self._clock():
            return replace(approval, status="expired")
        return approval
