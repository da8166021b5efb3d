"""`druse jobs`: what Druse does in the background."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from druse.cli.acts import act
from druse.cli.output import emit, finish, json_option, table, workspace_here
from druse.model import JsonObject


@click.group()
def jobs() -> None:
    """Background jobs: list them, run one now, see how they went.

    A serving Druse runs them by schedule and event. Over all processes of a project each due run happens once: its
    owner holds a lease, and when the owner dies another process takes the run over.
    """


@jobs.command("list")
@json_option
def list_jobs(as_json: bool) -> None:
    """Every job with its schedule, its triggers and its last run."""

    async def work() -> list[dict[str, Any]]:
        from druse.front.base import open_base
        from druse.jobs import jobs_of_server, next_due

        async with open_base(workspace_here()) as base:
            rows: list[dict[str, Any]] = []
            knobs = base.config.knobs
            on = knobs.crystallization
            served = jobs_of_server(_here, _here, propose_seconds=knobs.propose_seconds, crystallization=on)
            for job in [*base.jobs(), *served]:
                last = [r for r in await base.store.jobs.history(job.name, limit=5) if r.status != "skipped"]
                rows.append(
                    {
                        "job": job.name,
                        "about": job.about,
                        "schedule": job.schedule or (f"every {job.every:g} s" if job.every else ""),
                        "triggers": [str(trigger) for trigger in job.triggers],
                        "next_due": next_due(job.schedule, time.time()) if job.schedule else None,
                        "last": asdict(last[0]) if last else None,
                    }
                )
            return rows

    data = finish(work(), as_json=as_json)
    rows = [
        [
            *(row["job"], row["schedule"] or "-", ", ".join(row["triggers"]) or "-"),
            *(f"{row['last']['status']} {_when(row['last']['started_at'])}" if row["last"] else "never", row["about"]),
        ]
        for row in data
    ]
    head = ["job", "schedule", "triggers", "last run", "what it does"]
    emit({"jobs": data}, as_json=as_json, render=lambda: table(rows, head))


@jobs.command("run")
@click.argument("name")
@json_option
def run_job(name: str, as_json: bool) -> None:
    """Run a job now and wait for it; if it is running already, wait for that run."""

    async def work() -> dict[str, Any]:
        from druse.front.application import open_application
        from druse.front.base import open_base
        from druse.jobs import Scheduler

        if name in ("crystallization", "learning"):
            async with open_application(workspace_here()) as application:
                async with act(application.base, "jobs run", job=name) as told:
                    done = await application.scheduler.run_now(name)
                    told["result"] = done.status
                return asdict(done)
        async with open_base(workspace_here()) as base:
            scheduler = Scheduler(
                base.store,
                base.jobs(),
                clock=time.time,
                owner=f"cli pid {os.getpid()}",
                new_id=lambda: secrets.token_hex(6),
            )
            async with act(base, "jobs run", job=name) as told:
                done = await scheduler.run_now(name)
                told["result"] = done.status
            return asdict(done)

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: f"{data['status']}: {_text(data['report'])}")
    raise SystemExit(0 if data["status"] == "done" else 1)


@jobs.command()
@click.argument("name", default="")
@click.option("--limit", default=30, show_default=True)
@json_option
def history(name: str, limit: int, as_json: bool) -> None:
    """How jobs went, newest first."""

    async def work() -> list[dict[str, Any]]:
        from druse.front.base import open_base

        async with open_base(workspace_here()) as base:
            return [asdict(run) for run in await base.store.jobs.history(name, limit=limit)]

    data = finish(work(), as_json=as_json)
    rows = [
        [_when(row["started_at"]), row["job"], row["status"], row["cause"], str(row["attempt"]), _text(row["report"])]
        for row in data
    ]
    head = ["started", "job", "status", "cause", "attempt", "report"]
    emit({"runs": data}, as_json=as_json, render=lambda: table(rows, head))


async def _here() -> JsonObject:
    """What a listed job does is not asked of the list."""
    return {}


def _text(report: JsonObject) -> str:
    return ", ".join(f"{key}={value}" for key, value in report.items())[:160] or "-"


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
