"""Shared by all tests."""

import compileall
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The suite asks the same question of every commit, so its answer is the commit's. scripts/fuzz asks new ones.
# No test is judged by how fast the machine is: neither an example nor the making of one has a limit of its own.
_UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("suite", _UNHURRIED, derandomize=True)
settings.register_profile("search", _UNHURRIED, derandomize=False)
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """What the tests start is compiled once, also where Python is told to write no bytecode by itself."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        for folder in ("server", "sandbox"):
            compileall.compile_dir(Path(__file__).parents[1] / folder, quiet=2)
