"""An account with a home and a project of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import warm
from druse.cli import main


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


class Account:
    """A home folder, a project, and commands run there."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.project = root / "project"
        self.home.mkdir()
        self.project.mkdir()

    def druse(self, *arguments: str, code: int = 0, path: str = "/usr/bin:/bin") -> Any:
        """The JSON answer of a command."""
        done = self.run(*arguments, "--json", path=path)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    def run(self, *arguments: str, path: str = "/usr/bin:/bin") -> Done:
        """A command as a person gives it: in this process, which spares its start, where no loop runs already."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "CLAUDE"))}
        environment = {**kept, "HOME": str(self.home), "PATH": path}
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._here(arguments, environment)
        done = subprocess.run(
            [*warm.command(), *arguments],
            cwd=self.project,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def _here(self, arguments: tuple[str, ...], environment: dict[str, str]) -> Done:
        with pytest.MonkeyPatch.context() as patch, contextlib.chdir(self.project):
            for name in set(os.environ) - set(environment):
                patch.delenv(name)
            for name, value in environment.items():
                patch.setenv(name, value)
            result = CliRunner().invoke(main, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.exit_code, result.stdout, result.stderr)
