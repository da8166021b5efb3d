"""`druse import`: what was done before Druse was there."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from druse.cli.output import emit, finish, json_option, workspace_here
from druse.model import Invalid, JsonObject

_CLIENTS = ("claude-code", "codex", "gemini", "opencode", "copilot", "cline", "jsonl")


@click.command("import")
@click.option("--from", "client", type=click.Choice(_CLIENTS), required=True, help="Whose transcripts; jsonl: runs.")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[FILE]...")
@click.option("--since", metavar="WHEN", default="", help="Only what was done since: 30d, 12h, 2026-11-01.")
@click.option(
    "--project",
    type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
    help="Work in this folder and below, which may have moved since; the workspace's if not given.",
)
@click.option("--dry-run", is_flag=True, help="Read and report; write nothing.")
@click.option("--ended-well", is_flag=True, help="Your word: turns that the agent ended after a good call succeeded.")
@json_option
def import_command(
    client: str,
    paths: tuple[Path, ...],
    since: str,
    project: Path | None,
    dry_run: bool,
    ended_well: bool,
    as_json: bool,
) -> None:
    """Make runs of past work, from a client's transcripts or from runs in the neutral format.

    Without FILE the client's own folder in your home is read. Nothing else is sent or written anywhere, secrets become
    handles before anything is stored, and a second time nothing is new. What is left out is counted, by reason.

    An imported run is neither a success nor a failure unless its transcript reports an outcome to Druse, its line says
    so ("ok"), you say so for one (druse traces mark RUN --success) or for all of a kind (--ended-well).
    """
    data = finish(_import(client, paths, since, project, dry_run, ended_well), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: _text(data))


async def _import(
    client: str, paths: tuple[Path, ...], since: str, project: Path | None, dry: bool, ended_well: bool
) -> JsonObject:
    from druse.front.base import open_base, person
    from druse.induction import workflow_key
    from druse.past.importing import Importer
    from druse.past.neutral import NeutralImporter

    begun = time.monotonic()
    async with open_base(workspace_here()) as base:
        before = sum((await base.store.runs.count()).values())
        result: JsonObject
        if client == "jsonl":
            if not paths:
                raise Invalid(
                    "Cannot import jsonl: no FILE is given. Name one: druse import --from jsonl FILE.", where="FILE"
                )
            runs = NeutralImporter(base.store, base.recorder.handles, workflow_key=workflow_key)
            await _each(paths, lambda path, report: runs.read(path, dry=dry, report=report))
            result = {"files": runs.tally.files, "calls": runs.tally.calls, "known": runs.known}
            result |= {"skipped": dict(runs.tally.skipped), "wrong": [*runs.wrong], "runs": runs.imported}
        else:
            importer = Importer(
                base.chronicle,
                client,
                project=project or base.workspace.root,
                since=_seconds(since, time.time()) if since else 0.0,
                ended_well=ended_well,
            )
            found = paths or tuple(importer.files(Path.home(), os.environ))
            await _each(found, lambda path, report: importer.read(path, dry=dry, report=report))
            after = sum((await base.store.runs.count()).values())
            result = {**importer.done.as_dict(), "runs": after - before}
        if not dry and (result["runs"] or ended_well):
            told: JsonObject = {"client": client, "runs": result["runs"], "ended_well": ended_well}
            await base.audit.record("runs.imported", client, person("import"), told)
    return {"from": client, "dry_run": dry, **result, "seconds": round(time.monotonic() - begun, 1)}


async def _each(paths: tuple[Path, ...], read: Callable[[Path, Callable[[int], None]], Any]) -> None:
    """Read files one after another, with a bar of their bytes where a person watches."""
    from druse.past.importing import size_of

    total = sum(size_of(path) for path in paths)
    with click.progressbar(
        length=total, label=f"{len(paths)} files", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        for path in paths:
            await read(path, bar.update)


def _seconds(when: str, now: float) -> float:
    """The time that --since means. Raises Invalid."""
    match = re.fullmatch(r"(\d{1,6})([dhw])", when)
    if match:
        return now - int(match[1]) * {"h": 3600, "d": 86400, "w": 7 * 86400}[match[2]]
    try:
        return datetime.fromisoformat(when).timestamp()
    except (ValueError, OverflowError) as error:
        raise Invalid(
            f"Cannot import since {when!r}: that is no time. Write 30d, 12h, 2w, or a date such as 2026-11-01.",
            where="--since",
        ) from error


def _text(data: dict[str, Any]) -> str:
    would = "found" if data["dry_run"] else "new"
    lines = [f"{data['files']} files: {data['calls']} calls {would}, {data['known']} known already"]
    lines[0] += f"; {data['runs']} runs" if not data["dry_run"] else "; nothing was written"
    lines += [f"skipped {count}: {reason}" for reason, count in data["skipped"].items()]
    lines += [f"  {problem}" for problem in data.get("wrong", [])[:10]]
    if data["runs"] and not data["dry_run"] and data["from"] != "jsonl":
        lines.append("How they went nobody knows yet: druse traces mark RUN --success, or import with --ended-well.")
    return "\n".join(lines)
