"""An account with a home and a project of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


class Account:
    """A home folder, a project, and commands run there."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.project = root / "project"
        self.home.mkdir()
        self.project.mkdir()

    def druse(self, *arguments: str, code: int = 0, path: str = "/usr/bin:/bin") -> Any:
        done = self.run(*arguments, "--json", path=path)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    def run(self, *arguments: str, path: str = "/usr/bin:/bin") -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "CLAUDE"))}
        return subprocess.run(
            [sys.executable, "-m", "druse", *arguments],
            cwd=self.project,
            env={**environment, "HOME": str(self.home), "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
