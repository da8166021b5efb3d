"""A user with two projects and volumes of their own, reached by the command in a second process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters


class Home:
    """One project folder; volumes lie beside the user's config."""

    def __init__(self, root: Path, config: Path) -> None:
        self.root = root
        self.volumes = config / "druse" / "volumes"
        self.environment = {**os.environ, "XDG_CONFIG_HOME": str(config), "USER": "alice", "LOGNAME": "alice"}

    async def druse(self, *arguments: str) -> Any:
        """A command's JSON answer."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "druse", *_with_json(arguments)),
            cwd=self.root,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment,
        )
        out, err = await process.communicate()
        try:
            return json.loads(out)
        except ValueError:
            raise AssertionError(f"druse {arguments}: {out!r} {err!r}") from None

    @asynccontextmanager
    async def client(self, mode: str = "legacy", on_message: Any = None) -> AsyncGenerator[Client]:
        """A client over stdio, as an editor starts it."""
        server = StdioServerParameters(
            command=sys.executable, args=["-m", "druse", "serve", "--no-daemon"], cwd=self.root, env=self.environment
        )
        async with Client(server, mode=mode, message_handler=on_message) as client:
            yield client


def _with_json(arguments: tuple[str, ...]) -> list[str]:
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return [*arguments[:at], "--json", *arguments[at:]]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    root = tmp_path / "project"
    (root / ".druse").mkdir(parents=True)
    (root / ".druse" / "config.toml").write_text("[permissions]\nallow = ['Read']\n")
    (root / "mcp.json").write_text('{"mcpServers": {}}')
    return Home(root, tmp_path / "config")
