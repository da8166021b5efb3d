"""What a goal in other words most likely means, over everything this workspace knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from druse.crystal import Shelf
from druse.model import Json, ToolVersion
from druse.retrieval import Taught
from druse.retrieval.judge import GoalJudge, Judgement
from druse.store import RunRecord, Store

_RUNS = 2000  # the newest successful runs whose goals are compared
_EACH = 50  # goals of one workflow: more of the same say nothing new


@dataclass(frozen=True, slots=True)
class Recognition:
    """The judgement on one goal, and the goals of every label that it rests on."""

    judgement: Judgement
    goals: Mapping[str, tuple[str, ...]]
    runs: Mapping[str, int]

    def probability_of(self, label: str) -> float:
        """The calibrated probability that the goal means this label."""
        return self.judgement.of(label)

    def goals_of(self, label: str) -> tuple[str, ...]:
        """The goals of successful runs of this label."""
        return self.goals.get(label, ())

    def outcomes_of(self, version: ToolVersion) -> int:
        """Runs with a known outcome behind a tool: those it was made from, or those seen since, whichever is more."""
        made_from = version.manifest.get("made_from")
        return max(len(made_from) if isinstance(made_from, list) else 0, self.runs.get(version.name, 0))


class Recognizer:
    """Judges goals; what it derives from the known ones is kept until they change."""

    def __init__(self, store: Store, shelf: Shelf) -> None:
        self._store = store
        self._shelf = shelf
        self._judge: GoalJudge | None = None

    async def recognize(self, goal: str) -> Recognition:
        """Judge a goal against active tools and successful runs; a label is a tool's name, or a workflow."""
        goals: dict[str, list[str]] = {name: [] for name in self._shelf.active}
        runs: dict[str, int] = {}
        for record in await self._store.runs.list(status="success", limit=_RUNS):
            if not record.workflow or not record.run.goal:
                continue
            label = self._label(record)
            runs[label] = runs.get(label, 0) + 1
            held = goals.setdefault(label, [])
            if len(held) < _EACH and record.run.goal not in held:
                held.append(record.run.goal)
        known = [(text, label) for label, texts in goals.items() for text in texts]
        known += [
            (text, version.name) for version in self._shelf.active.values() for text in taught_by(version).patterns
        ]

        if self._judge is None:
            self._judge = GoalJudge()
        judgement = self._judge.judge(goal, sorted(set(known)))
        return Recognition(judgement, {label: tuple(texts) for label, texts in goals.items()}, runs)

    def label_of(self, workflow: str, tool: str | None) -> str:
        """What a workflow is called here: by the active tool made of it, or the tool that it consists of."""
        return next((name for name in (tool, workflow) if name and name in self._shelf.active), workflow)

    def _label(self, record: RunRecord) -> str:
        made = record.run.crystallized_into
        return self.label_of(record.workflow, made[0] if made else None)


def taught_by(version: ToolVersion) -> Taught:
    """What a tool's manifest says of its goals and inputs."""
    manifest = version.manifest
    goals, schema, parameters = manifest.get("goals"), manifest.get("input_schema"), manifest.get("parameters")
    examples: dict[str, Sequence[Json]] = {}
    for part in parameters if isinstance(parameters, list) else []:
        if isinstance(part, dict) and isinstance(part.get("examples"), list):
            shown = part["examples"]
            examples[str(part.get("name"))] = shown if isinstance(shown, list) else []
    return Taught(
        tuple(map(str, goals)) if isinstance(goals, list) else (), schema if isinstance(schema, dict) else {}, examples
    )
