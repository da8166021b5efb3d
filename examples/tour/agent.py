"""An agent to play by hand: speaks MCP to Druse as an editor does, and says what it is told on standard input.

Each line is a tool and its arguments: `run_tool {"name": "office__get_user", "arguments": {"email": "u1@x.io"}}`.
Every answer is printed as one line for each of its parts, long ones cut off.
"""

import asyncio
import json
import sys

from mcp import Client, StdioServerParameters

WIDTH = 108


def shown(answer: object) -> str:
    parts = answer.items() if isinstance(answer, dict) else [("answer", answer)]
    lines: list[str] = []
    for name, value in parts:
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [f"  {name}:", *(f"    {json.dumps(part)}" for part in value)]
        else:
            lines.append(f"  {name}: {value if isinstance(value, str) else json.dumps(value)}")
    return "\n".join(short(line) for line in lines)


def short(text: str) -> str:
    first, more, _ = text.partition("\n")
    return first[: WIDTH - 1] + "…" if more or len(first) > WIDTH else first


async def main() -> None:
    server = StdioServerParameters(command="sh", args=["-c", "exec druse serve --no-daemon 2>druse.log"])
    async with Client(server) as client:
        for line in filter(str.strip, sys.stdin.read().splitlines()):
            tool, _, arguments = line.strip().partition(" ")
            given = json.loads(arguments or "{}")
            answer = (await client.call_tool(tool, given)).structured_content
            print(f"{given.get('name') or tool}", shown(answer), sep="\n")


asyncio.run(main())
