"""`druse approvals`: where a person decides."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any, cast

import click

from druse.cli.output import emit, finish, json_option, table, workspace_here


@click.group()
def approvals() -> None:
    """What waits for a person: list, show, approve, reject."""


@approvals.command("list")
@click.option("--all", "everything", is_flag=True, help="Also what is decided already.")
@json_option
def list_approvals(everything: bool, as_json: bool) -> None:
    """Open requests, newest first."""

    async def work() -> list[dict[str, Any]]:
        from druse.front.application import open_base

        async with open_base(workspace_here()) as base:
            return [_brief(approval) for approval in await base.approvals.list(open_only=not everything)]

    data = finish(work(), as_json=as_json)
    rows = [[row["id"], row["kind"], row["status"], row["title"][:90]] for row in data]
    emit({"approvals": data}, as_json=as_json, render=lambda: table(rows, ["id", "kind", "status", "what"]))


@approvals.command()
@click.argument("approval_id")
@json_option
def show(approval_id: str, as_json: bool) -> None:
    """One request: permissions gained first, then what changes, then the evidence."""
    data = finish(_show(approval_id), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: _text(data))


async def _show(approval_id: str) -> dict[str, Any]:
    from druse.front.application import open_base

    async with open_base(workspace_here()) as base:
        approval = await base.approvals.get(approval_id)
        data = asdict(approval)
        if approval.kind == "tool":
            name = str(approval.details.get("name"))
            before = base.shelf.active.get(name)
            manifest: Any = approval.details.get("manifest")
            had = before.manifest.get("permissions") if before else []
            data["permissions_gained"] = sorted(
                set(manifest["permissions"]) - set(cast("list[Any]", had) if isinstance(had, list) else [])
            )
            data["before"] = before.source if before else ""
        return data


@approvals.command()
@click.argument("approval_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--note", default="", help="Why.")
@json_option
def approve(approval_id: str, yes: bool, note: str, as_json: bool) -> None:
    """Say yes. Asks on the terminal first; without one, and without --yes, nothing is decided."""
    _decide(approval_id, approve=True, yes=yes, note=note, as_json=as_json)


@approvals.command()
@click.argument("approval_id")
@click.option("--note", default="", help="Why not.")
@json_option
def reject(approval_id: str, note: str, as_json: bool) -> None:
    """Say no."""
    _decide(approval_id, approve=False, yes=True, note=note, as_json=as_json)


def _decide(approval_id: str, *, approve: bool, yes: bool, note: str, as_json: bool) -> None:
    if approve and not yes:
        data = finish(_show(approval_id), as_json=as_json)
        if not sys.stdin.isatty():
            message = f"{approval_id} stays {data['status']}: there is no terminal to ask on. Use --yes to approve it."
            emit(
                {"id": approval_id, "status": data["status"], "message": message},
                as_json=as_json,
                render=lambda: message,
            )
            raise SystemExit(1)
        click.echo(_text(data))
        if not click.confirm("Approve?", default=False):
            click.echo("Nothing was decided.")
            raise SystemExit(1)

    async def work() -> dict[str, Any]:
        from druse.front.application import open_base

        async with open_base(workspace_here()) as base:
            return _brief(await base.decide(approval_id, approve=approve, how="cli", note=note))

    done = finish(work(), as_json=as_json)
    emit(done, as_json=as_json, render=lambda: f"{approval_id} is {done['status']}: {done['title'][:100]}")


def _brief(approval: Any) -> dict[str, Any]:
    return {
        "id": approval.id,
        "kind": approval.kind,
        "title": approval.title,
        "status": approval.status,
        "requested_at": approval.requested_at,
        "expires_at": approval.expires_at,
        "decided_by": approval.decided_by,
        "decided_how": approval.decided_how,
    }


def _text(data: dict[str, Any]) -> str:
    lines = [f"{data['id']} ({data['kind']}, {data['status']}): {data['title']}"]
    details = data["details"]
    if data["kind"] != "tool":
        return "\n".join([*lines, json.dumps(details, indent=2, ensure_ascii=False)])
    lines.append(f"Permissions gained: {', '.join(data['permissions_gained']) or 'none'}")
    before = str(data["before"]).splitlines()
    after = str(details["source"]).splitlines()
    if before:
        import difflib

        lines += difflib.unified_diff(before, after, "in service", "proposed", lineterm="")
    else:
        lines += ["", *after, ""]
    manifest = details["manifest"]
    for row in manifest.get("verification", []):
        lines.append(f"  run {row['run']}: {row['result']} ({row['calls']} calls)")
    for step in manifest.get("steps", []):
        loop = f"   for {step['for']}" if "for" in step else ""
        shown = ", ".join(f"{key}={value}" for key, value in step["arguments"].items())
        lines.append(f"  calls {step['tool']}({shown}){loop}")
    return "\n".join(lines)
