"""What Druse is measured against, in the same run: a plain server, a minimal server of the SDK, and fastmcp's proxy."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

from druse import shim

FASTMCP = "fastmcp>=4.1,<5"

_LOOP = """
import json, sys
{head}
for line in sys.stdin:
    m = json.loads(line)
    if "id" not in m:
        continue
    if m["method"] == "initialize":
        r = {{"protocolVersion": "2025-06-18", "capabilities": {{"tools": {{}}}}}}
        r["serverInfo"] = {{"name": "e", "version": "1"}}
    elif m["method"] == "tools/list":
        r = {{"tools": TOOLS}}
    elif m["method"] == "tools/call":
        r = answer(m["params"]["name"], m["params"]["arguments"])
    else:
        print(json.dumps({{"jsonrpc": "2.0", "id": m["id"], "error": {{"code": -32601, "message": "no"}}}}), flush=True)
        continue
    print(json.dumps({{"jsonrpc": "2.0", "id": m["id"], "result": r}}), flush=True)
"""


def plain_server(head: str) -> str:
    """The source of a server without any library: the floor of what calling a tool over stdio costs.

    `head` defines `TOOLS` and, where they are called, `answer(name, arguments)`, which gives the result of a call.
    """
    return _LOOP.format(head=head)


PLAIN = plain_server("""
TOOL = {"name": "echo", "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}}}
if "reads" in sys.argv:
    TOOL["annotations"] = {"readOnlyHint": True}
TOOLS = [TOOL]

def answer(name, arguments):
    return {"content": [{"type": "text", "text": json.dumps(arguments)}]}
""")

# The smallest server one can write with the SDK that Druse is built on.
SDK = """
import asyncio, json, sys
import mcp_types as t
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

HINT = t.ToolAnnotations(read_only_hint=True) if "reads" in sys.argv else None
ECHO = t.Tool(name="echo", annotations=HINT, input_schema={"type": "object", "properties": {"n": {"type": "integer"}}})

async def list_tools(ctx, params):
    return t.ListToolsResult(tools=[ECHO])

async def call_tool(ctx, params):
    return t.CallToolResult(content=[t.TextContent(type="text", text=json.dumps(params.arguments))])

server = Server("e", version="1", on_list_tools=list_tools, on_call_tool=call_tool)

async def main():
    async with stdio_server() as (reads, writes):
        await server.run(reads, writes, server.create_initialization_options())

asyncio.run(main())
"""

PROXY = """
import sys
from fastmcp.client.transports import StdioTransport
from fastmcp.server import create_proxy

create_proxy(StdioTransport(sys.argv[1], sys.argv[2:]), name="proxy").run(transport="stdio", show_banner=False)
"""

SERVERS = {"plain": PLAIN, "sdk": SDK}
SHIM = [sys.executable, "-I", "-S", str(Path(shim.__file__)), "serve"]


def fastmcp_python() -> tuple[str, str]:
    """An interpreter that has fastmcp and its version; empty where it cannot be installed."""
    return python_with("fastmcp", FASTMCP)


def python_with(name: str, requirement: str) -> tuple[str, str]:
    """An interpreter that has a package, installed once beside the cache of this user, and its version; empty if none.

    What cannot be installed is said on stderr.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "druse-bench" / f"{name}-{sys.version_info[0]}.{sys.version_info[1]}"
    python = folder / "bin" / "python"
    try:
        if not python.exists():
            venv.create(folder, with_pip=True)
        ask = [str(python), "-c", f"import importlib.metadata as m; print(m.version({name!r}))"]
        found = subprocess.run(ask, capture_output=True, text=True, check=False)
        if found.returncode:
            install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", requirement]
            subprocess.run(install, check=True, capture_output=True, timeout=600)
            found = subprocess.run(ask, capture_output=True, text=True, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"{name} is left out: it could not be installed ({error})", file=sys.stderr)
        return "", ""
    return str(python), found.stdout.strip()


def project(root: Path, *, server: str = "plain", reads: bool = False) -> list[str]:
    """A project whose one upstream server is `server`, every tool of it allowed; the server's command."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "server.py").write_text(SERVERS[server], encoding="utf-8")
    arguments = [str(root / "server.py"), *(["reads"] if reads else [])]
    entry = {"command": sys.executable, "args": arguments}
    (root / "mcp.json").write_text(json.dumps({"mcpServers": {"e": entry}}), encoding="utf-8")
    (root / ".druse").mkdir(mode=0o700, exist_ok=True)
    rules = '[permissions]\nallow = ["e__*"]\n[settings]\ndaemon_idle_seconds = 2\n'
    (root / ".druse" / "config.toml").write_text(rules, encoding="utf-8")
    return [sys.executable, *arguments]


def ask_daemon(root: Path, what: str) -> dict[str, object] | None:
    """`status` of the daemon of a project, or `stop` it."""
    connection = shim.Place(str(root)).connect()
    if connection is None:
        return None
    try:
        connection.sendall(shim.hello(what, str(root)))
        answer = b""
        while more := connection.recv(4096):
            answer += more
        return json.loads(answer) if answer else None
    finally:
        connection.close()


def stop_daemon(root: Path) -> None:
    """End the daemon of a project and wait until it is gone."""
    status = ask_daemon(root, "status")
    if status is None:
        return
    ask_daemon(root, "stop")
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(str(status["pid"])), 0)
            time.sleep(0.02)
            continue
        return


def resident_kib(pid: int) -> int:
    """The resident memory of a process (Linux); 0 where it is not known."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS")), 0)
