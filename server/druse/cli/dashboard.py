"""`druse dashboard`: the page, and who is let in."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from datetime import datetime

import click

from druse.cli.output import finish, json_option, workspace_here
from druse.model import Invalid

_DUMPABLE = 4  # PR_SET_DUMPABLE of prctl(2)


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Listen there; default: a free port.")
@json_option
def dashboard(port: int, as_json: bool) -> None:
    """Open the page of this project: tools, savings, candidates, the audit chain, and what waits for you.

    Prints a link that works once, for one browser; Enter prints a new one. It is served on this machine only. What
    waits can be decided there by whoever opened a link that was printed on a terminal: the link is your signature, so
    keep it to yourself. Without a terminal (or with --json) the link only lets somebody look.
    """
    with contextlib.suppress(KeyboardInterrupt):
        finish(_serve(port, as_json=as_json), as_json=as_json)


async def _serve(port: int, *, as_json: bool) -> None:
    import uvicorn

    from druse.front.base import open_base
    from druse.web.dashboard import Dashboard
    from druse.web.guard import hosts_of
    from druse.web.passes import Passes

    terminal = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    _keep_memory_private()
    async with open_base(workspace_here()) as base:
        try:
            listener = socket.create_server(("127.0.0.1", port))
        except OSError as error:
            raise Invalid(f"Cannot listen on 127.0.0.1:{port}: {error.strerror}. Choose another --port.") from error
        port = listener.getsockname()[1]
        passes = Passes(deciding=terminal)

        def told(line: str) -> None:
            click.echo(f"{datetime.now().astimezone():%H:%M:%S}  {line}", err=not terminal)

        def link() -> None:
            url = f"http://127.0.0.1:{port}/#pass={passes.issue()}"
            if as_json:
                click.echo(json.dumps({"url": url, "decides": terminal}))
            elif terminal:
                click.echo(f"\n  {url}\n\nWorks once. Enter: a new link. Ctrl-C: end.")
            else:
                click.echo(f"{url}\nWorks once, to look. To decide, run it in a terminal.")

        page = Dashboard(base, passes, hosts_of("127.0.0.1", port) or frozenset[str](), told=told)
        config = uvicorn.Config(
            page, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        loop = asyncio.get_running_loop()
        if terminal:

            def pressed() -> None:
                if sys.stdin.readline():
                    link()
                else:
                    loop.remove_reader(sys.stdin)

            with contextlib.suppress(NotImplementedError):  # on Windows a new link takes a new start
                loop.add_reader(sys.stdin, pressed)
        link()
        try:
            await server.serve([listener])
        finally:
            listener.close()
            if terminal:
                with contextlib.suppress(NotImplementedError):
                    loop.remove_reader(sys.stdin)


def _keep_memory_private() -> None:
    """No other process of this account may read this one's memory, where the system has a switch for that."""
    if sys.platform != "linux":
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DUMPABLE, 0, 0, 0, 0)
