"""`druse pins`: the versions that running sessions go on with."""

from __future__ import annotations

from typing import Any

import click

from druse.cli.acts import act
from druse.cli.output import emit, finish, json_option, table, workspace_here
from druse.model import NotFound


@click.group()
def pins() -> None:
    """The versions of tools and skills that sessions began with.

    A session goes on with what was in service when it began; a new version reaches the next session. What was rolled
    back, retired or suspended stops in every session at once, and rules apply to every version alike.
    """


@pins.command("list")
@click.option("--behind", is_flag=True, help="Only sessions that go on with something older than what is in service.")
@json_option
def list_pins(behind: bool, as_json: bool) -> None:
    """What each session of the last 30 days began with, the newest session first."""

    async def work() -> list[dict[str, Any]]:
        from druse.front.base import open_base
        from druse.front.pinned import told

        async with open_base(workspace_here()) as base:
            found = await told(base.store, base.shelf, base.skills.library)
            return [dict(row) for row in found if row["behind"] or not behind]

    data = finish(work(), as_json=as_json)

    def text() -> str:
        rows = [
            [row["session"], row["client"] or "unknown", str(len(row["tools"])), str(len(row["skills"])), _behind(row)]
            for row in data
        ]
        return table(rows, ["session", "client", "tools", "skills", "goes on with"])

    emit({"sessions": data}, as_json=as_json, render=text)


@pins.command()
@click.argument("session", required=False)
@click.option("--all", "every", is_flag=True, help="Every session.")
@json_option
def release(session: str | None, every: bool, as_json: bool) -> None:
    """Let SESSION go on with what is in service now, also in the middle of its work."""
    if (session is None) != every:
        raise click.UsageError("Name one session, or say --all.")

    async def work() -> int:
        from druse.front.base import open_base

        async with open_base(workspace_here()) as base:
            async with act(base, "pins release", session=session or "all"):
                count = await base.pins.release(session)
            if session is not None and not count:
                raise NotFound(f"Cannot release {session!r}: no session has that name. See druse pins list.")
            base.shelf.files.touch()
            return count

    count = finish(work(), as_json=as_json)
    emit({"released": count}, as_json=as_json, render=lambda: f"{count} sessions go on with what is in service")


def _behind(row: dict[str, Any]) -> str:
    return ", ".join(row["behind"]) or "what is in service"
