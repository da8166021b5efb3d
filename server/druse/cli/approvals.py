"""`druse approvals`: where a person decides."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from druse.cli.output import emit, finish, json_option, table, workspace_here
from druse.front.review import reviewed, text_of, visible


@click.group()
def approvals() -> None:
    """What waits for a person: list, show, approve, reject."""


@approvals.command("list")
@click.option("--all", "everything", is_flag=True, help="Also what is decided already.")
@json_option
def list_approvals(everything: bool, as_json: bool) -> None:
    """Open requests, newest first."""

    async def work() -> list[dict[str, Any]]:
        from druse.front.base import open_base

        async with open_base(workspace_here()) as base:
            return [_brief(approval) for approval in await base.approvals.list(open_only=not everything)]

    data = finish(work(), as_json=as_json)
    rows = [[row["id"], row["kind"], row["status"], visible(row["title"][:90])] for row in data]
    emit({"approvals": data}, as_json=as_json, render=lambda: table(rows, ["id", "kind", "status", "what"]))


@approvals.command()
@click.argument("approval_id")
@json_option
def show(approval_id: str, as_json: bool) -> None:
    """One request: permissions gained first, then what changes, then the evidence."""
    data = finish(_show(approval_id), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: text_of(data))


async def _show(approval_id: str) -> dict[str, Any]:
    from druse.front.base import open_base

    async with open_base(workspace_here()) as base:
        return await reviewed(base, approval_id)


@approvals.command()
@click.argument("approval_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--session", is_flag=True, help="A call: not once, but for the asking session, at most 12 hours.")
@click.option("--note", default="", help="Why.")
@click.option("--as", "reviewer", metavar="NAME", help="As this reviewer of [approvals.reviewers]; needs --key.")
@click.option("--key", type=click.Path(exists=True, dir_okay=False), help="The reviewer's key file.")
@json_option
def approve(
    approval_id: str, yes: bool, session: bool, note: str, reviewer: str | None, key: str | None, as_json: bool
) -> None:
    """Say yes. Asks on the terminal first; without one, and without --yes, nothing is decided.

    Where [approvals] high_needs = 2, what is of class high stays pending until two people said yes: two accounts of
    this machine, or an account and a reviewer, or two reviewers.
    """
    if (reviewer is None) is not (key is None):
        raise click.UsageError("--as and --key go together")
    looked_at = time.time()
    if not yes:
        _ask(approval_id, as_json=as_json)
    scope = "session" if session else "once"
    _decide(
        approval_id, approve=True, note=note, scope=scope, as_json=as_json, reviewer=reviewer, key=key, at=looked_at
    )


@approvals.command()
@click.argument("name")
@click.option("--file", "target", type=click.Path(dir_okay=False), required=True, help="Where the key is kept.")
@json_option
def key(name: str, target: str, as_json: bool) -> None:
    """Make the key of the reviewer NAME in a file of theirs, and print the line that lets them decide.

    Whoever has the file is that reviewer: keep it with the person, in another account or on another machine.
    """
    from druse.governance import SigningKey

    public = SigningKey.from_file(Path(target)).public
    line = f'{name} = "{public}"'
    data = {"reviewer": name, "public": public, "file": target}
    emit(data, as_json=as_json, render=lambda: f"Put under [approvals.reviewers] in config.toml:\n{line}")


@approvals.command()
@click.argument("approval_id")
@click.option("--note", default="", help="Why not; the agent is told.")
@json_option
def reject(approval_id: str, note: str, as_json: bool) -> None:
    """Say no. The same request is refused from then on, for an hour (a call) or 30 days (a tool)."""
    _decide(approval_id, approve=False, note=note, scope="once", as_json=as_json)


def _ask(approval_id: str, *, as_json: bool) -> None:
    """Show the request and ask; ends the command unless the answer is yes."""
    data = finish(_show(approval_id), as_json=as_json)
    if not sys.stdin.isatty():
        message = f"{approval_id} stays {data['status']}: there is no terminal to ask on. Use --yes to approve it."
        emit({"id": approval_id, "status": data["status"], "message": message}, as_json=as_json, render=lambda: message)
        raise SystemExit(1)
    click.echo(text_of(data), err=as_json)
    if not click.confirm("Approve?", default=False, err=as_json):
        click.echo("Nothing was decided.", err=as_json)
        raise SystemExit(1)


def _decide(
    approval_id: str,
    *,
    approve: bool,
    note: str,
    scope: str,
    as_json: bool,
    reviewer: str | None = None,
    key: str | None = None,
    at: float | None = None,
) -> None:
    async def work() -> dict[str, Any]:
        from druse.front.base import open_base
        from druse.governance import SigningKey, review_statement

        async with open_base(workspace_here()) as base:
            signed = None
            if reviewer and key:
                text = review_statement(await base.approvals.get(approval_id))
                signed = (reviewer, SigningKey.from_file(Path(key)).sign(text))
            decided = await base.decide(
                approval_id, approve=approve, how="cli", note=note, scope=scope, reviewer=signed, looked_at=at
            )
            return _brief(decided)

    done = finish(work(), as_json=as_json)
    emit(done, as_json=as_json, render=lambda: visible(f"{approval_id} is {done['status']}: {done['title'][:100]}"))


def _brief(approval: Any) -> dict[str, Any]:
    return {
        "id": approval.id,
        "kind": approval.kind,
        "title": approval.title,
        "status": approval.status,
        "scope": approval.scope,
        "requested_at": approval.requested_at,
        "expires_at": approval.expires_at,
        "decided_by": approval.decided_by,
        "decided_how": approval.decided_how,
    }
