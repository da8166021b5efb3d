"""Goal matching: coverage and precision of calibrated probabilities, on goals of known workflows and on others.

Files are JSON lines of `text` and `intent`; intent `oos` marks a goal that means none of the known ones. Nothing is
learned from the test file: coefficients and thresholds come from the training goals, judged as if unknown.
`--labelled` needs no file: it judges the goals that ship with Druse.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np

from druse.retrieval.calibration import (
    NEW,
    Calibration,
    Examples,
    examples_of,
    first_fit,
    joined,
    labelled,
    shipped,
    threshold,
)
from druse.retrieval.embedding import default_embedder
from druse.retrieval.evidence import KnownGoals, Leave

NONE = "oos"
TARGETS = (0.95, 0.98)
EACH_SET = 6_000  # examples that coefficients are fitted on, of every set


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench matching", description=__doc__)
    parser.add_argument("--train", type=Path, default=[], nargs="+")
    parser.add_argument("--test", type=Path)
    parser.add_argument("--shipped", action="store_true", help="keep the coefficients that ship, without refitting")
    parser.add_argument("--labelled", action="store_true", help="judge each goal that ships, itself left out")
    parser.add_argument("--fit", type=Path, metavar="FILE", help="write coefficients fitted on small draws of --train")
    parser.add_argument("--json", action="store_true", dest="as_json")
    chosen = parser.parse_args()
    if chosen.fit:
        calibration = fitted([goals(path) for path in chosen.train])
        chosen.fit.write_text(json.dumps(calibration.as_dict(), indent=1) + "\n", encoding="utf-8")
        return
    if chosen.labelled:
        report = on_labelled(refit=not chosen.shipped)
        print(json.dumps(report) if chosen.as_json else "\n".join(f"{name:12} {row}" for name, row in report.items()))
        return
    if chosen.test is None or not chosen.train:
        parser.error("--train and --test are needed, or --labelled")
    known = [goal for path in chosen.train for goal in goals(path)]
    found = measure(known, goals(chosen.test), refit=not chosen.shipped)
    if chosen.as_json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        if name != "reliability":
            print(f"{name:12}", value)
    print("probability  goals  mean probability  right")
    for row in found["reliability"]:
        print(
            f"{row['from']:.1f} - {row['to']:.1f}  {row['goals']:>7}  {row['probability']:>16.3f}  {row['right']:>5.3f}"
        )


def goals(path: Path) -> list[tuple[str, str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(row["text"], row["intent"]) for row in map(json.loads, filter(str.strip, lines))]


def measure(train: list[tuple[str, str]], test: list[tuple[str, str]], *, refit: bool) -> dict[str, Any]:
    known = KnownGoals([goal for goal in train if goal[1] != NONE], default_embedder())
    examples = with_strangers(known, train)
    calibration = shipped().refitted(examples) if refit else shipped()
    started = time.perf_counter()
    evidence = known.judge([text for text, _ in test])
    given = calibration.probability(evidence.features)
    each = (time.perf_counter() - started) * 1000 / len(test)
    right = np.array([known.labels[at] == label for at, (_, label) in zip(evidence.labels, test, strict=True)])
    new = np.array([label == NONE for _, label in test])
    found: dict[str, Any] = {"goals": len(test), "known": len(known.texts), "workflows": len(known.labels)}
    found["accuracy"] = _share(right[~new])
    for target in TARGETS:
        found[f"target_{target}"] = accepted(given, right, new, threshold(calibration, examples, target))
    for fixed in (0.92, 0.75):
        found[f"fixed_{fixed}"] = accepted(given, right, new, fixed)
    bins = np.minimum((given * 10).astype(int), 9)
    table = [(at, bins == at) for at in range(10) if (bins == at).any()]
    found["ece"] = round(sum(abs(right[m].mean() - given[m].mean()) * m.mean() for _, m in table), 4)
    found["ms_each"] = round(each, 3)
    found["reliability"] = [
        {
            "from": at / 10,
            "to": (at + 1) / 10,
            "goals": int(m.sum()),
            "probability": round(float(given[m].mean()), 3),
            "right": _share(right[m]),
        }
        for at, m in table
    ]
    return found


def on_labelled(*, refit: bool) -> dict[str, Any]:
    """What is accepted of the goals that ship: each as known, itself left out; as new, its workflow left out; and those
    of no workflow. `precision` has one goal in ten new, as fitted; `wrong` counts all that should not be accepted."""
    known = KnownGoals([goal for goal in labelled() if goal[1] != NONE], default_embedder())
    calibration = shipped().refitted(examples_of(known)) if refit else shipped()
    places = np.arange(len(known.texts))
    own, new = known.judge_known(places, Leave.ITSELF), known.judge_known(places, Leave.ITS_LABEL)
    strangers = known.judge([text for text, label in labelled() if label == NONE])
    given, as_new, foreign = (calibration.probability(part.features) for part in (own, new, strangers))
    right = own.labels == known.of
    found: dict[str, Any] = {"goals": len(places), "strangers": len(foreign)}
    for least in (0.92, 0.75):
        taken = given >= least
        mistaken = int((as_new >= least).sum())
        weighed = (1 - NEW) * float(taken.sum()) + NEW * mistaken
        found[f"fixed_{least}"] = {
            "accepted": int(taken.sum()),
            "right": int(right[taken].sum()),
            "wrong": int((~right[taken]).sum()) + mistaken + int((foreign >= least).sum()),
            "precision": round((1 - NEW) * float(right[taken].sum()) / weighed, 4) if weighed else None,
        }
    return found


def with_strangers(known: KnownGoals, train: list[tuple[str, str]]) -> Examples:
    """The examples; goals of the training file that mean nothing known count as such, beside the left-out ones."""
    examples = examples_of(known)
    strangers = [text for text, label in train if label == NONE]
    if not strangers:
        return examples
    features = known.judge(strangers).features
    none = np.zeros(len(strangers), np.float32)
    return joined([examples, Examples(features, none, none - 1)])


def accepted(given: Any, right: Any, new: Any, least: float) -> dict[str, float]:
    """`coverage` is the share of goals of known workflows that are accepted, `coverage_all` that of all goals."""
    taken = given >= least
    return {
        "threshold": round(least, 4),
        "coverage": _share(taken[~new]),
        "coverage_all": _share(taken),
        "precision": _share(right[taken]),
        "oos_accepted": _share(taken[new]),
    }


def fitted(sets: list[list[tuple[str, str]]]) -> Calibration:
    """Coefficients over many small workspaces drawn from the sets: 1 to 40 workflows with 2 to 5 goals each."""
    drawn = random.Random(0)
    parts: list[Examples] = []
    for goals_of_set in sets:
        by_label: dict[str, list[str]] = {}
        for text, label in goals_of_set:
            if label != NONE:
                by_label.setdefault(label, []).append(text)
        background = [goal for goal in labelled() if goal[1] not in by_label]
        made = 0
        while made < EACH_SET:  # every set weighs the same
            labels = drawn.sample(sorted(by_label), min(len(by_label), drawn.choice((1, 2, 3, 5, 10, 20, 40))))
            each = drawn.choice((2, 3, 5))
            small = [(t, x) for x in labels for t in drawn.sample(by_label[x], min(each, len(by_label[x])))]
            parts.append(examples_of(KnownGoals(small, default_embedder(), others=background)))
            made += len(parts[-1].features)
    return first_fit(default_embedder().model, joined(parts))


def _share(values: Any) -> float:
    return round(float(values.mean()), 4) if len(values) else 0.0
