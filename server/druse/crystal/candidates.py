"""Workflows that recur often and well enough to be made into a tool (seed ids H-02 to H-06)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from druse.induction import contains
from druse.model import Json, JsonObject, VersionStatus, digest_text
from druse.store import RunRecord, Store, WorkflowCount

MIN_USAGE = 5
ALIKE = 0.6  # share of words that two goals of one kind of work have in common; names in them differ
MIN_SUCCESS = 0.95
_NONE: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A workflow with its counts. `cost` is in USD per run, None where no client told it."""

    signature: str
    workflows: tuple[str, ...]  # the workflow, and those that are it with optional steps left out
    goal: str
    runs: int
    successes: int
    cost: float | None
    withdrawn: str = ""  # why an earlier tool of it is gone
    kind: str = "workflow"  # or "part": steps that recur inside longer runs of different work

    @property
    def priority(self) -> float:
        """The seed's formula (H-06); from some ten runs on, the number of runs decides."""
        return self.runs * 10 * 0.5 + (self.cost or 0.0) * 100 * 0.3 + self.rating * 100 * 0.2

    @property
    def rating(self) -> float:
        """Successes per run."""
        return self.successes / self.runs if self.runs else 0.0

    def as_dict(self) -> JsonObject:
        """The seed's keys and more."""
        return {
            "signature": self.signature,
            "kind": self.kind,
            "goal": self.goal,
            "usage_count": self.runs,
            "success_count": self.successes,
            "success_rating": round(self.rating, 4),
            "success_at_least": round(wilson_lower(self.successes, self.runs), 4),
            "crystallization_priority": round(self.priority, 4),
            "estimated_cost": self.cost,
            "steps": list[Json](self.workflows[0].split(" > ")),
            "withdrawn": self.withdrawn,
        }


def wilson_lower(successes: int, runs: int) -> float:
    """The lower end of the 95 % Wilson interval: what so many successes prove (D13)."""
    if not runs:
        return 0.0
    z = 1.959963984540054
    rate = successes / runs
    centre = rate + z * z / (2 * runs)
    spread = z * sqrt(rate * (1 - rate) / runs + z * z / (4 * runs * runs))
    return max(0.0, (centre - spread) / (1 + z * z / runs))


def signature_of(workflow: str) -> str:
    """The short name of a workflow."""
    return digest_text(workflow).removeprefix("sha256:")[:12]


async def candidates(
    store: Store, *, min_usage: int = MIN_USAGE, min_success: float = MIN_SUCCESS, kin_of: str = ""
) -> list[Candidate]:
    """Workflows with at least so many runs and successes that no active tool was made of, best first.

    Work that is one call of a learned tool is that tool at use; a tool around it saves nothing.
    With `kin_of`, a workflow, only those that could be of its family are looked at: they begin with its first call.
    """
    versions = await store.tools.all()
    active = {record.workflow for record in versions if record.status in (VersionStatus.ACTIVE, VersionStatus.PROPOSED)}
    learned = {record.name for record in versions}
    gone = {
        record.workflow: f"{record.name} v{record.version} is {record.status}: {record.reason or 'no reason given'}"
        for record in versions
        if record.status in (VersionStatus.RETIRED, VersionStatus.REJECTED, VersionStatus.SUSPENDED)
    }
    found: list[Candidate] = []
    for family in _families(await store.runs.workflows(beginning=kin_of.split(" > ")[0])):
        runs, successes = sum(part.runs for part in family), sum(part.successes for part in family)
        first = family[0]
        if " > " not in first.workflow and first.workflow.split("(")[0] in learned:
            continue
        if runs < min_usage or successes < min_success * runs or active.intersection(part.workflow for part in family):
            continue
        costs = [part.cost for part in family if part.cost is not None]
        found.append(
            Candidate(
                signature_of(first.workflow),
                tuple(part.workflow for part in family),
                max(family, key=lambda part: part.last_at).goal,
                runs,
                successes,
                max(costs) if costs else None,
                gone.get(first.workflow, ""),
            )
        )
    return sorted(found, key=lambda candidate: (-candidate.priority, candidate.signature))


async def find_candidate(store: Store, signature: str) -> Candidate | None:
    """The workflow of a signature, whatever its counts."""
    every = await candidates(store, min_usage=1, min_success=0.0)
    named = [candidate for candidate in every if candidate.signature == signature]
    return named[0] if named else next((c for c in every if c.signature.startswith(signature) and signature), None)


async def family_of(store: Store, workflow: str) -> Candidate:
    """A workflow with those that are it with optional steps left out, or that it is itself; whatever its counts."""
    counts = await store.runs.workflows(beginning=workflow.split(" > ")[0])
    family = next((f for f in _families(counts) if any(part.workflow == workflow for part in f)), None)
    if family is None:
        return Candidate(signature_of(workflow), (workflow,), "", 0, 0, None)
    # The tool stays one of its own workflow, which comes first.
    names = [workflow, *(part.workflow for part in family if part.workflow != workflow)]
    runs, successes = sum(part.runs for part in family), sum(part.successes for part in family)
    goal = max(family, key=lambda part: part.last_at).goal
    return Candidate(signature_of(workflow), tuple(names), goal, runs, successes, None)


async def runs_of(store: Store, candidate: Candidate) -> list[RunRecord]:
    """The successful runs of a candidate with their steps."""
    records: list[RunRecord] = []
    for workflow in candidate.workflows:
        records.extend(await store.runs.of_workflow(workflow))
    return sorted(records, key=lambda record: (record.run.opened_at, record.run.id))


def _families(counts: Sequence[WorkflowCount]) -> list[list[WorkflowCount]]:
    """Workflows with those that leave optional steps out: the same kind of goal, and one contained in the other."""
    ordered = sorted(counts, key=lambda count: (-count.workflow.count(" > "), -count.runs, count.workflow))
    families: list[list[WorkflowCount]] = []
    # Who contains a workflow begins with its first step and has each of its steps: only such heads are compared, in
    # their order, found under the step that the fewest of them have.
    holding: dict[tuple[str, str], list[int]] = {}
    for count in ordered:
        steps = count.workflow.split(" > ")
        for at in min((holding.get((steps[0], step), _NONE) for step in steps), key=len):
            head = families[at][0]
            if contains(head.workflow, count.workflow) and _alike(head.shapes, count.shapes):
                families[at].append(count)
                break
        else:
            for step in set(steps):
                holding.setdefault((steps[0], step), []).append(len(families))
            families.append([count])
    return families


def _alike(left: Sequence[str], right: Sequence[str]) -> bool:
    """Whether some goal of each says nearly the same, values taken out."""
    for one in left[:20]:
        for other in right[:20]:
            mine, theirs = set(one.split()), set(other.split())
            if len(mine & theirs) >= ALIKE * len(mine | theirs):
                return True
    return False
