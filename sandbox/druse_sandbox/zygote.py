"""The process that workers are forked from: started by exec, single thread, empty environment, everything preloaded.

It takes one byte and a descriptor for a new worker, or a number to kill one. It never reads a byte of tool code or of
what a worker says.
"""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import array
import gc
import json
import os
import signal
import socket
import struct
import sys
from typing import Any


def main() -> None:
    """Serve the control socket given as descriptor 3 until it closes."""
    control = socket.socket(fileno=3)
    limits: dict[str, int] = json.loads(sys.argv[1])
    _preload()
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

        serve(3, limits)
    finally:
        os._exit(4)


def _preload() -> None:
    """Import and warm up what workers need: they cannot open a file."""
    import druse_sandbox.worker as worker
    from druse_sandbox.builtins import names_for
    from druse_sandbox.language import compile_source

    names = names_for(lambda *_: None, lambda *_: [], lambda *_: None)
    warm = (
        "import math, json, re, datetime\nfrom collections import Counter\nx = {'a': 1}\nx['a'] += 1\n"
        "class A:\n    def __init__(self):\n        self.b = 1\nfor i in [1]:\n    print(f'{i:>3}', A().b)\n"
        "try:\n    one([], 'a', 1)\nexcept ValueError as e:\n    pass\n"
    )
    compiled = compile_source(warm.replace("one([], 'a', 1)", "int('x')"), script=True)
    assert compiled.code is not None, compiled.problems
    exec(compiled.code, names)
    "é".encode().decode("utf-8").encode("idna" if False else "ascii", "replace")
    datetime_text = names["__builtins__"]["__import__"]("datetime").members["datetime"]
    datetime_text.strptime("2026-01-01", "%Y-%m-%d")
    assert worker.plain({"a": (1, 2)}) == {"a": [1, 2]}
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    main()
