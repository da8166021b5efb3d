"""`druse serve`: the MCP server of this workspace."""

from __future__ import annotations

import logging
import sys

import click

from druse.cli.output import finish, workspace_here


@click.command()
@click.option("--http", "address", metavar="HOST:PORT", help="Serve streamable HTTP there instead of stdio.")
@click.option("--verbose", is_flag=True, help="Log more to stderr.")
def serve(address: str | None, verbose: bool) -> None:
    """Serve MCP for the project in this folder: on standard input and output, or over HTTP.

    Clients start it themselves. Nothing but JSON-RPC goes to standard output; logs go to stderr. Over HTTP every
    request needs the bearer token in .druse/keys/http.token.
    """
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    finish(_serve_http(address) if address else _serve_stdio(), as_json=False)


async def _serve_stdio() -> None:
    from druse.front.application import open_application
    from druse.front.server import Front
    from druse.front.stdio import stdio_transport

    async with open_application(workspace_here(), background=True) as application:
        front = Front(application)
        application.listeners.append(front.tools_changed)
        async with stdio_transport() as (reads, writes):
            await front.server.run(reads, writes, front.options())


async def _serve_http(address: str) -> None:
    from druse.front.application import open_application
    from druse.front.http import serve_http
    from druse.front.server import Front

    async with open_application(workspace_here(), background=True) as application:
        front = Front(application)
        application.listeners.append(front.tools_changed)
        await serve_http(front, address, application.base.workspace.keys / "http.token")
