"""`/skills`, `/skills/promote` and `/evolve` (seed ids L-20, L-21, L-22)."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from druse.model import JsonObject, NotAllowed, NotFound, OutcomeStatus, Verdict
from druse.skills import Skill, SkillDocument, VolumeRef, adapt
from druse.web.shapes import (
    EvolveResponse,
    SkillBrief,
    SkillCreate,
    SkillCreated,
    SkillDetail,
    SkillList,
    SkillPromote,
    SkillPromoted,
    SkillQuery,
)
from druse.web.visit import Refused, Reply, RoleTooLow, Visit, at_the_gate, waits
from druse.web.visitors import HttpRole

_NO_TEAM = 'Cannot promote a skill: this user belongs to no team. Join one with "druse volumes use team:NAME".'


async def list_skills(visit: Visit) -> Reply:
    """The usable skills of all layers."""
    query: SkillQuery = visit.query
    visit.own(query)
    visit.decide({"category": query.category})
    found = [skill for skill in await _every(visit) if skill.usable]
    briefs = [SkillBrief(**_brief(skill)) for skill in found]
    listed = [brief for brief in briefs if query.category in (None, brief.category)]
    await visit.application.documents.offer([brief.skill_id for brief in listed])
    return Reply(200, SkillList(total=len(listed), skills=listed))


async def get_skill(visit: Visit) -> Reply:
    """One usable skill; a draft, a broken or an unapproved one is not given out."""
    visit.own(visit.query)
    name = visit.path["skill_id"]
    visit.decide({"skill_id": name})
    skill = next((one for one in await _every(visit) if one.name == name), None)
    if skill is None or not skill.usable:
        why = f"it is {skill.status}" if skill is not None else "there is none of that name"
        raise NotFound(f"Cannot show skill {name[:80]!r}: {why}. GET /skills lists those in service.")
    await visit.application.documents.used(skill, "")
    return Reply(200, SkillDetail(**_brief(skill), content=skill.text))


async def create_skill(visit: Visit) -> Reply:
    """A proposal; with `volume`, a text that the visitor's role lets it put in service there at once.

    What is no skill, or is too like one that is here, is refused with 409.
    """
    body: SkillCreate = visit.body
    visit.own(body)
    keywords = " ".join(body.keywords)
    with at_the_gate():
        return await (_propose if body.volume is None else _write)(visit, body, keywords)


async def _propose(visit: Visit, body: SkillCreate, keywords: str) -> Reply:
    asked: JsonObject = {"name": body.skill_id, "description": body.description, "category": body.category}
    asked["text"] = _titled(body)
    if keywords:
        asked["keywords"] = keywords
    outcome = await visit.call(visit.tool, asked)
    if outcome.status is OutcomeStatus.PENDING:
        return waits(outcome.approval_id, outcome.message, skill_id=body.skill_id)
    told = cast("dict[str, Any]", outcome.data)
    if told["status"] != "pending":
        return Reply(201, SkillCreated(status=told["status"], skill_id=body.skill_id, volume=told["volume"]))
    return waits(told["approval_id"], told["message"], skill_id=body.skill_id, volume=told["volume"])


async def _write(visit: Visit, body: SkillCreate, keywords: str) -> Reply:
    """Put a skill in service in a volume: what the access matrix lets an administrator do, and nobody else."""
    ref, base = VolumeRef.parse(str(body.volume)), visit.application.base
    identity, visitor = base.skills.volumes.identity, visit.visitor
    if visitor.role is HttpRole.USER:
        raise RoleTooLow(
            f"Cannot write into volume {ref} with a user's token: leave volume out, then a person is asked, or "
            "use a token of a team_admin or system_admin.",
            HttpRole.TEAM_ADMIN if str(ref) == f"team:{identity.team}" else HttpRole.SYSTEM_ADMIN,
        )
    if visitor.role is HttpRole.TEAM_ADMIN and str(ref) != f"team:{visitor.team}":
        raise RoleTooLow(
            f"Cannot write into volume {ref}: this token administers team {visitor.team} only.", HttpRole.SYSTEM_ADMIN
        )
    known = {str(one) for one in base.skills.volumes.existing()} | {f"team:{identity.team}", f"user:{identity.user}"}
    if str(ref) not in known | {"system:main"}:
        raise NotFound(f"Cannot write into volume {ref}: there is none. GET /volumes/stats shows those there are.")
    spec = visit.application.registry.resolve(visit.tool).spec
    decision = visit.application.decide(spec, {"name": body.skill_id, "volume": str(ref)}, visit.caller)
    if decision.verdict is Verdict.DENY or (decision.verdict is Verdict.ASK and decision.rule):
        raise NotAllowed(f"{visit.tool} over HTTP is not allowed: {decision.verdict} {decision.rule}.")
    text = adapt(_titled(body), fallback=body.skill_id).body
    document = SkillDocument(body.skill_id, body.description, text).with_own(
        category=body.category, keywords=keywords, origin="http"
    )
    payload: JsonObject = {"volume": str(ref), "skill": body.skill_id}
    if visitor.key_id:
        payload["key"] = visitor.key_id
    await base.audit.record("skill.write", body.skill_id, visit.caller, payload, durable=True)
    written = await base.skills.write(document, visit.actor, ref=ref)
    await visit.application.skills_changed()
    status = cast("Any", written.status)
    return Reply(201, SkillCreated(status=status, skill_id=body.skill_id, volume=str(ref), commit=written.commit))


async def promote_skill(visit: Visit) -> Reply:
    """A branch in the team's volume; a person merges it, whatever the visitor's role."""
    body: SkillPromote = visit.body
    visit.own(body)
    if not visit.application.base.skills.volumes.identity.team:
        raise Refused(409, _NO_TEAM, "invalid")
    with at_the_gate():  # a draft, or a text that no person approved, does not pass
        outcome = await visit.call(visit.tool, {"name": body.skill_id, "reason": body.reason})
    if outcome.status is OutcomeStatus.PENDING:
        return waits(outcome.approval_id, outcome.message, skill_id=body.skill_id)
    told = cast("dict[str, Any]", outcome.data)
    if told["status"] == "pending":
        return waits(told["approval_id"], told["message"], skill_id=body.skill_id, volume=told["volume"])
    source = str(visit.application.base.skills.volumes.layers()[0])
    unchanged = {"status": "unchanged", "from": source, "to": told["volume"], "skill_id": body.skill_id}
    return Reply(200, SkillPromoted.model_validate(unchanged))


async def evolve(visit: Visit) -> Reply:
    """Run the evolution now; a second request joins the first."""
    visit.own(visit.body)
    outcome = await visit.call(visit.tool, {})
    if outcome.status is OutcomeStatus.PENDING:
        raise NotAllowed(outcome.message)
    told = cast("dict[str, Any]", outcome.data)
    known = {name: told[name] for name in EvolveResponse.model_fields if name in told}
    counts = {"traces_analyzed": 0, "patterns_detected": 0, "skills_created": 0}
    return Reply(200, EvolveResponse.model_validate({**counts, **known}))


async def _every(visit: Visit) -> list[Skill]:
    return await asyncio.to_thread(visit.application.skills.every)


def _brief(skill: Skill) -> dict[str, Any]:
    document = skill.document
    return {
        "skill_id": skill.name,
        "name": document.title if document else skill.name,
        "category": document.category if document else "",
        "description": skill.description,
        "volume": skill.origin,
        "keywords": [*document.keywords] if document else [],
    }


def _titled(body: SkillCreate) -> str:
    """The text with its title, where it begins with none and is no whole SKILL.md."""
    if not body.name or body.content.lstrip().startswith(("# ", "---")):
        return body.content
    return f"# {' '.join(body.name.split())}\n\n{body.content}"
