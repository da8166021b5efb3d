"""A small part of the public suite on every test run; the whole of it is `scripts/bench suite`."""

from __future__ import annotations

from benchmarks.induction.coverage import uncovered, workflows
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
