"""Jobs run once over all processes, at their time, after events, and elsewhere when their owner dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from datetime import datetime
from pathlib import Path

import pytest

from druse.jobs import Job, Scheduler, Trigger, latest_slot, next_due
from druse.model import Invalid, JsonObject
from druse.store import Store

from ..skills.conftest import Home  # type: ignore[import-not-found]


class Office:
    """Schedulers over one store, with a clock the test owns."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = datetime(2026, 3, 4, 12, 0).timestamp()
        self.monotonic = 0.0
        self.ran: list[str] = []
        self.gate = asyncio.Event()
        self.count = 0

    def scheduler(self, owner: str, *jobs: Job) -> Scheduler:
        return Scheduler(
            *(self.store, jobs),
            clock=lambda: self.now,
            owner=owner,
            new_id=self.new_id,
            lease=3.0,
            monotonic=lambda: self.monotonic,
        )

    def new_id(self) -> str:
        self.count += 1
        return str(self.count)

    def job(self, name: str = "job", schedule: str = "", *triggers: Trigger, budget: float = 60) -> Job:
        async def work() -> JsonObject:
            self.ran.append(name)
            return {"n": len(self.ran)}

        return Job(name, "a job", work, schedule, triggers, budget)

    async def tick(self, scheduler: Scheduler) -> int:
        due = await scheduler.due()
        for job, slot, cause in due:
            run = await scheduler.claim(job, slot, cause)
            if run is not None:
                await scheduler.work(job, run)
        return len(due)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """A place where clocks are changed, by a rule that needs no database of places."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
async def office(tmp_path: Path) -> AsyncGenerator[Office]:
    async with Store.open(tmp_path / "druse.db") as store:
        yield Office(store)


def test_a_cron_expression_names_the_latest_and_the_next_time() -> None:
    now = datetime(2026, 3, 4, 3, 30).timestamp()
    assert latest_slot("30 3 * * *", now) == now
    assert latest_slot("30 3 * * *", now - 1) == now - 86400
    assert next_due("30 3 * * *", now) == now + 86400
    with pytest.raises(Invalid, match="Cannot read the schedule"):
        next_due("61 * * * *", now)


async def test_a_due_time_runs_once_over_all_schedulers_and_a_fresh_project_makes_up_for_nothing(
    office: Office,
) -> None:
    first, second = (office.scheduler(name, office.job("nightly", "30 3 * * *")) for name in ("a", "b"))
    await office.tick(first)
    await office.tick(second)
    assert office.ran == []
    office.now += 86400
    await office.tick(first)
    await office.tick(second)
    assert office.ran == ["nightly"]
    office.now += 5 * 86400  # nobody was there for five nights: one run makes up for them
    await office.tick(second)
    await office.tick(first)
    assert office.ran == ["nightly"] * 2


@pytest.mark.requirement("N-29")
async def test_a_thousand_quick_events_are_one_run(office: Office) -> None:
    scheduler = office.scheduler("a", office.job("check", "", Trigger.FILES))
    for _ in range(1000):
        office.now += 0.001
        scheduler.poke(Trigger.FILES)
        assert await scheduler.due() == []
    office.now += 1
    assert await office.tick(scheduler) == 1 and office.ran == ["check"]
    office.now += 100
    assert await office.tick(scheduler) == 0
    scheduler.poke(Trigger.SESSION_END)
    office.now += 1
    assert await office.tick(scheduler) == 0


async def test_a_job_over_its_budget_is_stopped_and_says_so(office: Office) -> None:
    cancelled = asyncio.Event()

    async def forever() -> JsonObject:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return {}

    scheduler = office.scheduler("a", Job("long", "never ends", forever, budget=0.05))
    run = await scheduler.run_now("long")
    assert (run.status, cancelled.is_set()) == ("stopped", True) and "budget" in str(run.report["problem"])


async def test_a_failing_job_is_told_and_the_next_one_works(office: Office) -> None:
    async def fail() -> JsonObject:
        raise Invalid("no way")

    scheduler = office.scheduler("a", Job("bad", "fails", fail), office.job("good"))
    assert (await scheduler.run_now("bad")).report == {"problem": "no way", "kind": "Invalid"}
    assert (await scheduler.run_now("good")).status == "done"


@pytest.mark.requirement("L-22")
async def test_a_second_call_while_a_job_runs_joins_the_first(office: Office) -> None:
    begun = asyncio.Event()

    async def work() -> JsonObject:
        office.ran.append("slow")
        begun.set()
        await office.gate.wait()
        return {"done": True}

    first, second = (office.scheduler(name, Job("slow", "waits", work)) for name in ("a", "b"))
    one = asyncio.ensure_future(first.run_now("slow"))
    await begun.wait()
    two = asyncio.ensure_future(second.run_now("slow"))
    await asyncio.wait({two}, timeout=0.2)
    assert not two.done()
    office.gate.set()
    assert (await one).id == (await two).id and office.ran == ["slow"]


@pytest.mark.requirement("N-32")
@pytest.mark.parametrize("night", ["2026-03-28", "2026-10-24"])
@pytest.mark.parametrize("schedule", ["45 3 * * *", "30 2 * * *", "15 0 * * *"])
async def test_a_nightly_job_runs_once_in_the_nights_in_which_clocks_are_changed(
    office: Office, berlin: None, night: str, schedule: str
) -> None:
    office.now = datetime.fromisoformat(f"{night} 12:00").timestamp()
    scheduler = office.scheduler("one", office.job(schedule=schedule))
    await office.tick(scheduler)
    for days in range(1, 4):
        end = datetime.fromisoformat(f"{night} 12:00").timestamp() + days * 86400
        while office.now < end:
            office.now += 600
            await office.tick(scheduler)
        assert len(office.ran) == days


@pytest.mark.requirement("N-32")
async def test_a_clock_that_was_a_year_ahead_for_a_moment_stops_no_job(office: Office) -> None:
    began = office.now
    scheduler = office.scheduler("one", office.job("hourly", "0 * * * *"), office.job("event", "", Trigger.FILES))
    await office.tick(scheduler)
    office.now = began + 365 * 86400
    await office.tick(scheduler)
    scheduler.poke(Trigger.FILES)
    office.ran.clear()
    office.now = began + 60
    await office.tick(scheduler)
    office.now = began + 3700
    await office.tick(scheduler)
    assert sorted(office.ran) == ["event", "hourly"]


@pytest.mark.requirement("N-32")
async def test_a_run_whose_owner_stopped_renewing_is_taken_over_once(office: Office) -> None:
    dead = await office.store.jobs.claim("nightly", "77", "schedule", "dead", now=office.now, lease=3.0)
    assert dead is not None
    first, second = (office.scheduler(name, office.job("nightly")) for name in ("a", "b"))
    office.now += 2.9
    assert await office.tick(first) == 0
    office.now += 0.2
    await office.tick(first)
    await office.tick(second)
    assert office.ran == ["nightly"]
    (run,) = await office.store.jobs.history()
    assert (run.owner, run.attempt, run.status) == ("a", 2, "done")
    assert not await office.store.jobs.renew(dead, now=office.now, lease=3.0)
    assert not await office.store.jobs.finish(dead, "done", {}, now=office.now)


async def test_a_lease_from_before_the_clock_was_set_back_is_over_when_nobody_renews_it(office: Office) -> None:
    dead = await office.store.jobs.claim("nightly", "77", "schedule", "dead", now=office.now, lease=3.0)
    alive = await office.store.jobs.claim("hourly", "78", "schedule", "alive", now=office.now, lease=3.0)
    assert dead is not None and alive is not None
    scheduler = office.scheduler("a", office.job("nightly"), office.job("hourly"))
    office.now -= 365 * 86400
    for _ in range(4):
        assert await office.tick(scheduler) == 0
        office.monotonic += 1.0
        assert await office.store.jobs.renew(alive, now=office.now, lease=3.0)
    await office.tick(scheduler)
    await office.tick(scheduler)
    assert office.ran == ["nightly"]
    assert await office.store.jobs.renew(alive, now=office.now, lease=3.0)


WORKER = """
import asyncio, os, sys, time
from pathlib import Path
from druse.jobs import Job, Scheduler, Trigger
from druse.store import Store

