"""`agent://{id}`: what is known of one agent, under the names of the seed (S-43).

Nothing of it is kept a second time: what it owns stands in the approvals, what it did in the executions and runs, what
binds it in the rules in force, where the decision function reads it.
"""

from __future__ import annotations

from druse.crystal import wilson_lower
from druse.governance import Approvals, Rules
from druse.model import Json, JsonObject, VersionStatus
from druse.settings import agent_of
from druse.store import Store

HISTORY = 100
_PATTERNS = 50


class Agents:
    """The agents of one workspace."""

    def __init__(self, store: Store, approvals: Approvals, rules: Rules) -> None:
        self._store = store
        self._approvals = approvals
        self._rules = rules

    async def known(self) -> list[str]:
        """Every agent that was here or that a rule speaks of, sorted."""
        clients = await self._store.runs.clients()
        configured = [name for name in self._rules.fresh().people.agents if name != "*"]
        return sorted({agent_of(client) for client in clients if client} | set(configured))

    async def memory(self, agent: str) -> JsonObject:
        """What is known of an agent; one that nobody knows has an empty memory and the constraints of `*`."""
        config, wanted = self._rules.fresh(), self._rules.wanted.people.binding(agent)
        binding = config.people.binding(agent)
        clients = [client for client in await self._store.runs.clients() if agent_of(client) == agent]
        patterns: list[Json] = [
            {"pattern": goal, "confidence": round(wilson_lower(good, runs), 4)}
            for goal, runs, good in await self._store.runs.patterns(clients, limit=_PATTERNS)
        ]
        return {
            "agent_id": agent,
            "capabilities_owned": list[Json](await self._owned(agent)),
            "execution_history": list[Json](await self._history(agent)),
            "learned_patterns": patterns,
            "preferences": {"llm_model": wanted.llm_model, "risk_tolerance": wanted.risk_tolerance},
            "constraints": {
                "max_autonomy_level": binding.max_autonomy_level,
                "require_approval_domains": list[Json](sorted(binding.require_approval_domains)),
            },
        }

    async def _owned(self, agent: str) -> list[str]:
        """The tools in service that this agent asked for."""
        asked = {
            str(approval.details.get("name"))
            for approval in await self._approvals.list(limit=-1)
            if approval.kind in ("tool", "successor")
            and approval.status == "approved"
            and agent_of(str(approval.requested_by.get("client") or "")) == agent
        }
        records = await self._store.tools.all()
        return sorted(asked & {record.name for record in records if record.status is VersionStatus.ACTIVE})

    async def _history(self, agent: str) -> list[JsonObject]:
        made: list[JsonObject] = []
        for execution in await self._store.plans.executions(HISTORY, agent=agent):
            stored = await self._store.plans.get(execution.plan)
            made.append(
                {
                    "execution": execution.id,
                    "plan": execution.plan,
                    "goal": str(stored.content.get("goal") or "") if stored else "",
                    "status": execution.status,
                    "started_at": execution.started_at,
                    "ended_at": execution.ended_at,
                }
            )
        return made
