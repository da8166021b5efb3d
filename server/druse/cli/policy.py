"""`druse policy`: which rules and which trust level are in force, and how they come into force."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import click

from druse.cli.output import emit, finish, json_option, table, workspace_here
from druse.front.review import visible


@click.group(invoke_without_command=True)
@click.pass_context
def policy(context: click.Context) -> None:
    """The rules in force, and edits of config.toml that wait for you.

    \b
    first start     what config.toml says then is taken over (not a trust level; not allow rules of a cloned project)
    later edits     what they take away holds at once, what they add waits for: druse policy approve
    """
    if context.invoked_subcommand is None:
        context.invoke(show, as_json=False)


@policy.command()
@json_option
def show(as_json: bool) -> None:
    """What is in force, and what waits."""
    data = finish(_state(), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: visible(_text(data)))


@policy.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def approve(yes: bool, as_json: bool) -> None:
    """Put the rules of config.toml in force as they are now. Shows what they permit beyond the approved ones first."""
    data = finish(_state(), as_json=as_json)
    if not data["waiting"] and not data["narrower"]:
        emit(data, as_json=as_json, render=lambda: "Everything in config.toml is in force already.")
        return
    if not yes:
        if not sys.stdin.isatty():
            message = "Nothing was approved: there is no terminal to ask on. Use --yes to approve."
            emit({**data, "message": message}, as_json=as_json, render=lambda: message)
            raise SystemExit(1)
        click.echo(visible(_text(data)), err=as_json)
        if not click.confirm("Put this in force?", default=False, err=as_json):
            click.echo("Nothing was approved.", err=as_json)
            raise SystemExit(1)
    done = finish(_approve(data["wanted"]), as_json=as_json)
    emit(done, as_json=as_json, render=lambda: visible(_text(done)))


@policy.command()
@json_option
def history(as_json: bool) -> None:
    """Every set of rules that ever was in force, who approved it and when."""

    async def work() -> list[dict[str, Any]]:
        from druse.front.base import open_base

        async with open_base(workspace_here()) as base:
            return [
                {
                    "number": one.number,
                    "hash": one.hash,
                    "adopted_at": one.adopted_at,
                    "adopted_by": one.adopted_by,
                    "approval": one.approval,
                    "content": one.content,
                }
                for one in await base.store.policies.all()
            ]

    data = finish(work(), as_json=as_json)
    rows = [
        [
            str(one["number"]),
            datetime.fromtimestamp(one["adopted_at"], UTC).strftime("%Y-%m-%d %H:%M"),
            one["adopted_by"],
            one["approval"],
            one["hash"][:23],
        ]
        for one in data
    ]
    head = ["number", "since (UTC)", "approved by", "approval", "hash"]
    emit({"policies": data}, as_json=as_json, render=lambda: table(rows, head))


async def _state() -> dict[str, Any]:
    from druse.front.base import open_base

    async with open_base(workspace_here()) as base:
        return _described(base)


async def _approve(wanted: str) -> dict[str, Any]:
    from druse.front.base import open_base, person
    from druse.model import Invalid

    async with open_base(workspace_here()) as base:
        asked = await base.adoption.propose(person())
        # What was shown is what is approved: the file may have changed since.
        if asked.subject_hash != wanted:
            raise Invalid("Cannot approve the rules: config.toml changed while you looked at it. Look again.")
        await base.decide(asked.id, approve=True, how="cli")
        await base.adoption.ask()
        return _described(base)


def _described(base: Any) -> dict[str, Any]:
    from druse.governance import Content, losses

    rules = base.rules
    content, wanted = rules.record.content, Content.of(rules.wanted)
    block = rules.config.self_programming
    return {
        "number": rules.record.number,
        "hash": rules.hash,
        "wanted": wanted.hash,
        "trust_level": rules.trust_level,
        "trust_level_unconfirmed": block.trust_level if block.trust_level > rules.trust_level else None,
        "self_programming": {
            "enabled": block.enabled,
            "max_synthesis_per_session": block.max_synthesis_per_session,
            "max_plan_depth": block.max_plan_depth,
        },
        "rules": {
            kind: [f"{text}  ({origin})" for layer in rules.config.policy.layers for text, origin in layer.rules[kind]]
            for kind in ("deny", "ask", "allow")
        },
        "model": str(rules.config.model) if rules.config.model is not None else None,
        "oauth": str(rules.config.oauth) if rules.config.oauth is not None else None,
        "waiting": rules.waiting,
        "narrower": losses(content, wanted),
        "problem": rules.problem,
    }


def _text(data: dict[str, Any]) -> str:
    lines: list[str] = []
    if data["waiting"]:
        lines.append("An edit of config.toml waits for you; until then what was approved before governs:")
        lines += [f"  {text}" for text in data["waiting"]]
        lines.append("Put it in force with: druse policy approve")
    lines += [f"Narrower than what you approved: {text}" for text in data["narrower"]]
    if data["problem"]:
        lines.append(f"Everything asks: {data['problem']}")
    lines.append(f"In force: rules number {data['number']}, trust level {data['trust_level']}")
    if data["trust_level_unconfirmed"]:
        lines.append(
            f"  level {data['trust_level_unconfirmed']} is approved, but waits for today's confirmation: see "
            "druse approvals list"
        )
    for kind, rules in data["rules"].items():
        lines += [f"  {kind}  {rule}" for rule in rules]
    if data["model"]:
        lines.append(f"  model  {data['model']}")
    if data["oauth"]:
        lines.append(f"  oauth  {data['oauth']}")
    return "\n".join(lines)