async def main():
    async def work():
        with open(sys.argv[2], "a") as file:
            file.write(f"{os.getpid()}\\n")
        await asyncio.sleep(float(sys.argv[3]))
        return {}
    async with Store.open(Path(sys.argv[1])) as store:
        job = Job("only", "once", work, "", (Trigger.FILES,))
        scheduler = Scheduler(store, [job], clock=time.time, owner=str(os.getpid()), new_id=lambda: "one", lease=1.0)
        if sys.argv[4] == "first":
            scheduler.poke(Trigger.FILES)
        print("ready", flush=True)
        await scheduler.run()

asyncio.run(main())
"""


@pytest.mark.requirement("N-32")
async def test_kill_9_of_the_owner_lets_another_process_run_the_job_once(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.touch()

    async def start(seconds: str, which: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", WORKER, str(tmp_path / "druse.db"), str(marks), seconds, which),
            stdout=asyncio.subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None and await process.stdout.readline() == b"ready\n"
        return process

    async def until(count: int) -> list[str]:
        from watchfiles import awatch

        async with asyncio.timeout(120):
            async for _ in awatch(tmp_path, rust_timeout=100, yield_on_timeout=True):
                if len(lines := _lines(marks)) >= count:
                    return lines
        return []

    first = await start("600", "first")
    second = third = None
    try:
        assert await until(1) == [str(first.pid)]
        second, third = await start("0", "second"), await start("0", "second")
        os.kill(first.pid, signal.SIGKILL)
        await first.wait()
        lines = await until(2)
        assert len(lines) == 2 and lines[1] in (str(second.pid), str(third.pid))
        async with Store.open(tmp_path / "druse.db") as store:
            (run,) = await store.jobs.history()
            assert run.attempt == 2
    finally:
        for process in (first, second, third):
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()


def _lines(path: Path) -> list[str]:
    return path.read_text().split()


async def test_a_job_that_repeats_runs_once_in_each_stretch_of_time_over_all_schedulers(office: Office) -> None:
    async def work() -> JsonObject:
        office.ran.append("often")
        return {}

    office.now = 1_000_000.0
    first, second = (office.scheduler(name, Job("often", "repeats", work, every=60.0)) for name in ("a", "b"))
    assert await office.tick(first) == await office.tick(second) == 0
    for minute in range(1, 4):
        office.now += 60
        await office.tick(first)
        await office.tick(second)
        assert office.ran == ["often"] * minute


@pytest.mark.requirement("N-26")
async def test_jobs_are_listed_run_and_told_by_the_command(home: Home) -> None:
    names = [row["job"] for row in (await home.druse("jobs", "list"))["jobs"]]
    assert names[:3] == ["historian", "dreamer", "evolution"]
    done = await home.druse("jobs", "run", "historian")
    assert (done["status"], done["report"]["runs"]) == ("done", 0)
    (run,) = (await home.druse("jobs", "history"))["runs"]
    assert (run["job"], run["cause"]) == ("historian", "person")
    assert "the jobs are" in (await home.druse("jobs", "run", "none"))["error"]["message"]
