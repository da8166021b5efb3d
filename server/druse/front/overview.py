"""The numbers of a workspace: the same for `druse status`, for its JSON and for the page (seed id H-38).

Every number is counted or measured; what nobody measured is null. Nothing here writes.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from druse.crystal import candidates
from druse.model import VersionStatus
from druse.store import VersionRecord

if TYPE_CHECKING:
    from druse.front.base import Base

_NOTICES = 5


async def overview(base: Base) -> dict[str, Any]:
    """Tools with their versions, runs, candidates, what waits, and what was saved on which day (UTC)."""
    knobs = base.config.knobs
    found = await candidates(base.store, min_usage=knobs.candidate_runs, min_success=knobs.candidate_success)
    open_ones = await base.approvals.list(open_only=True)
    records = await base.store.tools.all()
    runs = await base.store.runs.count()
    problems = [*base.shelf.problems.values(), *([base.rules.problem] if base.rules.problem else [])]
    return {
        "workspace": str(base.workspace.root),
        "tools": _tools(base, records),
        "runs": runs,
        "totals": _totals(base, records, runs, len(found), len(open_ones)),
        "savings": [asdict(day) for day in await base.store.tools.days()],
        "candidates": [candidate.as_dict() for candidate in found],
        "approvals": [
            {
                "id": approval.id,
                "kind": approval.kind,
                "title": approval.title,
                "requested_by": approval.requested_by,
                "requested_at": approval.requested_at,
                "expires_at": approval.expires_at,
            }
            for approval in open_ones
        ],
        "trust_level": base.rules.trust_level,
        "rules_waiting": base.rules.waiting,
        "notices": [notice["text"] for notice in await base.store.notices.list(_NOTICES)],
        "problems": problems,
    }


def _totals(
    base: Base, records: list[VersionRecord], runs: dict[str, int], waiting_work: int, waiting: int
) -> dict[str, Any]:
    return {
        "tools": len(base.shelf.active),
        "versions": sum(record.status not in (VersionStatus.PROPOSED, VersionStatus.REJECTED) for record in records),
        "runs": sum(runs.values()),
        "successes": runs.get("success", 0),
        "failures": runs.get("failure", 0),
        "tool_runs": sum(record.runs for record in records),
        "tool_failures": sum(record.failures for record in records),
        "divergences": sum(record.divergences for record in records),
        "round_trips_saved": sum(record.steps_saved for record in records),
        "candidates": waiting_work,
        "pending": waiting,
    }


def _tools(base: Base, records: list[VersionRecord]) -> list[dict[str, Any]]:
    """The tools in service, by name, each with all its versions."""
    rows: list[dict[str, Any]] = []
    for name, version in sorted(base.shelf.active.items()):
        own = [record for record in records if record.name == name]
        permissions = version.manifest.get("permissions")
        rows.append(
            {
                "name": name,
                "version": version.version,
                "description": str(version.manifest.get("description") or ""),
                "permissions": permissions if isinstance(permissions, list) else [],
                "runs": sum(record.runs for record in own),
                "failures": sum(record.failures for record in own),
                "divergences": sum(record.divergences for record in own),
                "round_trips_saved": sum(record.steps_saved for record in own),
                "mean_wall_ms": _mean(own),
                "last_used_at": max((record.last_used_at or 0.0 for record in own), default=0.0) or None,
                "versions": [_version(record) for record in own],
            }
        )
    return rows


def _version(record: VersionRecord) -> dict[str, Any]:
    return {
        "version": record.version,
        "status": str(record.status),
        "created_at": record.created_at,
        "changed_at": record.changed_at,
        "reason": record.reason,
        "approved_by": record.approved_by,
        "made_runs": record.made_runs,
        "made_successes": record.made_successes,
        "runs": record.runs,
    }


def _mean(records: list[VersionRecord]) -> float | None:
    runs = sum(record.runs for record in records)
    return sum(record.wall_ms for record in records) / runs if runs else None
