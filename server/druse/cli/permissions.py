"""`druse permissions`: what the rules say, and why."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import IO, Any, cast

import click

from druse.cli.output import emit, fail, json_option, workspace_here
from druse.model import DruseError, Invalid


@click.group()
def permissions() -> None:
    """Permission rules: explain a call, check many, test expectations, suggest rules."""


@permissions.command()
@click.argument("call")
@json_option
def explain(call: str, as_json: bool) -> None:
    """Say what the rules of this project decide for a CALL such as 'Bash(git push)', and which rule does."""
    from druse.governance import rules_of
    from druse.permissions import explain_call

    try:
        tool, arguments = explain_call(call)
        decision = rules_of(workspace_here()).decide(None, tool, arguments, None)
    except ValueError as error:
        fail(Invalid(f"Cannot read {call!r}: {error}.", where="CALL"), as_json=as_json)
    except DruseError as error:
        fail(error, as_json=as_json)
    data = {
        "verdict": str(decision.verdict),
        "rule": decision.rule,
        "origin": decision.origin,
        "why": decision.why,
        "how_to_allow": decision.how_to_allow,
    }

    def text() -> str:
        lines = [f"{data['verdict']}: {call}"]
        if decision.rule:
            lines.append(f"  rule   {decision.rule}")
            lines.append(f"  where  {decision.origin}")
        if decision.why:
            lines.append(f"  why    {decision.why}")
        if decision.how_to_allow:
            lines.append(f"  allow with  {decision.how_to_allow}")
        return "\n".join(lines)

    emit(data, as_json=as_json, render=text)


@permissions.command()
@click.option("--json", "as_json", is_flag=True, help="JSON lines are read and written in any case.")
def check(as_json: bool) -> None:
    """Decide calls from standard input, one JSON object a line.

    {"rules": {"allow": [], "ask": [], "deny": []}, "tool": "Bash", "args": {"command": "git status"}}

    Answers one line each: {"verdict": "allow|ask|deny", "rule": ..., "why": ...}. A line that cannot be read is denied.
    """
    del as_json
    workspace = workspace_here().root
    for line in sys.stdin:
        if line.strip():
            click.echo(json.dumps(_checked(line, workspace)))


def _checked(line: str, workspace: Path) -> dict[str, Any]:
    from druse.permissions import Policy, decide

    try:
        asked = json.loads(line)
        rules: Any = asked.get("rules") or {}
        tool: Any = asked["tool"]
        arguments: Any = asked.get("args") or {}
        if not isinstance(tool, str) or not isinstance(arguments, dict) or not isinstance(rules, dict):
            raise ValueError("`tool` must be a text, `args` and `rules` objects")
        unknown = set(cast("dict[str, Any]", rules)) - {"allow", "ask", "deny"}
        if unknown:
            raise ValueError(f"there are no rules called {', '.join(sorted(map(str, unknown)))}")
    except (ValueError, KeyError, AttributeError, RecursionError) as error:
        return {"verdict": "deny", "rule": "", "why": f"the line cannot be read: {error}"}
    root = Path(str(asked["cwd"])) if isinstance(asked.get("cwd"), str) else workspace
    usable, refused = _usable(rules, root)
    decision = decide(Policy.from_lists(usable, workspace=root, home=Path.home()), tool, cast("Any", arguments))
    why = "; ".join(part for part in (decision.why, *refused) if part)
    return {"verdict": str(decision.verdict), "rule": decision.rule, "why": why}


def _usable(rules: Any, root: Path) -> tuple[dict[str, list[str]], list[str]]:
    """The rules that can be used. A broken allow allows nothing; a broken deny or ask makes everything ask."""
    from druse.permissions import parse_rule

    usable: dict[str, list[str]] = {"allow": [], "ask": [], "deny": []}
    refused: list[str] = []
    for kind in usable:
        listed: Any = rules.get(kind) or []
        for text in cast("list[Any]", listed if isinstance(listed, list) else [listed]):
            try:
                parse_rule(str(text), "given", root, Path.home(), allows=kind == "allow")
                usable[kind].append(str(text))
            except ValueError as error:
                refused.append(f"the {kind} rule {text!r} is not used: {error}")
                if kind != "allow":
                    usable["allow"].clear()
                    usable["ask"].append("*")
    if any(rule == "*" for rule in usable["ask"]):
        usable["allow"].clear()
    return usable, refused


@permissions.command()
@click.argument("file", type=click.File("r", encoding="utf-8"))
@json_option
def test(file: IO[str], as_json: bool) -> None:
    """Compare decisions with expectations: lines as for check, with "expect": "allow|ask|deny"."""
    root = workspace_here().root
    wrong: list[dict[str, Any]] = []
    count = 0
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        count += 1
        answer = _checked(line, root)
        try:
            expected = json.loads(line).get("expect")
        except (ValueError, AttributeError):
            expected = None
        if answer["verdict"] != expected:
            wrong.append({"line": number, "expected": expected, **answer})
    data = {"checked": count, "wrong": wrong}

    def text() -> str:
        lines = [
            f"line {w['line']}: expected {w['expected']}, got {w['verdict']} ({w['rule'] or w['why']})" for w in wrong
        ]
        return "\n".join([*lines, f"{count - len(wrong)} of {count} as expected"])

    emit(data, as_json=as_json, render=text)
    raise SystemExit(1 if wrong else 0)


@permissions.command()
@click.option("--for", "client", type=click.Choice(["claude-code"]), required=True, help="Whose spelling.")
@json_option
def export(client: str, as_json: bool) -> None:
    """Print the rules in force here as the settings of a client, to paste into its file.

    For Claude Code: .claude/settings.json. FileEdit(*.md) becomes Edit(*.md), shop__get becomes mcp__shop__get. Rules
    that it cannot say are named with the reason; on standard error, unless --json.
    """
    from druse.editors.rules import exported
    from druse.settings import load_config

    try:
        policy = load_config(workspace_here()).policy
    except DruseError as error:
        fail(error, as_json=as_json)
    kinds: Any = {
        "allow": [rule.text for rule in policy.allow],
        "ask": [rule.text for rule in policy.ask],
        "deny": [rule.text for rule in policy.deny],
    }
    made = exported(kinds)
    data = {"permissions": made.rules}
    left = [{"rule": rule, "why": why} for rule, why in made.left]
    emit({"client": client, **data, "left": left}, as_json=as_json, render=lambda: json.dumps(data, indent=2))
    if not as_json:
        for rule, why in made.left:
            click.echo(f"left out: {rule}: {why}", err=True)


@permissions.command()
@json_option
def suggest(as_json: bool) -> None:
    """Print the narrowest rules that cover calls from standard input: {"tool": ..., "args": {...}} a line."""
    from druse.permissions import Policy, decide

    root = workspace_here().root
    policy = Policy.from_lists({}, workspace=root, home=Path.home())
    found: dict[str, int] = {}
    for line in sys.stdin:
        try:
            asked = json.loads(line)
            decision = decide(policy, str(asked["tool"]), asked.get("args") or {})
        except (ValueError, KeyError, AttributeError, TypeError):
            continue
        if decision.how_to_allow:
            found[decision.how_to_allow] = found.get(decision.how_to_allow, 0) + 1
    rules = sorted(found, key=lambda rule: (-found[rule], rule))
    emit({"allow": rules}, as_json=as_json, render=lambda: "\n".join(rules) or "(no rule covers these)")
