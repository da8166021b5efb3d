"""`druse audit`: the chain of decisions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from druse.cli.output import emit, finish, json_option, table, workspace_here


@click.group()
def audit() -> None:
    """The tamper-evident chain of every decision and effect."""


@audit.command()
@json_option
def verify(as_json: bool) -> None:
    """Check every entry and its place; names the first bad one."""

    async def work() -> int:
        from druse.front.application import open_base

        async with open_base(workspace_here()) as base:
            return await base.audit.verify()

    count = finish(work(), as_json=as_json)
    emit({"entries": count, "ok": True}, as_json=as_json, render=lambda: f"{count} entries, all whole and in place")


@audit.command()
@click.option("--limit", default=30, show_default=True)
@json_option
def show(limit: int, as_json: bool) -> None:
    """The newest entries."""

    async def work() -> list[dict[str, Any]]:
        from druse.front.application import open_base

        async with open_base(workspace_here()) as base:
            return list(await base.audit.newest(limit))

    data = finish(work(), as_json=as_json)
    rows = [
        [
            f"a{row['seq']}",
            datetime.fromtimestamp(row["time"], UTC).strftime("%m-%d %H:%M:%S"),
            row["action"],
            row["subject"][:40],
            row["actor"],
            row["client"][:30],
        ]
        for row in data
    ]
    head = ["entry", "time", "action", "subject", "actor", "client"]
    emit({"entries": data}, as_json=as_json, render=lambda: table(rows, head))
