"""`druse` in a process of its own whose interpreter has already imported everything: a test waits for what Druse does.

Importing takes longer than most commands, and the suite starts hundreds of them. `command()` gives the words that start
one: a relay hands its folder, environment, arguments and standard streams to a server that has imported and waits; that
forks, and the new process runs `druse.__main__.main()` and exits. It is a process like any other: killing the relay kills
it, a signal to the relay reaches it, its exit code or signal is the relay's. Nothing of Druse has run in the server
before a fork but its imports and the reading of its table of word pieces.

With DRUSE_TESTS_COLD set, and on other systems than Linux, every process starts from nothing. How such a start goes is
proved where it is the matter: the daemon, the hook, the editors, the order of imports.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_HERE = Path(__file__).parent
_LONGEST = 70
_servers: dict[int, str] = {}  # process -> the address of its server


def command() -> list[str]:
    """The words that start `druse`; its arguments follow them."""
    if os.environ.get("DRUSE_TESTS_COLD") or sys.platform != "linux":
        return [sys.executable, "-m", "druse"]
    if os.getpid() not in _servers:
        _servers[os.getpid()] = _begin()
    return [sys.executable, "-I", "-S", str(_HERE / "relay.py"), _servers[os.getpid()]]


def _begin() -> str:
    """Start the server of this process; it ends when this process ends, however that happens. Returns its address."""
    short = len(tempfile.gettempdir()) < _LONGEST  # of a socket's path Linux takes 107 bytes
    folder = tempfile.TemporaryDirectory(prefix="druse-warm-", dir=None if short else "/tmp")
    address = f"{folder.name}/socket"
    words = [sys.executable, str(_HERE / "server.py"), address]
    server = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert server.stdin is not None and server.stdout is not None
    with server.stdout as said:
        if said.readline() != b"ready\n":
            raise RuntimeError(f"{words} did not start")
    held = server.stdin

    def end() -> None:
        held.close()
        server.wait()
        folder.cleanup()

    atexit.register(end)
    return address
