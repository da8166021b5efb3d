"""`druse audit`: the chain of decisions and effects, and what can be proved of it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

import click

from druse.cli.output import emit, finish, json_option, table, workspace_here
from druse.model import Invalid, JsonObject, NotFound


@click.group()
def audit() -> None:
    """The tamper-evident chain of every decision and effect: look into it, verify it, prove parts of it."""


@asynccontextmanager
async def _chain() -> AsyncGenerator[tuple[Any, Any]]:
    """Store and chain of this workspace, without what else a server needs."""
    from druse.front.base import open_base

    async with open_base(workspace_here()) as base:
        yield base.store, base.audit


def _with_chain(work: Callable[[Any, Any], Awaitable[Any]], *, as_json: bool) -> Any:
    async def run() -> Any:
        async with _chain() as (store, chain):
            return await work(store, chain)

    return finish(run(), as_json=as_json)


@audit.command()
@click.argument("export", required=False, type=click.File("r", encoding="utf-8"))
@click.option("--public", default="", help="The public key (hexadecimal) that an EXPORT must be signed with.")
@json_option
def verify(export: IO[str] | None, public: str, as_json: bool) -> None:
    """Check every entry, its place and every signed root; names the first bad entry.

    The rows that entries speak of (approvals, rules, tools, recorded calls, memories) are held against them too; on a
    terminal it shows how far it is.

    Checks the chain of this workspace, or an EXPORT made by "druse audit export" ("-" reads it from standard input).
    """

    async def work(_: Any, chain: Any) -> dict[str, Any]:
        shown = not as_json and sys.stderr.isatty()

        def progress(what: str, done: int) -> None:
            if shown:
                click.echo(f"\r\x1b[Kchecking {what}: {done:,}", nl=False, err=True)

        try:
            return dict((await chain.verify(progress)).as_dict())
        finally:
            if shown:
                click.echo("\r\x1b[K", nl=False, err=True)

    if export is None:
        data = _with_chain(work, as_json=as_json)
    else:
        data = finish(_verify_export(export, public), as_json=as_json)

    def text() -> str:
        return (
            f"{data['entries']} entries, all whole and in place; {data['signed_roots']} signed roots by "
            f"{data['instance']}, {data['unsigned_entries']} entries after the last one\nroot {data['root']}"
        )

    emit(data, as_json=as_json, render=text)


async def _verify_export(file: IO[str], public: str) -> dict[str, Any]:
    from druse.governance import verify_export

    return dict(verify_export(file, public=public).as_dict())


@audit.command()
@click.option("--limit", default=30, show_default=True, type=click.IntRange(1, 100_000), help="How many, the newest.")
@click.option("--why", metavar="TOOL", help="Why there is this tool: back to the person and the runs behind it.")
@click.option("--action", metavar="GLOB", help="Only these actions, such as 'call.*' or 'approval.approved'.")
@click.option("--subject", metavar="GLOB", help="Only what is about this tool, approval or run.")
@click.option("--actor", help="Only this kind of caller: agent, tool, code, replay, job, person.")
@click.option("--session", help="Only this session.")
@click.option("--since", metavar="WHEN", help="Only since then: 2026-11-21, 2026-11-21T14:00 (UTC), or 90m, 12h, 7d.")
@json_option
def show(limit: int, why: str | None, since: str | None, as_json: bool, **filters: str | None) -> None:
    """The newest entries, or why there is a tool."""

    async def work(_: Any, chain: Any) -> list[dict[str, Any]]:
        from druse.governance import why_tool

        if why is not None:
            return list(await why_tool(chain, why))
        matching: dict[str, str | float] = {key: value for key, value in filters.items() if value}
        if since:
            matching["since"] = moment(since, time.time())
        return list(await chain.newest(limit, matching))

    data = _with_chain(work, as_json=as_json)
    if why is not None:
        emit({"tool": why, "because": data}, as_json=as_json, render=lambda: _because(data))
        return
    rows = [
        [
            f"a{row['seq']}",
            datetime.fromtimestamp(row["time"], UTC).strftime("%m-%d %H:%M:%S"),
            row["action"],
            row["subject"][:40],
            row["actor"],
            str(row.get("identity") or row["client"])[:30],
            row["cause"],
        ]
        for row in data
    ]
    head = ["entry", "time (UTC)", "action", "subject", "actor", "client", "cause"]
    emit({"entries": data}, as_json=as_json, render=lambda: table(rows, head))


def _because(entries: list[dict[str, Any]]) -> str:
    lines: list[str] = []
    for entry in entries:
        when = datetime.fromtimestamp(entry["time"], UTC).strftime("%Y-%m-%d %H:%M:%S")
        answerable = f"for {entry['identity']}" if entry.get("identity") else ""
        who = " ".join(part for part in (entry["actor"], entry["client"], answerable) if part)
        lines.append(f"a{entry['seq']}  {when}  {entry['action']} {entry['subject']}, by {who}")
        evidence = entry["payload"].get("evidence")
        if evidence:
            lines.append(f"      made from the recorded runs {', '.join(map(str, evidence))}")
    return "\n".join(lines)


@audit.command()
@click.argument("entry", required=False)
@click.option("--since", "old_size", type=int, metavar="SIZE", help="Prove instead that the log only grew since then.")
@json_option
def prove(entry: str | None, old_size: int | None, as_json: bool) -> None:
    """Print a proof, as JSON, that ENTRY (such as a17) is in the log. "druse audit check" checks it anywhere."""

    async def work(store: Any, chain: Any) -> dict[str, Any]:
        from druse.governance import prove_entry, prove_growth, seq_of

        if old_size is not None:
            old = next((root for root in await store.audit.roots() if root.size == old_size), None)
            if old is None:
                raise NotFound(
                    f"Cannot prove growth since {old_size} entries: no root over them was signed. "
                    'List the signed roots with "druse audit roots".'
                )
            return dict(await prove_growth(store, chain, old))
        if entry is None:
            raise Invalid('Cannot prove: name an entry, such as a17, or give --since. See "druse audit show".')
        return dict(await prove_entry(store, chain, seq_of(entry)))

    data = _with_chain(work, as_json=as_json)
    click.echo(json.dumps(data, indent=None if as_json else 2, ensure_ascii=False))


@audit.command()
@click.argument("proof", type=click.File("r", encoding="utf-8"))
@click.option("--public", default="", help="The public key (hexadecimal) that the proof must be signed with.")
@json_option
def check(proof: IO[str], public: str, as_json: bool) -> None:
    """Check a PROOF made by "druse audit prove"; needs no database. Without --public it trusts the proof's own key."""

    async def work() -> dict[str, Any]:
        from druse.governance import check_proof

        try:
            loaded: Any = json.load(proof)
        except ValueError as error:
            raise Invalid(f"Cannot read the proof: {error}. Give the output of druse audit prove.") from error
        if not isinstance(loaded, dict):
            raise Invalid("Cannot read the proof: it is no JSON object. Give the output of druse audit prove.")
        return dict(check_proof(cast("JsonObject", loaded), public=public))

    data = finish(work(), as_json=as_json)

    def text() -> str:
        if "entry" in data:
            made = json.dumps(data["entry"], indent=2, ensure_ascii=False)
            return f"holds: this entry is in the log of {data['size']} entries of {data['instance']}\n{made}"
        return f"holds: the log of {data['size']} entries begins with that of {data['old_size']}, of {data['instance']}"

    emit(data, as_json=as_json, render=text)


