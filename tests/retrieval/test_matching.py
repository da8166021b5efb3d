"""Goals in other words: a calibrated probability, and what holds a replay back."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from benchmarks.matching import on_labelled

from druse.retrieval import Taught, match_goal
from druse.retrieval.calibration import NEW, examples_of, labelled, shipped, threshold
from druse.retrieval.embedding import default_embedder
from druse.retrieval.evidence import FEATURES, KnownGoals, Leave
from druse.retrieval.goals import HELD
from druse.retrieval.judge import GoalJudge
from druse.retrieval.wording import wording

WORKFLOWS = {
    "refund": ["refund order 12", "give the money back for 88", "send a refund on order 7", "refund purchase 4"],
    "track": ["where is parcel 9", "track package 881", "find the shipment 4", "when does parcel 7 arrive"],
    "invoice": [
        "write an invoice for Acme",
        "bill Globex for March",
        "make the invoice of client 7",
        "invoice Initech",
    ],
}
KNOWN = [(text, label) for label, texts in WORKFLOWS.items() for text in texts]


@pytest.mark.parametrize(
    ("goal", "label"),
    [
        ("please track the parcel 17", "track"),
        ("we owe a refund on order 1201", "refund"),
        ("an invoice for Umbrella", "invoice"),
    ],
)
def test_a_goal_in_other_words_is_judged_to_mean_its_workflow(goal: str, label: str) -> None:
    found = GoalJudge().judge(goal, KNOWN)
    assert found.label == label and found.probability > 0.5
    assert found.of(label) == found.probability and found.of("another") == 0.0


@pytest.mark.parametrize("goal", ["what is the weather in Oslo", "play some jazz", "solve 3x + 4 = 9", "", "?"])
def test_a_goal_of_no_known_workflow_gets_little(goal: str) -> None:
    assert GoalJudge().judge(goal, KNOWN).probability < 0.5


def test_a_lone_workflow_does_not_win_by_default() -> None:
    alone = [("cancel the pending orders of Ada", "cancel")]
    assert GoalJudge().judge("refund the delivered items of Ada", alone).probability < 0.5


def test_nothing_known_means_nothing_recognized() -> None:
    assert GoalJudge().judge("anything", []).label == ""


@pytest.mark.requirement("H-30")
def test_values_are_no_part_of_a_wording() -> None:
    assert wording('Send "a b" to ada@example.org, file ./x/y.txt, order #4412 of Ada') == "send to file , order of"
    assert wording("4412") == "4412"


def test_leaving_a_goal_or_its_workflow_out_changes_what_is_found() -> None:
    known = KnownGoals(KNOWN, default_embedder())
    places = np.arange(len(KNOWN))
    itself, label = (known.judge_known(places, leave).features for leave in (Leave.ITSELF, Leave.ITS_LABEL))
    assert itself.shape == (len(KNOWN), len(FEATURES)) and np.isfinite(itself).all()
    similarity = FEATURES.index("similarity")
    assert itself[:, similarity].mean() > label[:, similarity].mean()


def test_on_the_labelled_set_a_higher_probability_is_more_often_right() -> None:
    """Every goal judged with itself left out, and as new with its workflow left out: 200 pairs that ship."""
    goals = [goal for goal in labelled() if goal[1] != "oos"]
    assert len(goals) >= 200
    known = KnownGoals(goals, default_embedder())
    examples = examples_of(known)
    own = shipped().refitted(examples)
    mixed = examples.mixed(NEW)
    given = own.probability(mixed.features)
    strangers = own.probability(known.judge([text for text, label in labelled() if label == "oos"]).features)
    shares: list[float] = []
    for least in (0.25, 0.5, 0.75):
        taken = given >= least
        shares.append(float((mixed.weights * mixed.right)[taken].sum() / mixed.weights[taken].sum()))
    assert shares == sorted(shares) and shares[-1] >= 0.85
    assert (strangers >= 0.75).mean() <= 0.05


@pytest.mark.requirement("H-31")
@pytest.mark.parametrize("refit", [True, False])
def test_what_is_accepted_at_the_threshold_for_replay_is_right_on_the_labelled_set(refit: bool) -> None:
    report = on_labelled(refit=refit)
    assert report["goals"] >= 200 and report["strangers"] >= 30
    sure, likely = report["fixed_0.92"], report["fixed_0.75"]
    assert sure["accepted"] >= 5 and sure["precision"] >= 0.99 and sure["wrong"] == 0
    assert likely["accepted"] > sure["accepted"] and likely["precision"] >= 0.85


def test_a_workspace_with_enough_goals_gets_its_own_coefficients() -> None:
    goals = [goal for goal in labelled() if goal[1] != "oos"]
    few, many = GoalJudge(), GoalJudge()
    assert few.judge("refund order 9", goals[:50]).fitted_on == 0
    assert many.judge("refund order 9", goals).fitted_on == len(goals)
    examples = examples_of(KnownGoals(goals, default_embedder()))
    own = shipped().refitted(examples)
    assert not np.array_equal(own.coefficients, shipped().coefficients)
    levels = [threshold(own, examples, target) for target in (0.5, 0.8, 0.95)]
    assert all(lower <= higher for lower, higher in pairwise(levels))


TOOL = Taught(
    ("Cancel the pending orders of {first} {last}, zip {zip}",),
    {"properties": {n: {"type": "string"} for n in ("first", "last", "zip")}, "required": ["first", "last", "zip"]},
    {"first": ["Ada", "Bob"], "last": ["Lovelace", "Ross"], "zip": ["10001", "94145"]},
)


@pytest.mark.parametrize(
    "goal", ["List the pending orders of Chen Wu, zip 77004", "Archive the pending orders of Chen Wu, zip 77004"]
)
def test_one_other_word_is_another_piece_of_work(goal: str) -> None:
    found = match_goal(goal, TOOL, {}, probability=0.99)
    assert (found.confidence, found.probability) == (HELD, 0.99) and "is new" in found.why


def test_words_that_led_to_success_before_are_no_longer_new() -> None:
    goal = "Withdraw the pending orders of Chen Wu, zip 77004"
    taught = Taught(TOOL.patterns, TOOL.schema, TOOL.examples, ("Withdraw the pending orders of Bob Ross, zip 94145",))
    assert match_goal(goal, TOOL, {}, probability=0.95).confidence == HELD
    assert match_goal(goal, taught, {}, probability=0.95).confidence == 0.95


def test_a_refit_far_from_the_shipped_coefficients_still_finds_the_optimum() -> None:
    goals = [goal for goal in labelled() if goal[1] != "oos"]
    examples = examples_of(KnownGoals(goals, default_embedder()))
    far = shipped()
    far = type(far)(far.embedder, far.mean, far.deviation, far.coefficients * 4, 0)
    given = far.refitted(examples).probability(examples.mixed(NEW).features)
    mixed = examples.mixed(NEW)
    assert abs(float(np.average(given, weights=mixed.weights) - np.average(mixed.right, weights=mixed.weights))) < 0.05
