"""`druse volumes`: the git repositories that skills live in."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from druse.cli.acts import act
from druse.cli.output import emit, finish, json_option, table, workspace_here


@click.group()
def volumes() -> None:
    """Volumes: user, team and system repositories with skills, traces and memory.

    They lie beside your own config.toml, under volumes/KIND/ID, and are ordinary git repositories.
    """


@volumes.command("list")
@json_option
def list_volumes(as_json: bool) -> None:
    """Every volume with its counts, and which of them your projects see."""

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base

        async with open_base(workspace_here()) as base:
            held = base.skills.volumes
            layers = {str(ref) for ref in held.layers()}
            rows = [
                {**await asyncio.to_thread(held.open(ref).stats, held.observer(ref)), "seen": str(ref) in layers}
                for ref in held.existing()
            ]
            return {"root": str(held.root), **asdict(held.identity), "volumes": rows}

    data = finish(work(), as_json=as_json)
    rows = [
        [row["volume"], str(row["skills"]), str(row["commits"]), str(row["proposals"]), "yes" if row["seen"] else "no"]
        for row in data["volumes"]
    ]
    head = ["volume", "skills", "commits", "proposals", "your projects see it"]
    emit(data, as_json=as_json, render=lambda: f"{data['root']}\n{table(rows, head)}")


@volumes.command()
@click.argument("volume")
@json_option
def use(volume: str, as_json: bool) -> None:
    """Belong to a team (team:NAME) or be another user (user:NAME); the volume is made where it is missing."""

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base
        from druse.skills import VolumeRef

        async with open_base(workspace_here()) as base, act(base, "volumes use", volume=volume):
            return asdict(base.skills.volumes.join(VolumeRef.parse(volume)))

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: f"user {data['user']}, team {data['team'] or 'none'}")


@volumes.command()
@click.argument("volume")
@click.option("--limit", default=20, show_default=True, help="At most so many.")
@click.option("--skill", default="", help="Only changes of this skill.")
@json_option
def log(volume: str, limit: int, skill: str, as_json: bool) -> None:
    """The changes of a volume, newest first."""

    async def work() -> list[dict[str, Any]]:
        from druse.front.base import open_base
        from druse.skills import VolumeRef

        async with open_base(workspace_here()) as base:
            ref = VolumeRef.parse(volume)
            held = base.skills.volumes
            if not held.exists(ref):
                return []
            path = f"skills/{skill}" if skill else ""
            return [asdict(commit) for commit in held.open(ref).get_git_log(limit, held.me(), path=path)]

    data = finish(work(), as_json=as_json)
    rows = [[row["id"][:10], _when(row["at"]), row["author"][:24], row["subject"][:80]] for row in data]
    emit({"commits": data}, as_json=as_json, render=lambda: table(rows, ["commit", "when", "author", "subject"]))


@volumes.command()
@click.argument("volume")
@json_option
def verify(volume: str, as_json: bool) -> None:
    """Check the signatures of a volume's commits and list those without one, or with a bad one.

    Commits are signed where your git signs (commit.gpgsign). Exit code 1 for a bad signature and, if your git signs,
    for a commit without any.
    """

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base
        from druse.skills import VolumeRef

        async with open_base(workspace_here()) as base:
            ref, held = VolumeRef.parse(volume), base.skills.volumes
            found = held.open(ref).signatures(held.observer(ref)) if held.exists(ref) else []
            rows = [dict(zip(("commit", "state", "author", "subject"), row, strict=True)) for row in found]
            listed = {state: [row for row in rows if row["state"] == state] for state in ("unsigned", "bad")}
            signs = held.open(ref).signs() if held.exists(ref) else False
            return {"volume": str(ref), "commits": len(rows), "git_signs": signs, **listed}

    data = finish(work(), as_json=as_json)
    rows = [[row["state"], row["commit"][:10], row["author"], row["subject"]] for row in data["bad"] + data["unsigned"]]
    head = ["state", "commit", "author", "subject"]
    emit(data, as_json=as_json, render=lambda: f"{data['commits']} commits\n{table(rows, head)}")
    raise SystemExit(1 if data["bad"] or (data["git_signs"] and data["unsigned"]) else 0)


@volumes.command()
@click.argument("volume")
@json_option
def proposals(volume: str, as_json: bool) -> None:
    """Branches that wait to be merged, with what they change."""

    async def work() -> list[dict[str, Any]]:
        from druse.front.base import open_base
        from druse.skills import VolumeRef

        async with open_base(workspace_here()) as base:
            ref, held = VolumeRef.parse(volume), base.skills.volumes
            return [asdict(p) for p in held.open(ref).proposals(held.me())] if held.exists(ref) else []

    data = finish(work(), as_json=as_json)
    text = "\n\n".join(f"{row['branch']}  {row['subject']}\n{row['diff']}" for row in data)
    emit({"proposals": data}, as_json=as_json, render=lambda: text or "(none)")


@volumes.command()
@click.argument("volume")
@click.argument("url")
@json_option
def remote(volume: str, url: str, as_json: bool) -> None:
    """Name the remote repository of a volume (a path or a URL of ssh or https)."""
    data = finish(_remote(volume, "set_remote", url=url), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: f"{data['volume']}: {data['remote']}")


@volumes.command()
@click.argument("volume")
@click.option("--prefer", type=click.Choice(["ours", "theirs"]), help="Which side wins where both changed a line.")
@json_option
def pull(volume: str, prefer: str | None, as_json: bool) -> None:
    """Take the remote's changes. A conflict is shown and nothing is changed; then --prefer decides."""
    data = finish(_remote(volume, "pull", prefer=prefer or ""), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: f"{data['status']}\n{data.get('diff', '')}".rstrip())
    raise SystemExit(1 if data["status"] == "conflict" else 0)


@volumes.command()
@click.argument("volume")
@json_option
def push(volume: str, as_json: bool) -> None:
    """Give the remote the volume's changes and proposals; refused while the remote has others (pull first)."""
    data = finish(_remote(volume, "push"), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: str(data["status"]))


async def _remote(volume: str, action: str, **given: str) -> dict[str, Any]:
    from druse.front.base import open_base
    from druse.skills import Remote, VolumeRef

    async with open_base(workspace_here()) as base:
        ref, held = VolumeRef.parse(volume), base.skills.volumes
        actor = held.maintainer(ref, held.me().name)
        command = f"volumes {action.removeprefix('set_')}"
        async with act(base, command, volume=str(ref), **given) as told:
            done = await asyncio.to_thread(getattr(Remote(held.open(ref)), action), actor, **given)
            told["result"] = str(done.get("status") or "done")
            told["commit"] = await asyncio.to_thread(held.open(ref).head)
        return {"volume": str(ref), **done}


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
