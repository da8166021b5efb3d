"""The life of tools in service: which to make anew, which to take out of service, which one a new tool nearly is.

Nothing here changes anything by itself. A tool made anew and a tool taken out of service both wait for a person, as
every tool does; the version in service stays until the next one reproduces the runs of both (seed id H-39).
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from druse.crystal.candidates import family_of
from druse.governance import Approval, Approvals
from druse.model import Caller, JsonObject, ToolVersion, VersionStatus, digest
from druse.store import Store, VersionRecord

BETTER_BY = 0.05  # how much higher the success of a workflow must be than when its tool was made
UNUSED_DAYS = 30
FAILING_RUNS = 5  # runs from which a tool that mostly fails is proposed for retirement
TWIN = 0.9  # how alike two tools are from which only an edit of the first is accepted
_DAY = 86400.0
_TOLERANCE = 1e-9  # of comparing two rates that are quotients of counts


@dataclass(frozen=True, slots=True)
class Due:
    """A tool that should be made anew: its rating when it was made, and that of its workflow now."""

    name: str
    version: int
    rating: float
    rating_now: float

    def as_dict(self) -> JsonObject:
        """For the CLI and for agents."""
        return {
            "tool": f"{self.name} v{self.version}",
            "rating": round(self.rating, 4),
            "rating_now": round(self.rating_now, 4),
        }


def is_better(rating: float, rating_now: float) -> bool:
    """Whether a workflow has become so much more reliable that its tool is worth making anew."""
    return rating_now - rating > BETTER_BY + _TOLERANCE


async def due(store: Store) -> list[Due]:
    """Tools in service whose workflow goes better by now than when they were made, the largest gain first."""
    found: list[Due] = []
    for record in await store.tools.all():
        if record.status is not VersionStatus.ACTIVE or not record.made_runs:
            continue
        family = await family_of(store, record.workflow)
        rating = record.made_successes / record.made_runs
        if family.runs and is_better(rating, family.successes / family.runs):
            found.append(Due(record.name, record.version, rating, family.successes / family.runs))
    return sorted(found, key=lambda part: (part.rating - part.rating_now, part.name))


def outlived(record: VersionRecord, now: float) -> str:
    """Why a version in service should be retired; empty if it should not. `now` in seconds since the epoch."""
    if record.status is not VersionStatus.ACTIVE:
        return ""
    bad = record.failures + record.divergences
    if record.runs >= FAILING_RUNS and 2 * bad > record.runs:
        return f"{bad} of its {record.runs} runs did not end well"
    used = max(record.last_used_at or 0.0, record.changed_at)
    days = int((now - used) / _DAY)
    return f"unused for {days} days" if days >= UNUSED_DAYS else ""


async def propose_retirements(store: Store, approvals: Approvals, caller: Caller, now: float) -> list[Approval]:
    """Ask a person to take out of service what is unused or mostly fails; once for each reason."""
    asked: list[Approval] = []
    for record in await store.tools.all():
        reason = outlived(record, now)
        if not reason:
            continue
        subject: JsonObject = {"name": record.name, "version": record.version, "changed_at": record.changed_at}
        details: JsonObject = {"name": record.name, "version": record.version, "reason": reason}
        title = f"Retire {record.name} v{record.version}: {reason}"
        approval = await approvals.request("retire", digest(subject), title, details, caller)
        if approval.status == "pending":
            asked.append(approval)
    return asked


def nearest(version: ToolVersion, others: Iterable[ToolVersion]) -> tuple[ToolVersion | None, float]:
    """The tool in service that is most like a proposed one, and how alike the two are, from 0 to 1."""
    best: ToolVersion | None = None
    alike = 0.0
    for other in others:
        if other.name != version.name:
            likeness = _likeness(version, other)
            if likeness > alike:
                best, alike = other, likeness
    return best, alike


def _likeness(left: ToolVersion, right: ToolVersion) -> float:
    """Tools that call different tools are never alike; else how much of their code is the same, names aside."""
    if left.manifest.get("permissions") != right.manifest.get("permissions"):
        return 0.0
    return difflib.SequenceMatcher(None, _skeleton(left.source), _skeleton(right.source), autojunk=False).ratio()


def _skeleton(source: str) -> list[str]:
    """The statements of `run` with variables numbered in order of appearance and texts of documentation left out."""
    tree = ast.parse(source)
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = names.setdefault(node.id, f"n{len(names)}") if node.id != "call" else "call"
        elif isinstance(node, ast.arg):
            node.arg = names.setdefault(node.arg, f"n{len(names)}") if node.arg != "call" else "call"
    run = next((node for node in tree.body if isinstance(node, ast.FunctionDef)), None)
    statements = [part for part in ast.walk(run) if isinstance(part, ast.stmt)] if run is not None else []
    return [ast.unparse(part) for part in statements[1:] if not _is_text(part)]


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


@dataclass(frozen=True, slots=True)
class Savings:
    """What a tool saved so far, in the unit of its baseline. `break_even_run` counts from 1; None: never."""

    gross: float
    net: float
    break_even_run: int | None


def savings(baseline: float, runs: int, making: float) -> Savings:
    """`runs` uses of a tool that each spare `baseline`, made once for `making` (seed id H-33)."""
    gross = baseline * runs
    return Savings(gross, gross - making, ceil(making / baseline) if baseline > 0 else None)


def median_cost(costs: Sequence[float | None]) -> float | None:
    """The median of the costs that hosts reported; None where none did."""
    known = sorted(cost for cost in costs if cost is not None)
    if not known:
        return None
    middle = len(known) // 2
    return known[middle] if len(known) % 2 else (known[middle - 1] + known[middle]) / 2
