"""`druse skills`: Markdown skills of the project, the user, the team and the system."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from druse.cli.acts import act
from druse.cli.output import emit, finish, json_option, table, workspace_here
from druse.model import Invalid, NotFound, digest_text

if TYPE_CHECKING:
    from druse.skills.exchange import Incoming

_CATEGORIES = ("coding", "analysis", "writing", "data")


@click.group()
def skills() -> None:
    """Markdown skills: list, show, write, check, promote, take in and give out.

    Skills are folders with a SKILL.md in the Agent Skills format. Druse reads the project's skills/ folder, then the
    user's, the team's and the system volume (druse volumes), then those it ships with; the nearest of one name wins.
    """


@skills.command("list")
@click.option("--all", "everything", is_flag=True, help="Also drafts, retired and unapproved ones.")
@json_option
def list_skills(everything: bool, as_json: bool) -> None:
    """Every skill in service, with what is broken and why; what each was offered, used and helped."""

    async def work() -> list[dict[str, Any]]:
        from druse.front.base import open_base

        async with open_base(workspace_here()) as base:
            library = base.skills.library
            found = library.every() if everything else library.all()
            await base.store.skills.seen([f"{s.origin}/{s.name}" for s in found], now=base.skills.now())
            counts = await base.store.skills.counts()
            return [row_of(skill, counts.get(f"{skill.origin}/{skill.name}")) for skill in found]

    data = finish(work(), as_json=as_json)
    rows = [
        [
            *(row["name"], row["origin"], row["status"], f"{row['offered']}/{row['used']}/{row['helped']}"),
            (row["problem"] or row["description"])[:80],
        ]
        for row in data
    ]
    head = ["skill", "from", "status", "offered/used/helped", "description"]
    emit({"skills": data}, as_json=as_json, render=lambda: table(rows, head))


def row_of(skill: Any, count: Any) -> dict[str, Any]:
    """One skill for people and machines."""
    document = skill.document
    return {
        "name": skill.name,
        "origin": skill.origin,
        "uri": skill.uri,
        "status": skill.status,
        "description": skill.description,
        "category": document.category if document else "",
        "flags": list(document.flags) if document else [],
        "shadows": list(skill.shadows),
        "problem": skill.problem,
        "made_at": count.made_at if count else None,
        "offered": count.offered if count else 0,
        "used": count.used if count else 0,
        "helped": count.helped if count else 0,
        "last_used_at": count.last_used_at if count else None,
    }


@skills.command()
@click.argument("query")
@click.option("--limit", default=5, show_default=True, type=click.IntRange(1, 100), help="At most so many.")
@click.option(
    "--embeddings/--words", default=None, help="By meaning as well, or by words only (default: as configured)."
)
@json_option
def find(query: str, limit: int, embeddings: bool | None, as_json: bool) -> None:
    """The skills in service that fit a query, best first: by whole words of name, description, keywords and body.

    With `skill_embeddings = true` under [settings], or --embeddings, their meaning counts as well.
    """

    async def work() -> list[dict[str, Any]]:
        from druse.front.base import open_base
        from druse.skills import SkillFinder

        async with open_base(workspace_here()) as base:
            finder = base.skills.finder if embeddings is None else SkillFinder(meaning=lambda: embeddings is True)
            found = finder.find(base.skills.library.all(), query, limit=limit)
            return [
                {"name": s.name, "uri": s.uri, "score": round(score, 4), "description": s.description}
                for s, score in found
            ]

    data = finish(work(), as_json=as_json)
    rows = [[row["name"], f"{row['score']:.2f}", row["description"][:90]] for row in data]
    emit({"skills": data}, as_json=as_json, render=lambda: table(rows, ["skill", "score", "description"]))


@skills.command()
@click.argument("name")
@click.option("--at", "revision", default="", help="A commit of its volume, to see an older text.")
@json_option
def show(name: str, revision: str, as_json: bool) -> None:
    """The text of a skill: NAME, or ORIGIN/NAME (project, user, team, system, druse); also drafts."""

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base

        async with open_base(workspace_here()) as base:
            library = base.skills.library
            origin, _, short = name.rpartition("/")
            found = [s for s in library.every() if s.name == short and origin in ("", s.origin)]
            skill = found[0] if found else library.load(name)
            text = skill.raw or skill.text
            if revision:
                if skill.ref is None:
                    raise Invalid(f"Cannot show {name} at {revision}: it lies in no volume. Ask the project's git.")
                volumes = base.skills.volumes
                text = volumes.open(skill.ref).read_skill(skill.name, volumes.me(), revision=revision)
            return {**row_of(skill, None), "text": text}

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: str(data["text"]))


@skills.command()
@click.argument("name")
@click.option("--description", required=True, help="What it is for and when to use it, in one line.")
@click.option("--template", "category", type=click.Choice(_CATEGORIES), default="coding", show_default=True)
@click.option("--keywords", default="", help="Words to find it by, with blanks between.")
@click.option("--file", "source", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The body.")
@click.option("--project", "in_project", is_flag=True, help="Into this project's skills/ folder.")
@click.option("--volume", metavar="KIND:ID", help="Into this volume (default: your own).")
@json_option
def new(
    name: str,
    description: str,
    category: str,
    keywords: str,
    source: Path | None,
    in_project: bool,
    volume: str | None,
    as_json: bool,
) -> None:
    """Write a new skill from a template, valid at once: in your volume as one commit, or in the project's folder."""

    async def work() -> dict[str, Any]:
        from dataclasses import replace

        from druse.front.base import open_base
        from druse.skills import VolumeRef, check_skill_id, new_skill, render

        document = new_skill(check_skill_id(name), description, category, keywords)
        if source is not None:
            document = replace(document, body=await asyncio.to_thread(source.read_text, "utf-8"))
        async with open_base(workspace_here()) as base:
            if in_project:
                path = base.workspace.skills / name / "SKILL.md"
                text = render(document)
                if path.exists():
                    raise Invalid(f"Cannot write {path}: it is there already. Edit it.", where=str(path))
                async with act(base, "skills new", skill=name, text=digest_text(text)):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text, encoding="utf-8")
                return {"status": "created", "path": str(path), "skill": name}
            desk = base.skills
            ref = VolumeRef.parse(volume) if volume else desk.volumes.layers()[0]
            text = digest_text(render(document))
            async with act(base, "skills new", volume=str(ref), skill=name, text=text) as told:
                written = await desk.write(document, desk.volumes.me(), ref=ref)
                told["commit"] = written.commit
            return {**written.as_dict(), "path": str(desk.volumes.open(ref).root / "skills" / name / "SKILL.md")}

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: f"{data['status']}: {data['path']}")


