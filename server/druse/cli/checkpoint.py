"""`druse checkpoint`: what was learned, kept as it is now, and brought back."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from druse.cli.output import emit, fail, finish, json_option, table, workspace_here
from druse.model import Invalid, JsonObject

if TYPE_CHECKING:
    from druse.store import Transaction


@click.group()
def checkpoint() -> None:
    """Copies of everything learned (runs, tools, plans, memory), made while servers run, and going back to one.

    Going back leaves approvals, rules, quotas and the audit chain as they are: what happened has happened.
    """


def _path(name: str, *, as_json: bool) -> Path:
    if not re.fullmatch(r"[\w.-]{1,80}", name) or name.startswith("."):
        fail(Invalid(f"Cannot use the name {name!r}: take letters, digits, _ and -."), as_json=as_json)
    return workspace_here().state / "checkpoints" / f"{name}.db"


@checkpoint.command()
@click.argument("name", required=False)
@json_option
def save(name: str | None, as_json: bool) -> None:
    """Keep what is learned now under NAME (default: the time)."""
    named = name or datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    path = _path(named, as_json=as_json)

    async def work() -> None:
        from druse.front.base import open_base, person
        from druse.store import checkpoints

        async with open_base(workspace_here()) as base:
            await checkpoints.save(base.store.database, path)
            await base.audit.record("checkpoint.saved", named, person(), {})

    finish(work(), as_json=as_json)
    data = {"checkpoint": named, "path": str(path)}
    emit(data, as_json=as_json, render=lambda: f"{named} saved; back to it with: druse checkpoint restore {named}")


@checkpoint.command("list")
@json_option
def list_checkpoints(as_json: bool) -> None:
    """The checkpoints there are, oldest first."""
    found = sorted((workspace_here().state / "checkpoints").glob("*.db"), key=lambda path: path.stat().st_mtime)
    rows = [{"checkpoint": path.stem, "saved_at": path.stat().st_mtime, "bytes": path.stat().st_size} for path in found]

    def text() -> str:
        lines = [
            [
                str(row["checkpoint"]),
                f"{datetime.fromtimestamp(float(row['saved_at']), UTC):%Y-%m-%d %H:%M}",
                str(row["bytes"]),
            ]
            for row in rows
        ]
        return table(lines, ["name", "saved (UTC)", "bytes"])

    emit({"checkpoints": rows}, as_json=as_json, render=text)


@checkpoint.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def restore(name: str, yes: bool, as_json: bool) -> None:
    """Go back to what was learned at checkpoint NAME. What was learned since is saved under NAME-before first."""
    path = _path(name, as_json=as_json)
    if not yes and not click.confirm(f"Replace what is learned now by checkpoint {name}?", default=False, err=as_json):
        raise SystemExit(1)
    before = f"{name}-before-{datetime.now(UTC):%Y%m%d-%H%M%S}"

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base, person
        from druse.store import checkpoints

        async with open_base(workspace_here()) as base:
            kept = _path(before, as_json=as_json)
            cause = await base.audit.record("checkpoint.restore", name, person(), {"before": before}, durable=True)

            async def note(transaction: Transaction, rows: dict[str, int]) -> None:
                payload: JsonObject = {"rows": dict(rows)}
                await base.audit.append(transaction, "checkpoint.restored", name, person(), payload, cause=cause)

            counts = await checkpoints.restore(base.store.database, path, before=kept, note=note)
            await base.shelf.reload()
            base.shelf.files.touch()
            return {"checkpoint": name, "rows": counts, "before": before}

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: f"back at {name}; what was there before is kept as {before}")
