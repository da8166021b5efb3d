"""A rule allows the tool a person saw, not whatever a server later calls by that name (architecture, D9).

What a tool declares (name, input and output schema) is pinned when a rule first allows a call of it. From then on an
allow holds only for the same declaration; another one is asked for until a person accepts it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from druse.governance.audit import AuditChain
from druse.model import Caller, Decision, Source, ToolSpec, Verdict
from druse.store import Store


class Declarations:
    """The pinned declarations of this workspace. Call `load` before use."""

    def __init__(self, store: Store, audit: AuditChain, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._pinned: dict[tuple[str, str], tuple[str, float]] = {}
        self._new: dict[tuple[str, str], str] = {}

    async def load(self) -> None:
        """Read what is pinned."""
        self._pinned = await self._store.declarations.all()

    async def refresh(self) -> bool:
        """Notice what was accepted in another process; whether anything was."""
        before = dict(self._pinned)
        self._pinned |= await self._store.declarations.all()
        return self._pinned != before

    def checked(self, spec: ToolSpec, decision: Decision) -> Decision:
        """The decision, or ASK where an allow was given for another declaration of this tool."""
        if decision.verdict is not Verdict.ALLOW or spec.source is not Source.UPSTREAM:
            return decision
        key = (spec.server, spec.upstream_name)
        known = self._pinned.get(key)
        if known is None:
            self._new[key] = spec.schema_hash
            self._pinned[key] = (spec.schema_hash, self._clock())
            return decision
        schema, pinned_at = known
        if schema == spec.schema_hash:
            return decision
        day = datetime.fromtimestamp(pinned_at, UTC).strftime("%Y-%m-%d")
        why = f"{spec.server} declares {spec.upstream_name} differently than when it was first allowed, on {day}"
        return replace(decision, verdict=Verdict.ASK, why=why, how_to_allow=f"druse tools accept {spec.name}")

    async def settle(self) -> None:
        """Write down what was seen for the first time."""
        if self._new:
            seen, self._new = self._new, {}
            await self._store.declarations.pin(seen, now=self._clock())

    async def accept(self, spec: ToolSpec, caller: Caller) -> None:
        """A person accepts what the tool declares now."""
        key = (spec.server, spec.upstream_name)
        await self._audit.record("declaration.accepted", spec.name, caller, {"schema": spec.schema_hash})
        now = self._clock()
        await self._store.declarations.pin({key: spec.schema_hash}, now=now, replace=True)
        self._pinned[key] = (spec.schema_hash, now)
