"""From evidence to a probability: a small logistic model, its coefficients shipped, refitted on a workspace's goals.

A probability of 0.9 means: of a hundred goals that get it, ninety mean the workflow named. It is learned from known
goals judged as if they were unknown: with itself left out a goal shows how right answers look; with all of its
workflow left out it shows how a goal that nothing is known about looks. `NEW` says how often that happens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from druse.retrieval.embedding import Matrix
from druse.retrieval.evidence import FEATURES, KnownGoals, Leave

NEW = 0.1  # share of goals that mean nothing known, for probabilities
NEW_AT_WORST = 0.3  # the same where a threshold must keep its promise on a worse mix than usual
ENOUGH_GOALS = 200  # known goals from which a workspace's own coefficients are fitted
ENOUGH_WORKFLOWS = 8
_STIFFNESS = 1.0  # how many goals' worth the coefficients that ship count for, per coefficient
_SAMPLE = 4000


@dataclass(frozen=True, slots=True)
class Examples:
    """Judged goals: features, whether the label was right, and how much each counts."""

    features: Matrix
    right: Matrix
    weights: Matrix

    def mixed(self, new: float) -> Examples:
        """The same with `new` as the share of goals that nothing is known about (weights below 0 mark those)."""
        known = self.weights > 0
        counts = np.where(known, (1 - new) / max(int(known.sum()), 1), new / max(int((~known).sum()), 1))
        return Examples(self.features, self.right, (counts * len(known)).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Coefficients over standardized features, the last one constant; `embedder` is the model they were fitted with."""

    embedder: str
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    fitted_on: int  # goals

    def probability(self, features: Matrix) -> NDArray[np.float64]:
        """The probability of every row, in (0, 1)."""
        scaled = np.c_[(features - self.mean) / self.deviation, np.ones(len(features))]
        return 1 / (1 + np.exp(-np.clip(scaled @ self.coefficients, -30, 30)))

    def refitted(self, examples: Examples) -> Calibration:
        """Coefficients for these goals, held towards the present ones."""
        mixed = examples.mixed(NEW)
        scaled = np.c_[(mixed.features - self.mean) / self.deviation, np.ones(len(mixed.features))]
        found = _logistic(scaled, mixed.right, mixed.weights, self.coefficients, _STIFFNESS)
        return Calibration(self.embedder, self.mean, self.deviation, found, int((examples.weights > 0).sum()))

    def as_dict(self) -> dict[str, object]:
        """For the file that ships."""
        return {
            "embedder": self.embedder,
            "features": list(FEATURES),
            "mean": [round(float(value), 6) for value in self.mean],
            "deviation": [round(float(value), 6) for value in self.deviation],
            "coefficients": [round(float(value), 6) for value in self.coefficients],
            "fitted_on": self.fitted_on,
        }


@lru_cache(maxsize=1)
def shipped() -> Calibration:
    """The coefficients that ship with the package."""
    held = json.loads(files("druse.retrieval").joinpath("calibration.json").read_text(encoding="utf-8"))
    numbers = (np.array(held[key], np.float64) for key in ("mean", "deviation", "coefficients"))
    return Calibration(held["embedder"], *numbers, fitted_on=int(held["fitted_on"]))


@lru_cache(maxsize=1)
def labelled() -> tuple[tuple[str, str], ...]:
    """The labelled goals that ship: 40 workflows of all kinds, and goals of none (label `oos`)."""
    lines = files("druse.retrieval").joinpath("labelled.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple((str(row["text"]), str(row["intent"])) for row in map(json.loads, lines))


def first_fit(embedder: str, examples: Examples) -> Calibration:
    """Coefficients from nothing, for the file that ships."""
    mean, spread = examples.features.mean(axis=0), examples.features.std(axis=0)
    blank = Calibration(
        embedder, mean.astype(np.float64), np.maximum(spread, 1e-3).astype(np.float64), np.zeros(len(mean) + 1), 0
    )
    return blank.refitted(examples)


def examples_of(known: KnownGoals, *, seed: int = 0) -> Examples:
    """Every known goal (a sample of them where there are many) judged as known and as new."""
    counts = np.bincount(known.of, minlength=len(known.labels))
    usable = np.flatnonzero(
        (counts[known.of] > 1) & known.mine
    )  # a goal alone in its workflow cannot be found without itself
    chosen = np.random.default_rng(seed).permutation(usable)[:_SAMPLE]
    if not chosen.size:
        nothing = np.zeros(0, np.float32)
        return Examples(np.zeros((0, len(FEATURES)), np.float32), nothing, nothing)
    as_known, as_new = (known.judge_known(chosen, leave) for leave in (Leave.ITSELF, Leave.ITS_LABEL))
    right = (as_known.labels == known.of[chosen]).astype(np.float32)
    return Examples(
        np.concatenate([as_known.features, as_new.features]),
        np.concatenate([right, np.zeros_like(right)]),
        np.concatenate([np.ones_like(right), -np.ones_like(right)]),
    )


def joined(parts: Sequence[Examples]) -> Examples:
    """Examples of several sets as one."""
    return Examples(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.right for part in parts]),
        np.concatenate([part.weights for part in parts]),
    )


def threshold(calibration: Calibration, examples: Examples, target: float) -> float:
    """The lowest probability from which on `target` of the accepted are right, even on the worse mix; 1.01 if none."""
    mixed = examples.mixed(NEW_AT_WORST)
    given = calibration.probability(mixed.features)
    order = np.argsort(-given)
    precision = np.cumsum((mixed.weights * mixed.right)[order]) / np.cumsum(mixed.weights[order])
    kept = np.flatnonzero(precision >= target)
    return float(given[order][kept[-1]]) if kept.size else 1.01


def _logistic(
    rows: NDArray[np.float64], right: Matrix, weights: Matrix, towards: NDArray[np.float64], stiffness: float
) -> NDArray[np.float64]:
    """Newton's method on the weighted log-likelihood with a pull towards given coefficients; it has one optimum.

    A step that makes things worse is halved: far from the optimum the curve is flat and full steps overshoot.
    """

    def loss(at: NDArray[np.float64]) -> float:
        told = rows @ at
        return float(
            (weights * (np.logaddexp(0, told) - right * told)).sum() + stiffness / 2 * ((at - towards) ** 2).sum()
        )

    found, held = towards.copy(), loss(towards)
    for _ in range(100):
        given = 1 / (1 + np.exp(-np.clip(rows @ found, -30, 30)))
        slope = rows.T @ (weights * (given - right)) + stiffness * (found - towards)
        bend = (rows * (weights * given * (1 - given))[:, None]).T @ rows + stiffness * np.eye(len(found))
        step = np.linalg.solve(bend, slope)
        size, now = 1.0, loss(found - step)
        while now > held and size > 1e-6:
            size /= 2
            now = loss(found - size * step)
        if now > held:
            break
        found, held = found - size * step, now
        if float(np.abs(step).max()) < 1e-8:
            break
    return found
