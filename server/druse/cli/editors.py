"""`druse install`, `druse uninstall`, `druse mcp-json`: Druse in the settings of MCP clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from druse.cli.output import emit, fail, finish, json_option, workspace_here
from druse.model import DruseError, Invalid

if TYPE_CHECKING:
    from druse.editors import Client, Handshake, Machine, Scope, Takeover

_scope_option = click.option(
    "--scope",
    type=click.Choice(["user", "project"]),
    default=None,
    help="The account's file (the default) or the one of this project.",
)
_dry_option = click.option("--dry-run", is_flag=True, help="Show the changes and write nothing.")


@click.command()
@click.argument("clients", nargs=-1, metavar="[CLIENT]...")
@_scope_option
@_dry_option
@click.option(
    "--workspace", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Work in DIR always."
)
@click.option("--hooks", is_flag=True, help="Let the client tell Druse what it does with its own tools (druse hook).")
@click.option(
    "--import-servers", is_flag=True, help="Move the client's other servers behind Druse; uninstall undoes it."
)
@click.option("--no-handshake", is_flag=True, help="Do not start the server afterwards to see that it answers.")
@json_option
def install(
    clients: tuple[str, ...],
    scope: str | None,
    dry_run: bool,
    workspace: Path | None,
    hooks: bool,
    import_servers: bool,
    no_handshake: bool,
    as_json: bool,
) -> None:
    """Put Druse into the settings of CLIENTs: claude-code, claude-desktop, cursor, vscode, copilot, codex, gemini,
    opencode, windsurf, zed, goose, cline, continue, or all that are found here.

    Shows each change as a diff, keeps the file as it was in Druse's state folder, and changes only what must be:
    comments, order and layout stay. The client starts Druse with this Python's absolute path. Afterwards the server is
    started as the client will start it. "druse uninstall" gives every file its former bytes back.

    Without a CLIENT it lists which are found. Exits with 1 if anything failed.
    """
    from druse.editors import Machine

    machine = Machine.here()
    if not clients:
        _list(machine, as_json=as_json)
        return
    results: list[dict[str, Any]] = []
    known: dict[tuple[str, ...], Handshake] = {}
    try:
        for client in _chosen(clients, machine, scope):
            results.append(
                _one(client, machine, scope, workspace, hooks=hooks, servers=import_servers, dry_run=dry_run)
            )
            if results[-1]["ok"] and not (no_handshake or dry_run):
                _shaken(client, machine, results[-1], known)
    except DruseError as error:
        fail(error, as_json=as_json)
    good = all(result["ok"] for result in results)
    emit({"ok": good, "clients": results}, as_json=as_json, render=lambda: _installed_text(results))
    raise SystemExit(0 if good and results else 1)


@click.command()
@click.argument("clients", nargs=-1, metavar="[CLIENT]...")
@_scope_option
@_dry_option
@json_option
def uninstall(clients: tuple[str, ...], scope: str | None, dry_run: bool, as_json: bool) -> None:
    """Take Druse out of the settings of CLIENTs again; without one, out of all.

    A file that nobody changed since gets its former bytes back. From a changed one only what "druse install" put there
    is taken. Servers that were moved behind Druse return to their client.
    """
    from druse.editors import CLIENTS, Machine, client_named
    from druse.editors import uninstall as take_out

    machine = Machine.here()
    root = workspace_here().root
    scopes: Any = [scope] if scope else ["user", "project"]
    results: list[dict[str, Any]] = []
    names = list(CLIENTS) if not clients or "all" in clients else list(clients)
    good = True
    for name in names:
        try:
            edited = take_out(client_named(name), machine, scopes, root, dry_run=dry_run)
            results.append({"client": name, "ok": True, "files": [part.as_dict() for part in edited]})
        except DruseError as error:
            good = False
            results.append({"client": name, "ok": False, "error": str(error), "files": []})
    ours = ("mcp.json", "secrets.json")
    if not dry_run and any(Path(str(part["file"])).name in ours for result in results for part in result["files"]):
        _servers_changed(root)
    if not clients or "all" in clients:
        results = [result for result in results if result["files"] or not result["ok"]]

    def text() -> str:
        lines: list[str] = []
        for result in results:
            for part in result["files"]:
                if part["diff"]:
                    lines.append(part["diff"].rstrip())
                what = {"written": "Druse is out of", "planned": "Druse can be taken out of"}.get(part["status"])
                lines.append(f"{result['client']}: {what or 'nothing of Druse is in'} {part['file']}")
            if not result["ok"]:
                lines.append(f"{result['client']}: {result['error']}")
            elif not result["files"]:
                lines.append(f"{result['client']}: Druse is not installed there.")
        return "\n".join(lines) or "Druse is installed in no client."

    emit({"ok": good, "clients": results}, as_json=as_json, render=text)
    raise SystemExit(0 if good else 1)


@click.command("mcp-json")
@click.option("--client", "name", metavar="CLIENT", help="As this client writes it; else the usual mcpServers object.")
@json_option
@click.option(
    "--workspace", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Work in DIR always."
)
def mcp_json(name: str | None, workspace: Path | None, as_json: bool) -> None:
    """Print what to put into a client's settings by hand: in the format of its file, or as JSON in any case."""
    from druse.editors import NAME, client_named, serve_arguments

    place = workspace.resolve() if workspace else None
    if name is None:
        command = serve_arguments(place)
        click.echo(json.dumps({"mcpServers": {NAME: {"command": command[0], "args": command[1:]}}}, indent=2))
        return
    try:
        client = client_named(name)
    except DruseError as error:
        fail(error, as_json=as_json)
    command = serve_arguments(place or client.variable or None)
    from druse.editors.documents import Change, apply

    entry = client.entry(command, ())
    change = Change("append", client.at, entry) if client.listed else Change("put", (*client.at, NAME), entry)
    form = "json" if as_json else client.form
    click.echo(apply("", form, [change], client.name)[0], nl=False)


