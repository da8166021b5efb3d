"""`druse login`: sign in at a server that wants OAuth."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import click

from druse.cli.acts import act
from druse.cli.output import emit, finish, json_option, workspace_here
from druse.model import Invalid, UpstreamFailure, visible

if TYPE_CHECKING:
    from mcp.client.auth import AuthorizationCodeResult

_SECONDS = 300.0  # that a person has to sign in
_PAGE = b"<!doctype html><title>Druse</title><p>Druse has what it needs. You can close this page.\n"


@click.command()
@click.argument("server")
@click.option("--no-browser", is_flag=True, help="Only print the address; open it yourself.")
@click.option("--forget", is_flag=True, help="Delete the tokens that are kept for the server.")
@json_option
def login(server: str, no_browser: bool, forget: bool, as_json: bool) -> None:
    """Sign in at a SERVER of mcp.json that wants OAuth, with your browser.

    The browser comes back to an address of this machine. The tokens are kept in .druse/keys/oauth, readable by you
    only; calls use and renew them from then on. A server with an Authorization header in mcp.json needs no login.
    """

    async def work() -> dict[str, Any]:
        from druse.front.base import open_base

        command = "login --forget" if forget else "login"
        async with open_base(workspace_here()) as base, act(base, command, server=server):
            return await _login(server, browser=not no_browser, forget=forget)

    done = finish(work(), as_json=as_json)
    emit(done, as_json=as_json, render=lambda: done["message"])


async def _login(server: str, *, browser: bool, forget: bool) -> dict[str, Any]:
    from druse.upstream import Upstreams, server_named
    from druse.upstream.login import authorization, tokens_of

    workspace = workspace_here()
    entry = server_named(workspace, os.environ, server, what="log in at")
    tokens = tokens_of(entry, workspace.keys / "oauth")
    if forget:
        tokens.file.unlink(missing_ok=True)
        return {"server": server, "logged_in": False, "message": f"The tokens for {server} are deleted."}
    if not entry.url:
        raise Invalid(
            f"Cannot log in at {server!r}: it is started as a command, and only servers with a url have OAuth."
        )
    async with _redirects(tokens.port()) as back:

        async def show(address: str) -> None:
            click.echo(f"Sign in at {server}, then come back here:\n\n  {visible(address)}\n", err=True)
            if browser and urlsplit(address).scheme in ("https", "http"):
                await asyncio.to_thread(click.launch, address)

        sign = authorization(entry, tokens, show, back)
        if sign is None:
            raise Invalid(f"Cannot log in at {server!r}: its entry in mcp.json has an Authorization header. Remove it.")
        logs = workspace.state / "logs"
        seconds = _SECONDS + 30
        async with Upstreams.open([entry], logs=logs, sign=lambda _: sign, connect_timeout=seconds) as upstreams:
            problems = await upstreams.connect()
            if problems:
                raise UpstreamFailure(problems[server], server=server)
            count = len(upstreams.specs())
    return {"server": server, "logged_in": True, "tools": count, "message": f"{server} answers; it has {count} tools."}


@asynccontextmanager
async def _redirects(port: int) -> AsyncGenerator[Any]:
    """Listens on this machine for the browser; gives what waits for it."""
    from mcp.client.auth import AuthorizationCodeResult

    came: asyncio.Future[AuthorizationCodeResult] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readline()).decode("latin-1").split(" ")
        while (await reader.readline()).strip():
            pass
        asked = urlsplit(line[1]) if len(line) > 1 else urlsplit("")
        given = {name: values[0] for name, values in parse_qs(asked.query).items()}
        known = asked.path == "/callback" and ("code" in given or "error" in given)
        status, body = ("200 OK", _PAGE) if known else ("404 Not Found", b"")
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()
        if known and not came.done():
            if "code" in given:
                result = AuthorizationCodeResult(code=given["code"], state=given.get("state"), iss=given.get("iss"))
                came.set_result(result)
            else:
                told = visible(given.get("error_description") or given["error"])[:300]
                came.set_exception(UpstreamFailure(f"The login was refused: {told}. Try again.", server=""))

    async def wait() -> AuthorizationCodeResult:
        async with asyncio.timeout(_SECONDS):
            return await came

    try:
        server = await asyncio.start_server(serve, "127.0.0.1", port)
    except OSError as error:
        raise Invalid(
            f"Cannot wait for the browser on 127.0.0.1:{port}: {error.strerror or error}. End what listens there, or "
            f'delete the login with "druse login SERVER --forget" and try again.'
        ) from error
    async with server:
        yield wait
    if came.done() and not came.cancelled():
        came.exception()  # whoever waited has seen it
