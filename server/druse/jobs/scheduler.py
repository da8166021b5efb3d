"""The scheduler: runs what is due once, over all processes of a workspace.

A run is claimed in the store with a lease that its owner renews. A process that dies renews nothing: within the lease
and a second another one takes the same run over. Of the times missed while nobody was there only the latest is made up
for. Events are gathered for a moment, so that a thousand quick writes are one run.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from druse.jobs.job import Job, Trigger
from druse.model import DruseError, Invalid, JsonObject, NotFound, first_error
from druse.store import Store
from druse.store.jobs import JobRun
from druse.store.leases import Unrenewed

log = logging.getLogger("druse.jobs")

LEASE_SECONDS = 10.0
TICK_SECONDS = 1.0
QUIET_SECONDS = 0.5  # an event's job begins after so long without another


class Scheduler:
    """The jobs of one workspace in one process."""

    def __init__(
        self,
        store: Store,
        jobs: Sequence[Job],
        *,
        clock: Callable[[], float],
        owner: str,
        new_id: Callable[[], str],
        lease: float = LEASE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self.jobs = {job.name: job for job in jobs}
        self._clock = clock
        self._owner = owner
        self._new_id = new_id
        self._lease = lease
        self._unrenewed = Unrenewed[int](lease, monotonic=monotonic)
        self._waiting: dict[str, tuple[str, float]] = {}  # job -> cause and time of the newest event
        self._looked = 0.0
        self._since: dict[str, float] = {}  # job -> when this process first looked at its schedule

    def poke(self, trigger: Trigger) -> None:
        """Something happened that jobs wait for."""
        for job in self.jobs.values():
            if trigger in job.triggers:
                self._waiting[job.name] = (str(trigger), self._clock())

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    for job, slot, cause in await self.due():
                        run = await self.claim(job, slot, cause)
                        if run is not None:
                            group.create_task(self.work(job, run))
                        else:
                            self._again(job, cause)
                except DruseError as error:
                    log.warning("jobs were not looked at: %s", error)
                await asyncio.sleep(TICK_SECONDS)

    async def due(self) -> list[tuple[Job, str, str]]:
        """What is to run at this moment: job, slot and cause."""
        now = self._clock()
        if now < self._looked - TICK_SECONDS:  # the clock was set back: what was planned by it is too far ahead
            self._since.clear()
            self._waiting = {name: (cause, min(at, now)) for name, (cause, at) in self._waiting.items()}
        self._looked = now
        found: list[tuple[Job, str, str]] = []
        for run in await self._abandoned(now):
            if run.job in self.jobs:
                found.append((self.jobs[run.job], run.slot, run.cause))
            else:  # nobody can take it up again
                await self.end(run, "stopped", {**run.report, "problem": f"stopped: its process died ({run.owner})"})
        for name, (cause, at) in list(self._waiting.items()):
            if now - at >= QUIET_SECONDS:
                del self._waiting[name]
                found.append((self.jobs[name], f"{cause}:{self._new_id()}", cause))
        for job in self.jobs.values():
            if job.on_commit is not None and (commit := await self._store.commits.next(job.name)):
                found.append((job, f"{Trigger.COMMIT}:{commit}", str(Trigger.COMMIT)))
            slot = await self._scheduled(job, now) or self._repeated(job, now)
            if slot:
                found.append((job, slot, "schedule"))
        return found

    async def _abandoned(self, now: float) -> list[JobRun]:
        """Runs whose owner did not renew its lease."""
        held = await self._store.jobs.unfinished()
        for number in self._unrenewed.over({run.id: run.lease_until for run in held}, now):
            await self._store.jobs.let_go(next(run for run in held if run.id == number))
        return [run for run in held if run.lease_until < now]

    def _again(self, job: Job, cause: str) -> None:
        """The job is being worked on: what just came up is looked at once more."""
        if cause == Trigger.COMMIT:
            return  # it waits in the store
        if cause in list(job.triggers):
            self._waiting.setdefault(job.name, (cause, self._clock()))
        else:
            self._since.pop(job.name, None)

    async def _scheduled(self, job: Job, now: float) -> str:
        if not job.schedule or now < self._since.get(job.name, 0.0):
            return ""
        latest = str(round(latest_slot(job.schedule, now)))
        self._since[job.name] = next_due(job.schedule, now)
        seen = await self._store.jobs.slots(job.name)
        if not any(slot.isdigit() for slot in seen):
            # A project begins with its first look: what was due before it is nobody's to make up for.
            await self._store.jobs.skip(job.name, latest, now=now)
            return ""
        return "" if latest in seen else latest

    def _repeated(self, job: Job, now: float) -> str:
        """The slot of a job that runs every so many seconds; all processes share one for the same stretch of time."""
        if not job.every or now < self._since.setdefault(job.name, now + job.every):
            return ""
        self._since[job.name] = now + job.every
        return f"every:{int(now // job.every)}"

    async def run_now(self, name: str, *, cause: str = "person") -> JobRun:
        """Run a job at once and wait for it; where it is running already, wait for that run. Raises NotFound."""
        job = self.jobs.get(name)
        if job is None:
            raise NotFound(f"Cannot run job {name[:80]!r}: the jobs are {', '.join(self.jobs)}.")
        run = await self.claim(job, f"{cause}:{self._new_id()}", cause)
        if run is not None:
            await self.work(job, run)
            return await self._ended(run)
        other = await self._store.jobs.running(name, now=self._clock())
        while other is not None and other.status == "running" and other.lease_until >= self._clock():
            await asyncio.sleep(0.1)
            await self._abandoned(self._clock())
            other = await self._store.jobs.get(other.id)
        return other if other is not None and other.status != "running" else await self.run_now(name, cause=cause)

    async def _ended(self, run: JobRun) -> JobRun:
        found = await self._store.jobs.get(run.id)
        assert found is not None
        return found

    async def claim(self, job: Job, slot: str, cause: str) -> JobRun | None:
        """Take a run for this process; None where somebody works on the job or the slot is done."""
        return await self._store.jobs.claim(job.name, slot, cause, self._owner, now=self._clock(), lease=self._lease)

    async def work(self, job: Job, run: JobRun) -> None:
        """Carry out a claimed run within its budget; losing the lease or spending the budget cancels it."""
        status = "stopped"
        report: JsonObject = {}
        try:
            async with asyncio.timeout(job.budget):
                async with asyncio.TaskGroup() as group:
                    renewing = group.create_task(self._renew(run))
                    about = run.slot.removeprefix(f"{Trigger.COMMIT}:")
                    if run.cause == Trigger.COMMIT and job.on_commit is not None:
                        report = await job.on_commit(about)
                    else:
                        report = await job.work()
                    renewing.cancel()
            status = "done"
        except TimeoutError:
            report = {
                **(job.so_far() if job.so_far else {}),
                "problem": f"stopped after its budget of {job.budget:g} s",
            }
        except BaseExceptionGroup as group_error:
            first = first_error(group_error)
            if isinstance(first, _Lost):
                return
            status = "failed"
            report = {"problem": str(first)[:2000], "kind": type(first).__name__}
            if not isinstance(first, DruseError):  # top handler of background jobs
                log.error("job %s failed", job.name, exc_info=first)
        await self._store.jobs.finish(run, status, report, now=self._clock())

    async def end(self, run: JobRun, status: str, report: JsonObject) -> None:
        """Write down how a run ended that this process held or that nobody holds any more."""
        await self._store.jobs.finish(run, status, report, now=self._clock())

    async def _renew(self, run: JobRun) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            if not await self._store.jobs.renew(run, now=self._clock(), lease=self._lease):
                raise _Lost


class _Lost(Exception):
    """Another process took the run over."""


def latest_slot(expression: str, now: float) -> float:
    """The newest time at or before `now` that a cron expression names, in local time. Raises Invalid."""
    return _step(expression, now, back=True)


def next_due(expression: str, now: float) -> float:
    """The next time after `now`."""
    return _step(expression, now, back=False)


def _step(expression: str, now: float, *, back: bool) -> float:
    from cronsim import CronSim, CronSimError

    try:
        # The clock on the wall, without an offset: with that of this moment a night in which clocks are changed has
        # each time twice. Backwards the sought time is strictly before its start: a second later, so `now` counts.
        for found in CronSim(expression, datetime.fromtimestamp(now + back), reverse=back):
            at = found.timestamp()
            if (at <= now) if back else (at > now):
                return at
    except CronSimError as error:
        raise Invalid(f"Cannot read the schedule {expression!r}: {error}.", where="schedule") from error
    raise Invalid(f"Cannot use the schedule {expression!r}: it names no time.", where="schedule")
