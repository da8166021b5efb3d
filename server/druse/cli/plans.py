"""`druse plans`: what was carried out, and taking it back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click

from druse.cli.output import emit, finish, json_option, table, workspace_here


@click.group()
def plans() -> None:
    """Executions of plans: list them, see what of one can be undone, undo it."""


@plans.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="How many, the newest.")
@json_option
def list_plans(limit: int, as_json: bool) -> None:
    """Executions, newest first."""
    data = _called("planner.plan_history", {"limit": limit}, as_json=as_json)
    rows = [
        [
            row["execution"],
            f"{datetime.fromtimestamp(row['started_at'], UTC):%Y-%m-%d %H:%M}",
            row["status"],
            str(row["done"]),
            str(row["undone"]),
            row["goal"][:60],
        ]
        for row in data.get("executions", [])
    ]
    head = ["execution", "began (UTC)", "status", "done", "undone", "goal"]
    emit(data, as_json=as_json, render=lambda: table(rows, head))


@plans.command()
@click.argument("execution")
@json_option
def show(execution: str, as_json: bool) -> None:
    """Which steps of EXECUTION can be undone, by what, and which cannot."""
    data = _called("planner.plan_history", {"execution": execution}, as_json=as_json)
    emit(data, as_json=as_json, render=lambda: json.dumps(data, indent=2, ensure_ascii=False))


@plans.command()
@click.argument("execution")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--redo/--done",
    default=None,
    help="Of a step whose taking back had begun when a process ended: make it again, or it did happen.",
)
@json_option
def undo(execution: str, yes: bool, redo: bool | None, as_json: bool) -> None:
    """Take EXECUTION back, the last step first. It stops where an inverse does not go through; call it again then."""
    if not yes:
        told = _called("planner.plan_history", {"execution": execution}, as_json=as_json)
        click.echo(json.dumps(told, indent=2, ensure_ascii=False), err=True)
        if not click.confirm("Undo this?", default=False, err=as_json):
            raise SystemExit(1)
    given = {"execution": execution} | ({} if redo is None else {"redo": redo})
    data = _called("planner.undo_plan", given, as_json=as_json)
    emit(data, as_json=as_json, render=lambda: json.dumps(data, indent=2, ensure_ascii=False))
    raise SystemExit(0 if data.get("status") == "undone" else 1)


def _called(name: str, arguments: dict[str, Any], *, as_json: bool) -> Any:
    async def work() -> Any:
        from druse.front.application import open_application
        from druse.front.base import person
        from druse.front.results import payload_of
        from druse.model import DruseError, OutcomeStatus

        async with open_application(workspace_here()) as application:
            outcome = await application.call(name, arguments, person())
            if outcome.status not in (OutcomeStatus.OK, OutcomeStatus.DIVERGED):
                raise DruseError(outcome.message)
            return payload_of(outcome)

    return finish(work(), as_json=as_json)
