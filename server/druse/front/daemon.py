"""The daemon of a workspace: one process that serves every client in it, each apart from the others.

Started by `druse.shim`, which waits until it listens. A client's environment comes with its connection: what mcp.json
names of it is kept as long as the client is there, and clients whose environments differ in that are served by
applications of their own, so that no secret of one reaches the servers of another. It ends a while after its last
client left, and makes way for a newer version without leaving the clients it has.
"""

from __future__ import annotations

import os
import socket
import sys
import time

_LOCK_SECONDS = 10.0


def main() -> None:
    """`python -I -m druse.front.daemon ROOT DESCRIPTOR`: listen, tell so on the descriptor, serve."""
    root, tell = sys.argv[1], int(sys.argv[2])
    os.chdir(os.path.join(root, ".druse", "run"))
    lock = _hold("daemon.lock")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if os.path.lexists("daemon.sock"):
        os.unlink("daemon.sock")
    listener.bind("daemon.sock")
    os.chmod("daemon.sock", 0o600)
    listener.listen(512)
    place = os.stat("daemon.sock")
    os.chdir(root)
    # The first client may connect and speak while the rest is imported.
    os.write(tell, b"ready\n")
    os.close(tell)
    from druse.front.serving import serve_workspace

    serve_workspace(root, listener, lock, place)


def _hold(path: str) -> int:
    """The lock that only one daemon holds; one that makes way needs a moment to let go."""
    import fcntl

    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    until = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except OSError:
            if time.monotonic() > until:
                sys.exit(f"{path} is held by a daemon that cannot be reached: end it, or wait until it ends by itself.")
            time.sleep(0.05)


if __name__ == "__main__":
    main()
