"""What goes on beside the requests of a served workspace, as one list."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from druse.crystal import watch
from druse.front.base import Base
from druse.jobs import CommitWatch
from druse.model import DruseError
from druse.past import take_quietly
from druse.planner import Holds
from druse.skills import watch_skills

if TYPE_CHECKING:
    from druse.front.application import Application

log = logging.getLogger("druse.front")

_IDLE_CHECK_SECONDS = 30.0
_SPOOL_CHECK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Work:
    """One thing that goes on until it is cancelled."""

    name: str
    begin: Callable[[], Coroutine[Any, Any, None]]


def works_of(application: Application) -> list[Work]:
    """What a served workspace does by itself, in the order in which it is begun."""
    base, workspace = application.base, application.base.workspace
    waiting = [job.name for job in application.scheduler.jobs.values() if job.on_commit is not None]
    return [
        Work("watching learned tools", lambda: watch(base.shelf, workspace.generated, application.tools_changed)),
        Work("closing idle runs", lambda: _close_idle(base)),
        Work("hearing hooks", lambda: _hear_hooks(base)),
        Work("keeping deferred calls", lambda: application.deferred.run(application.go_on_with)),
        Work("watching skills", lambda: watch_skills(application.skills, application.skills_changed)),
        Work("scheduling jobs", application.scheduler.run),
        Work("watching commits", CommitWatch(workspace.root, base.store, waiting).run),
    ]


@asynccontextmanager
async def at_work(works: Sequence[Work]) -> AsyncGenerator[asyncio.TaskGroup]:
    """Begin all of it in order; at the end of the block it is cancelled in reverse, and waited for.

    One that fails is named in the log and ends the block with its error.
    """
    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[None]] = []
        for work in works:
            task = group.create_task(work.begin(), name=work.name)
            task.add_done_callback(_report)
            tasks.append(task)
        try:
            yield group
        finally:
            for task in reversed(tasks):
                task.cancel()


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s failed, and the application ends with it", task.get_name(), exc_info=error)


async def _close_idle(base: Base) -> None:
    holds = Holds.beside(base.store.database.path)
    while True:
        try:
            await base.recorder.close_idle()
            await holds.settle(base.store.plans, base.clock())
        except DruseError as error:
            log.warning("idle runs were not closed: %s", error)
        await asyncio.sleep(_IDLE_CHECK_SECONDS)


async def _hear_hooks(base: Base) -> None:
    while True:
        await asyncio.sleep(_SPOOL_CHECK_SECONDS)
        await take_quietly(base.ingestion)
