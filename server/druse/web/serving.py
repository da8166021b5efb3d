"""The whole HTTP server of one workspace: MCP at /mcp, the API beside it."""

from __future__ import annotations

import time
from collections.abc import Callable

from druse.front.application import Application
from druse.front.http import bound, port_of, read_token, serve_http
from druse.front.server import Front
from druse.web.api import HttpApi
from druse.web.guard import hosts_of
from druse.web.visitors import Keyring


async def serve_web(
    application: Application, front: Front, address: str, *, told: Callable[[str], None] = lambda url: None
) -> None:
    """Serve until cancelled; `told` hears the URL once connections are taken. Raises Invalid for a wrong address."""
    base = application.base
    token_file = base.workspace.keys / "http.token"
    keyring = Keyring(base.store, read_token(token_file), clock=time.time)
    sockets, host = bound(address), address.rpartition(":")[0]
    port = port_of(sockets)
    told(f"http://{host}:{port}")
    beside = HttpApi(application, keyring, hosts_of(host, port))
    await serve_http(front, sockets, host, token_file, beside=beside)
