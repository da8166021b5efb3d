"""What tests reach Druse through: an agent over stdio, a person's command, and a small server behind Druse."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

import warm

_LOOP = """
import json, pathlib, sys
{head}
for line in sys.stdin:
    m = json.loads(line)
    if "id" not in m:
        continue
    r = {{}}
    if m["method"] == "initialize":
        r = {{"protocolVersion": "2025-06-18", "capabilities": {{"tools": {{}}}}}}
        r["serverInfo"] = {{"name": "s", "version": "1"}}
    elif m["method"] == "tools/list":
        r = {{"tools": TOOLS}}
    elif m["method"] == "tools/call":
        text = answer(m["params"]["name"], m["params"]["arguments"])
        r = {{"content": [{{"type": "text", "text": text}}]}}
    print(json.dumps({{"jsonrpc": "2.0", "id": m["id"], "result": r}}), flush=True)
"""


def plain_server(head: str) -> str:
    """The source of a stdio server without any library. `head` defines `TOOLS` and `answer(name, arguments) -> str`."""
    return _LOOP.format(head=head)


@asynccontextmanager
async def agent(
    root: Path, environment: Mapping[str, str], *, mode: Any = "legacy", on_message: Any = None
) -> AsyncGenerator[Client]:
    """A client over stdio, as an editor starts it."""
    python, *words = warm.command()
    server = StdioServerParameters(
        command=python, args=[*words, "serve", "--no-daemon"], cwd=root, env=dict(environment)
    )
    async with Client(server, mode=mode, message_handler=on_message) as client:
        yield client


@asynccontextmanager
async def over_http(root: Path, environment: Mapping[str, str]) -> AsyncGenerator[tuple[str, str]]:
    """`druse serve --http` in a process of its own: its address, and the token that local clients read."""
    process = await asyncio.create_subprocess_exec(
        *(*warm.command(), "serve", "--http", "127.0.0.1:0"),
        cwd=root,
        stderr=asyncio.subprocess.PIPE,
        env=dict(environment),
        limit=1 << 24,  # so that what it logs never waits to be read
    )
    assert process.stderr is not None
    said = b""
    try:
        while (found := re.search(rb"^Serving (http://\S+)$", said, re.MULTILINE)) is None:
            line = await process.stderr.readline()
            said += line
            assert line, f"druse serve --http ended: {said!r}"
        yield found[1].decode(), (root / ".druse" / "keys" / "http.token").read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


async def command(root: Path, environment: Mapping[str, str], *arguments: str) -> Any:
    """A person's command in a second process; its JSON answer."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    process = await asyncio.create_subprocess_exec(
        *(*warm.command(), *arguments[:at], "--json", *arguments[at:]),
        cwd=root,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(environment),
    )
    out, err = await process.communicate()
    try:
        return json.loads(out)
    except ValueError:
        raise AssertionError(f"druse {arguments}: {out!r} {err!r}") from None


def said(root: Path, environment: Mapping[str, str], *arguments: str) -> Any:
    """A person's command in this process, for tests that are no coroutines; its JSON answer. Several times quicker."""
    from click.testing import CliRunner

    from druse.cli import main

    at = arguments.index("--") if "--" in arguments else len(arguments)
    with contextlib.chdir(root):
        done = CliRunner().invoke(main, [*arguments[:at], "--json", *arguments[at:]], env=dict(environment))
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"druse {arguments}: {done.output!r} {done.exception!r}") from done.exception
