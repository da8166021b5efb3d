"""`/traces` and `/volumes` (seed ids L-23, L-24, L-25)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from druse.model import NotFound, run_to_neutral
from druse.skills import VolumeKind, VolumeRef
from druse.skills.access import require
from druse.store import RunRecord
from druse.web.shapes import (
    HistoryQuery,
    OwnerQuery,
    TraceBrief,
    TraceDetail,
    TraceList,
    TraceQuery,
    VolumeCommit,
    VolumeHistory,
    VolumeStats,
)
from druse.web.visit import Reply, Visit


async def list_traces(visit: Visit) -> Reply:
    """One page of runs."""
    query: TraceQuery = visit.query
    visit.own(query)
    visit.decide({"goal": query.goal, "tool": query.tool, "status": query.status})
    records = await visit.application.base.store.runs.filtered(
        goal=query.goal,
        tool=query.tool,
        status=query.status,
        since=query.since,
        until=query.until,
        limit=query.limit + 1,
        offset=query.offset,
    )
    listed = [
        TraceBrief(
            trace_id=record.run.id,
            title=record.run.goal[:100] or "(no goal was given)",
            timestamp=_iso(record.run.opened_at),
            status=str(record.run.status),
            mode=record.mode,
        )
        for record in records[: query.limit]
    ]
    following = query.offset + query.limit if len(records) > query.limit else None
    return Reply(200, TraceList(total=len(listed), traces=listed, next_offset=following))


async def get_trace(visit: Visit) -> Reply:
    """One run."""
    visit.own(visit.query)
    trace_id = visit.path["trace_id"]
    visit.decide({"trace_id": trace_id})
    store = visit.application.base.store
    record = await store.runs.get(trace_id)
    if record is None:
        raise NotFound(f"Cannot show trace {trace_id[:80]!r}: there is none of that id. GET /traces lists them.")
    skills = await store.skills.used_in(trace_id)
    data = {**run_to_neutral(record.run), "mode": record.mode, "skills": skills, "note": record.note}
    return Reply(200, TraceDetail(trace_id=trace_id, content=_markdown(record, skills), trace=data))


def _markdown(record: RunRecord, skills: list[str]) -> str:
    """A run as the seed's traces read: what was asked, with which skills, and what came of it."""
    run = record.run
    lines = [f"# Execution Trace: {' '.join(run.goal.split())[:100] or run.id}", "", "## Metadata", ""]
    lines += [f"- Opened: {_iso(run.opened_at)}", f"- Status: {run.status}", f"- Mode: {record.mode or 'by hand'}"]
    lines += [f"- Skills: {', '.join(skills) or 'none'}", "", "## Request", "", run.goal or "(no goal was given)"]
    lines += ["", "## Steps", ""]
    for number, step in enumerate(run.steps, 1):
        given = json.dumps(dict(step.arguments), ensure_ascii=False)
        came = json.dumps(step.result, ensure_ascii=False)
        failed = " (failed)" if step.failed else ""
        lines += [f"{number}. `{step.tool}`{failed}", f"   - with {_cut(given)}", f"   - answered {_cut(came)}"]
    return "\n".join([*lines, "" if run.steps else "(no calls)"])


async def volume_stats(visit: Visit) -> Reply:
    """Counts, for the volumes that exist and that the visitor may read."""
    query: OwnerQuery = visit.query
    visit.decide({})
    found = {str(kind): await _stats(visit, _ref(visit, kind, query)) for kind in VolumeKind}
    return Reply(200, VolumeStats(**found))


async def _stats(visit: Visit, ref: VolumeRef | None) -> dict[str, Any] | None:
    if ref is None:
        return None
    require(ref, visit.actor, write=False)  # before it is told whether the volume exists
    volumes = visit.application.base.skills.volumes
    if not volumes.exists(ref):
        return None
    told = await asyncio.to_thread(volumes.open(ref).stats, visit.actor)
    return {key: value for key, value in told.items() if key != "path"}


async def volume_history(visit: Visit) -> Reply:
    """The changes of any volume that the visitor's role may read."""
    query: HistoryQuery = visit.query
    visit.decide({"volume": query.volume, "limit": query.limit})
    ref = _ref(visit, VolumeKind(query.volume), query)
    if ref is None:
        raise NotFound("Cannot show the team's history: this user belongs to no team.")
    require(ref, visit.actor, write=False)
    volumes = visit.application.base.skills.volumes
    if not volumes.exists(ref):
        return Reply(200, VolumeHistory(volume=query.volume, owner=ref.id, commits=[]))
    commits = await asyncio.to_thread(lambda: volumes.open(ref).get_git_log(query.limit, visit.actor))
    listed = [VolumeCommit.model_validate({**asdict(commit), "trailers": dict(commit.trailers)}) for commit in commits]
    return Reply(200, VolumeHistory(volume=query.volume, owner=ref.id, commits=listed))


def _ref(visit: Visit, kind: VolumeKind, query: OwnerQuery | HistoryQuery) -> VolumeRef | None:
    """The volume of a kind that a request is about: the named owner's, else the user's own."""
    identity = visit.application.base.skills.volumes.identity
    if kind is VolumeKind.SYSTEM:
        return VolumeRef(kind, "main")
    owner = (query.user_id or identity.user) if kind is VolumeKind.USER else (query.team_id or identity.team)
    return VolumeRef(kind, owner) if owner else None


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _cut(text: str) -> str:
    return text if len(text) <= 2000 else text[:2000] + " ..."