@skills.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@json_option
def validate(paths: tuple[Path, ...], as_json: bool) -> None:
    """Check SKILL.md files or folders (default: every skill in sight) against the Agent Skills format."""

    async def work() -> list[dict[str, Any]]:
        from druse.front.base import open_base
        from druse.skills import check_path_of

        if paths:
            return [dict(row) for path in paths for row in check_path_of(path)]
        async with open_base(workspace_here()) as base:
            return [
                {"skill": skill.uri, "valid": not skill.problem, "problem": skill.problem, "strict": _strict(skill)}
                for skill in base.skills.library.every()
            ]

    data = finish(work(), as_json=as_json)
    rows = [[row["skill"], "valid" if row["valid"] else "INVALID", row["problem"]] for row in data]
    emit({"skills": data}, as_json=as_json, render=lambda: table(rows, ["skill", "", "problem"]))
    raise SystemExit(0 if all(row["valid"] for row in data) else 1)


def _strict(skill: Any) -> bool:
    return bool(skill.document and skill.document.strict)


@skills.command()
@click.argument("name")
@click.option("--to", "target", metavar="KIND:ID", help="Where to (default: one layer up).")
@click.option("--from", "source", metavar="KIND:ID", help="Where from (default: your volume).")
@click.option("--reason", default="Useful for team", show_default=True)
@json_option
def promote(name: str, target: str | None, source: str | None, reason: str, as_json: bool) -> None:
    """Propose a skill for the team, or a team's for everybody.

    Makes a branch in the farther volume and an approval; approving it (druse approvals) merges the branch.
    """

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base, person
        from druse.skills import VolumeRef

        async with open_base(workspace_here()) as base:
            written = await base.skills.promote(
                name,
                base.skills.volumes.me(),
                person(),
                source=VolumeRef.parse(source) if source else None,
                target=VolumeRef.parse(target) if target else None,
                reason=reason,
            )
            return dict(written.as_dict())

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: f"{data['status']}: {data.get('message', '')}")


@skills.command()
@click.argument("name")
@click.option("--volume", metavar="KIND:ID", help="In which volume (default: your own).")
@click.option("--reason", default="retired by a person", show_default=True)
@json_option
def retire(name: str, volume: str | None, reason: str, as_json: bool) -> None:
    """Take a skill out of service; its text stays in the history and is listed with --all."""

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base
        from druse.skills import VolumeRef

        async with open_base(workspace_here()) as base:
            desk = base.skills
            ref = VolumeRef.parse(volume) if volume else desk.volumes.layers()[0]
            async with act(base, "skills retire", volume=str(ref), skill=name, reason=reason[:300]) as told:
                done = await desk.retire(name, ref, desk.volumes.me(), reason)
                told["commit"] = done.commit
            return dict(done.as_dict())

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: f"{data['skill']} is {data['status']}")


