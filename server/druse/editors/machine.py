"""The account whose clients are configured: its home, its environment, its system."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Machine", "hook_command", "serve_arguments"]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where clients keep their files. `system` is `sys.platform`."""

    home: Path
    environment: Mapping[str, str]
    system: str = sys.platform

    @classmethod
    def here(cls) -> Machine:
        """This account on this machine."""
        return cls(Path.home(), os.environ)

    def app_data(self, name: str) -> Path:
        """The folder in which a desktop application of that name keeps its settings."""
        if self.system == "darwin":
            return self.home / "Library" / "Application Support" / name
        if self.system == "win32":
            return Path(self.environment.get("APPDATA") or self.home / "AppData" / "Roaming") / name
        return self.config_home / name

    @property
    def config_home(self) -> Path:
        """Where programs that follow the XDG base directories keep their settings."""
        return Path(self.environment.get("XDG_CONFIG_HOME") or self.home / ".config")

    @property
    def state(self) -> Path:
        """Our own folder for receipts and backups; only this account may enter it."""
        if self.system == "win32":
            return Path(self.environment.get("LOCALAPPDATA") or self.home / "AppData" / "Local") / "druse" / "installs"
        state = self.environment.get("XDG_STATE_HOME")
        return (Path(state) if state else self.home / ".local" / "state") / "druse" / "installs"

    def folder(self, variable: str, *usual: str) -> Path:
        """A folder of a client that an environment variable may move."""
        given = self.environment.get(variable)
        return Path(given) if given else self.home.joinpath(*usual)

    def program(self, name: str) -> str | None:
        """Where a program is found on the PATH."""
        return shutil.which(name, path=self.environment.get("PATH", ""))


def serve_arguments(workspace: Path | str | None = None, *, system: str = sys.platform) -> list[str]:
    """What starts the server: the absolute interpreter and, where it can join a daemon, the shim without site-packages.

    `workspace`: the folder to work in, for clients that start servers elsewhere; or the variable that they put it for.
    """
    import druse

    shim = Path(druse.__file__).resolve().with_name("shim.py")
    start = ["-m", "druse", "serve"] if system == "win32" else ["-I", "-S", str(shim), "serve"]
    return [sys.executable, *start, *(("--workspace", str(workspace)) if workspace else ())]


def hook_command(client: str, event: str, *, system: str = sys.platform) -> list[str]:
    """What a client's hook runs: it writes down one event given on standard input, prints nothing and never fails."""
    import druse

    recorder = Path(druse.__file__).resolve().with_name("hook.py")
    start = ["-m", "druse", "hook"] if system == "win32" else ["-I", "-S", str(recorder)]
    return [sys.executable, *start, client, event]
