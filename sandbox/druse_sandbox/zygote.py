"""The process that workers are forked from: started by exec, single thread, empty environment, everything preloaded.

It takes one byte and a descriptor for a new worker, or a number to kill one. It never reads a byte of tool code or of
what a worker says.
"""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import array
import json
import os
import signal
import socket
import struct
import sys
from typing import Any

from druse_sandbox.preload import preload


def main() -> None:
    """Serve the control socket given as descriptor 3 until it closes."""
    control = socket.socket(fileno=3)
    limits: dict[str, int] = json.loads(sys.argv[1])
    preload()
    children: set[int] = set()

    def reap(_number: int = 0, _frame: Any = None) -> None:
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            children.discard(pid)

    signal.signal(signal.SIGCHLD, reap)
    control.sendall(b"R")
    while True:
        data, descriptors = _receive(control)
        if not data:
            break
        if data[:1] == b"K":
            (pid,) = struct.unpack("<I", data[1:5])
            if pid in children:
                os.kill(pid, signal.SIGKILL)
            continue
        # No child may end between fork and its entry in the table.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if pid == 0:
            _become_worker(control, descriptors[0], limits)
        children.add(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        os.close(descriptors[0])
        control.sendall(struct.pack("<I", pid))
    for pid in list(children):
        os.kill(pid, signal.SIGKILL)


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    held = array.array("i")
    data, ancillary, _, _ = control.recvmsg(5, socket.CMSG_SPACE(held.itemsize))
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            held.frombytes(content[: held.itemsize])
    if data[:1] == b"K" and len(data) < 5:
        data += control.recv(5 - len(data))
    return data, list(held)


def _become_worker(control: socket.socket, pipe: int, limits: dict[str, int]) -> None:
    try:
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        control.detach()
        os.dup2(pipe, 3)
        if pipe != 3:
            os.close(pipe)
        from druse_sandbox.worker import serve

        serve(3, 3, limits)
    finally:
        os._exit(4)


if __name__ == "__main__":
    main()
