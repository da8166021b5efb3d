"""`druse candidates`, `crystallize`, `tools`: from repeated work to tools, and their life."""

from __future__ import annotations

import difflib
from typing import IO, Any, cast

import click

from druse.cli.output import emit, finish, json_option, table, workspace_here
from druse.model import NotFound, Source


@click.command("candidates")
@click.option("--min-usage", type=click.IntRange(1), help="Runs needed (default: the project's setting, 5).")
@click.option("--min-success", type=click.FloatRange(0, 1), help="Share of successes needed (default 0.95).")
@json_option
def candidates_command(min_usage: int | None, min_success: float | None, as_json: bool) -> None:
    """Work that recurs often and well enough to become a tool, best first.

    Whole workflows, and parts: steps that recur inside successful runs of different work. Give a signature to
    "druse crystallize".
    """

    async def work() -> list[dict[str, Any]]:
        from druse.crystal import candidates, parts
        from druse.front.base import open_base

        async with open_base(workspace_here()) as base:
            knobs = base.config.knobs
            found = await candidates(
                base.store,
                min_usage=min_usage or knobs.candidate_runs,
                min_success=knobs.candidate_success if min_success is None else min_success,
            )
            recurring = await parts(base.store, min_usage=min_usage or knobs.candidate_runs)
            return [candidate.as_dict() for candidate in (*found, *(part.candidate for part in recurring))]

    data = finish(work(), as_json=as_json)
    rows = [
        [
            row["signature"],
            str(row["kind"]),
            f"{row['success_count']}/{row['usage_count']}",
            f">= {row['success_at_least']:.0%}",
            f"{row['crystallization_priority']:.1f}",
            str(row["goal"])[:70],
        ]
        for row in data
    ]
    head = ["signature", "kind", "successes", "95 % sure", "priority", "latest goal"]
    emit({"candidates": data}, as_json=as_json, render=lambda: table(rows, head))


@click.command()
@click.argument("signature")
@click.option("--name", help="What to call the tool (a-z, 0-9, _).")
@click.option("--toolsmith", is_flag=True, help="Have the model of [model] write it instead; needs --name.")
@json_option
def crystallize(signature: str, name: str | None, toolsmith: bool, as_json: bool) -> None:
    """Make a tool of a workflow or a part: induce it, prove it by replay in the sandbox, ask for approval.

    With --toolsmith the configured model is sent some of the recorded runs and writes the program; it passes the same
    gate, on the runs it was not shown as well. Use it where induction refuses.
    """
    if toolsmith and not name:
        raise click.UsageError("--toolsmith needs --name: what to call the tool.")

    async def work() -> dict[str, Any]:
        from druse.front.application import open_application
        from druse.front.base import person

        async with open_application(workspace_here()) as application:
            if toolsmith and name:
                report = await application.making.have_written(signature, person(), name=name)
            else:
                report = await application.making.crystallize(signature, person(), name=name)
            return report.as_dict()

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: report_text(data))
    raise SystemExit(0 if data["status"] in ("proposed", "registered") else 1)


def report_text(data: dict[str, Any]) -> str:
    """A crystallization report for people."""
    disagreements = cast("list[dict[str, Any]]", data.get("disagreements") or [])
    lines = [("DISAGREEMENT: " if row["set_aside"] else "Left out: ") + row["told"] for row in disagreements]
    if data.get("source"):
        lines += [str(data["source"]).rstrip(), ""]
    if data.get("parameters"):
        rows = [[p["name"], str(p["schema"].get("type", "any")), p["origin"]] for p in data["parameters"]]
        lines += [table(rows, ["parameter", "type", "origin"]), ""]
        lines.append("Permissions: " + ", ".join(data["permissions"]))
        commands = cast("list[dict[str, Any]]", data.get("commands") or [])
        lines += [f"  {row['command']}" for row in commands]
    if data.get("verification"):
        rows = [[v["run"], str(v["calls"]), v["result"], v["detail"][:80]] for v in data["verification"]]
        lines += ["", "Each run left out once, and reproduced by what the others teach:"]
        lines.append(table(rows, ["run left out", "calls", "result", ""]))
    lines += [f"Reason: {text}" for text in data.get("reasons", [])]
    lines += [f"Ambiguity: {text}" for text in data.get("ambiguities", [])]
    lines += ["", f"{data['status']} at stage {data['stage']}: {data['message']}"]
    return "\n".join(lines)


