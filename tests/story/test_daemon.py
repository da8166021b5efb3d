"""Several clients, one daemon: who shares what, and what happens when it dies, grows old or is left alone."""

from __future__ import annotations

import array
import asyncio
import fcntl
import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import termios
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPError

from druse import shim, spool
from druse.settings import Workspace

from .conftest import Project  # type: ignore[import-not-found]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows serves without a daemon")

SHIM = str(Path(shim.__file__))
SERVER = """
import json, os, sys, time
TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("who", "hang")]
for line in sys.stdin:
    m = json.loads(line)
    if "id" not in m:
        continue
    if m["method"] == "initialize":
        r = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "e", "version": "1"}}
    elif m["method"] == "tools/list":
        r = {"tools": TOOLS}
    elif m["method"] == "tools/call" and m["params"]["name"] == "hang":
        open(sys.argv[1], "w").write("hangs")
        continue
    elif m["method"] == "tools/call":
        seen = {"pid": os.getpid(), "token": os.environ.get("TOKEN"), "other": os.environ.get("OTHER_SECRET")}
        r = {"content": [{"type": "text", "text": json.dumps(seen)}], "structuredContent": seen}
    else:
        print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "error": {"code": -32601, "message": "no"}}), flush=True)
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": r}), flush=True)
"""


class Daemons:
    """Clients of a project that start as an editor starts them."""

    def __init__(self, project: Project, mark: Path) -> None:
        self.project = project
        self.mark = mark

    @asynccontextmanager
    async def client(self, mode: str = "legacy", **environment: str) -> AsyncGenerator[Client]:
        server = StdioServerParameters(
            command=sys.executable,
            args=["-I", "-S", SHIM, "serve"],
            cwd=self.project.root,
            env={"XDG_CONFIG_HOME": str(self.project.root / "none"), "TOKEN": "t", **environment},
        )
        async with Client(server, mode=mode) as client:
            yield client

    def ask(self, what: str) -> dict[str, Any] | None:
        connection = shim.Place(str(self.project.root)).connect()
        if connection is None:
            return None
        try:
            connection.sendall(shim.hello(what, str(self.project.root)))
            answer = b""
            while more := connection.recv(4096):
                answer += more
            return json.loads(answer)
        finally:
            connection.close()

    def pid(self) -> int:
        status = self.ask("status")
        assert status is not None
        return status["pid"]


@pytest.fixture
async def daemons(project: Project, tmp_path: Path) -> AsyncIterator[Daemons]:
    (tmp_path / "server.py").write_text(SERVER)
    entry = {
        "command": sys.executable,
        "args": [str(tmp_path / "server.py"), str(tmp_path / "mark")],
        "env": {"TOKEN": "${TOKEN}"},
    }
    rules = '[permissions]\nallow = ["e__*"]\n[settings]\ndaemon_idle_seconds = 30\n'
    project.configure(servers={"e": entry}, config=rules)
    made = Daemons(project, tmp_path / "mark")
    yield made
    told = made.ask("status")
    if told is not None:
        ended = os.pidfd_open(told["pid"]) if sys.platform == "linux" else -1
        made.ask("stop")
        if ended >= 0:
            await asyncio.to_thread(select.select, [ended], [], [], 10)
            os.close(ended)


async def _who(client: Client) -> dict[str, Any]:
    result = await client.call_tool("run_tool", {"name": "e__who"})
    assert result.is_error is False, result.content
    assert isinstance(result.structured_content, dict)
    return result.structured_content


async def test_five_clients_that_start_at_once_share_one_daemon(daemons: Daemons) -> None:
    async def one() -> tuple[int, int]:
        async with daemons.client() as client:
            found = await _who(client)
            return daemons.pid(), found["pid"]

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one()) for _ in range(5)]
    assert len({task.result() for task in tasks}) == 1


