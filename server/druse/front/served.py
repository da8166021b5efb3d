"""One application and the clients that share it: opened when first needed, in a task of its own."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from druse.front.links import Link
from druse.front.profiles import Profile
from druse.front.server import Front
from druse.model import DruseError, first_error
from druse.settings import Workspace
from druse.upstream.lines import LineProtocol

if TYPE_CHECKING:
    from druse.front.application import Application

log = logging.getLogger("druse.front")


class Served:
    """One application and the clients that share it; opened behind the first answer, in a task of its own."""

    def __init__(
        self, workspace: Workspace, environment: Mapping[str, str] = os.environ, profile: Profile | None = None
    ) -> None:
        self.links: set[Link] = set()
        self.front = Front(self, profile)
        self._workspace = workspace
        self._environment = environment
        self._profile = profile
        self._application: Application | None = None
        self._problem: DruseError | None = None
        self._opening = False  # begun, and not failed
        self._wanted = asyncio.Event()
        self._settled = asyncio.Event()
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Keep the application open until `end`; one that cannot be opened is tried again when it is next wanted."""
        while not self._over.is_set():
            try:
                await self.run_once()
            except* DruseError as group:
                self._problem = cast("DruseError", first_error(group))
            except* Exception:  # top handler of this background job: the clients hear of it, the log has the traceback
                log.exception("the application could not go on")
                self._problem = DruseError(
                    "Cannot serve: the application failed. See .druse/logs/daemon.log; the next request tries again."
                )
            self._application, self._opening = None, False
            self._settled.set()

    async def run_once(self) -> None:
        """Open the application when it is wanted and keep it open until `end`. Raises what stands in its way."""
        await self._wanted.wait()
        self._wanted.clear()
        if self._over.is_set():
            return
        from druse.front.application import open_application

        async with open_application(
            self._workspace, background=True, environment=self._environment, profile=self._profile
        ) as self._application:
            self._problem = None
            self.front.listen_to(self._application)
            self._settled.set()
            await self._over.wait()

    def prepare(self) -> None:
        """Begin to open: a client is there that will want it."""
        if not self._opening:
            self._opening = True
            self._settled.clear()
            self._wanted.set()

    async def serve(
        self, protocol: LineProtocol, reads: asyncio.ReadTransport, writer: asyncio.StreamWriter, link: Link
    ) -> None:
        """Serve one client until it leaves. What takes long to open is begun when it has its first answer."""
        await self.front.serve(protocol, reads, writer, link, answered=self.prepare)

    def end(self) -> None:
        """Close the application."""
        self._over.set()
        self._wanted.set()

    async def ready(self) -> Application:
        """The open application. Raises the DruseError that stands in its way."""
        if self._application is not None:
            return self._application
        self.prepare()
        await self._settled.wait()
        if self._application is None:
            raise self._problem or DruseError("Cannot serve: the daemon is ending. Make the request again.")
        return self._application

    async def left(self, link: Link) -> None:
        """A client is gone; what it left open is closed, unless another goes on with it."""
        self.links.discard(link)
        if self._application is None:
            return
        others = {session for other in self.links for session in other.sessions}
        for session in link.sessions - others:
            await self._application.base.recorder.close_session(session)
