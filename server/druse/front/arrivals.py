"""How a client's process arrives at the daemon: the first bytes of its connection, and the pipes it may hand over."""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

_FIRST_BYTES = 1 << 16
_DESCRIPTORS = 4
_FULL_SECONDS = 0.2  # before the next try where this process has no descriptor left


@dataclass(frozen=True, slots=True)
class Handed:
    """Descriptors of a client's process: its input and output, and the two files of the ledger."""

    reads: int
    writes: int
    ledger: tuple[int, int]

    def close(self) -> None:
        """Let go of them."""
        for descriptor in (self.reads, self.writes, *self.ledger):
            os.close(descriptor)


async def arriving(listener: socket.socket, arrived: Callable[[socket.socket], None]) -> None:
    """Take connections in until cancelled."""
    loop = asyncio.get_running_loop()
    listener.setblocking(False)
    while True:
        try:
            connection, _ = await loop.sock_accept(listener)
        except OSError:
            await asyncio.sleep(_FULL_SECONDS)
            continue
        arrived(connection)


async def first_of(connection: socket.socket) -> tuple[bytes, Handed | None]:
    """What the other side sent first, and what it handed over with that. Empty where it is gone."""
    loop = asyncio.get_running_loop()
    readable = loop.create_future()
    loop.add_reader(connection, lambda: readable.done() or readable.set_result(None))
    try:
        await readable
    finally:
        loop.remove_reader(connection)
    room = socket.CMSG_SPACE(_DESCRIPTORS * array.array("i").itemsize)
    first, besides, _, _ = connection.recvmsg(_FIRST_BYTES, room, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
    given = array.array("i")
    for level, kind, body in besides:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            given.frombytes(body[: len(body) - len(body) % given.itemsize])
    if len(given) != _DESCRIPTORS:
        for descriptor in given:
            os.close(descriptor)
        return first, None
    return first, Handed(given[0], given[1], (given[2], given[3]))
