"""Imports all of Druse, then waits for relays and forks for each: see the package."""

from __future__ import annotations

import array
import atexit
import contextlib
import gc
import importlib
import os
import pkgutil
import selectors
import signal
import socket
import sys
import threading
import traceback
from dataclasses import dataclass
from typing import NoReturn

_LENGTH = 8  # bytes of a number on the socket


@dataclass
class Order:
    """What a relay was started with."""

    relay: socket.socket
    streams: list[int]
    cwd: bytes
    umask: int
    arguments: list[str]
    environment: dict[bytes, bytes]


class Server:
    """The processes under way, each with its relay."""

    def __init__(self, address: str) -> None:
        self._relays: dict[int, socket.socket] = {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(address)
        self._listener.listen(64)
        self._heard, self._told = socket.socketpair()
        self._told.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._told.fileno())
        self._waiting = selectors.DefaultSelector()
        for what in (0, self._heard, self._listener):
            self._waiting.register(what, selectors.EVENT_READ)

    def next(self) -> Order:
        """Returns in a new process, with what it is to do."""
        while True:
            for key, _ in self._waiting.select():
                if key.fileobj == 0:  # the tests have ended
                    for pid in self._relays:
                        os.kill(pid, signal.SIGKILL)
                    os._exit(0)
                elif key.fileobj is self._heard:
                    self._heard.recv(4096)
                    self._reap()
                elif key.fileobj is self._listener:
                    order = _read(self._listener.accept()[0])
                    if order is not None and self._fork(order):
                        return order
                elif key.data in self._relays:
                    self._pass_on(key.data)

    def _fork(self, order: Order) -> bool:
        """Whether this is the new process."""
        pid = os.fork()
        if pid:
            for stream in order.streams:
                os.close(stream)
            self._relays[pid] = order.relay
            self._waiting.register(order.relay, selectors.EVENT_READ, pid)
            return False
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._waiting.close()
        for one in (self._listener, self._heard, self._told, order.relay, *self._relays.values()):
            one.close()
        return True

    def _reap(self) -> None:
        while self._relays:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            relay = self._relays.pop(pid)
            if relay.fileno() >= 0:
                self._waiting.unregister(relay)
                with contextlib.suppress(OSError):  # it is killed just now: nobody waits for the answer
                    relay.sendall(os.waitstatus_to_exitcode(status).to_bytes(_LENGTH, "big", signed=True))
                relay.close()

    def _pass_on(self, pid: int) -> None:
        """The signals that a relay got, or its end."""
        try:
            signals = self._relays[pid].recv(16)
        except OSError:
            signals = b""
        for number in signals or bytes([signal.SIGKILL]):
            os.kill(pid, number)
        if not signals:
            self._waiting.unregister(self._relays[pid])
            self._relays[pid].close()


def _read(relay: socket.socket) -> Order | None:
    """What a relay sends; None if it ended before."""
    head, attached, _, _ = relay.recvmsg(_LENGTH, socket.CMSG_SPACE(3 * array.array("i").itemsize))
    streams = array.array("i")
    for _, _, data in attached:
        streams.frombytes(data)
    content, length = b"", int.from_bytes(head, "big")
    while head and len(content) < length:
        piece = relay.recv(1 << 20)
        if not piece:
            break
        content += piece
    if not head or len(content) < length:
        for stream in streams:
            os.close(stream)
        relay.close()
        return None
    cwd, umask, count, *rest = content.split(b"\0")
    arguments, environment = rest[: int(count)], rest[int(count) :]
    pairs = (pair.partition(b"=") for pair in environment)
    named = {name: value for name, _, value in pairs}
    return Order(relay, list(streams), cwd, int(umask), [os.fsdecode(word) for word in arguments], named)


def become(order: Order) -> None:
    """Be what the relay was started as."""
    os.setsid()
    for number, stream in enumerate(order.streams):
        os.dup2(stream, number)
        os.close(stream)
    os.umask(order.umask)
    os.chdir(order.cwd)
    os.environb.clear()
    os.environb.update(order.environment)
    sys.argv = ["druse", *order.arguments]
    sys.stdin = sys.__stdin__ = open(0, encoding=sys.stdin.encoding, errors=sys.stdin.errors)
    for number, name in ((1, "stdout"), (2, "stderr")):
        old = getattr(sys, name)
        new = open(number, "w", encoding=old.encoding, errors=old.errors)
        new.reconfigure(line_buffering=number == 2 or os.isatty(number))
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def load() -> None:
    """Import every module of Druse, but those that are programs of their own, and read the table of word pieces."""
    import druse
    from druse.retrieval.embedding import default_embedder

    for module in pkgutil.walk_packages(druse.__path__, "druse."):
        if module.name not in ("druse.__main__", "druse.shim", "druse.hook"):
            importlib.import_module(module.name)
    default_embedder()  # the same for every process that finds something


def run() -> NoReturn:
    """Be the command. At its end nothing is taken apart, which takes long in a process that shares so much."""
    from druse.__main__ import main

    try:
        main()
        code: object = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # as Python does: threads end, then what is registered runs
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit((code or 0) & 0xFF)


if __name__ == "__main__":
    del sys.path[0]
    load()
    server = Server(sys.argv[1])
    gc.collect()
    gc.freeze()
    os.write(1, b"ready\n")
    os.dup2(2, 1)  # the tests wait for nothing more
    become(server.next())
    run()
