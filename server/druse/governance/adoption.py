"""How rules come into force: put before a person, approved by their hash, written into the chain, signed, taken over.

The change is in the chain before the rules change, under a root that still carries the old ones: whoever held the old
rules vouches for the step to the new ones (seed id N-38).

The first rules need no second command: what the files say when a workspace is opened for the first time is taken over
in the name of the person who opens it, because no agent worked through Druse before. Left out of that, and waiting like
any edit, are a trust level, and allow rules and larger quotas that came with a clone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import cast

from druse.governance.approvals import Approvals
from druse.governance.audit import AuditChain
from druse.governance.policy import Content, first_content, gains, losses
from druse.governance.rules import Record, Rules
from druse.governance.trust import HIGHEST
from druse.model import Caller, CallerKind, Invalid, Json, JsonObject, digest
from druse.store import Adopted, Store
from druse.store.approvals import Approval

log = logging.getLogger("druse.governance")

_DRUSE = Caller(CallerKind.JOB, client="druse")


class Adoption:
    """The way of rules and trust levels through approval. Registers itself as what follows from those decisions."""

    def __init__(
        self, store: Store, audit: AuditChain, approvals: Approvals, rules: Rules, *, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._audit = audit
        self._approvals = approvals
        self._rules = rules
        self._clock = clock
        approvals.on_decided("policy", self._policy_decided)
        approvals.on_decided("trust", self._trust_decided)

    async def begin(self, opened_by: Caller | None = None) -> None:
        """Bring the copy in line with the store, which is what counts, and ask for what waits.

        `opened_by`: the person who opens the workspace; where that never happened before, the files' rules come into
        force in their name.
        """
        if opened_by is not None:
            await self._adopt_first(opened_by)
        adopted = await self._store.policies.newest()
        number, known = (adopted.number, adopted.hash) if adopted else (0, Content().hash)
        if (self._rules.record.number, self._rules.hash) != (number, known):
            if self._rules.record.number or self._rules.path.exists():
                log.warning("%s was not what a person approved last; it has been restored", self._rules.path)
            await self._take_over_newest()
        await self.ask()

    async def _adopt_first(self, caller: Caller) -> None:
        """Take over the files' rules where this workspace has no history at all."""
        if self._rules.path.exists() or await self._store.policies.newest() is not None:
            return
        content = first_content(self._rules.wanted, cloned=self._rules.cloned())
        async with self._store.database.transaction(durable=True) as transaction:
            head = await self._store.audit.head(transaction)
            # Another process may have been first; rules that vanished behind a chain that goes on are not first ones.
            if head.issued or head.seq or await self._store.policies.newest(transaction) is not None:
                return
            payload: JsonObject = {
                "old": Content().hash,
                "new": content.hash,
                "trust_level": 0,
                "gains": list[Json](gains(Content(), content)),
                "first": True,
            }
            entry = await self._audit.append(transaction, "policy.adopted", "policy 1", caller, payload)
            made = Adopted(1, content.hash, content.as_json(), self._clock(), caller.client, f"first start {entry}")
            await self._store.policies.add(transaction, made)
        await self._take_over_newest()

    async def _take_over_newest(self, confirmed: tuple[str, float] | None = None) -> None:
        """Put in force what was approved last; with `confirmed`, a hash and a time, level 4 of exactly those rules.

        No other process writes the copy meanwhile: of two that take rules over at the same moment, the one that comes
        later finds the newer ones.
        """
        async with self._store.database.transaction() as transaction:
            adopted = await self._store.policies.newest(transaction)
            number, content = (adopted.number, Content.from_json(adopted.content)) if adopted else (0, Content())
            self._rules.refresh()
            record = self._rules.record
            until = record.confirmed_until if (record.number, record.content.hash) == (number, content.hash) else 0.0
            if confirmed is not None and confirmed[0] == content.hash:
                until = confirmed[1]
            self._rules.take_over(Record(number, content, until))

    async def ask(self) -> list[Approval]:
        """Put before a person what the files want beyond what is approved; the requests that are open now."""
        self._rules.refresh()
        found: list[Approval] = []
        if self._rules.waiting:
            found.append(await self.propose(_DRUSE))
        elif not self._rules.problem:
            # What was asked for by files that say something else by now.
            await self._approvals.withdraw("policy", keep=Content.of(self._rules.wanted).hash)
        if self._rules.config.self_programming.trust_level == HIGHEST > self._rules.trust_level:
            found.append(await self._propose_confirmation())
        else:
            await self._approvals.withdraw("trust")
        return [approval for approval in found if approval.status == "pending"]

    async def propose(self, caller: Caller) -> Approval:
        """Ask for the rules as the files have them now; requests for earlier forms of the files are withdrawn."""
        self._rules.refresh()
        content = Content.of(self._rules.wanted)
        approved = self._rules.record.content
        gained = gains(approved, content)
        details: JsonObject = {
            "gains": list[Json](gained),
            "losses": list[Json](losses(approved, content)),
            "content": content.as_json(),
        }
        await self._approvals.withdraw("policy", keep=content.hash)
        title = f"Rules of this project: {gained[0] if gained else 'narrower than before'}"
        more = f" and {len(gained) - 1} more" if len(gained) > 1 else ""
        return await self._approvals.request("policy", content.hash, title + more, details, caller)

    async def _propose_confirmation(self) -> Approval:
        subject = digest({"trust_level": HIGHEST, "policy": self._rules.hash})
        await self._approvals.withdraw("trust", keep=subject)
        title = f"Trust level {HIGHEST}: tools of its own making in service without anybody's approval, for 12 hours"
        return await self._approvals.request("trust", subject, title, {"trust_level": HIGHEST}, _DRUSE)

    async def _policy_decided(self, approval: Approval, caller: Caller) -> None:
        if approval.status != "approved":
            return
        content = Content.from_json(cast("JsonObject", approval.details.get("content")))
        if content.hash != approval.subject_hash:
            raise Invalid("Cannot take the rules over: the approval is for others. Look at druse policy show.")
        async with self._store.database.transaction(durable=True) as transaction:
            before = await self._store.policies.newest(transaction)
            if before is not None and before.approval == approval.id:
                return  # taken over already
            number = before.number + 1 if before else 1
            payload: JsonObject = {
                "old": before.hash if before else Content().hash,
                "new": content.hash,
                "trust_level": content.self_programming.trust_level,
                "gains": approval.details.get("gains"),
            }
            await self._audit.append(
                transaction, "policy.adopted", f"policy {number}", caller, payload, cause=approval.decided_entry
            )
            by = approval.decided_by or ""
            made = Adopted(number, content.hash, content.as_json(), self._clock(), by, approval.id)
            await self._store.policies.add(transaction, made)
        await self._audit.seal()
        await self._take_over_newest()

    async def _trust_decided(self, approval: Approval, caller: Caller) -> None:
        if approval.status != "approved":
            return
        self._rules.refresh()
        rules = self._rules.hash
        if self._rules.record.confirmed_until == approval.expires_at:
            return  # taken over already
        if approval.subject_hash != digest({"trust_level": HIGHEST, "policy": rules}):
            raise Invalid("Cannot confirm the trust level: the rules have changed since. Look at druse policy show.")
        await self._audit.record(
            "trust.confirmed", f"level {HIGHEST}", caller, {"until": approval.expires_at}, cause=approval.decided_entry
        )
        await self._take_over_newest((rules, approval.expires_at))  # not where others were approved this moment