async def test_clients_with_other_secrets_have_servers_of_their_own(daemons: Daemons) -> None:
    secrets = {"OTHER_SECRET": "never"}
    async with (
        daemons.client(TOKEN="a", **secrets) as one,
        daemons.client(TOKEN="b") as two,
        daemons.client(TOKEN="a") as three,
    ):
        first, second, third = await _who(one), await _who(two), await _who(three)
    assert (first["token"], second["token"], third["token"]) == ("a", "b", "a")
    assert first["pid"] == third["pid"] != second["pid"]
    assert first["other"] is None


async def test_the_environment_of_the_daemon_holds_no_secret_of_the_client_that_started_it(daemons: Daemons) -> None:
    async with daemons.client(OTHER_SECRET="never") as client:
        await _who(client)
        names = _names_in_environment(daemons.pid())
    assert "PATH" in names
    assert not names & {"OTHER_SECRET", "TOKEN"}


def _names_in_environment(pid: int) -> set[str]:
    place = Path(f"/proc/{pid}/environ")
    if not place.exists():
        pytest.skip("no /proc here")
    return {pair.partition(b"=")[0].decode() for pair in place.read_bytes().split(b"\0")}


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_work_of_two_clients_is_recorded_apart(daemons: Daemons, mode: str) -> None:
    async with daemons.client(mode) as one, daemons.client(mode) as two:
        await _who(one)
        await _who(two)
        await _who(one)
    runs = (await daemons.project.druse("traces", "list"))["runs"]
    shown = [await daemons.project.druse("traces", "show", run["id"]) for run in runs]
    assert sorted(len(run["steps"]) for run in shown) == [1, 2]


async def test_a_killed_daemon_costs_the_calls_under_way_and_nothing_else(daemons: Daemons) -> None:
    async with daemons.client() as client, daemons.client() as bystander:
        await _who(bystander)
        before = daemons.pid()
        hanging = asyncio.ensure_future(client.call_tool("run_tool", {"name": "e__hang"}))
        async with asyncio.timeout(120):
            while not daemons.mark.exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.01)
        os.kill(before, signal.SIGKILL)
        with pytest.raises(MCPError, match="daemon ended while this was under way"):
            await hanging
        assert (await _who(client))["token"] == "t"
        assert (await _who(bystander))["token"] == "t"
        assert daemons.pid() != before
        assert len((await client.list_tools()).tools) == 7


async def test_an_older_daemon_makes_way_and_keeps_its_clients(daemons: Daemons) -> None:
    async with daemons.client() as old:
        before = await _who(old)
        first = daemons.pid()
        connection = shim.Place(str(daemons.project.root)).connect()
        assert connection is not None
        body = b"\0".join([b"99.0.0", b"c-new", b"1", b"/"])
        connection.sendall(b"%08x" % len(body) + body)
        assert connection.recv(64) == b"again\n"
        connection.close()
        assert daemons.ask("status") is None
        async with daemons.client() as new:
            assert daemons.pid() != first
            assert (await _who(new))["pid"] != before["pid"]
            assert (await _who(old))["pid"] == before["pid"]


async def test_a_daemon_that_nobody_uses_ends(daemons: Daemons) -> None:
    daemons.project.configure(servers={}, config="[settings]\ndaemon_idle_seconds = 0\n")
    async with daemons.client() as client:
        await client.list_tools()
        ended = os.pidfd_open(daemons.pid())
    readable, _, _ = await asyncio.to_thread(select.select, [ended], [], [], 15)
    os.close(ended)
    assert readable
    assert daemons.ask("status") is None


async def test_a_mistake_in_the_rules_is_told_and_can_be_corrected_while_the_client_stays(daemons: Daemons) -> None:
    config = daemons.project.root / ".druse" / "config.toml"
    right = config.read_text()
    config.write_text("[permissions]\nallow = 3\n")
    async with daemons.client() as client:
        with pytest.raises(MCPError, match=r"config\.toml:2"):
            await client.list_tools()
        failed = await client.call_tool("run_tool", {"name": "e__who"})
        assert failed.is_error
        assert "config.toml:2" in str(failed.content)
        config.write_text(right)
        assert len((await client.list_tools()).tools) == 7


