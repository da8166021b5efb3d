"""`druse init`, `status`, `stats`: the project at a glance."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from druse.cli.output import emit, finish, json_option, table, workspace_here
from druse.model import visible

if TYPE_CHECKING:
    from druse.editors.rules import Kind, Proposal

_LISTED = 10  # lines of a kind in `status`, which is read at a glance
_STALE_SECONDS = 30 * 86400.0  # since a tool was last proved against recorded runs
_CONFIG = """\
# Rules of this project; the user's own file is ~/.config/druse/config.toml. deny > ask > allow; unknown = ask.
[permissions]
allow = []
ask = []
deny = []

[self_programming]
enabled = true
trust_level = 0
max_synthesis_per_session = 10
max_plan_depth = 5
"""


@click.command()
@click.option("--allow", "allowed", multiple=True, metavar="RULE", help="An allow rule for the new config.toml.")
@click.option("--ask", "asked", multiple=True, metavar="RULE", help="An ask rule for it.")
@click.option("--deny", "denied", multiple=True, metavar="RULE", help="A deny rule for it.")
@click.option(
    "--client-rules/--no-client-rules",
    default=None,
    help="Take over the rules that Claude Code has here. Without either: ask, or only show them.",
)
@json_option
def init(
    allowed: tuple[str, ...],
    asked: tuple[str, ...],
    denied: tuple[str, ...],
    client_rules: bool | None,
    as_json: bool,
) -> None:
    """Make .druse/config.toml and mcp.json in this folder, where they are missing, and say how clients start Druse.

    Rules that you have in Claude Code are proposed in Druse's spelling (Edit(*.md) is FileEdit(*.md)).

    The rules of a new config.toml are in force at once: you wrote them. Allow rules and trust levels that came with a
    project you cloned wait for "druse policy approve".
    """
    from druse.editors.machine import Machine, serve_arguments
    from druse.editors.rules import proposed

    workspace = workspace_here()
    made: list[str] = []
    new_config = not workspace.config.exists()
    workspace.state.mkdir(mode=0o700, exist_ok=True)
    proposal = proposed(Machine.here(), workspace.root)
    if new_config and client_rules is None and proposal and not as_json and sys.stdin.isatty():
        click.echo(_proposal_text(proposal))
        client_rules = click.confirm("Take these rules over?", default=True)
    config = _CONFIG
    given: list[tuple[Kind, tuple[str, ...]]] = [("allow", allowed), ("ask", asked), ("deny", denied)]
    for kind, rules in given:
        more = proposal.rules[kind] if client_rules else []
        listed = [*rules, *(rule for rule in more if rule not in rules)]
        config = config.replace(f"{kind} = []", f"{kind} = {_listed(listed)}")
    for path, content in (
        (workspace.config, config),
        (workspace.state / ".gitignore", "*\n!.gitignore\n!config.toml\n"),
        (workspace.servers, '{\n  "mcpServers": {}\n}\n'),
    ):
        if not path.exists():
            path.write_text(content, encoding="utf-8")
            made.append(str(path))
    waiting = finish(_adopted(new=new_config), as_json=as_json)
    command = serve_arguments()
    client = {"mcpServers": {"druse": {"command": command[0], "args": command[1:]}}}
    taken = bool(client_rules and new_config)
    data = {
        "root": str(workspace.root),
        "made": made,
        "rules_waiting": waiting,
        "client_config": client,
        "client_rules": {
            "taken": taken,
            **proposal.rules,
            "left": [{"rule": rule, "why": why} for rule, why in proposal.left],
        },
    }

    def text() -> str:
        lines = [f"made {path}" for path in made] or ["everything is there already"]
        if waiting:
            lines.append("These are not in force until you run druse policy approve:")
            lines += [f"  {rule}" for rule in waiting]
        if taken:
            lines.append("took over the rules of Claude Code; those left out are in druse init --json")
        elif proposal and not sys.stdin.isatty():
            lines += ["", _proposal_text(proposal)]
            lines.append("Take them into a new config.toml with --client-rules, or copy what you want.")
        lines += ["", "Put your other MCP servers into mcp.json, and Druse alone into your client:"]
        lines.append('"druse install CLIENT" does it; by hand it is')
        return "\n".join([*lines, json.dumps(client, indent=2)])

    emit(data, as_json=as_json, render=text)


def _listed(rules: list[str]) -> str:
    """The rules as a TOML list, one a line where there are several."""
    if len(rules) < 2:
        return json.dumps(rules, ensure_ascii=False)
    return "[\n" + "".join(f"    {json.dumps(rule, ensure_ascii=False)},\n" for rule in rules) + "]"


def _proposal_text(proposal: Proposal) -> str:
    lines = ["Rules that Claude Code has here, in Druse's spelling:"]
    lines += [f"  {kind:5} {rule}" for kind, rules in proposal.rules.items() for rule in rules]
    lines += [f"  left out: {rule}: {why}" for rule, why in proposal.left]
    return "\n".join(lines)


async def _adopted(*, new: bool) -> list[str]:
    """Put the rules of a new configuration in force; what still waits."""
    from druse.front.base import open_base, person

    async with open_base(workspace_here()) as base:
        if new and base.rules.waiting:
            asked = await base.adoption.propose(person("init"))
            await base.decide(asked.id, approve=True, how="init")
        return list(base.rules.waiting)


@click.command()
@click.option("--connect", is_flag=True, help="Connect every server of mcp.json to see whether it answers.")
@json_option
def status(connect: bool, as_json: bool) -> None:
    """Tools, runs, candidates, pending approvals, servers, and anything that is wrong."""
    emit_data = finish(_status(connect), as_json=as_json)
    emit(emit_data, as_json=as_json, render=lambda: _status_text(emit_data))


async def _status(connect: bool) -> dict[str, Any]:
    from druse.front.application import open_application
    from druse.front.overview import overview
    from druse.front.pinned import told

    async with open_application(workspace_here()) as application:
        base = application.base
        problems = list((await application.upstreams.connect()).values()) if connect else []
        problems += [part["problem"] for part in application.upstreams.status() if part["problem"] and not connect]
        problems += [*base.shelf.problems.values(), *application.upstreams.unusable.values()]
        if base.rules.problem:
            problems.append(base.rules.problem)
        sessions = await told(base.store, base.shelf, base.skills.library)
        return {
            **await overview(base),
            "servers": application.upstreams.status(),
            "sessions_behind": [row for row in sessions if row["behind"]],
            "problems": problems,
        }


def _status_text(data: dict[str, Any]) -> str:
    lines = [f"Workspace {data['workspace']}"]
    if data["trust_level"] == 4:
        lines.append("TRUST LEVEL 4: tools of its own making come into service without anybody's approval")
    elif data["trust_level"]:
        lines.append(f"Trust level {data['trust_level']}")
    if data["rules_waiting"]:
        lines.append("An edit of config.toml is not in force. Read it with druse policy, then: druse policy approve")
        lines += [f"  {text}" for text in data["rules_waiting"]]
    totals = data["totals"]
    used = sorted(data["tools"], key=lambda tool: -int(tool["runs"]))
    tools = ", ".join(f"{tool['name']} v{tool['version']}" for tool in used[:_LISTED]) or "none"
    if len(used) > _LISTED:
        tools = f"{len(used):,}, used most: {tools} (all: druse tools list)"
    lines.append(f"Learned tools: {tools}")
    lines.append(
        f"  {totals['tool_runs']:,} runs, {totals['tool_failures']:,} failed, {totals['divergences']:,} stopped at a "
        f"guard, {totals['round_trips_saved']:,} round trips saved"
    )
    lately = ", ".join(f"{day['day'][5:]} {day['round_trips_saved']:,}" for day in data["savings"][-7:])
    if lately:
        lines.append(f"  saved by day (UTC): {lately}")
    lines += [f"Session {row['session']} goes on with {', '.join(row['behind'])}" for row in data["sessions_behind"]]
    runs = ", ".join(f"{count:,} {name}" for name, count in sorted(data["runs"].items()))
    lines.append(f"Runs: {totals['runs']:,}" + (f" ({runs})" if runs else ""))
    unfinished = data["runs"].get("unfinished", 0)
    if unfinished:
        lines.append(
            f"  {unfinished:,} ended without report_outcome; a person can say how: druse traces mark RUN --success"
        )
    lines += _some(
        [
            f"Candidate {row['signature']}: {_line(row['goal']) or '(no goal)'} ({row['usage_count']:,} runs)"
            for row in data["candidates"]
        ],
        "candidates: druse candidates",
    )
    lines += _some(
        [f"Waits for you: {row['id']}  {_line(row['title'])}" for row in data["approvals"]],
        "wait for you: druse approvals list",
    )
    for server in data["servers"]:
        state = "connected" if server["connected"] else "not connected yet"
        lines.append(f"Server {server['server']}: {state}, {server['tools']} tools")
    lines += [f"Notice: {text}" for text in data["notices"]]
    lines += [f"Problem: {text}" for text in data["problems"]]
    return visible("\n".join(lines))


def _line(text: str) -> str:
    """A text that others chose, in one line and cut."""
    one = visible(" ".join(text.split()))
    return one if len(one) <= 90 else f"{one[:89]}…"


def _some(lines: list[str], more: str) -> list[str]:
    """The first lines, and how many there are of them all."""
    left = len(lines) - _LISTED
    return lines if left <= 0 else [*lines[:_LISTED], f"  and {left:,} more {more}"]


@click.command()
@click.option(
    "--making-cost",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    metavar="USD",
    help="What making one tool cost; making one from recorded runs uses no model.",
)
@click.option("--by-day", is_flag=True, help="How the work of each day (UTC) was done, and the requests it took.")
@click.option("--days", type=click.IntRange(1, 3660), default=30, show_default=True, help="With --by-day: how many.")
@json_option
def stats(making_cost: float, by_day: bool, days: int, as_json: bool) -> None:
    """What each mode and each learned tool did and saved, measured; what no host reported stays unknown.

    A request is one call that an agent makes: of dispatch_goal, of a tool, of run_code. What a learned tool or a
    script calls inside is none.
    """
    if by_day:
        from druse.cli.days import days_table, last_days

        told = finish(last_days(days), as_json=as_json)
        emit(told, as_json=as_json, render=lambda: days_table(told["days"]))
        return
    data = finish(_stats(making_cost), as_json=as_json)

    def text() -> str:
        modes = [
            [part["mode"], str(part["runs"]), str(part["successes"]), _money(part["cost"]), _time(part["wall_ms"])]
            for part in data["modes"]
        ]
        tools = [
            [
                f"{row['tool']} v{row['version']}",
                str(row["status"]),
                str(row["runs"]),
                str(row["failures"]),
                str(row["divergences"]),
                str(row["round_trips_saved"]),
                _time(row["mean_wall_ms"]),
                _money(row["saved"]),
                str(row["break_even_run"] or "unknown"),
                "yes" if row["stale"] else "",
            ]
            for row in data["tools"]
        ]
        head = [
            "tool",
            "status",
            "runs",
            "failures",
            "diverged",
            "trips saved",
            "mean wall",
            "saved",
            "even at",
            "stale",
        ]
        return "\n\n".join([table(modes, ["mode", "runs", "successes", "median cost", "in tools"]), table(tools, head)])

    emit(data, as_json=as_json, render=text)


def _money(value: float | None) -> str:
    return "unknown" if value is None else f"${value:.2f}"


def _time(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f} ms"


async def _stats(making_cost: float) -> dict[str, Any]:
    import time
    from dataclasses import asdict

    from druse.crystal import median_cost, savings
    from druse.front.base import open_base

    async with open_base(workspace_here()) as base:
        rows: list[dict[str, Any]] = []
        for record in await base.store.tools.all():
            version = base.shelf.active.get(record.name)
            manifest: Any = version.manifest if version and version.version == record.version else {}
            baseline = median_cost(await base.store.runs.costs([str(run) for run in manifest.get("made_from", [])]))
            saved = savings(baseline, record.runs, making_cost) if baseline is not None else None
            rows.append(
                {
                    "tool": record.name,
                    "version": record.version,
                    "status": str(record.status),
                    "made_from": [record.made_successes, record.made_runs],
                    "runs": record.runs,
                    "failures": record.failures,
                    "divergences": record.divergences,
                    "round_trips_saved": record.steps_saved,
                    "mean_wall_ms": record.wall_ms / record.runs if record.runs else None,
                    "baseline_cost": baseline,
                    "saved": saved.gross if saved else None,
                    "saved_net": saved.net if saved else None,
                    "break_even_run": saved.break_even_run if saved else None,
                    "tokens_even_run": manifest.get("economics", {}).get("break_even_run"),
                    "last_used_at": record.last_used_at,
                    "last_verified_at": record.last_verified_at,
                    "stale": time.time() - (record.last_verified_at or 0.0) > _STALE_SECONDS,
                }
            )
        return {"modes": [asdict(part) for part in await base.store.runs.modes()], "tools": rows}
