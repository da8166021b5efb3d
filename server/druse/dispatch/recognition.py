"""What a goal in other words most likely means, over everything this workspace knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from druse.crystal import Shelf
from druse.model import Json, ToolVersion
from druse.retrieval import Taught
from druse.retrieval.shortlist import Patterns, Wordings
from druse.store import RunRecord, Store

if TYPE_CHECKING:  # numpy is loaded at the first goal: starting a server does not wait for it
    from druse.retrieval.judge import GoalJudge, Judgement

_RUNS = 2000  # the newest successful runs whose goals are compared
_EACH = 50  # goals of one workflow: more of the same say nothing new
_NEAR = 8  # tools, and workflows, with the most telling words in common that are looked at besides the judged one


@dataclass(frozen=True, slots=True)
class Recognition:
    """The judgement on one goal, and the goals of every label that it rests on."""

    judgement: Judgement
    goals: Mapping[str, tuple[str, ...]]
    runs: Mapping[str, int]
    tools: tuple[str, ...] = ()  # active tools that come into question
    workflows: tuple[str, ...] = ()  # recorded workflows that come into question

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


@dataclass(frozen=True, slots=True)
class _Known:
    """What is derived from runs and tools; good until the counters in `made_at` move."""

    made_at: tuple[int, int]
    goals: Mapping[str, tuple[str, ...]]
    runs: Mapping[str, int]
    labelled: tuple[tuple[str, str], ...]
    taught: Mapping[str, Taught]
    patterns: Patterns
    tools: Wordings
    workflows: Wordings
    called: Mapping[str, tuple[str, ...]]  # the workflows of a label, newest first


class Recognizer:
    """Judges goals; what it derives from the known ones is kept until they change."""

    def __init__(self, store: Store, shelf: Shelf) -> None:
        self._store = store
        self._shelf = shelf
        self._judge: GoalJudge | None = None
        self._held: _Known | None = None

    async def recognize(self, goal: str) -> Recognition:
        """Judge a goal against active tools and successful runs; a label is a tool's name, or a workflow."""
        known = await self._known()
        if self._judge is None:
            from druse.retrieval.judge import GoalJudge

            self._judge = GoalJudge()
        judgement = self._judge.judge(goal, known.labelled)
        tools = {judgement.label, *known.patterns.fitting(goal), *known.tools.nearest(goal, _NEAR)}
        workflows = {*known.called.get(judgement.label, ())[:_NEAR], *known.workflows.nearest(goal, _NEAR)}
        return Recognition(
            judgement,
            known.goals,
            known.runs,
            tuple(sorted(tools & known.taught.keys())),
            tuple(sorted(workflows)),
        )

    def taught(self, version: ToolVersion, recognition: Recognition) -> Taught:
        """What is known of an active tool, with the goals that it did."""
        return replace(taught_by(version), worded=recognition.goals_of(version.name))

    async def _known(self) -> _Known:
        made_at = (await self._store.runs.changes(), self._shelf.swaps)
        if self._held is None or self._held.made_at != made_at:
            self._held = await self._derived(made_at)
        return self._held

    async def _derived(self, made_at: tuple[int, int]) -> _Known:
        active = self._shelf.active
        goals: dict[str, dict[str, None]] = {name: {} for name in active}
        runs: dict[str, int] = {}
        said: dict[str, set[str]] = {}
        called: dict[str, dict[str, None]] = {}
        for record in await self._store.runs.list(status="success", limit=_RUNS):
            if not record.workflow or not record.run.goal:
                continue
            label = _label(record, active)
            runs[label] = runs.get(label, 0) + 1
            called.setdefault(label, {})[record.workflow] = None
            held = goals.setdefault(label, {})
            if len(held) < _EACH:
                held[record.run.goal] = None
                said.setdefault(record.workflow, set()).add(record.run.goal)
        taught = {name: taught_by(version) for name, version in active.items()}
        labelled = {(text, label) for label, texts in goals.items() for text in texts}
        labelled |= {(text, name) for name, known in taught.items() for text in known.patterns}
        return _Known(
            made_at,
            {label: tuple(texts) for label, texts in goals.items()},
            runs,
            tuple(sorted(labelled)),
            taught,
            Patterns({name: known.patterns for name, known in taught.items()}),
            Wordings({name: (*known.patterns, *goals[name]) for name, known in taught.items()}),
            Wordings(said),
            {label: tuple(workflows) for label, workflows in called.items()},
        )

    def label_of(self, workflow: str, tool: str | None) -> str:
        """What a workflow is called here: by the active tool made of it, or the tool that it consists of."""
        return next((name for name in (tool, workflow) if name and self._shelf.get(name)), workflow)


def _label(record: RunRecord, active: Mapping[str, ToolVersion]) -> str:
    made = record.run.crystallized_into
    return _called(record.workflow, made[0] if made else None, active)


def _called(workflow: str, tool: str | None, active: Mapping[str, ToolVersion]) -> str:
    return next((name for name in (tool, workflow) if name and name in active), workflow)


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
