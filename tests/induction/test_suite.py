"""A small part of the public suite on every test run; the whole of it is `scripts/bench suite`."""

from __future__ import annotations

from benchmarks.induce import report
from benchmarks.induction.coverage import uncovered, workflows
from benchmarks.induction.scoring import SEEDS_TRAIN
from benchmarks.suite import measure

FAST = (
    "refund_latest",
    "cancel_pending",
    "price_in_currency",
    "triage",
    "summarize",
    "ship_cheapest",
    "create_and_label",
)


def test_the_suite_has_every_binding_and_every_trap() -> None:
    assert not uncovered()
    assert len(workflows()) >= 40


def test_a_run_of_a_workflow_depends_on_its_seed_only() -> None:
    for workflow in workflows():
        assert workflow.perform(3) == workflow.perform(3), workflow.name


async def test_workflows_learned_from_six_runs_are_right_on_cases_not_seen_or_ask() -> None:
    chosen = [workflow for workflow in workflows() if workflow.name in FAST]

    data = await measure(chosen, [6])

    assert data["totals"]["6"]["silently_wrong"] == 0
    assert data["totals"]["6"]["right_share"] == 1.0
    assert data["totals"]["6"]["refused_rightly"] == data["totals"]["6"]["no_answer"] > 0


def test_the_induce_command_refuses_what_the_gate_refuses() -> None:
    unproved = 0
    for workflow in workflows():
        runs = [workflow.perform(seed).run for seed in sorted(SEEDS_TRAIN[:3])]
        told = report(runs)
        wrong = [row for row in told["leave_one_out"] if row["result"] == "wrong"]
        if told["source"]:
            assert not wrong and told["status"] != "refused", (workflow.name, wrong)
        unproved += bool(told["unproved_source"])
        assert not told["unproved_source"] or told["reasons"][0].startswith("not proved: run ")
    assert unproved
