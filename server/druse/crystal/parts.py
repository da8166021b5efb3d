"""Parts of longer runs as candidates: steps that recur in different work, and what they are proved on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from druse.crystal.candidates import MIN_USAGE, Candidate, signature_of
from druse.induction import Part, mine, ranked
from druse.model import Run, RunStatus, VersionStatus
from druse.store import RunRecord, Store

MAX_RUNS = 1000  # the newest successful runs that are mined
MAX_LISTED = 20
MAX_PROVED = 20  # occurrences that a part is proved on


@dataclass(frozen=True, slots=True)
class Recurring:
    """A part with its candidate and the runs it stands in."""

    candidate: Candidate
    part: Part
    records: tuple[RunRecord, ...]  # of each occurrence: the record, its run cut down to the part

    @property
    def runs(self) -> list[Run]:
        """The occurrences as runs of their own, at most MAX_PROVED."""
        return [occurrence.as_run() for occurrence in self.part.occurrences[:MAX_PROVED]]


async def parts(store: Store, *, min_usage: int = MIN_USAGE) -> list[Recurring]:
    """Parts that recur in at least so many runs and save round trips beside one another, best first.

    Only parts that stand in different workflows count, and none that a tool in service or proposed was made of.
    """
    records = [
        await store.runs.get(record.run.id) for record in await store.runs.list(status="success", limit=MAX_RUNS)
    ]
    known = sorted((record for record in records if record is not None), key=lambda record: record.run.id)
    versions = await store.tools.all()
    taken = {record.workflow for record in versions if record.status in (VersionStatus.ACTIVE, VersionStatus.PROPOSED)}
    found: list[Recurring] = []
    for part in ranked(mine([record.run for record in known], min_tasks=min_usage), adding=True):
        key = f"part: {part.key}"
        if key not in taken and _shared(part, known):
            found.append(_recurring(key, part, known))
    return found[:MAX_LISTED]


async def find_part(store: Store, signature: str) -> Recurring | None:
    """The part of a signature, seen in two runs or more."""
    return next((found for found in await parts(store, min_usage=2) if found.candidate.signature == signature), None)


def _recurring(key: str, part: Part, known: Sequence[RunRecord]) -> Recurring:
    standing = {occurrence.stretch.run: occurrence for occurrence in reversed(part.occurrences)}
    records = tuple(
        replace(known[index], run=replace(standing[index].as_run(), id=known[index].run.id, status=RunStatus.SUCCESS))
        for index in sorted(standing)
    )
    runs = len({occurrence.stretch.run for occurrence in part.covers})
    goal = part.induction.description
    candidate = Candidate(signature_of(key), (key,), goal, runs, runs, None, kind="part")
    return Recurring(candidate, part, records)


def _shared(part: Part, known: Sequence[RunRecord]) -> bool:
    """Whether it stands in runs of different work; what only one workflow has belongs to that workflow's own tool."""
    return len({known[occurrence.stretch.run].workflow for occurrence in part.covers}) > 1
