"""The jobs that a server learns by, in their order, and whoever watches them."""

from __future__ import annotations

import contextlib
import os

import anyio
from mcp.shared.exceptions import MCPError

from druse.capabilities import Capabilities
from druse.front.base import Base, new_id
from druse.front.toolmaking import Toolmaking
from druse.jobs import Scheduler, jobs_of_server
from druse.model import Caller, CallerKind, DruseError, Invalid, Json, JsonObject, Progress

_STAGES = ("historian: reading what ended", "evolution: drafting skills", "proposals: looking for tools")


class Learning:
    """What learns in the background of one workspace; `scheduler` holds its jobs and those that need no server."""

    def __init__(self, base: Base, capabilities: Capabilities, making: Toolmaking) -> None:
        self._base = base
        self._capabilities = capabilities
        self._making = making
        self._learner = Caller(CallerKind.JOB, session="job", client="druse")
        self._watching: list[Progress] = []
        knobs = base.config.knobs
        served = jobs_of_server(
            self._propose_best,
            self._learn,
            propose_seconds=knobs.propose_seconds,
            crystallization=knobs.crystallization,
        )
        owner = f"pid {os.getpid()}"
        self.scheduler = Scheduler(base.store, [*base.jobs(), *served], clock=base.clock, owner=owner, new_id=new_id)

    async def learn(self, caller: Caller, progress: Progress | None) -> JsonObject:
        """Learn now, or wait for the run that is under way, also in another process; what it did.

        Raises Invalid where it failed.
        """
        if progress is not None:
            self._watching.append(progress)
        try:
            mine = f"agent {new_id()}"
            busy = await self._base.store.jobs.running("learning", now=self._base.clock())
            if busy is None:
                self._learner = caller
            elif progress is not None:
                await progress(0, len(_STAGES), f"waiting for the run that {busy.owner} began")
            run = await self.scheduler.run_now("learning", cause=mine)
        finally:
            if progress is not None:
                self._watching.remove(progress)
        if run.status != "done":
            raise Invalid(
                f"Cannot learn now: {run.report.get('problem', run.status)}. See druse jobs history learning."
            )
        return {**run.report, "run": run.id, "joined": run.cause != mine}

    async def _learn(self) -> JsonObject:
        caller, report = self._learner, dict[str, Json]()
        for number, stage in enumerate(_STAGES):
            await self._tell(number, stage)
            try:
                if stage == _STAGES[-1]:
                    if not self._base.config.knobs.crystallization:
                        report["looked_at"] = []
                        continue
                    report["looked_at"] = list[Json](await self._capabilities.teaching.propose(caller))
                else:
                    name = stage.split(":")[0]
                    if name in self.scheduler.jobs:  # it is switched on
                        report[name] = await self.scheduler.jobs[name].work()
            except DruseError as error:
                if stage == _STAGES[-1]:
                    raise
                report[stage.split(":")[0]] = {"problem": str(error)[:500]}  # without git there are no volumes
        await self._tell(len(_STAGES), "done")
        return report

    async def _propose_best(self) -> JsonObject:
        """The job that proposes the best workflows as tools; a person, or trust level 3, decides (seed id H-37)."""
        if not (self._base.rules.config.self_programming.enabled and self._base.config.knobs.crystallization):
            return {"looked_at": [], "why": "switched off"}
        job = Caller(CallerKind.JOB, session="job", client="druse")
        proposed = list[Json](await self._capabilities.teaching.propose(job))
        return {"looked_at": proposed, "tended": await self._making.tend(job)}

    async def _tell(self, number: int, text: str) -> None:
        for watching in list(self._watching):
            with contextlib.suppress(OSError, MCPError, anyio.ClosedResourceError, anyio.BrokenResourceError):
                await watching(number, len(_STAGES), text)  # who is gone is not told
