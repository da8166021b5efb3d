"""Which known workflow a goal in other words means, and how probable that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from druse.retrieval.calibration import ENOUGH_GOALS, ENOUGH_WORKFLOWS, Calibration, examples_of, labelled, shipped
from druse.retrieval.embedding import default_embedder
from druse.retrieval.evidence import KnownGoals

_REFIT = 0.1  # share by which the known goals change in number before coefficients, which depend little, are refitted


@dataclass(frozen=True, slots=True)
class Judgement:
    """The likeliest label and its probability; `fitted_on` goals of this workspace, 0 for the shipped coefficients."""

    label: str
    probability: float
    fitted_on: int = 0

    def of(self, label: str) -> float:
        """The probability of a label: where another one is likelier, nothing speaks for this one."""
        return self.probability if label == self.label else 0.0


class GoalJudge:
    """Judges goals against the known ones; what it derives from them is kept until they change."""

    def __init__(self) -> None:
        self._goals: tuple[tuple[str, str], ...] = ()
        self._known: KnownGoals | None = None
        self._calibration: Calibration | None = None
        self._fitted_on = 0

    def judge(self, goal: str, known: Sequence[tuple[str, str]]) -> Judgement:
        """Judge a goal against `known` goals with labels; no label where it reads like goals of elsewhere."""
        if not known:
            return Judgement("", 0.0)
        held = self._prepared(known if isinstance(known, tuple) else tuple(known))
        evidence = held.judge([goal])
        label = held.labels[int(evidence.labels[0])]
        if not held.knows(label):
            return Judgement("", 0.0, self._fitted_on)
        calibration = self._calibration or shipped()
        return Judgement(label, float(calibration.probability(evidence.features)[0]), self._fitted_on)

    def _prepared(self, goals: tuple[tuple[str, str], ...]) -> KnownGoals:
        if self._known is None or (goals is not self._goals and goals != self._goals):
            self._known = KnownGoals(goals, default_embedder(), others=labelled())
            self._goals = goals
            if len(goals) < ENOUGH_GOALS or len(self._known.labels) < ENOUGH_WORKFLOWS:
                self._calibration, self._fitted_on = None, 0
            elif abs(len(goals) - self._fitted_on) > _REFIT * self._fitted_on:
                self._calibration = shipped().refitted(examples_of(self._known))
                self._fitted_on = len(goals)
        return self._known
