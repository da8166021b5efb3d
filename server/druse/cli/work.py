"""`druse run`, `dispatch`, `find`: what agents do, from a terminal."""

from __future__ import annotations

import json
from typing import Any, cast

import click

from druse.cli.output import emit, fail, finish, json_option, workspace_here
from druse.model import Invalid


@click.command()
@click.argument("name")
@click.option("--args-json", default="{}", show_default=True, help="The arguments as a JSON object.")
@json_option
def run(name: str, args_json: str, as_json: bool) -> None:
    """Call a tool of this project: local, upstream or learned. Deny rules hold; you are the person others ask."""
    arguments = _arguments(args_json, as_json)

    async def work() -> dict[str, Any]:
        from druse.front.application import open_application
        from druse.front.base import person
        from druse.front.results import payload_of

        async with open_application(workspace_here()) as application:
            outcome = await application.call(name, arguments, person())
            return {**payload_of(outcome), "status": str(outcome.status)}

    _finish(finish(work(), as_json=as_json), as_json)


@click.command()
@click.argument("goal")
@click.option("--args-json", default="{}", show_default=True, help="Parameter values as a JSON object.")
@click.option("--dry-run", is_flag=True, help="Say what happens, do nothing.")
@json_option
def dispatch(goal: str, args_json: str, dry_run: bool, as_json: bool) -> None:
    """Work on a goal in words: a learned tool, a replay, a guide, or what tools there are."""
    arguments = _arguments(args_json, as_json)

    async def work() -> dict[str, Any]:
        from druse.front.application import open_application
        from druse.front.base import person
        from druse.front.results import payload_of

        async with open_application(workspace_here()) as application:
            outcome = await application.dispatcher.dispatch(goal, person(), arguments=arguments, dry_run=dry_run)
            return {"outcome": str(outcome.status), **payload_of(outcome)}

    _finish(finish(work(), as_json=as_json), as_json)


@click.command()
@click.argument("query")
@click.option("--kind", type=click.Choice(["tool", "skill", "run"]))
@click.option("--limit", default=8, show_default=True)
@click.option("--detail", type=click.Choice(["name", "schema", "signature"]), default="signature", show_default=True)
@json_option
def find(query: str, kind: str | None, limit: int, detail: str, as_json: bool) -> None:
    """Search tools, skills and past runs."""

    async def work() -> list[dict[str, Any]]:
        from druse.front.application import open_application

        async with open_application(workspace_here()) as application:
            return list(await application.finding.find(query, kind=kind, limit=limit, detail=detail))

    data = finish(work(), as_json=as_json)

    def text() -> str:
        return "\n".join(
            f"{hit['kind']:6} {hit.get('signature') or hit.get('name') or hit.get('goal')}" for hit in data
        )

    emit({"results": data}, as_json=as_json, render=text)


def _arguments(text: str, as_json: bool) -> Any:
    try:
        loaded: Any = json.loads(text)
    except ValueError as error:
        fail(Invalid(f"Cannot read --args-json: {error}. Write a JSON object.", where="--args-json"), as_json=as_json)
    if not isinstance(loaded, dict):
        fail(Invalid("Cannot use --args-json: it is no JSON object.", where="--args-json"), as_json=as_json)
    return cast("Any", loaded)


def _finish(data: dict[str, Any], as_json: bool) -> None:
    emit(data, as_json=as_json, render=lambda: json.dumps(data, indent=2, ensure_ascii=False))
    raise SystemExit(
        0 if data.get("status", data.get("outcome")) in ("ok", "done") or data.get("outcome") == "ok" else 1
    )
