"""`scripts/bench tokens`: what the tool listing costs a client, beside what listing every tool would.

A server with many tools stands behind Druse; the listing is taken over the wire, as a client gets it. Tokens are
estimated as characters / 4, the same way for both; characters are exact. `answer` is one `find_tools` with the default
limit, which is what a client pays instead when it looks for a tool.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

from benchmarks._peers import plain_server

SIZES = (10, 45, 200, 500)
_NOUNS = "order invoice customer product ticket branch issue page file event flight booking payment user team".split()
_VERBS = "get list create update delete search export archive approve assign".split()
_SERVER = plain_server("TOOLS = json.load(open(sys.argv[1]))")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/bench tokens", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of reachable tools")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    found = [asyncio.run(measure(size)) for size in options.sizes]
    if options.json:
        print(json.dumps({"listings": found}, indent=2))
        return
    print("reachable   listed by Druse   its listing   every tool listed   one find_tools answer   (tokens, estimated)")
    for row in found:
        print(
            f"{row['reachable']:>9}   {row['listed']:>15}   {row['listing_tokens']:>11}   "
            f"{row['plain_tokens']:>17}   {row['answer_tokens']:>21}"
        )


async def measure(size: int) -> dict[str, Any]:
    tools = [_tool(number) for number in range(size)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "tools.json").write_text(json.dumps(tools), encoding="utf-8")
        (root / "server.py").write_text(_SERVER, encoding="utf-8")
        entry = {"command": sys.executable, "args": [str(root / "server.py"), str(root / "tools.json")]}
        (root / "mcp.json").write_text(json.dumps({"mcpServers": {"m": entry}}), encoding="utf-8")
        (root / ".druse").mkdir()
        (root / ".druse" / "config.toml").write_text('[permissions]\nallow = ["m__*"]\n', encoding="utf-8")
        serve = [sys.executable, "-m", "druse", "serve", "--no-daemon"]
        environment = {"XDG_CONFIG_HOME": str(root / "none")}
        server = StdioServerParameters(command=serve[0], args=serve[1:], cwd=root, env=environment)
        async with Client(server, mode="legacy") as client:
            answer = await client.call_tool("find_tools", {"query": "get an invoice of a customer"})
            listed = (await client.list_tools()).tools
    if answer.is_error:
        raise SystemExit(str(answer.content))
    wire = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed]
    characters = len(json.dumps(wire, ensure_ascii=False, separators=(",", ":")))
    plain = len(json.dumps(tools, ensure_ascii=False, separators=(",", ":")))
    text = "".join(getattr(block, "text", "") for block in answer.content)
    return {
        "reachable": size + len(listed),
        "listed": len(listed),
        "listing_characters": characters,
        "listing_tokens": round(characters / 4),
        "plain_characters": plain,
        "plain_tokens": round(plain / 4),
        "answer_tokens": round(len(text) / 4),
    }


def _tool(number: int) -> dict[str, Any]:
    """A tool as servers commonly describe theirs: a sentence, three or four parameters with a line each."""
    verb, noun = _VERBS[number % len(_VERBS)], _NOUNS[number // len(_VERBS) % len(_NOUNS)]
    properties: dict[str, Any] = {
        f"{noun}_id": {"type": "string", "description": f"The identifier of the {noun}, as given by list_{noun}."},
        "fields": {"type": "array", "items": {"type": "string"}, "description": "Which fields to return."},
        "limit": {"type": "integer", "minimum": 1, "maximum": 100, "description": "How many entries at most."},
    }
    return {
        "name": f"{verb}_{noun}_{number}",
        "description": f"{verb.capitalize()} a {noun} of area {number}. Fails if it does not exist or is locked.",
        "inputSchema": {"type": "object", "properties": properties, "required": [f"{noun}_id"]},
    }
