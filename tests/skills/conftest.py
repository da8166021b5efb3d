"""A user with two projects and volumes of their own, reached by the command in a second process."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

import doors


class Home:
    """One project folder; volumes lie beside the user's config."""

    def __init__(self, root: Path, config: Path) -> None:
        self.root = root
        self.volumes = config / "druse" / "volumes"
        self.environment = {**os.environ, "XDG_CONFIG_HOME": str(config), "USER": "alice", "LOGNAME": "alice"}

    async def druse(self, *arguments: str) -> Any:
        """A command's JSON answer."""
        return await doors.command(self.root, self.environment, *arguments)

    def said(self, *arguments: str) -> Any:
        """A command's JSON answer, in this process: quicker, for tests that are no coroutines."""
        return doors.said(self.root, self.environment, *arguments)

    @asynccontextmanager
    async def client(self, mode: str = "legacy", on_message: Any = None) -> AsyncGenerator[Client]:
        """A client over stdio, as an editor starts it."""
        async with doors.agent(self.root, self.environment, mode=mode, on_message=on_message) as client:
            yield client


@pytest.fixture
def home(tmp_path: Path) -> Home:
    root = tmp_path / "project"
    (root / ".druse").mkdir(parents=True)
    (root / ".druse" / "config.toml").write_text("[permissions]\nallow = ['Read']\n")
    (root / "mcp.json").write_text('{"mcpServers": {}}')
    return Home(root, tmp_path / "config")
