"""`druse doctor`: what could keep Druse from working here, each finding with what to do about it."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import re
import shutil
import stat
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from druse import __version__
from druse.cli.output import emit, finish, json_option, workspace_here
from druse.editors.inspection import Finding
from druse.model import DruseError, Json, JsonObject, StoreDamaged
from druse.settings import Workspace

if TYPE_CHECKING:
    from druse.editors import Client

_HANDSHAKE_SECONDS = 30.0
_SLOW_SECONDS = 5.0
# What all known clients accept as the name of a tool.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@click.command()
@click.option(
    "--client", "name", metavar="CLIENT", help="Look at this client alone, and let it say itself what it sees."
)
@click.option("--no-start", is_flag=True, help="Leave out the start of a server in a second process.")
@json_option
def doctor(name: str | None, no_start: bool, as_json: bool) -> None:
    """Look at interpreter, configuration, state, servers, clients, sandbox and start, as a client would.

    With [oauth] in config.toml: whether the issuers named there show their keys.

    Of a client that has Druse: whether what it starts is there, secrets in its file, settings it ignores, approvals
    and trust it waits for, and servers that it reaches past Druse.

    Exits with 1 if anything does not work; warnings alone exit with 0.
    """
    findings: list[Finding] = finish(_examine(start=not no_start, client=name), as_json=as_json)
    data = {
        "ok": all(finding.status != "problem" for finding in findings),
        "findings": [asdict(finding) for finding in findings],
    }

    def text() -> str:
        marks = {"ok": "ok      ", "warning": "warning ", "problem": "PROBLEM "}
        lines: list[str] = []
        for finding in findings:
            lines.append(f"{marks[finding.status]} {finding.check:12} {finding.detail}")
            if finding.do and finding.status != "ok":
                lines.append(f"{'':21} {finding.do}")
        return "\n".join(lines)

    emit(data, as_json=as_json, render=text)
    raise SystemExit(0 if data["ok"] else 1)


async def _examine(*, start: bool, client: str | None) -> list[Finding]:
    workspace = workspace_here()
    if client is not None:
        return await _one_client(workspace, client, start=start)
    checks: list[tuple[str, Callable[[Workspace], Awaitable[list[Finding]]]]] = [
        ("interpreter", _interpreter),
        ("config", _config),
        ("oauth", _oauth),
        ("state", _state),
        ("servers", _servers),
        ("clients", _clients),
        ("sandbox", _sandbox),
    ]
    if start:
        checks.append(("start", _start))
    found: list[Finding] = []
    for name, check in checks:
        try:
            found += await check(workspace)
        except DruseError as error:
            found.append(Finding(name, "problem", str(error), "Correct what the message names."))
        except OSError as error:
            found.append(Finding(name, "problem", str(error), "Check the file and its permissions."))
    return found


async def _interpreter(_: Workspace) -> list[Finding]:
    place = f"Druse {__version__}, Python {platform.python_version()} at {sys.executable}"
    if not Path(sys.executable).is_absolute():
        return [Finding("interpreter", "warning", place, "Start Druse with an absolute path in the client's settings.")]
    return [Finding("interpreter", "ok", place)]


async def _config(workspace: Workspace) -> list[Finding]:
    from druse.settings import load_config

    config = load_config(workspace)
    policy = config.policy
    counts = f"{len(policy.allow)} allow, {len(policy.ask)} ask, {len(policy.deny)} deny"
    where = str(workspace.config) if workspace.config.exists() else "no config.toml: every call is asked for"
    found = [Finding("config", "ok", f"{counts} ({where})")]
    if any(rule.tool == "Bash" and rule.bare for rule in policy.allow):
        told = "the rule Bash allows every command, so an agent has your account"
        found.append(Finding("config", "warning", told, "Name the programs instead, for example Bash(git:*)."))
    return found


async def _oauth(workspace: Workspace) -> list[Finding]:
    from druse.settings import load_config

    oauth = load_config(workspace).oauth
    if oauth is None:
        return []
    from druse.web.issuers import IssuerKeys, KeysMissing

    found: list[Finding] = []
    for issuer in oauth.issuers:
        try:
            keys = await IssuerKeys(issuer, oauth.jwks.get(issuer, ""), clock=time.monotonic).fitting(lambda key: True)
        except KeysMissing as error:
            do = "Correct [oauth] in config.toml, or have the authorization server mended; its tokens are refused."
            found.append(Finding("oauth", "problem", str(error), do))
        else:
            found.append(Finding("oauth", "ok", f"{issuer} shows {len(keys)} keys"))
    return found


async def _state(workspace: Workspace) -> list[Finding]:
    if not workspace.database.exists():
        return [Finding("state", "ok", "no state yet; the first start makes it")]
    from druse.front.base import open_base

    found: list[Finding] = []
    secret = [path for path in sorted(workspace.keys.glob("*")) if path.suffix != ".pub"]  # a public key is for anybody
    for path in (workspace.state, workspace.keys, *secret):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            change = f"chmod {'700' if path.is_dir() else '600'} {path}"
            found.append(Finding("state", "warning", f"{path} can be read by others", change))
    async with open_base(workspace) as base:
        try:
            verified = await base.audit.verify()
            found.append(Finding("state", "ok", f"audit chain intact, {verified.entries} entries"))
        except StoreDamaged as error:
            found.append(Finding("state", "problem", str(error), "See druse audit verify."))
        waiting = [f"{approval.title}" for approval in await base.approvals.list(open_only=True)]
        if waiting:
            found.append(Finding("state", "warning", f"{len(waiting)} approvals wait: {waiting[0]}", "druse approvals"))
        if base.rules.waiting:
            edit = f"{len(base.rules.waiting)} edits of the rules are not in force"
            found.append(Finding("state", "warning", edit, "Read them with druse policy, then druse policy approve."))
        found += [Finding("tools", "problem", text, "See druse tools.") for text in base.shelf.problems.values()]
    return found


async def _servers(workspace: Workspace) -> list[Finding]:
    from druse.editors.inspection import secrets_by_value
    from druse.upstream import servers_of

    found: list[Finding] = []
    for path in (workspace.servers, workspace.user_servers):
        for place in secrets_by_value(_entries(path)):
            do = 'Write "${NAME}" and set the variable in the environment.'
            found.append(Finding("servers", "warning", f"{path} holds a secret by value, {place}", do))
    kept = workspace.user_values
    if kept.exists() and stat.S_IMODE(kept.stat().st_mode) & 0o077:
        found.append(Finding("servers", "warning", f"{kept} can be read by others", f"chmod 600 {kept}"))
    for entry in servers_of(workspace, os.environ):
        problem = entry.problem or ""
        if not problem and entry.command and shutil.which(entry.command, path=_search_path(entry.env)) is None:
            problem = f"the program {entry.command!r} is not found"
        if problem:
            found.append(
                Finding("servers", "problem", f"{entry.name}: {problem}", f"Correct it in {workspace.servers}.")
            )
        else:
            found.append(Finding("servers", "ok", f"{entry.name}: {entry.command or entry.url}"))
    return found or [Finding("servers", "ok", f"no upstream server in {workspace.servers}")]


def _entries(path: Path) -> JsonObject:
    """The servers of a file as they are written; what is wrong with the file is said elsewhere."""
    try:
        loaded: Json = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    servers = loaded.get("mcpServers") if isinstance(loaded, dict) else None
    return servers if isinstance(servers, dict) else {}


async def _clients(workspace: Workspace) -> list[Finding]:
    from druse.editors import CLIENTS, Machine
    from druse.editors.inspection import inspect

    behind = _names_behind(workspace)
    found: list[Finding] = []
    for client in CLIENTS.values():
        found += inspect(client, Machine.here(), workspace.root, behind, ask=False)
    nowhere = Finding("clients", "warning", "no client has Druse", 'Run "druse install" to see which are here.')
    return found or [nowhere]


def _names_behind(workspace: Workspace) -> list[str]:
    return [name for path in (workspace.servers, workspace.user_servers) for name in _entries(path)]


async def _one_client(workspace: Workspace, name: str, *, start: bool) -> list[Finding]:
    """One client, with its own word and a handshake through the very entry in its file."""
    from druse.editors import Machine, client_named, command_of, shake
    from druse.editors.inspection import inspect

    client, machine = client_named(name), Machine.here()
    found = inspect(client, machine, workspace.root, _names_behind(workspace), ask=start)
    paths = [*client.user(machine), *([client.project(workspace.root)] if client.project else [])]
    entry = next((entry for path in paths if (entry := _entry_or_none(client, path))), None)
    if entry is None:
        told = f"{client.title} has no Druse" + ("" if client.found(machine) else " and was not found on this machine")
        return [*found, Finding(name, "problem", told, f'Run "druse install {name}".')]
    if start:
        hand = await shake(command_of(entry), os.environ, workspace.root if workspace.state.exists() else None)
        if hand.ok:
            told = f"what stands in its file answers after {hand.milliseconds:.0f} ms, {hand.tools} tools"
            found.append(Finding(name, "ok", told))
        else:
            told = f"what stands in its file does not answer: {hand.problem}"
            found.append(Finding(name, "problem", told, f'Run "druse install {name}" again.'))
    return found


def _entry_or_none(client: Client, path: Path) -> JsonObject | None:
    from druse.editors import entry_in

    try:
        return entry_in(client, path)
    except DruseError:
        return None


def _search_path(env: Any) -> str:
    return str(dict(env).get("PATH") or os.environ.get("PATH", os.defpath))


async def _sandbox(_: Workspace) -> list[Finding]:
    from druse.runtime import SandboxHost

    async with SandboxHost.open(ready=0) as host:
        status = await host.self_test()
    found: list[Finding] = []
    told = f"tier {status.tier}, {sum(text.startswith('blocked') for text in status.probes.values())} probes stopped"
    if status.tier == "T0":
        advice = "Code in the sandbox may only read here. See docs/sandbox.md, or set unconfined_effects = true."
        found.append(Finding("sandbox", "warning", told, advice))
    else:
        found.append(Finding("sandbox", "ok", told))
    for name, text in (*status.layers.items(), *status.probes.items()):
        if text != "active" and not text.startswith("blocked"):
            found.append(Finding("sandbox", "warning", f"{name}: {text}", "See docs/sandbox.md for what this means."))
    return found


async def _start(workspace: Workspace) -> list[Finding]:
    """Start `druse serve` as a client does: what stands on its stdout, in both eras, and how long it takes."""
    first, took = await _first_line(workspace)
    try:
        pure = json.loads(first).get("jsonrpc") == "2.0"
    except (ValueError, AttributeError):
        pure = False
    if not pure:
        told = f"the first line on stdout is no JSON-RPC: {first[:120]!r}"
        return [Finding("start", "problem", told, "Nothing but the protocol may write there; see the server's stderr.")]
    told = f"{took * 1000:.0f} ms to the answer of initialize, stdout is pure"
    slow = "Some clients give up after a few seconds; see druse daemon status and .druse/logs/daemon.log."
    found = [Finding("start", "ok" if took < _SLOW_SECONDS else "warning", told, slow)]
    found += _socket(workspace)
    for mode, era in (("legacy", "handshake"), ("auto", "modern")):
        found.append(await _listed(workspace, mode, era))
    return found


def _socket(workspace: Workspace) -> Iterator[Finding]:
    """Where clients meet the daemon: nobody else may get there."""
    run = workspace.state / "run"
    if not run.is_dir():
        return
    mode = stat.S_IMODE(run.lstat().st_mode)
    if mode & 0o077:
        yield Finding("socket", "warning", f"{run} can be entered by others, so no daemon is used", f"chmod 700 {run}")
    elif (run / "daemon.sock").exists():
        yield Finding("socket", "ok", f"daemon.sock in {run}, mode {mode:o}")


async def _first_line(workspace: Workspace) -> tuple[str, float]:
    from druse.editors.handshake import greeting, leave
    from druse.editors.machine import serve_arguments

    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": greeting("druse-doctor")}
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *serve_arguments(),
        cwd=workspace.root,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(hello).encode() + b"\n")
        async with asyncio.timeout(_HANDSHAKE_SECONDS):
            line = await process.stdout.readline()
        return line.decode("utf-8", "replace"), time.perf_counter() - began
    except TimeoutError:
        return "", time.perf_counter() - began
    finally:
        await leave(process)


async def _listed(workspace: Workspace, mode: Any, era: str) -> Finding:
    from mcp import Client, StdioServerParameters

    from druse.editors.machine import serve_arguments

    command, *arguments = serve_arguments()
    server = StdioServerParameters(command=command, args=arguments, cwd=workspace.root)
    try:
        async with asyncio.timeout(_HANDSHAKE_SECONDS), Client(server, mode=mode) as client:
            tools = (await client.list_tools()).tools
            told_changes = client.server_capabilities.tools
    except Exception as error:  # whatever a client would meet
        told = f"{era} era: {type(error).__name__}: {error}"
        return Finding("protocol", "problem", told, "Run druse serve by hand and read its stderr.")
    odd = [tool.name for tool in tools if not _NAME.fullmatch(tool.name)]
    if odd:
        told = f"{era} era: some clients refuse the names {', '.join(odd)}"
        return Finding("protocol", "warning", told, "Rename these tools: letters, digits, _ and -, at most 64.")
    if told_changes is None or not told_changes.list_changed:
        told = f"{era} era: it is not announced that the list of tools changes"
        return Finding("protocol", "problem", told, "New tools stay unseen in clients; install Druse again.")
    return Finding(
        "protocol", "ok", f"{era} era: {len(tools)} tools listed, names legal everywhere, changes of the list announced"
    )
