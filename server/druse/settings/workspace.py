"""A workspace: the folder whose tools, rules and traces belong together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where everything of one project lives. `root` is resolved."""

    root: Path
    user_config: Path

    @classmethod
    def find(cls, start: Path, *, home: Path | None = None, environment: Mapping[str, str] = os.environ) -> Workspace:
        """The nearest folder upward with `.druse/`, else the git root, else `start` itself."""
        here = start.resolve()
        home = home or Path.home()
        upward = [here, *here.parents]
        # The user's own ~/.druse is no project's; a project is never the home folder by accident.
        root = next((folder for folder in upward if (folder / ".druse").is_dir() and folder != home.resolve()), None)
        if root is None:
            root = next((folder for folder in upward if (folder / ".git").exists()), here)
        configured = environment.get("XDG_CONFIG_HOME")
        config_home = Path(configured) if configured else home / ".config"
        return cls(root, config_home / "druse" / "config.toml")

    @property
    def state(self) -> Path:
        """`.druse/`: database, keys, spool."""
        return self.root / ".druse"

    @property
    def config(self) -> Path:
        """The project's own settings and rules."""
        return self.state / "config.toml"

    @property
    def database(self) -> Path:
        """The one SQLite file."""
        return self.state / "druse.db"

    @property
    def keys(self) -> Path:
        """Keys of this workspace, readable by the owner only."""
        return self.state / "keys"

    @property
    def spool(self) -> Path:
        """What clients' hooks wrote down and nobody has read yet."""
        return self.state / "spool"

    @property
    def servers(self) -> Path:
        """The project's upstream servers."""
        return self.root / "mcp.json"

    @property
    def user_servers(self) -> Path:
        """The user's upstream servers, behind Druse in every project: beside the user's own config.toml."""
        return self.user_config.parent / "mcp.json"

    @property
    def user_values(self) -> Path:
        """Values of variables that mcp.json names and no environment holds, readable by this account only."""
        return self.user_config.parent / "secrets.json"

    @property
    def generated(self) -> Path:
        """Crystallized tools, meant to be committed with the project."""
        return self.root / "tools" / "generated"

    @property
    def skills(self) -> Path:
        """The project's own skills."""
        return self.root / "skills"

    @property
    def volumes(self) -> Path:
        """The user's volumes, shared by all projects: beside the user's own config.toml."""
        return self.user_config.parent / "volumes"
