"""What a server loads before it can answer: start-up time is a feature."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from druse.front.links import Link
from druse.front.served import Served
from druse.model import Invalid
from druse.settings import Workspace
from druse.upstream.lines import LineProtocol

HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "hasty", "version": "1"}}
HANDSHAKE = [
    {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO},
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
]
# A handshake with an application that nobody opens: what is loaded when the answer is there, it needed.
ANSWERING = """
import asyncio, socket, sys
from pathlib import Path
from druse.front import daemon, serving
from druse.front.links import Link
from druse.front.served import Served
from druse.settings import Workspace
from druse.upstream.lines import LineProtocol

async def main():
    ours, theirs = socket.socketpair()
    served = Served(Workspace.find(Path(sys.argv[1])), {})
    loop = asyncio.get_running_loop()
    reads, protocol = await loop.connect_accepted_socket(lambda: LineProtocol(asyncio.StreamReader()), ours)
    ends = asyncio.StreamWriter(reads, protocol, None, loop)
    serving = asyncio.create_task(served.serve(protocol, reads, ends, Link()))
    reader, writer = await asyncio.open_connection(sock=theirs)
    writer.write(sys.argv[2].encode() + b"\\n")
    assert b"serverInfo" in await reader.readline()
    print(sorted(sys.modules))
    writer.close()
    await serving

asyncio.run(main())
"""


def loaded_by(script: str, *arguments: str) -> set[str]:
    done = subprocess.run([sys.executable, "-I", "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.replace("'", '"')))


def test_the_handshake_is_answered_before_the_rooms_behind_the_front_are_loaded(tmp_path: Path) -> None:
    loaded = loaded_by(ANSWERING, str(tmp_path), json.dumps(HANDSHAKE[0]))
    rooms = {name.split(".")[1] for name in loaded if name.startswith("druse.")}
    assert rooms == {"front", "later", "model", "settings", "upstream"}
    behind = {"application", "deferred", "documents"}
    assert not {f"druse.front.{name}" for name in behind} & loaded
    assert {name for name in loaded if name.startswith("druse.upstream.")} == {"druse.upstream.lines"}
    assert not {name for name in loaded if name.startswith("druse.settings.c")}  # the configuration and its rules
    assert not {"aiosqlite", "sqlite3", "tomllib", "druse_sandbox", "difflib", "statistics"} & loaded


def test_a_server_starts_without_what_only_finding_and_matching_need() -> None:
    loaded = loaded_by("import sys, druse.front.serving, druse.front.application\nprint(sorted(sys.modules))")
    assert not {"numpy", "wordllama", "tokenizers", "rich"} & loaded


class Client:
    """A client's end of a connection to `served`."""

    def __init__(self, served: Served) -> None:
        ours, self._theirs = socket.socketpair()
        self._serving = asyncio.create_task(self._serve(served, ours))

    async def _serve(self, served: Served, ours: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_accepted_socket(lambda: LineProtocol(asyncio.StreamReader()), ours)
        writer = asyncio.StreamWriter(transport, protocol, None, loop)
        await served.serve(protocol, cast("asyncio.ReadTransport", transport), writer, Link())
        writer.close()

    async def all_at_once(self, *messages: dict[str, Any]) -> dict[Any, dict[str, Any]]:
        """The answers by id, to messages that are sent in one piece."""
        reader, writer = await asyncio.open_connection(sock=self._theirs)
        writer.write(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
        waiting = {message["id"] for message in messages if "id" in message}
        answers: dict[Any, dict[str, Any]] = {}
        while waiting - answers.keys():
            told = json.loads(await reader.readline())
            if "id" in told:
                answers[told["id"]] = told
        writer.close()
        await self._serving
        return answers


async def test_requests_that_come_with_the_handshake_wait_for_what_they_need(tmp_path: Path) -> None:
    served = Served(Workspace(tmp_path, tmp_path / "config.toml"), {})
    find = {"name": "find_tools", "arguments": {"query": "read a file"}}
    async with asyncio.TaskGroup() as group:
        group.create_task(served.run())
        answers = await Client(served).all_at_once(
            *HANDSHAKE,
            {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
            {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": find},
        )
        served.end()
    assert "find_tools" in [tool["name"] for tool in answers[1]["result"]["tools"]]
    assert '"Read"' in answers[2]["result"]["content"][0]["text"]


async def test_a_mistake_in_a_file_is_told_to_each_request_until_it_is_corrected(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[settings]\nnonsense = 1\n")
    served = Served(Workspace(tmp_path, config), {})
    async with asyncio.TaskGroup() as group:
        group.create_task(served.run())
        listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        for _ in range(2):
            answers = await Client(served).all_at_once(*HANDSHAKE, listing)
            assert "serverInfo" in answers[0]["result"]
            assert "nonsense" in answers[1]["error"]["message"]
        config.write_text("")
        answers = await Client(served).all_at_once(*HANDSHAKE, listing)
        assert answers[1]["result"]["tools"]
        served.end()


async def test_a_server_of_its_own_ends_with_the_error_that_stands_in_its_way(tmp_path: Path) -> None:
    (tmp_path / ".druse").mkdir()
    (tmp_path / ".druse" / "druse.db").write_bytes(b"no database" * 1000)
    served = Served(Workspace(tmp_path, tmp_path / "config.toml"), {})
    served.prepare()
    with pytest.raises(Exception, match=r"druse\.db"):
        await served.run_once()
    bad = tmp_path / "bad.toml"
    bad.write_text("[settings]\nnonsense = 1\n")
    served = Served(Workspace(tmp_path, bad), {})
    served.prepare()
    with pytest.raises(Invalid, match="nonsense"):
        await served.run_once()