@click.group()
def tools() -> None:
    """Learned tools and their versions."""


@tools.command("list")
@json_option
def list_tools(as_json: bool) -> None:
    """All versions of all tools."""

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base

        async with open_base(workspace_here()) as base:
            records = await base.store.tools.all()
            return {
                "tools": [
                    {
                        "name": r.name,
                        "version": r.version,
                        "status": str(r.status),
                        "reason": r.reason,
                        "runs": r.runs,
                        "made_from": [r.made_successes, r.made_runs],
                    }
                    for r in records
                ],
                "problems": list(base.shelf.problems.values()),
            }

    data = finish(work(), as_json=as_json)
    rows = [[r["name"], f"v{r['version']}", r["status"], str(r["runs"]), r["reason"]] for r in data["tools"]]

    def text() -> str:
        shown = table(rows, ["tool", "version", "status", "runs", "reason"])
        return "\n".join([shown, *(f"Problem: {p}" for p in data["problems"])])

    emit(data, as_json=as_json, render=text)


@tools.command()
@click.argument("name")
@click.option("--version", type=int, help="Which version (default: the one in service, else the newest).")
@json_option
def show(name: str, version: int | None, as_json: bool) -> None:
    """Source and manifest of a tool, and the commands it runs."""

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base

        async with open_base(workspace_here()) as base:
            number = version or await _shown_version(base, name)
            found = base.shelf.files.read(name, number)
            return {"name": name, "version": number, "source": found.source, "manifest": found.manifest}

    data = finish(work(), as_json=as_json)

    def text() -> str:
        from druse.front.review import commands_text, visible

        return "\n".join([str(data["source"]), *map(visible, commands_text(data["manifest"]))])

    emit(data, as_json=as_json, render=text)


async def _shown_version(base: Any, name: str) -> int:
    active = base.shelf.active.get(name)
    if active is not None:
        return int(active.version)
    numbers = base.shelf.files.numbers().get(name)
    if not numbers:
        raise NotFound(f"Cannot show tool {name!r}: there is none of that name. See druse tools list.")
    return int(numbers[-1])


@tools.command()
@click.argument("name")
@click.argument("old", type=int)
@click.argument("new", type=int)
@json_option
def diff(name: str, old: int, new: int, as_json: bool) -> None:
    """What differs between two versions: permissions gained first, then the code."""

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base

        async with open_base(workspace_here()) as base:
            before, after = base.shelf.files.read(name, old), base.shelf.files.read(name, new)
            had, has = _permissions(before.manifest), _permissions(after.manifest)
            lines = difflib.unified_diff(
                before.source.splitlines(), after.source.splitlines(), f"v{old}.py", f"v{new}.py", lineterm=""
            )
            return {"gained": sorted(has - had), "lost": sorted(had - has), "diff": "\n".join(lines)}

    data = finish(work(), as_json=as_json)
    emit(
        data,
        as_json=as_json,
        render=lambda: (
            f"permissions gained: {', '.join(data['gained']) or 'none'}\n{data['diff'] or 'the code is equal'}"
        ),
    )


@tools.command()
@click.argument("name")
@json_option
def improve(name: str, as_json: bool) -> None:
    """Propose the next version of a tool, made of its runs and of those it did not fit."""

    async def work() -> dict[str, Any]:
        from druse.front.application import open_application
        from druse.front.base import person

        async with open_application(workspace_here()) as application:
            return dict((await application.making.improve(name, person())).as_dict())

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: str(data["message"]))