def _chosen(names: tuple[str, ...], machine: Machine, scope: str | None) -> list[Client]:
    from druse.editors import CLIENTS, client_named

    if "all" in names:
        able = (client for client in CLIENTS.values() if scope != "project" or client.project is not None)
        found = [client for client in able if client.found(machine)]
        if not found:
            raise Invalid('Cannot install anywhere: no client was found. Name one, for example "druse install cursor".')
        return found
    return [client_named(name) for name in dict.fromkeys(names)]


def _list(machine: Machine, *, as_json: bool) -> None:
    from druse.cli.output import table
    from druse.editors import CLIENTS, entry_in

    rows: list[dict[str, Any]] = []
    for client in CLIENTS.values():
        path = client.user(machine)[0]
        try:
            there = entry_in(client, path) is not None
        except DruseError:
            there = False
        rows.append({"client": client.name, "found": client.found(machine), "installed": there, "file": str(path)})

    def text() -> str:
        lines = [
            [row["client"], "found" if row["found"] else "", "yes" if row["installed"] else "", row["file"]]
            for row in rows
        ]
        return table(lines, ["client", "here", "has Druse", "file"]) + '\n\nInstall with "druse install CLIENT".'

    emit({"clients": rows}, as_json=as_json, render=text)


def _one(
    client: Client,
    machine: Machine,
    scope: str | None,
    workspace: Path | None,
    *,
    hooks: bool,
    servers: bool,
    dry_run: bool,
) -> dict[str, Any]:
    """Install into one client. A failure is part of the answer, so that the others are still done."""
    from druse.editors import Edit, Takeover, has_hooks, hook_edit, server_file, take_over
    from druse.editors import install as put_in

    root = workspace_here().root
    wanted: Scope = "project" if scope == "project" else "user"
    if workspace is None and not client.in_project and wanted == "user":
        workspace = _desk(root, machine)
    if workspace is not None:
        workspace = workspace.resolve()
    result: dict[str, Any] = {"client": client.name, "scope": wanted, "ok": True, "files": [], "notes": []}
    result["workspace"] = str(workspace) if workspace else None
    notes: list[str] = []
    more: list[Edit] = []
    try:
        moving = take_over(client, machine, wanted, root) if servers else Takeover()
        if moving.takes:
            path = server_file(client, machine, wanted, root)
            project = "" if wanted == "user" else str(root)
            more.append(Edit(client.name, path, client.form, wanted, project, tuple(moving.takes)))
        if hooks and has_hooks(client):
            edit, note = hook_edit(client, machine, wanted, root)
            more.append(edit)
            notes += [note] if note else []
        elif hooks:
            notes.append(f"{client.title} has no hooks that Druse knows; only calls through Druse are recorded.")
        done = put_in(
            client,
            machine,
            wanted,
            root,
            workspace=workspace,
            variables=_variables(root, machine, moving),
            first=moving.edits,
            more=more,
            dry_run=dry_run,
        )
    except DruseError as error:
        return result | {"ok": False, "error": str(error)}
    result["files"] = [edited.as_dict() for edited in done.files]
    result["notes"] = [*notes, *done.notes]
    if workspace is not None and not dry_run:
        workspace.mkdir(parents=True, exist_ok=True)
    if moving.moved and not dry_run:
        _servers_changed(root)
    result["moved"], result["left"] = moving.moved, moving.left
    if not client.found(machine):
        result["notes"].append(f"{client.title} was not found on this machine; the file is there for when it is.")
    return result


