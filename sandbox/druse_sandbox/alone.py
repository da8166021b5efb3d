"""A worker started by itself, where there is no zygote that could safely fork it: macOS and Windows.

Frames come in on standard input and go out on standard output. Both are moved to numbers of their own before anything
else, so that nothing that prints can reach the host.
"""

from __future__ import annotations

import json
import os
import sys

from druse_sandbox.preload import preload
from druse_sandbox.worker import serve


def main() -> None:
    """Move the pipes, warm up, and serve one job with the limits of the first argument."""
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (0, 1):
            msvcrt.setmode(descriptor, os.O_BINARY)
    reading, writing = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    limits: dict[str, int] = json.loads(sys.argv[1])
    preload()
    try:
        serve(reading, writing, limits)
    finally:
        os._exit(4)
