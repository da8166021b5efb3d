"""`druse keys`: who may come over HTTP, in which role."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from druse.cli.output import emit, finish, json_option, table, workspace_here

_ROLES = ("user", "team_admin", "system_admin")


@click.group()
def keys() -> None:
    """Keys of the HTTP server: make, list, revoke.

    \b
    user           reads skills, runs and the volumes of this user; proposes skills
    team_admin     also writes skills into the team's volume, reads its users' volumes
    system_admin   also writes into every volume

    A key is no person's word: what needs approval waits for "druse approvals" or the page, whoever asked.
    """


@keys.command()
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), default="user", show_default=True)
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="In force so long; else until it is revoked.")
@json_option
def new(name: str, role: str, days: float | None, as_json: bool) -> None:
    """Make a key for NAME and print it, this once: only a digest of it is kept."""

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base, person
        from druse.web.visitors import HttpRole, make_key

        async with open_base(workspace_here()) as base:
            key, secret = await make_key(
                *(base.store, base.audit, person("keys"), name, HttpRole(role)),
                team=base.skills.volumes.identity.team,
                now=time.time(),
                days=days,
            )
            return {**asdict(key), "key": secret}

    data = finish(work(), as_json=as_json)
    text = f"{data['key']}\n{data['id']}: {data['role']} for {data['name']}. Keep it now: it is not shown again."
    emit(data, as_json=as_json, render=lambda: text)


@keys.command("list")
@json_option
def list_keys(as_json: bool) -> None:
    """Every key ever made, without its secret."""

    async def work() -> list[dict[str, Any]]:
        from druse.front.base import open_base

        async with open_base(workspace_here()) as base:
            return [{**asdict(key), "status": _status(key)} for key in await base.store.http_keys.all()]

    data = finish(work(), as_json=as_json)
    rows = [
        [row["id"], row["name"], row["role"], row["team"] or "-", row["status"], _when(row["last_used_at"])]
        for row in data
    ]
    head = ["key", "name", "role", "team", "status", "last used"]
    emit({"keys": data}, as_json=as_json, render=lambda: table(rows, head))


@keys.command()
@click.argument("key_id")
@json_option
def revoke(key_id: str, as_json: bool) -> None:
    """Take a key out of force at once."""

    async def work() -> None:
        from druse.front.base import open_base, person
        from druse.web.visitors import revoke_key

        async with open_base(workspace_here()) as base:
            await revoke_key(base.store, base.audit, person("keys"), key_id, now=time.time())

    finish(work(), as_json=as_json)
    emit({"id": key_id, "status": "revoked"}, as_json=as_json, render=lambda: f"{key_id} is revoked")


def _status(key: Any) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= time.time() else "in force"


def _when(at: float | None) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M") if at else "never"
