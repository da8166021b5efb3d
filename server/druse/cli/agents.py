"""`druse agents`: what is known of the agents that work here, and what binds them."""

from __future__ import annotations

import json
from typing import Any

import click

from druse.cli.output import emit, finish, json_option, workspace_here


@click.group()
def agents() -> None:
    """The agents that work here: what they own, did and learned, and what binds them.

    What binds an agent stands in config.toml, under [agents.NAME] and [domains]; see docs/agents.md.
    """


@agents.command("list")
@json_option
def list_agents(as_json: bool) -> None:
    """The names of all agents that were here or that a rule speaks of."""
    data = finish(_asked(None), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: "\n".join(data["agents"]) or "(none)")


@agents.command()
@click.argument("agent")
@json_option
def show(agent: str, as_json: bool) -> None:
    """What agent://AGENT says."""
    data = finish(_asked(agent), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: json.dumps(data, indent=2, ensure_ascii=False))


async def _asked(agent: str | None) -> Any:
    from druse.front.agents import Agents
    from druse.front.base import open_base

    async with open_base(workspace_here()) as base:
        known = Agents(base.store, base.approvals, base.rules)
        return {"agents": await known.known()} if agent is None else await known.memory(agent)
