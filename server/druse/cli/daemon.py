"""`druse daemon`: the process that serves this project's clients."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

from druse.cli.output import emit, fail, json_option, workspace_here
from druse.model import DruseError, NotFound


@click.group()
def daemon() -> None:
    """Look at or end the process that serves this project's clients.

    "druse serve" starts it; it ends by itself a while after the last client left (daemon_idle_seconds in config.toml).
    """


@daemon.command()
@json_option
def status(as_json: bool) -> None:
    """Say whether it runs, since when, and for how many clients."""
    told = _ask("status")
    if told is None:
        emit({"running": False}, as_json=as_json, render=lambda: "No daemon runs for this project.")
        return
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(told["started"]))
    text = f"Process {told['pid']}, version {told['version']}, since {since}, {told['clients']} client(s)."
    emit({"running": True, **told}, as_json=as_json, render=lambda: text)


@daemon.command()
@json_option
def stop(as_json: bool) -> None:
    """End it. Clients that are there go on: their next request starts it again."""
    told = _ask("stop")
    if told is None:
        fail(
            NotFound('Cannot stop the daemon: none runs for this project. See "druse daemon status".'), as_json=as_json
        )
    emit({"stopped": told["pid"]}, as_json=as_json, render=lambda: f"Process {told['pid']} ends.")


def _ask(what: str) -> dict[str, Any] | None:
    """The daemon's answer; None where there is no daemon."""
    if sys.platform == "win32":
        return None
    from druse.shim import Place, hello

    root = str(workspace_here().root)
    connection = Place(root).connect()
    if connection is None:
        return None
    try:
        connection.sendall(hello(what, root))
        answer = b""
        while more := connection.recv(4096):
            answer += more
        return json.loads(answer)
    except (OSError, ValueError) as error:
        raise DruseError(f"Cannot ask the daemon: {error}. Try again, or see .druse/logs/daemon.log.") from error
    finally:
        connection.close()