@skills.command("export")
@click.argument("names", nargs=-1)
@click.option("--to", "target", default="claude", show_default=True, help="claude, agents, or a folder.")
@click.option("--replace", is_flag=True, help="Overwrite another text that stands there.")
@json_option
def export_skills(names: tuple[str, ...], target: str, replace: bool, as_json: bool) -> None:
    """Write skills (default: all in service) where other agents look: .claude/skills, .agents/skills or a folder."""

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base
        from druse.skills import TARGETS, export

        async with open_base(workspace_here()) as base:
            library = base.skills.library
            root = base.workspace.root / TARGETS[target] if target in TARGETS else Path(target)
            chosen = [library.load(name) for name in names] or [skill for skill in library.all() if skill.usable]
            named = ", ".join(skill.name for skill in chosen)[:1000]
            async with act(base, "skills export", skills=named, to=str(root)) as told:
                changed = [
                    path
                    for skill in chosen
                    for path in export(library.files_of(skill), root / skill.name, replace=replace)
                ]
                told["files"] = len(changed)
            return {"skills": [skill.name for skill in chosen], "changed": changed, "folder": str(root)}

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: "\n".join(data["changed"]) or "everything is there already")


@skills.command("import")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--server", help="Take the skills that this server of mcp.json offers, instead of a folder's.")
@click.option("--only", "names", multiple=True, metavar="SKILL", help="Only this skill of the server (repeatable).")
@click.option("--list", "listing", is_flag=True, help="Only say which skills the server offers; fetch none.")
@json_option
def import_skills(
    folder: Path | None, server: str | None, names: tuple[str, ...], listing: bool, as_json: bool
) -> None:
    """Take in skills of a FOLDER, or of a server (--server), each as a draft that waits for approval.

    A folder may hold skills, agents or rules (Claude, Cursor, llmos). Each gets valid front matter; unknown keys are
    kept under metadata. Of a server's skill every file must have the size, digest and front matter that the server
    listed; its allowed-tools are left out. The report says what was skipped and why. Importing the same again changes
    nothing, and no skill of another origin is replaced.
    """
    if (folder is None) == (server is None):
        raise click.UsageError("Name a FOLDER or --server NAME.")
    if folder is not None and (names or listing):
        raise click.UsageError("--only and --list go with --server.")

    async def work() -> list[dict[str, Any]]:
        from druse.front.base import open_base, person
        from druse.skills import incoming

        if server is not None:
            rows, found = await _of_server(server, names, listing=listing)
        else:
            assert folder is not None
            rows, found = [], await asyncio.to_thread(incoming, folder)
        if found:
            source = ", ".join(item.source for item in found)[:1000]
            async with open_base(workspace_here()) as base, act(base, "skills import", source=source) as told:
                rows += [dict(row) for row in await base.skills.take_in(found, base.skills.volumes.me(), person())]
                told["files"] = len(rows)
        return rows

    data = finish(work(), as_json=as_json)
    rows = [[row["source"], row["status"], row.get("skill", ""), row.get("reason", "")] for row in data]
    emit({"imported": data}, as_json=as_json, render=lambda: table(rows, ["source", "status", "skill", "reason"]))


async def _of_server(
    server: str, names: tuple[str, ...], *, listing: bool
) -> tuple[list[dict[str, Any]], list[Incoming]]:
    """Rows of what a server offers (`listing`), or its skills fetched. Raises NotFound, UpstreamFailure."""
    from druse.skills import fetch, list_offered
    from druse.upstream import Upstreams, server_named
    from druse.upstream.login import signing

    workspace = workspace_here()
    entry = server_named(workspace, os.environ, server, what="import from")
    logs, sign = workspace.state / "logs", signing(workspace.keys)
    async with Upstreams.open([entry], logs=logs, sign=sign) as upstreams:
        ask = partial(upstreams.request, server)
        offered = await list_offered(ask)
        unknown = sorted(set(names) - {skill.name for skill in offered})
        if unknown:
            there = ", ".join(skill.name for skill in offered) or "none"
            raise NotFound(f"{server} offers no skill {', '.join(unknown)}. It offers: {there}.")
        chosen = [skill for skill in offered if not names or skill.name in names]
        if listing:
            rows = [
                {"source": s.uri, "status": "offered", "skill": s.name, "reason": s.problem or s.description}
                for s in chosen
            ]
            return rows, []
        return [], [await fetch(ask, server, skill) for skill in chosen]


@skills.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--to", "target", type=click.Path(path_type=Path), help="Write NAME/SKILL.md into this folder.")
@json_option
def convert(path: Path, target: Path | None, as_json: bool) -> None:
    """Turn any Markdown (an agent, a rule, the seed's form) into a strict SKILL.md; printed unless --to is given."""

    async def work() -> dict[str, Any]:
        from druse.skills import adapt, export, render

        fallback = path.parent.name if path.name == "SKILL.md" else path.stem
        document = adapt(await asyncio.to_thread(path.read_text, "utf-8"), fallback=fallback, where=str(path))
        text = render(document)
        written = export({"SKILL.md": text.encode()}, target / document.name, replace=False) if target else []
        return {"name": document.name, "text": text, "written": written}

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: "\n".join(data["written"]) or str(data["text"]))
