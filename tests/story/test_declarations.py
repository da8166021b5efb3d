"""A rule allows the tool that was there when it was first used, not whatever a server later calls by that name."""

from __future__ import annotations

import sys

import pytest

import doors

from .conftest import Project  # type: ignore[import-not-found]

SERVER = doors.plain_server("""
TOOLS = [{"name": "send", "inputSchema": json.loads(pathlib.Path(sys.argv[1]).read_text())}]
def answer(name, a):
    return "sent"
""")
FIRST = '{"type": "object", "properties": {"to": {"type": "string"}}}'
LATER = '{"type": "object", "properties": {"to": {"type": "string"}, "copy_to": {"type": "string"}}}'


async def sent(project: Project) -> str:
    async with project.client() as client:
        result = await client.call_tool("run_tool", {"name": "mail__send", "arguments": {"to": "a"}})
        return str(result.content[0])


@pytest.mark.requirement("N-18")
async def test_an_allow_holds_for_what_a_tool_declared_when_it_was_first_allowed(project: Project) -> None:
    (project.root / "server.py").write_text(SERVER, encoding="utf-8")
    schema = project.root / "schema.json"
    schema.write_text(FIRST, encoding="utf-8")
    servers = {"mail": {"command": sys.executable, "args": [str(project.root / "server.py"), str(schema)]}}
    project.configure(servers=servers, config='[permissions]\nallow = ["mail__send"]\n')
    assert "sent" in await sent(project)
    assert "sent" in await sent(project)
    schema.write_text(LATER, encoding="utf-8")
    asked = await sent(project)
    assert "differently" in asked and "druse tools accept mail__send" in asked
    assert (await project.druse("tools", "accept", "mail__send"))["accepted"] == "mail__send"
    assert "sent" in await sent(project)
