"""`druse bundle`: Druse packed the way a client or the registry wants it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from druse.cli.output import emit, fail, json_option
from druse.model import DruseError


@click.group()
def bundle() -> None:
    """Pack Druse for a client: an MCPB bundle, a Claude Code plugin, install links, server.json."""


@bundle.command("mcpb")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), default=Path("druse.mcpb"), show_default=True
)
@json_option
def mcpb_command(output: Path, as_json: bool) -> None:
    """Write a bundle that Claude Desktop installs by a double click.

    It holds Druse itself and nothing of this machine; Claude Desktop's own uv installs what Druse depends on.
    """
    from druse.editors.bundles import mcpb

    try:
        digest = mcpb(output)
    except DruseError as error:
        fail(error, as_json=as_json)
    emit({"file": str(output), "sha256": digest}, as_json=as_json, render=lambda: f"{output}\nsha256 {digest}")


@bundle.command("plugin")
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), default=Path("druse-plugin"), show_default=True
)
@json_option
def plugin_command(output: Path, as_json: bool) -> None:
    """Write a Claude Code plugin: server, recording hooks and skills, for this machine.

    Try it with "claude --plugin-dir DIR". A plugin's server needs no approval of its own, and its tools are called
    mcp__plugin_druse_druse__...; do not also run "druse install claude-code".
    """
    from druse.editors.bundles import plugin

    try:
        files = plugin(output)
    except DruseError as error:
        fail(error, as_json=as_json)
    emit(
        {"folder": str(output), "files": [str(path) for path in files]},
        as_json=as_json,
        render=lambda: "\n".join([*map(str, files), f"Try it with: claude --plugin-dir {output}"]),
    )


@bundle.command("cursor-link")
@json_option
def cursor_command(as_json: bool) -> None:
    """Print a link that asks Cursor to install Druse of this machine."""
    from druse.editors.bundles import cursor_link

    emit({"link": cursor_link()}, as_json=as_json, render=cursor_link)


@bundle.command("vscode-link")
@json_option
def vscode_command(as_json: bool) -> None:
    """Print a link that asks VS Code to install Druse of this machine."""
    from druse.editors.bundles import vscode_link

    emit({"link": vscode_link()}, as_json=as_json, render=vscode_link)


@bundle.command("server-json")
@click.option("--json", "as_json", is_flag=True, help="It is JSON in any case.")
def server_command(as_json: bool) -> None:
    """Print server.json, with which a release is made known to the MCP registry."""
    del as_json
    from druse.editors.bundles import server_json

    click.echo(json.dumps(server_json(), indent=2))