async def test_the_socket_is_the_accounts_alone(daemons: Daemons) -> None:
    async with daemons.client() as client:
        await client.list_tools()
        run = daemons.project.root / ".druse" / "run"
        assert stat.S_IMODE(run.lstat().st_mode) == 0o700
        assert stat.S_IMODE((run / "daemon.sock").lstat().st_mode) == 0o600


async def test_where_the_folder_of_the_socket_is_open_to_others_a_client_is_served_alone(daemons: Daemons) -> None:
    run = daemons.project.root / ".druse" / "run"
    run.mkdir(mode=0o755)
    run.chmod(0o755)
    async with daemons.client() as client:
        assert (await _who(client))["token"] == "t"
        assert daemons.ask("status") is None


class Raw:
    """A client that writes and reads its shim's pipes itself."""

    def __init__(self, daemons: Daemons, stdout: int = subprocess.PIPE) -> None:
        command = [sys.executable, "-I", "-S", SHIM, "serve"]
        environment = {**os.environ, "XDG_CONFIG_HOME": str(daemons.project.root / "none"), "TOKEN": "t"}
        self.process = subprocess.Popen(
            command, cwd=daemons.project.root, env=environment, stdin=subprocess.PIPE, stdout=stdout, bufsize=0
        )

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait()

    def write(self, text: bytes) -> None:
        assert self.process.stdin is not None
        while text:
            text = text[self.process.stdin.write(text) :]

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, number: int, method: str, **params: Any) -> dict[str, Any]:
        self.write(_request(number, method, **params))
        return self.read()

    def begin(self) -> None:
        who = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
        assert "result" in self.ask(1, "initialize", **who)
        self.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')

    def until_read(self) -> None:
        """Wait until all that was written has been read by somebody."""
        assert self.process.stdin is not None
        left = array.array("i", [1])
        while left[0]:
            fcntl.ioctl(self.process.stdin, termios.FIONREAD, left)