@tools.command()
@json_option
def tend(as_json: bool) -> None:
    """Propose new versions of tools whose work goes better by now, and the retirement of unused or failing ones."""

    async def work() -> dict[str, Any]:
        from druse.front.application import open_application
        from druse.front.base import person

        async with open_application(workspace_here()) as application:
            return dict(await application.making.tend(person()))

    data = finish(work(), as_json=as_json)

    def text() -> str:
        lines = [f"{part['tool']}: {part['message']}" for part in data["improved"]]
        lines += [f"{part['title']} (druse approvals approve {part['approval_id']})" for part in data["retiring"]]
        return "\n".join(lines) or "nothing to do"

    emit(data, as_json=as_json, render=text)


@tools.command()
@click.argument("name")
@json_option
def accept(name: str, as_json: bool) -> None:
    """Accept what a tool of a server declares now, after it changed; allow rules cover it again."""

    async def work() -> None:
        from druse.front.application import open_application
        from druse.front.base import person

        async with open_application(workspace_here()) as application:
            found = (await application.specs_of([name])).get(name)
            if found is None or found.source is not Source.UPSTREAM:
                raise NotFound(f"Cannot accept {name}: no server offers it. See druse find.")
            await application.base.declarations.accept(found, person())
            application.base.shelf.files.touch()

    finish(work(), as_json=as_json)
    emit({"accepted": name}, as_json=as_json, render=lambda: f"{name}: its declaration of today is accepted")


@tools.command()
@click.argument("name")
@click.option("--reason", default="retired by a person", show_default=True)
@json_option
def retire(name: str, reason: str, as_json: bool) -> None:
    """Take a tool out of service; its files stay."""

    async def work() -> None:
        from druse.front.base import open_base, person

        async with open_base(workspace_here()) as base:
            await base.shelf.retire(name, person(), reason)

    finish(work(), as_json=as_json)
    emit({"retired": name}, as_json=as_json, render=lambda: f"{name} is out of service")


@tools.command()
@click.argument("name")
@click.argument("version", type=int)
@json_option
def rollback(name: str, version: int, as_json: bool) -> None:
    """Put an earlier version in service again."""

    async def work() -> None:
        from druse.front.base import open_base, person

        async with open_base(workspace_here()) as base:
            await base.shelf.rollback(name, version, person())

    finish(work(), as_json=as_json)
    data = {"tool": name, "version": version}
    emit(data, as_json=as_json, render=lambda: f"{name} v{version} is in service")


@tools.command("export")
@click.argument("name")
@click.option("--version", "number", type=int, help="Default: the version in service.")
@json_option
def export_tool(name: str, number: int | None, as_json: bool) -> None:
    """Print one version as one signed file: source, manifest, digests of the runs it was made from."""

    async def work() -> str:
        from druse.crystal import exported
        from druse.front.base import open_base, person
        from druse.model import digest, run_to_neutral

        async with open_base(workspace_here()) as base:
            chosen = number or await _shown_version(base, name)
            version = base.shelf.files.read(name, chosen)
            made_from = version.manifest.get("made_from")
            digests: dict[str, str] = {}
            for run_id in made_from if isinstance(made_from, list) else []:
                record = await base.store.runs.get(str(run_id))
                if record is not None:
                    digests[record.run.id] = digest(run_to_neutral(record.run))
            await base.audit.record("tool.exported", f"{name} v{chosen}", person(), {"hash": version.approval_hash})
            return exported(version, base.audit.key, digests)

    click.echo(finish(work(), as_json=as_json), nl=False)


@tools.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--public", default="", help="The public key (hexadecimal) that FILE must be signed with.")
@json_option
def import_tool(file: IO[str], public: str, as_json: bool) -> None:
    """Take in a tool that another project exported. It is not in service before you approve it."""

    async def work() -> dict[str, Any]:
        from druse.crystal import imported
        from druse.front.application import open_application
        from druse.front.base import person

        version, origin = imported(file.read(), public=public)
        async with open_application(workspace_here()) as application:
            report = await application.making.take_in(version, origin, person())
            return dict(report.as_dict())

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: str(data["message"]))
    raise SystemExit(0 if data["status"] == "proposed" else 1)


def _permissions(manifest: Any) -> set[str]:
    listed = manifest.get("permissions")
    return {str(item) for item in cast("list[Any]", listed)} if isinstance(listed, list) else set[str]()
