"""`[agents]`, `[domains]` and `[approvals]` of config.toml: what binds single agents, and how many people decide."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from druse.model import Invalid

EVERYBODY = "*"
_RISKS = ("low", "medium", "high")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}|\*")


@dataclass(frozen=True, slots=True)
class AgentRules:
    """What binds one agent, and what it prefers (the preferences are told, not enforced)."""

    max_autonomy_level: int = 4
    require_approval_domains: frozenset[str] = frozenset()
    llm_model: str = ""
    risk_tolerance: str = ""


@dataclass(frozen=True, slots=True)
class People:
    """`agents` by name, `*` for every agent; `domains`: globs over tool names; `reviewers`: public keys by name."""

    agents: Mapping[str, AgentRules] = field(default_factory=dict[str, AgentRules])
    domains: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    high_needs: int = 1  # distinct identities that must approve what is of class high
    reviewers: Mapping[str, str] = field(default_factory=dict[str, str])

    def binding(self, agent: str) -> AgentRules:
        """What holds for an agent: its own constraints and those of `*`, the narrower of both."""
        own, all_ = self.agents.get(agent, AgentRules()), self.agents.get(EVERYBODY, AgentRules())
        return AgentRules(
            min(own.max_autonomy_level, all_.max_autonomy_level),
            own.require_approval_domains | all_.require_approval_domains,
            own.llm_model or all_.llm_model,
            own.risk_tolerance or all_.risk_tolerance,
        )


def agent_of(client: str) -> str:
    """How the agent behind a client is called: the name it gives, without its version, in small letters."""
    return re.sub(r"[^a-z0-9._-]", "-", (client.split() or [""])[0].lower()) or "unknown"


def people_of(parsed: Mapping[str, Any]) -> People:
    """The three tables of a file. Raises Invalid; `where` is a text to be found in the file."""
    agents = {name: _agent(name, table) for name, table in _table(parsed, "agents").items()}
    domains = {name: _texts("domains", name, globs) for name, globs in _table(parsed, "domains").items()}
    block = _table(parsed, "approvals")
    unknown = sorted(set(block) - {"high_needs", "reviewers"})
    if unknown:
        raise _wrong(unknown[0], f"approvals.{unknown[0]} is not a setting; known: high_needs, reviewers")
    needs, reviewers = block.get("high_needs", 1), block.get("reviewers", {})
    if isinstance(needs, bool) or needs not in (1, 2, 3):
        raise _wrong("high_needs", f"approvals.high_needs is {needs!r}, expected 1 to 3")
    if not isinstance(reviewers, dict):
        raise _wrong("reviewers", "approvals.reviewers must be a table of names and public keys")
    for name, key in cast("dict[str, Any]", reviewers).items():
        if not (isinstance(key, str) and re.fullmatch(r"[0-9a-f]{64}", key)):
            raise _wrong(name, f"approvals.reviewers.{name} is no public key; see druse approvals key")
    return People(agents, domains, needs, dict(cast("dict[str, str]", reviewers)))


def narrower(one: People, other: People) -> People:
    """What both permit. Reviewers and preferences are those of `other` where `one` knows them too, or has none."""
    names = set(one.agents) | set(other.agents)
    agents: dict[str, AgentRules] = {}
    for name in names:
        left, right = one.agents.get(name, AgentRules()), other.agents.get(name, AgentRules())
        agents[name] = AgentRules(
            min(left.max_autonomy_level, right.max_autonomy_level),
            left.require_approval_domains | right.require_approval_domains,
            right.llm_model or left.llm_model,
            right.risk_tolerance or left.risk_tolerance,
        )
    domains = {
        name: one.domains.get(name, frozenset[str]()) | other.domains.get(name, frozenset[str]())
        for name in set(one.domains) | set(other.domains)
    }
    both = {name: key for name, key in other.reviewers.items() if one.reviewers.get(name) == key}
    return People(agents, domains, max(one.high_needs, other.high_needs), both)


def widened(was: People, now: People) -> list[str]:
    """What `now` permits beyond `was`."""
    found: list[str] = []
    if now.high_needs < was.high_needs:
        found.append(f"actions of class high need {now.high_needs} people in place of {was.high_needs}")
    for name, before in sorted(was.agents.items()):
        after = now.agents.get(name, AgentRules())
        if after.max_autonomy_level > before.max_autonomy_level:
            found.append(f"agent {name}: autonomy level {before.max_autonomy_level} -> {after.max_autonomy_level}")
        for domain in sorted(before.require_approval_domains - after.require_approval_domains):
            found.append(f"agent {name} no longer asks in the domain {domain}")
    for name, globs in sorted(was.domains.items()):
        for glob in sorted(globs - now.domains.get(name, frozenset[str]())):
            found.append(f"the domain {name} no longer covers {glob}")
    for name, key in sorted(now.reviewers.items()):
        if was.reviewers.get(name) != key:
            found.append(f"reviewer {name} decides with the key {key[:16]}…")
    return found


def _agent(name: str, table: Any) -> AgentRules:
    if not _NAME.fullmatch(name) or not isinstance(table, dict):
        raise _wrong(name, f"agents.{name} must be a table under an agent's name in small letters, or *")
    given = cast("dict[str, Any]", table)
    known = ("max_autonomy_level", "require_approval_domains", "llm_model", "risk_tolerance")
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise _wrong(unknown[0], f"agents.{name}.{unknown[0]} is not a setting; known: {', '.join(known)}")
    level = given.get("max_autonomy_level", 4)
    if isinstance(level, bool) or not isinstance(level, int) or not 0 <= level <= 4:
        raise _wrong("max_autonomy_level", f"agents.{name}.max_autonomy_level is {level!r}, expected 0 to 4")
    risk, model = given.get("risk_tolerance", ""), given.get("llm_model", "")
    if risk not in ("", *_RISKS) or not isinstance(model, str):
        raise _wrong("risk_tolerance", f"agents.{name}.risk_tolerance is {risk!r}, expected {', '.join(_RISKS)}")
    domains = _texts(f"agents.{name}", "require_approval_domains", given.get("require_approval_domains", []))
    return AgentRules(level, domains, model, str(risk))


def _texts(table: str, name: str, given: Any) -> frozenset[str]:
    listed = cast("list[Any]", given) if isinstance(given, list) else [None]
    if not all(isinstance(part, str) and part for part in listed):
        raise _wrong(name, f"{table}.{name} must be a list of texts")
    return frozenset(map(str, listed))


def _table(parsed: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = parsed.get(name, {})
    if not isinstance(table, dict):
        raise _wrong(name, f"[{name}] must be a table")
    return cast("dict[str, Any]", table)


def _wrong(where: str, problem: str) -> Invalid:
    return Invalid(problem, where=where, problem=problem)
