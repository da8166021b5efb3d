"""The whole HTTP server of one workspace: MCP at /mcp, the API beside it."""

from __future__ import annotations

import time
from collections.abc import Callable

from druse.front.application import Application
from druse.front.http import bound, port_of, read_token, serve_http
from druse.front.server import Front
from druse.model import Invalid
from druse.web.admission import Admission
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
    team = base.skills.volumes.identity.team
    admission = Admission(keyring, base.rules, f"http://{host}:{port}", team=team)
    if base.rules.config.oauth is not None and admission.oauth is None:
        for one in sockets:
            one.close()
        raise Invalid(
            f"Cannot check access tokens on {address}: clients know this server by another address. Name it as "
            "oauth.resource in config.toml, for example https://druse.example.com/mcp.",
            where="oauth.resource",
        )
    told(f"http://{host}:{port}")
    beside = HttpApi(application, admission, hosts_of(host, port))
    await serve_http(front, sockets, host, token_file, beside=beside)
