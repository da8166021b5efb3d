"""`druse serve --http` in a process of its own, as a user starts it, and a model that says what it was told to say."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

import doors
from capabilities.desk import Desk
from druse.cli import main


def bearer(key: str) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {key}"}


@dataclass
class Model:
    """A scripted endpoint on loopback: what it was asked, and what it answers."""

    port: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    script: Callable[[dict[str, Any]], tuple[int, Any, dict[str, str]]] = lambda body: (200, {}, {})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request on one connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.paths.append(first.split()[1])
        self.headers.append(headers)
        self.asked.append(body)
        status, answer, more = self.script(body)
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        told = "".join(f"{name}: {value}\r\n" for name, value in more.items())
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\nconnection: close\r\n{told}\r\n".encode()
        )
        writer.write(content)
        await writer.drain()
        writer.close()


def anthropic(text: str) -> Callable[[dict[str, Any]], tuple[int, Any, dict[str, str]]]:
    """A message in Anthropic's shape."""
    usage = {"input_tokens": 11, "output_tokens": 7}
    content = [{"type": "text", "text": text}]
    return lambda body: (200, {"model": "m-1", "content": content, "usage": usage, "stop_reason": "end_turn"}, {})


def openai(text: str) -> Callable[[dict[str, Any]], tuple[int, Any, dict[str, str]]]:
    """A completion in OpenAI's shape."""
    choices = [{"message": {"role": "assistant", "content": text}, "finish_reason": "length"}]
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    return lambda body: (200, {"model": "m-2", "choices": choices, "usage": usage}, {})


async def here(root: Path, environment: Mapping[str, str], *arguments: str) -> Any:
    """A person's command, in this process: starting Python anew for each takes longer than its work."""

    def run() -> Any:
        runner = CliRunner(env=dict(environment))
        with contextlib.chdir(root):
            done = runner.invoke(main, [*arguments, "--json"])
        return json.loads(done.stdout)

    return await asyncio.to_thread(run)


class House:
    """A project with its user's own configuration."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.own = folder / "config" / "druse"
        self.volumes = self.own / "volumes"
        (self.root / ".druse").mkdir(parents=True)
        self.own.mkdir(parents=True)
        (self.root / ".druse" / "config.toml").write_text('[permissions]\nallow = ["Read"]\n')
        (self.root / "mcp.json").write_text('{"mcpServers": {}}')
        self.environment = {
            **os.environ,
            "XDG_CONFIG_HOME": str(folder / "config"),
            "USER": "alice",
            "LOGNAME": "alice",
            "TEST_MODEL_KEY": "key-of-the-model",
        }

    def configure(self, text: str) -> None:
        """The project's rules."""
        (self.root / ".druse" / "config.toml").write_text(text)

    def model(self, model: Model, api: str = "anthropic") -> None:
        """Name the scripted endpoint in the user's own file."""
        base = f"http://127.0.0.1:{model.port}" + ("/v1" if api == "openai" else "")
        (self.own / "config.toml").write_text(
            f'[model]\napi = "{api}"\nmodel = "m"\nbase_url = "{base}"\nkey_env = "TEST_MODEL_KEY"\n'
        )

    def skill(self, name: str, text: str) -> None:
        """A skill in the project's folder."""
        folder = self.root / "skills" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "SKILL.md").write_text(
            f"---\nname: {name}\ndescription: {text}\n---\n# {name}\n\n{text} in detail.\n"
        )

    async def druse(self, *arguments: str) -> Any:
        """A person's command."""
        return await here(self.root, self.environment, *arguments)

    @property
    def token(self) -> str:
        """The token that local clients read."""
        return (self.root / ".druse" / "keys" / "http.token").read_text()

    @asynccontextmanager
    async def serve(self) -> AsyncGenerator[httpx.AsyncClient]:
        """A client of the running server, with the local token."""
        async with doors.over_http(self.root, self.environment) as (address, token):
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(base_url=address, headers=headers, timeout=120) as client:
                yield client


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
async def model() -> AsyncGenerator[Model]:
    made = Model()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "project")
