"""Runs from files in the neutral trace format, plain or gzipped."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from druse.model import Run, run_from_neutral


def read_runs(path: Path) -> list[Run]:
    """All runs of a file. Raises SystemExit naming the line that cannot be read."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    runs: list[Run] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                runs.append(run_from_neutral(json.loads(line), default_id=f"run-{number}"))
            except (ValueError, AttributeError, TypeError) as error:
                raise SystemExit(f"{path}:{number}: {error}") from error
    return runs