@audit.command()
@click.option("--sign", is_flag=True, help="Sign a root over all entries first.")
@json_option
def roots(sign: bool, as_json: bool) -> None:
    """The signed roots, oldest first. Whoever keeps a copy of one can prove later changes of anything before it."""

    async def work(store: Any, chain: Any) -> dict[str, Any]:
        if sign:
            await chain.seal()
        from druse.governance import root_as_dict

        made = [root_as_dict(root) for root in await store.audit.roots()]
        return {"public": chain.key.public, "instance": chain.key.instance, "roots": made}

    data = _with_chain(work, as_json=as_json)

    def text() -> str:
        rows = [
            [str(root["size"]), json.loads(root["statement"])["root"], root["signature"][:16] + "…"]
            for root in data["roots"]
        ]
        return f"{data['instance']}, public key {data['public']}\n" + table(rows, ["entries", "root", "signature"])

    emit(data, as_json=as_json, render=text)


@audit.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
def export(file: Path, as_json: bool) -> None:
    """Write the whole chain with its signed roots to FILE, one JSON object a line. Refuses to overwrite."""

    async def work(store: Any, chain: Any) -> int:
        from druse.governance import export_lines

        await chain.seal()
        count = 0
        try:
            with file.open("x", encoding="utf-8") as out:
                async for line in export_lines(store, chain):
                    out.write(line + "\n")
                    count += 1
        except OSError as error:
            raise Invalid(f"Cannot write {file}: {error.strerror}. Choose another file.", where=str(file)) from error
        return count

    count = _with_chain(work, as_json=as_json)
    emit({"file": str(file), "lines": count}, as_json=as_json, render=lambda: f"{count} lines in {file}")


def moment(text: str, now: float) -> float:
    """A point in time as people write it, in seconds since the epoch. Raises Invalid."""
    units = {"m": 60, "h": 3600, "d": 86400}
    if text[-1:] in units and text[:-1].isdigit():
        return now - int(text[:-1]) * units[text[-1]]
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(
            f"Cannot read the time {text!r}. Write 2026-11-21, 2026-11-21T14:00 or 90m, 12h, 7d.", where="--since"
        ) from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