def _servers_changed(root: Path) -> None:
    """The daemon has read mcp.json: its clients go on with one that knows the servers of now."""
    from druse.editors import end_daemon

    asyncio.run(end_daemon(root))


def _variables(root: Path, machine: Machine, moving: Takeover) -> list[str]:
    """What the servers behind Druse need of the client's environment."""
    from druse.settings import Workspace, named_variables

    workspace = Workspace(root, machine.config_home / "druse" / "config.toml")
    named = named_variables(workspace.servers, workspace.user_servers)
    kept: set[str] = set()
    for edit in moving.edits:
        if edit.path == workspace.user_values:
            kept |= {change.path[0] for change in edit.changes}
        else:
            named += re.findall(r"\$\{([A-Za-z_]\w*)", json.dumps([change.value for change in edit.changes]))
    with contextlib.suppress(OSError, ValueError):
        kept |= set(json.loads(workspace.user_values.read_text(encoding="utf-8")))
    # What every client hands on needs no mention.
    return [name for name in dict.fromkeys(named) if name not in kept and name not in ("HOME", "PATH", "USER")]


def _desk(root: Path, machine: Machine) -> Path:
    """Where Druse works for a client that has no project: this one, or a folder of its own."""
    home = machine.home.resolve()
    if root != home and root not in home.parents:
        return root
    return machine.state.parent / "desk"


def _shaken(client: Client, machine: Machine, result: dict[str, Any], known: dict[tuple[str, ...], Handshake]) -> None:
    """Start what now stands in the client's file. What several clients start alike is started once."""
    from druse.editors import command_of, entry_in, server_file, shake

    root = workspace_here().root
    folder = root if (root / ".druse").is_dir() else None
    if result["workspace"] is not None:
        folder = Path(result["workspace"])
    command = command_of(entry_in(client, server_file(client, machine, result["scope"], root)) or {})
    key = (*command, str(folder))
    if key not in known:
        known[key] = finish(shake(command, machine.environment, folder), as_json=False)
    result["handshake"] = known[key].as_dict()
    result["ok"] = known[key].ok


def _installed_text(results: list[dict[str, Any]]) -> str:
    lines: list[str] = []
    for result in results:
        for part in result["files"]:
            if part["diff"]:
                lines.append(part["diff"].rstrip())
            how = "" if part["how"] == "file" else f" (by {part['how']})"
            told = {"written": "written", "planned": "not written", "unchanged": "is as it should be already"}
            lines.append(f"{result['client']}: {part['file']} {told[part['status']]}{how}")
            if part["backup"]:
                lines.append(f"  as it was: {part['backup']}")
        if "error" in result:
            lines.append(f"{result['client']}: {result['error']}")
            continue
        if result["workspace"]:
            lines.append(f"  works in {result['workspace']}")
        if result["moved"]:
            lines.append(f"  behind Druse now: {', '.join(result['moved'])}")
            lines.append("  Their tools are asked for until a rule allows them, for example")
            lines.append(f"  allow = [{json.dumps(result['moved'][0] + '__*')}] in .druse/config.toml")
        lines += [f"  stays with the client: {name}, because {reason}" for name, reason in result["left"].items()]
        hand = result.get("handshake")
        if hand:
            answered = f"answered after {hand['milliseconds']:.0f} ms, {hand['tools']} tools"
            lines.append(f"  {answered}" if hand["ok"] else f"  PROBLEM: {hand['problem']}")
        lines += [f"  {note}" for note in result["notes"]]
    return "\n".join(lines)
