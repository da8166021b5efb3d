"""A command of Druse in a second process, as a person gives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def command(root: Path, *arguments: str) -> dict[str, Any]:
    """Its JSON answer, asked in `root/project` without a user's configuration. Raises SystemExit with what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "druse", *arguments, "--json"],
        cwd=root / "project",
        env={**os.environ, "XDG_CONFIG_HOME": str(root / "none")},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        raise SystemExit(f"druse {' '.join(arguments)}: {done.stdout}{done.stderr}") from None
