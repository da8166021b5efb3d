"""`druse hook`: what a client runs to tell what it did."""

from __future__ import annotations

import sys

import click


@click.command()
@click.argument("client", required=False, default="")
@click.argument("event", required=False, default="")
def hook(client: str, event: str) -> None:
    """Write down one event of a client, given as JSON on stdin. For the hooks of clients, not for people.

    CLIENT is claude-code, codex, gemini, cursor, copilot or any other name; EVENT is needed only where the JSON does
    not say it in hook_event_name. Prints nothing, ends with exit code 0 whatever happens, within two seconds at most.
    Secrets are masked before anything is written; the daemon, or the next druse command, makes runs of it.

    Clients start it faster as `python -I -S .../druse/hook.py CLIENT`.
    """
    from druse.hook import main

    sys.argv = [sys.argv[0], *(word for word in (client, event) if word)]
    main()
