"""`druse serve`: the MCP server of this workspace."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

import click

from druse.cli.output import fail, finish, workspace_here
from druse.model import Invalid


@click.command()
@click.option("--http", "address", metavar="HOST:PORT", help="Serve streamable HTTP there instead of stdio.")
@click.option(
    "--workspace",
    metavar="DIR",
    help="Work in DIR, for clients that start servers elsewhere.",
)
@click.option("--no-daemon", is_flag=True, help="Serve from this process, not from the project's daemon.")
@click.option("--verbose", is_flag=True, help="Log more to stderr; from this process, as with --no-daemon.")
@click.option(
    "--profile",
    metavar="NAME",
    help="Serve the tools of a profile in place of the project's.",
)
def serve(address: str | None, workspace: str | None, no_daemon: bool, verbose: bool, profile: str | None) -> None:
    """Serve MCP for the project in this folder: on standard input and output, or over HTTP.

    Clients start it themselves. On standard input and output it joins the project's daemon, which is started where
    there is none and ends by itself (see "druse daemon"); on Windows it serves alone. Nothing but JSON-RPC goes to
    standard output; logs go to stderr, those of the daemon to .druse/logs/daemon.log. Over HTTP every request needs
    the bearer token in .druse/keys/http.token, a key of "druse keys", or an access token of the authorization servers
    that [oauth] of config.toml names; MCP is at /mcp, and beside it the API that /openapi.json describes: /chat,
    /skills, /evolve, /traces, /volumes. Port 0 takes a free one; the address is told on stderr.
    """
    if workspace is not None and not workspace.startswith("${"):  # as in the shim
        try:
            os.chdir(workspace)
        except OSError as error:
            fail(
                Invalid(f"Cannot work in {workspace}: {error.strerror}. Name a folder.", where="--workspace"),
                as_json=False,
            )
    if not (address or no_daemon or verbose or profile or sys.platform == "win32"):
        from druse.shim import main as join

        sys.exit(join())
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    finish(_serve_http(address, profile) if address else _serve_stdio(profile), as_json=False)


async def _serve_stdio(name: str | None) -> None:
    from druse.front.profiles import load_profile
    from druse.front.served import Served
    from druse.front.stdio import serve_stdio
    from druse.settings import load_config

    workspace = workspace_here()
    load_config(workspace)  # a mistake in it ends the command before anything is answered
    served = Served(workspace, profile=load_profile(name) if name else None)
    async with asyncio.TaskGroup() as group:
        group.create_task(served.run_once())
        try:
            await serve_stdio(served)
        finally:
            served.end()


async def _serve_http(address: str, name: str | None) -> None:
    from druse.front.application import open_application
    from druse.front.profiles import load_profile
    from druse.front.server import Front
    from druse.web.serving import serve_web

    profile = load_profile(name) if name else None
    async with open_application(workspace_here(), background=True, profile=profile) as application:
        front = Front(application, profile)
        front.listen_to(application)
        await serve_web(application, front, address, told=lambda url: click.echo(f"Serving {url}", err=True))
