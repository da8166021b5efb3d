"""`druse memory`: what this project's sessions taught."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import click

from druse.cli.acts import act
from druse.cli.output import emit, finish, json_option, table, workspace_here
from druse.model import digest_text

_TYPES = ("decision", "pattern", "correction", "architecture")


@click.group()
def memory() -> None:
    """Project memory: list, search, add, forget, promote, and the context an agent gets.

    Memories belong to a project: to its git remote (any spelling, any clone or worktree), else to its folder.
    """


@memory.command("list")
@click.option("--type", "memory_type", type=click.Choice(_TYPES), help="Only of this type.")
@click.option("--limit", default=50, show_default=True)
@click.option("--expired", is_flag=True, help="Also what has expired.")
@json_option
def list_memories(memory_type: str | None, limit: int, expired: bool, as_json: bool) -> None:
    """What is remembered, most relevant first, each with its source."""

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base

        async with open_base(workspace_here()) as base:
            found = await base.notebook.list(memory_type=memory_type or "", limit=limit, expired=expired)
            rows = [
                {**asdict(m), "sources": [asdict(s) for s in await base.store.memories.sources(m.id)]} for m in found
            ]
            return {"project_hash": base.notebook.project, "memories": rows}

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: _text(data["memories"]))


@memory.command()
@click.argument("query")
@click.option("--events", is_flag=True, help="Search goals, user turns, calls and results instead of memories.")
@click.option("--limit", default=10, show_default=True)
@json_option
def search(query: str, events: bool, limit: int, as_json: bool) -> None:
    """Full-text search; any text is a query."""

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base

        async with open_base(workspace_here()) as base:
            if events:
                return {"events": [asdict(event) for event in await base.notebook.events(query, limit=limit)]}
            return {"memories": [asdict(m) for m in await base.notebook.search(query, limit=limit)]}

    data = finish(work(), as_json=as_json)

    def text() -> str:
        if not events:
            return _text(data["memories"])
        rows = [[e["run_id"], str(e["position"]), e["kind"], e["text"][:90]] for e in data["events"]]
        return table(rows, ["run", "step", "kind", "text"])

    emit(data, as_json=as_json, render=text)


@memory.command()
@click.argument("memory_type", type=click.Choice(_TYPES))
@click.argument("content")
@click.option("--source", default="cli", show_default=True, help="The session it comes from.")
@click.option("--days", type=float, help="Forget it after so many days (default: never).")
@click.option("--supersedes", type=int, metavar="ID", help="Let this older memory expire.")
@json_option
def add(memory_type: str, content: str, source: str, days: float | None, supersedes: int | None, as_json: bool) -> None:
    """Remember something."""

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base, person

        async with open_base(workspace_here()) as base:
            expires = time.time() + days * 86400 if days else None
            made = await base.notebook.add(
                *(memory_type, content),
                source=source,
                expires_at=expires,
                supersedes=supersedes,
                caller=person(),
            )
            return asdict(made)

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: f"memory {data['id']} is kept")


@memory.command()
@click.argument("memory_id", type=int)
@json_option
def forget(memory_id: int, as_json: bool) -> None:
    """Let a memory expire now."""

    async def work() -> None:
        from druse.front.base import open_base, person

        async with open_base(workspace_here()) as base:
            await base.notebook.forget(memory_id, person())

    finish(work(), as_json=as_json)
    emit({"expired": memory_id}, as_json=as_json, render=lambda: f"memory {memory_id} has expired")


@memory.command()
@click.option("--write", is_flag=True, help="Also put it into your volume, as the historian does.")
@json_option
def view(write: bool, as_json: bool) -> None:
    """The project's memory as Markdown. It is made from the store each time: edits of the file are overwritten."""

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base
        from druse.memory import rendered
        from druse.skills import memory_view

        async with open_base(workspace_here()) as base:
            text = rendered(await base.notebook.list(limit=1000), base.notebook.project)
            if not write:
                return {"text": text, "path": ""}
            async with act(base, "memory view", text=digest_text(text)):
                return {"text": text, "path": await memory_view(base.skills, text, base.notebook.project)}

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: str(data["text"]))


@memory.command()
@json_option
def promote(as_json: bool) -> None:
    """Let the historian read the runs that ended since it last did."""

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base, person

        async with open_base(workspace_here()) as base:
            return asdict(await base.notebook.remember(person()))

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: f"{data['memories']} memories of {data['runs']} runs")


@memory.command()
@click.argument("query", default="")
@click.option("--tokens", default=2000, show_default=True, help="At most so many (four characters each).")
@json_option
def context(query: str, tokens: int, as_json: bool) -> None:
    """What an agent is given: memory markers and the skills that fit best, within a budget."""

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base
        from druse.front.context import build_context

        async with open_base(workspace_here()) as base:
            desk = base.skills
            made = await build_context(base.notebook, desk.library.all(), query, tokens=tokens, finder=desk.finder)
            return made.as_dict()

    data = finish(work(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: str(data["context"]))


def _text(memories: list[dict[str, Any]]) -> str:
    rows = [
        [str(m["id"]), m["memory_type"], f"{m['relevance_score']:.2f}", m["source_session_id"], m["content"][:80]]
        for m in memories
    ]
    return table(rows, ["id", "type", "score", "source", "content"])
