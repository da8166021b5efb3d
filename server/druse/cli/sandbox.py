"""`druse sandbox`: the sandbox by itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from druse.cli.output import emit, fail, finish, json_option, workspace_here
from druse.model import DEEPEST, Invalid, nested_deeper

if TYPE_CHECKING:
    from druse.model import JsonObject

_MAX_READ = 1024 * 1024


@click.group()
def sandbox() -> None:
    """Run code in the sandbox, and see which layers of it hold on this machine."""


@sandbox.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--args-json", default="{}", show_default=True, help="The arguments of run() as a JSON object.")
@click.option("--allow", "rules", multiple=True, metavar="RULE", help="Allow calls by this rule; none are by default.")
@click.option("--os-only", is_flag=True, help="Diagnostic: plain Python in the jail, no effect allowed.")
@json_option
def run(file: Path, args_json: str, rules: tuple[str, ...], os_only: bool, as_json: bool) -> None:
    """Run a FILE that defines run(...) through compiler, jail and broker. Exits with 0 whenever Druse itself held."""
    try:
        arguments = json.loads(args_json)
        with file.open(encoding="utf-8") as opened:
            source = opened.read(_MAX_READ)  # the compiler refuses what is longer, and a device never ends
    except (ValueError, OSError, RecursionError) as error:
        fail(Invalid(f"Cannot start: {error}.", where=str(file)), as_json=as_json)
    if not isinstance(arguments, dict):
        fail(Invalid("Cannot use --args-json: it is no JSON object.", where="--args-json"), as_json=as_json)
    if nested_deeper(cast("JsonObject", arguments)):
        problem = f"Cannot use --args-json: it is nested more than {DEEPEST} levels deep."
        fail(Invalid(problem, where="--args-json"), as_json=as_json)
    if os_only:
        click.secho("The language layer is off; only the operating system's layers hold.", err=True)
    data = finish(_run(source, arguments, rules, os_only), as_json=as_json)
    emit(data, as_json=as_json, render=lambda: json.dumps(data, indent=2, ensure_ascii=False))


async def _run(source: str, arguments: Any, rules: tuple[str, ...], os_only: bool) -> dict[str, Any]:
    from druse.localtools import LocalTools
    from druse.model import (
        CallContext,
        Caller,
        CallerKind,
        Decision,
        DruseError,
        Outcome,
        OutcomeStatus,
        ToolSpec,
        Verdict,
    )
    from druse.permissions import Policy, decide
    from druse.routing import ArgumentCheck, Registry
    from druse.runtime import EndRun, SandboxHost, ToolCallFailed

    root = workspace_here().root
    policy = Policy.from_lists({"allow": list(rules)}, workspace=root, home=Path.home())

    def decided(spec: ToolSpec, given: JsonObject, caller: Caller) -> Decision:
        return decide(policy, spec.name, given, spec=spec, caller=replace(caller, unconfined=not host.holds))

    tools = LocalTools(root, decide=decided)
    registry, checks = Registry([tools]), ArgumentCheck()
    caller = Caller(CallerKind.CODE, session="sandbox")

    async def call(tool: str, given: JsonObject) -> Any:
        denied = Outcome(OutcomeStatus.DENIED, message=f"{tool} is not allowed", kind="denied")
        if os_only or not rules:
            raise EndRun(denied)
        try:
            spec = registry.resolve(tool).spec
            checked = checks.check(spec, given)
        except DruseError as error:
            raise ToolCallFailed(str(error), kind="invalid") from error
        decision = decided(spec, checked, caller)
        if decision.verdict is not Verdict.ALLOW:
            why = decision.why or decision.rule
            raise EndRun(Outcome(OutcomeStatus.DENIED, message=f"{tool} is not allowed: {why}", kind="denied"))
        outcome = await tools.call(spec, checked, CallContext(caller, decision=decision))
        if outcome.status is OutcomeStatus.DENIED:
            raise EndRun(outcome)
        if not outcome.ok:
            raise ToolCallFailed(outcome.message, kind=outcome.kind)
        return outcome.data

    async with SandboxHost.open(ready=0) as host:
        result = await host.run(source, arguments, call=call, os_only=os_only)
    status = result.status
    error = (
        {"kind": result.error.kind, "message": result.error.message, "line": result.error.line}
        if result.error
        else None
    )
    if result.outcome is not None:
        status, error = "denied", {"kind": "denied", "message": result.outcome.message, "line": 0}
    elif status == "diverged":
        status = "error"
    if result.problems:
        error = {
            "kind": "rejected",
            "message": "; ".join(f"line {p.line}: {p.message}" for p in result.problems),
            "line": 0,
        }
    return {
        "status": status,
        "value": result.value,
        "error": error,
        "calls": result.calls,
        "printed": result.prints,
        "layers": dict(result.layers),
    }


@sandbox.command()
def language() -> None:
    """Print what tool code may use: built-in names, modules, methods by type, statements and bounds, as Markdown."""
    from druse_sandbox.reference import language_page

    click.echo(language_page(), nl=False)


@sandbox.command()
@click.option("--spawned", is_flag=True, help="Start the worker by itself, as macOS and Windows always do.")
@json_option
def status(spawned: bool, as_json: bool) -> None:
    """Try to break out of a locked worker, and report which layers are active."""
    data = finish(_status(spawned), as_json=as_json)

    def text() -> str:
        lines = [f"tier {data['tier']}"]
        lines += [f"  {name:14} {state}" for name, state in data["layers"].items()]
        lines += [f"  probe: {name:22} {state}" for name, state in data["probes"].items()]
        return "\n".join(lines)

    emit(data, as_json=as_json, render=text)
    raise SystemExit(0 if data["tier"] != "T0" else 1)


async def _status(spawned: bool) -> dict[str, Any]:
    from druse.runtime import SandboxHost

    async with SandboxHost.open(ready=0, spawned=spawned or None) as host:
        return (await host.self_test()).as_dict()
