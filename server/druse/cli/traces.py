"""`druse traces`: recorded runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from druse.cli.acts import act
from druse.cli.output import emit, finish, json_option, table, workspace_here
from druse.model import NotFound, RunStatus, digest, run_to_neutral


@click.group()
def traces() -> None:
    """Recorded runs: list, show, mark, delete, import, export."""


@traces.command("list")
@click.option("--status", type=click.Choice([str(s) for s in RunStatus]), help="Only runs with this status.")
@click.option("--limit", default=30, show_default=True, help="At most so many.")
@json_option
def list_runs(status: str | None, limit: int, as_json: bool) -> None:
    """Runs, newest first."""

    async def work() -> list[dict[str, Any]]:
        from druse.front.base import open_base

        async with open_base(workspace_here()) as base:
            records = await base.store.runs.list(status=status, limit=limit)
            return [
                {
                    "id": record.run.id,
                    "status": str(record.run.status),
                    "goal": record.run.goal,
                    "mode": record.mode,
                    "opened_at": record.run.opened_at,
                    "crystallized_into": list(record.run.crystallized_into or ()),
                }
                for record in records
            ]

    data = finish(work(), as_json=as_json)
    rows = [[row["id"], row["status"], _when(row["opened_at"]), row["mode"] or "-", row["goal"][:70]] for row in data]
    emit({"runs": data}, as_json=as_json, render=lambda: table(rows, ["run", "status", "opened", "mode", "goal"]))


@traces.command()
@click.argument("run_id")
@json_option
def show(run_id: str, as_json: bool) -> None:
    """One run with its steps."""

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base

        async with open_base(workspace_here()) as base:
            record = await base.store.runs.get(run_id)
            if record is None:
                raise NotFound(f"Cannot show run {run_id!r}: there is none of that id. See druse traces list.")
            told = await base.store.runs.told(run_id)
            said = await base.store.consents.of(run_id)
            told["consent"] = {"given": said.given, "by": said.by, "at": said.at} if said else None
            return {**run_to_neutral(record.run), "status": str(record.run.status), "note": record.note, **told}

    data = finish(work(), as_json=as_json)

    def text() -> str:
        lines = [f"{run_id}: {data['status']}  {data['goal']}"]
        if data["feedback"]:
            lines.append(
                f"feedback: {data['feedback']['outcome']} by {data['feedback']['by']}: {data['feedback']['note']}"
            )
        for step in data["steps"]:
            mark = "!" if step["err"] else " "
            lines.append(f" {mark} {step['tool']}({json.dumps(step['args'], ensure_ascii=False)[:160]})")
        return "\n".join(lines)

    emit(data, as_json=as_json, render=text)


@traces.command()
@click.argument("run_id")
@click.option("--success/--failure", required=True, help="How the run really went.")
@json_option
def mark(run_id: str, success: bool, as_json: bool) -> None:
    """Say how a run went that ended without a report."""

    async def work() -> None:
        from druse.front.base import open_base, person

        async with open_base(workspace_here()) as base:
            await base.recorder.mark(run_id, success=success)
            await base.audit.record(
                "run.marked", run_id, person(), {"outcome": "success" if success else "failure"}, durable=True
            )

    finish(work(), as_json=as_json)
    word = "success" if success else "failure"
    emit({"run": run_id, "status": word}, as_json=as_json, render=lambda: f"{run_id} is marked as {word}")


@traces.command()
@click.argument("run_id")
@json_option
def delete(run_id: str, as_json: bool) -> None:
    """Delete a run and the stored results that only it held."""

    async def work() -> bool:
        from druse.front.base import open_base, person

        async with open_base(workspace_here()) as base:
            if not await base.store.runs.told(run_id):  # its payloads may be damaged: that is why it goes
                return False
            # Before the effect: a run that is gone and that no entry deletes was taken out by hand.
            await base.audit.record("run.deleted", run_id, person(), {}, durable=True)
            return await base.store.runs.delete(run_id)

    gone = finish(work(), as_json=as_json)
    emit({"deleted": gone}, as_json=as_json, render=lambda: "deleted" if gone else "there was no such run")


@traces.command()
@click.option("--older-than", "days", type=click.FloatRange(0), help="Days since a run ended (default: archive_days).")
@click.option("--shrink", is_flag=True, help="Give the freed space back to the disk; best while nothing is served.")
@json_option
def archive(days: float | None, shrink: bool, as_json: bool) -> None:
    """Compress what old runs were called with and what came of it. They are shown, searched and learned from as before.

    A serving Druse does this every night for runs that ended `archive_days` (under [settings], 90) days ago.
    """

    async def work() -> dict[str, Any]:
        import time
        from dataclasses import asdict

        from druse.front.base import open_base
        from druse.memory import compact

        async with open_base(workspace_here()) as base:
            await base.notebook.remember()
            await base.store.events.index()
            age = base.config.knobs.archive_days if days is None else days
            async with act(base, "traces archive", days=f"{age:g}") as told:
                done = await compact(base.store, before=time.time() - age * 86400, now=time.time, rest=1.0)
                told["runs"] = done.runs
            size = base.workspace.database.stat().st_size
            if shrink:
                await base.store.archive.shrink()
            now = base.workspace.database.stat().st_size
            free = await base.store.archive.free_bytes()
            return {**asdict(done), "database_bytes": now, "given_back_bytes": size - now, "free_bytes": free}

    data = finish(work(), as_json=as_json)
    text = f"{data['runs']} runs ({data['events']} steps) archived, {data['reclaimed_bytes']:,} bytes gained"
    emit(data, as_json=as_json, render=lambda: f"{text}; {data['given_back_bytes']:,} bytes given back to the disk")


@traces.command()
@click.argument("digest")
@json_option
def payload(digest: str, as_json: bool) -> None:
    """Print what is stored under a hash: a large result, or an archived run. Its hash is checked."""

    async def work() -> str:
        from druse.front.base import open_base

        async with open_base(workspace_here()) as base:
            name = digest if ":" in digest else f"sha256:{digest}"
            body = await base.store.archive.payload(name)
            if body is None:
                raise NotFound(
                    f"Cannot find payload {name[:90]!r}. druse traces show names the hash of an archived run."
                )
            return body.decode("utf-8", "replace")

    data = finish(work(), as_json=as_json)
    emit({"digest": digest, "payload": data}, as_json=as_json, render=lambda: str(data))


@traces.command()
@click.argument("run_ids", nargs=-1)
@click.option("--yes/--no", "given", required=True, help="Whether these runs may be used as training data.")
@click.option("--all", "everything", is_flag=True, help="All runs there are at this moment.")
@json_option
def consent(run_ids: tuple[str, ...], given: bool, everything: bool, as_json: bool) -> None:
    """Say whether runs may be used as training data; it can be taken back. Nothing is sent anywhere."""

    async def work() -> int:
        import time

        from druse.front.base import open_base, person

        async with open_base(workspace_here()) as base:
            named = list(await base.store.runs.statuses()) if everything else list(run_ids)
            by = person().client
            about = digest([*named]) if everything else ", ".join(named)
            async with act(base, "traces consent", runs=about, given=str(given).lower()) as told:
                done = await base.store.consents.say(named, given=given, by=by, now=time.time())
                told["runs"] = done
            if not everything and done < len(named):
                raise NotFound(f"Cannot note consent for {len(named) - done} of {len(named)} runs: no such runs.")
            return done

    done = finish(work(), as_json=as_json)
    word = "may" if given else "may not"
    emit({"runs": done, "consent": given}, as_json=as_json, render=lambda: f"{done} runs {word} be used for training")


@traces.command("export")
@click.option("--status", default="success", show_default=True, help="Only runs with this status; all for every run.")
@click.option("--training", is_flag=True, help="Only runs that a person agreed to (druse traces consent).")
@click.option("--out", type=click.Path(dir_okay=False, writable=True), help="Write to this file, readable by you only.")
@click.option("--json", "as_json", is_flag=True, help="With --out: print one JSON document about what was written.")
def export_runs(status: str, training: bool, out: str | None, as_json: bool) -> None:
    """Write runs as JSON lines, oldest first: the neutral trace format, with a consent flag. Secrets are handles.

    `consent` is true or false as a person said, null where nobody was asked. druse traces import reads the lines.
    """

    async def work() -> int:
        import os

        from druse.front.base import open_base
        from druse.traces import exported

        written = 0
        async with open_base(workspace_here()) as base:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            target = os.fdopen(os.open(out, flags, 0o600), "w", encoding="utf-8") if out else None
            try:
                for run_id in await base.store.runs.oldest("" if status == "all" else status):
                    said = await base.store.consents.of(run_id)
                    if training and (said is None or not said.given):
                        continue
                    record = await base.store.runs.get(run_id)
                    if record is None:
                        continue
                    line = exported(record.run, consent=said.given if said else None, handles=base.recorder.handles)
                    click.echo(json.dumps(line), file=target)
                    written += 1
            finally:
                if target is not None:
                    target.close()
        return written

    written = finish(work(), as_json=as_json)
    if out:
        emit({"runs": written, "file": out}, as_json=as_json, render=lambda: f"{written} runs are in {out}")


@traces.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=False, path_type=Path))
@json_option
def import_runs(file: Path, as_json: bool) -> None:
    """Read runs in the neutral trace format, one JSON object a line. Running it twice changes nothing."""
    data = finish(_import(file), as_json=as_json)
    emit(
        data,
        as_json=as_json,
        render=lambda: "\n".join(
            [f"{data['imported']} imported, {data['known']} known already", *(f"skipped {s}" for s in data["skipped"])]
        ),
    )


async def _import(file: Path) -> dict[str, Any]:
    from druse.front.base import open_base
    from druse.induction import workflow_key
    from druse.past.neutral import NeutralImporter

    async with open_base(workspace_here()) as base:
        runs = NeutralImporter(base.store, base.recorder.handles, workflow_key=workflow_key)
        async with act(base, "traces import", file=str(file)) as told:
            await runs.read(file)
            told["imported"] = runs.imported
    return {"imported": runs.imported, "known": runs.known, "skipped": runs.wrong}


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
