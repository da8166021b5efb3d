"""The whole HTTP server of one workspace: MCP at /mcp, the API beside it."""

from __future__ import annotations

import time

from druse.front.application import Application
from druse.front.http import read_token, serve_http
from druse.front.server import Front
from druse.web.api import HttpApi
from druse.web.guard import hosts_of
from druse.web.visitors import Keyring


async def serve_web(application: Application, front: Front, address: str) -> None:
    """Serve until cancelled. Raises Invalid for an address that is none."""
    base = application.base
    token_file = base.workspace.keys / "http.token"
    keyring = Keyring(base.store, read_token(token_file), clock=time.time)
    host, _, port = address.rpartition(":")
    hosts = hosts_of(host, int(port)) if port.isdigit() else frozenset[str]()
    await serve_http(front, address, token_file, beside=HttpApi(application, keyring, hosts))