def _request(number: int, method: str, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n"


def _who_of(number: int, **more: Any) -> bytes:
    return _request(number, "tools/call", name="run_tool", arguments={"name": "e__who", "arguments": more})


linux = pytest.mark.skipif(sys.platform != "linux", reason="pipes are handed over on Linux")


@linux
def test_the_daemon_reads_the_pipes_of_a_client_and_lets_go_of_them(daemons: Daemons) -> None:
    with Raw(daemons) as bystander:
        bystander.begin()
        folder = Path(f"/proc/{daemons.pid()}/fd")

        def held() -> set[str]:
            return {str(entry.readlink()) for entry in folder.iterdir() if entry.is_symlink()}

        before = held()
        for _ in range(3):
            with Raw(daemons) as client:
                client.begin()
                pipes = {str(Path(f"/proc/{client.process.pid}/fd/{number}").readlink()) for number in (0, 1)}
                assert pipes <= held()
                client.process.kill()
                assert client.process.stdout is not None
                client.process.stdout.read()  # to the end: nobody holds the other end any more
        assert "result" in bystander.ask(2, "ping")
        assert not {name for name in held() - before if name.startswith("pipe")}


@linux
def test_a_client_that_closes_its_input_gets_its_answers_and_the_end(daemons: Daemons) -> None:
    with Raw(daemons) as client:
        client.begin()
        client.write(_who_of(2) + _who_of(3)[:-1])  # the last line lacks its end
        assert client.process.stdin is not None
        client.process.stdin.close()
        assert {client.read()["id"], client.read()["id"]} == {2, 3}
        assert client.process.wait(120) == 0


@linux
def test_a_daemon_killed_amid_a_line_loses_nothing_of_it(daemons: Daemons) -> None:
    with Raw(daemons) as client:
        client.begin()
        assert not client.ask(2, "tools/call", name="run_tool", arguments={"name": "e__who"})["result"]["isError"]
        line = _who_of(3, padding="x" * 300_000)
        client.write(line[:200_000])
        client.until_read()
        os.kill(daemons.pid(), signal.SIGKILL)
        client.write(line[200_000:])
        answer = client.read()
        assert (answer["id"], answer["result"]["isError"]) == (3, False)
        assert client.ask(4, "ping")["result"] == {}


@linux
def test_a_client_hears_which_of_its_requests_a_killed_daemon_had_not_answered(daemons: Daemons) -> None:
    with Raw(daemons) as client:
        client.begin()
        for number in range(2, 40):
            assert client.ask(number, "ping")["id"] == number
        hang = {"name": "run_tool", "arguments": {"name": "e__hang"}}
        client.write(_request(40, "tools/call", **hang) + _request(39, "ping"))
        assert client.read()["id"] == 39
        while not daemons.mark.exists():
            os.sched_yield()
        os.kill(daemons.pid(), signal.SIGKILL)
        lost = client.read()
        assert lost["id"] == 40
        assert "daemon ended" in lost["error"]["message"]
        assert client.ask(41, "ping") == {"jsonrpc": "2.0", "id": 41, "result": {}}


def test_where_output_is_no_pipe_lines_are_carried(daemons: Daemons, tmp_path: Path) -> None:
    with (tmp_path / "said").open("wb") as said, Raw(daemons, said.fileno()) as client:
        who = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
        client.write(_request(1, "initialize", **who) + b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        client.write(_who_of(2))
        assert client.process.stdin is not None
        client.process.stdin.close()
        assert client.process.wait(60) == 0
    answers = [json.loads(line) for line in (tmp_path / "said").read_bytes().splitlines()]
    assert [answer["id"] for answer in answers] == [1, 2]


@pytest.mark.parametrize("words", [("-S", SHIM, "serve"), ("-m", "druse", "serve", "--no-daemon")])
def test_one_socket_may_be_both_input_and_output(daemons: Daemons, words: tuple[str, ...]) -> None:
    ours, theirs = socket.socketpair()
    environment = {**os.environ, "XDG_CONFIG_HOME": str(daemons.project.root / "none"), "TOKEN": "t"}
    root = daemons.project.root
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", *words], cwd=root, env=environment, stdin=theirs.fileno(), stdout=theirs.fileno()
        )
    try:
        with ours, ours.makefile("rwb", buffering=0) as stream:
            ours.settimeout(60)
            who = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
            stream.write(_request(1, "initialize", **who))
            assert json.loads(stream.readline())["id"] == 1
            stream.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n' + _request(2, "ping"))
            assert json.loads(stream.readline())["id"] == 2
            stream.write(_request(3, "ping"))
            assert json.loads(stream.readline())["id"] == 3
    finally:
        process.kill()
        process.wait()


def test_the_shim_imports_next_to_nothing() -> None:
    source = f"exec(compile(open({SHIM!r}).read(), 'shim', 'exec'), {{'__name__': 'shim'}})"
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "importtime", "-c", source],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    loaded = {line.rpartition("|")[2].strip() for line in said.splitlines()}
    assert not loaded & {"json", "socket", "subprocess", "asyncio", "pathlib", "contextlib", "typing", "re", "logging"}
    assert not {name for name in loaded if name.startswith(("druse", "mcp", "pydantic"))}


@pytest.mark.parametrize("made", [(), (".git",), (".druse",), (".druse", "a/.git"), ("a/.druse",), ("a/.git",)])
def test_the_shim_and_a_hook_find_the_workspace_that_druse_finds(tmp_path: Path, made: tuple[str, ...]) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for folder in made:
        (tmp_path / folder).mkdir()
    for start in (tmp_path, tmp_path / "a", tmp_path / "a" / "b"):
        assert shim.workspace_root(str(start)) == spool.workspace_root(str(start)) == str(Workspace.find(start).root)
