"""`druse successor`: try a change of Druse on a copy before anybody applies it."""

from __future__ import annotations

from typing import IO, Any

import click

from druse.cli.output import emit, fail, finish, json_option, workspace_here
from druse.front.review import visible
from druse.model import Invalid


@click.group()
def successor() -> None:
    """Try a change of a learned tool or of config.toml in a child process on a copy of this project's state.

    \b
    fork      replay recorded runs with the change; the verdict is APPROVE, REJECT or NEEDS_REVISION
    apply     say whether it is applied: "druse approvals approve ID" applies it, and nothing else does
    """


@successor.command()
@click.option("--tool", help="The learned tool whose next version is tried.")
@click.option("--source", type=click.File(encoding="utf-8"), help="With --tool: its source.")
@click.option("--config", type=click.File(encoding="utf-8"), help="What is tried as .druse/config.toml.")
@click.option("--task", default="", help="What the change is for, in words.")
@click.option("--seconds", default=60.0, show_default=True, help="Wall seconds the child may use.")
@click.option("--runs", default=50, show_default=True, help="Recorded runs to replay at most, the newest.")
@json_option
def fork(
    tool: str | None,
    source: IO[str] | None,
    config: IO[str] | None,
    task: str,
    seconds: float,
    runs: int,
    as_json: bool,
) -> None:
    """Try a change: --tool NAME --source FILE, or --config FILE. Exit code 0 for APPROVE, else 1."""
    patch: dict[str, Any] = {"tool": tool} if tool else {}
    try:
        patch |= {key: file.read() for key, file in (("source", source), ("config", config)) if file}
    except ValueError as error:
        fail(Invalid(f"Cannot read the change: {error}. Give a file of UTF-8 text."), as_json=as_json)

    async def work() -> dict[str, Any]:
        from druse.front.application import open_application
        from druse.front.base import person
        from druse.succession import Budget, Patch

        async with open_application(workspace_here()) as application:
            answer = await application.base.succession.fork(
                Patch.of(patch), task, Budget(seconds, runs), person(), specs=application.specs_of
            )
            return dict(answer.as_dict())

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: visible(_text(data)))
    raise SystemExit(0 if data["verdict"] == "APPROVE" else 1)


@successor.command()
@click.argument("approval_id")
@json_option
def apply(approval_id: str, as_json: bool) -> None:
    """Say whether a successor's change is applied. Fails, and is noted, as long as no person approved it."""

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base, person

        async with open_base(workspace_here()) as base:
            approval = await base.succession.apply(approval_id, person())
            return {"id": approval.id, "status": "applied", "title": approval.title}

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: visible(f"{data['title']}: applied"))


def _text(data: dict[str, Any]) -> str:
    cost, lines = data["cost"], [f"{data['verdict']}"]
    lines += [f"  because {reason}" for reason in data["reasons"]]
    lines += [f"  {test['result']:8} {test['run']} {test['detail']}" for test in data["tests"]]
    lines += [f"  denied   {text}" for text in data["denied"]]
    lines.append(data["changes"]["diff"])
    same = "unchanged" if data["parent"]["unchanged"] else "changed meanwhile"
    lines.append(f"{cost['runs']} runs, {cost['calls']} calls, {cost['wall_seconds']} s; this project: {same}")
    return "\n".join([*lines, *([data["next"]] if "next" in data else [])])
