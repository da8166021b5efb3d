"""What the daemon does: takes clients in, keeps an application for each kind of environment, ends when idle."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from druse import __version__
from druse.front.arrivals import Handed, arriving, first_of
from druse.front.ledger import Ledger
from druse.front.links import Link
from druse.front.served import Served
from druse.front.stdio import on_pipes
from druse.model import DruseError, JsonObject
from druse.settings import Workspace, likeness, needed_environment
from druse.upstream.lines import CHUNK, LineProtocol

log = logging.getLogger("druse.front")

_HELLO_SECONDS = 10.0
_HELLO_BYTES = 16 * 1024 * 1024
_FIRST_SECONDS = 30.0  # that a daemon waits for its first client
_MISTAKEN_SECONDS = 10.0  # that it waits for a client where its configuration has a mistake
_FLUSH_SECONDS = 10.0  # that a client which asks nothing more is given to read its answers
_HANDED = 100  # clients whose pipes are read here: each takes five descriptors, and a process has 1,024 as a rule
_LOOK_SECONDS = 5.0  # between two looks at whether the socket is still there


@dataclass(frozen=True, slots=True)
class Hello:
    """What a client's process says first (see `druse.shim.hello`)."""

    version: str
    link: str
    pid: str
    cwd: str
    environment: Mapping[str, str]

    @classmethod
    def read(cls, body: bytes) -> Hello:
        """Raises ValueError."""
        version, link, pid, cwd, *pairs = (os.fsdecode(part) for part in body.split(b"\0"))
        return cls(version, link, pid, cwd, dict(pair.split("=", 1) for pair in pairs if "=" in pair))


