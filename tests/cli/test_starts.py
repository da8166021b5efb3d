"""Most tests start `druse` with all of it imported already (`tests/warm`); here nothing of Druse is there before."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import druse.cli

# What others have made is imported once: it takes most of the time and knows nothing of us.
EACH_ALONE = """
import os, sys, importlib
import asyncio, sqlite3, click, mcp, mcp.server, rich, tomlkit, cryptography, yaml, numpy
assert not [name for name in sys.modules if name.startswith("druse")]
for module in sys.argv[1:]:
    child = os.fork()
    if not child:
        importlib.import_module(module)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print(module)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_whatever_a_command_imports_can_be_the_first_that_is_imported() -> None:
    folder = Path(str(druse.cli.__file__)).parent
    found = {f"druse.cli.{path.stem}" for path in folder.glob("*.py") if path.stem != "__init__"}
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("druse."):
                found.add(str(node.module))
    assert len(found) > 60
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EACH_ALONE, *sorted(found)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