@dataclass(slots=True)
class Daemon:
    """The daemon at work. `place` is the status of the socket's file; another file there means another daemon."""

    root: Path
    listener: socket.socket
    lock: int
    place: os.stat_result
    started: float = field(default_factory=time.time)
    clients: int = 0
    served: dict[tuple[tuple[str, str], ...], Served] = field(default_factory=dict[tuple[tuple[str, str], ...], Served])
    stirred: asyncio.Event = field(default_factory=asyncio.Event)  # a client came or left, or it is to end
    retiring: bool = False
    stopped: bool = False

    async def run(self) -> None:
        """Serve until idle, stopped, or left by the last client after making way."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stop)
        async with asyncio.TaskGroup() as group:
            connections: set[asyncio.Task[None]] = set()

            def arrived(connection: socket.socket) -> None:
                task = group.create_task(self._arrived(group, connection))
                connections.add(task)
                task.add_done_callback(connections.discard)

            door = group.create_task(arriving(self.listener, arrived))
            await self._until_over()
            self._let_go()
            door.cancel()
            await asyncio.wait([door])
            self.listener.close()
            while self.clients and not self.stopped:
                self.stirred.clear()
                await self.stirred.wait()
            for task in list(connections):
                task.cancel()
            if connections:
                await asyncio.wait(connections)
            for served in self.served.values():
                served.end()

    def stop(self) -> None:
        """End now; clients that are there join the next daemon with their next request."""
        self.stopped = True
        self.stirred.set()

    def retire(self) -> None:
        """Make way: take nobody in any more, and end when the last client has left."""
        self.retiring = True
        self._let_go()
        self.stirred.set()

    async def _until_over(self) -> None:
        quiet = time.monotonic()
        while not self.stopped and not self.retiring:
            if self.clients:
                quiet = time.monotonic()
            elif time.monotonic() - quiet >= self._patience():
                return
            if not self._reachable():
                return
            self.stirred.clear()
            wait = _LOOK_SECONDS if self.clients else min(_LOOK_SECONDS, self._patience())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(wait, 0.05)):
                    await self.stirred.wait()

    def _patience(self) -> float:
        """Seconds that it waits for a client while there is none."""
        if not self.served:
            return _FIRST_SECONDS
        from druse.settings import load_config

        try:
            return load_config(Workspace.find(self.root)).knobs.daemon_idle_seconds
        except DruseError:
            return _MISTAKEN_SECONDS  # each client is told what is wrong with the file

    def _reachable(self) -> bool:
        try:
            found = os.stat(self.root / ".druse" / "run" / "daemon.sock")  # noqa: PTH116 - compared with a stat
        except OSError:
            return False
        return (found.st_ino, found.st_dev) == (self.place.st_ino, self.place.st_dev)

    def _let_go(self) -> None:
        """Give up the socket's place, so that the next daemon can take it."""
        if self.lock < 0:
            return
        if self._reachable():
            (self.root / ".druse" / "run" / "daemon.sock").unlink(missing_ok=True)
        os.close(self.lock)
        self.lock = -1

    async def _arrived(self, group: asyncio.TaskGroup, connection: socket.socket) -> None:
        try:
            async with asyncio.timeout(_HELLO_SECONDS):
                first, handed = await first_of(connection)
        except (TimeoutError, OSError):
            connection.close()
            return
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=2 * CHUNK, loop=loop)
        reader.feed_data(first)
        transport, protocol = await loop.connect_accepted_socket(lambda: LineProtocol(reader), connection)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        with contextlib.ExitStack() as held:
            if handed is not None:
                held.callback(handed.close)
            await self._connection(group, reader, writer, protocol, handed)

    async def _connection(
        self,
        group: asyncio.TaskGroup,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        protocol: LineProtocol,
        handed: Handed | None,
    ) -> None:
        try:
            hello = await _hello(reader)
            if hello is None:
                return
            if hello.link in ("status", "stop"):
                writer.write(json.dumps(self.status()).encode() + b"\n")
                await writer.drain()
                if hello.link == "stop":
                    self.stop()
                return
            if _numbers(hello.version) > _numbers(__version__):
                self.retire()
            if self.retiring or self.stopped:
                writer.write(b"again\n")
                return
            served = self._served(group, hello.environment)
            if handed is not None and self.clients < _HANDED:
                writer.write(b"taken\n")
                await self._serve_handed(served, hello.link, handed, reader, writer)
                writer.write(b"bye\n")
                return
            writer.write(b"welcome\n")
            # A socket's transport is for both directions.
            streams = protocol, cast("asyncio.ReadTransport", writer.transport), writer
            await self._serve(served, Link(hello.link), *streams)
        except ConnectionError:
            return  # the client is gone
        except Exception:  # top handler of a connection: one that fails takes no other along
            log.exception("a client's connection failed")
        finally:
            writer.close()

    async def _serve_handed(
        self, served: Served, name: str, handed: Handed, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve a client on its own pipes; its process waits beside for the end, or to go on should this one die."""
        pipes = on_pipes(os.dup(handed.reads), os.dup(handed.writes))
        async with asyncio.TaskGroup() as group, pipes as (protocol, reads, told):
            watching = group.create_task(_end_with(reader, reads, told))
            await self._serve(served, Link(name, ledger=Ledger(*handed.ledger)), protocol, reads, told)
            watching.cancel()
            await _flushed(told)

    async def _serve(
        self,
        served: Served,
        link: Link,
        protocol: LineProtocol,
        reads: asyncio.ReadTransport,
        writer: asyncio.StreamWriter,
    ) -> None:
        served.links.add(link)
        self.clients += 1
        self.stirred.set()
        try:
            await served.serve(protocol, reads, writer, link)
        finally:
            self.clients -= 1
            await asyncio.shield(served.left(link))
            self.stirred.set()

    def _served(self, group: asyncio.TaskGroup, given: Mapping[str, str]) -> Served:
        home = Path(given["HOME"]) if given.get("HOME") else None
        workspace = Workspace(self.root, Workspace.find(self.root, home=home, environment=given).user_config)
        environment = needed_environment(given, workspace.servers, workspace.user_servers)
        key = likeness(environment)
        for other, held in list(self.served.items()):
            if other != key and not held.links:  # nobody of that kind is left: its secrets go
                held.end()
                del self.served[other]
        if key not in self.served:
            self.served[key] = Served(workspace, environment)
            group.create_task(self.served[key].run())
        return self.served[key]

    def status(self) -> JsonObject:
        """For `druse daemon status`."""
        return {
            "pid": os.getpid(),
            "version": __version__,
            "root": str(self.root),
            "started": self.started,
            "clients": self.clients,
            "applications": len(self.served),
        }


def serve_workspace(root: str, listener: socket.socket, lock: int, place: os.stat_result) -> None:
    """Run the daemon until it ends."""
    form = "%(asctime)s %(name)s %(levelname)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format=form)
    asyncio.run(Daemon(Path(root), listener, lock, place).run())


async def _end_with(client: asyncio.StreamReader, reads: asyncio.ReadTransport, told: asyncio.StreamWriter) -> None:
    """Let go of a client's pipes when its process ended: whoever killed that waits for them to be closed."""
    with contextlib.suppress(ConnectionError):
        await client.read(1)
    told.transport.abort()
    reads.close()


async def _flushed(told: asyncio.StreamWriter) -> None:
    """Wait until the client has all that was written to it, as long as it reads."""
    told.transport.set_write_buffer_limits(0)
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(_FLUSH_SECONDS):
            await told.drain()


async def _hello(reader: asyncio.StreamReader) -> Hello | None:
    try:
        async with asyncio.timeout(_HELLO_SECONDS):
            size = int(await reader.readexactly(8), 16)
            return Hello.read(await reader.readexactly(size)) if size <= _HELLO_BYTES else None
    except (TimeoutError, ValueError, asyncio.IncompleteReadError):
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
