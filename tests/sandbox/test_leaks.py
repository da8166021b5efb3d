"""Three hundred runs, good and bad, leave nothing behind."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from druse.model import Json, JsonObject, Outcome, OutcomeStatus
from druse.runtime import EndRun, Limits, SandboxHost

PROGRAMS = (
    ("1 + 1", False),
    ("call('echo', a=1)", False),
    ("call_all([('echo', {}), ('stop', {})])", False),
    ("require(False, 'no')", False),
    ("1 / 0", False),
    ("x = (", False),
    ("result = 10 ** 500", False),
    ("import os\nos.write(3, b'\\xff\\xff\\xff\\xff')", True),
    ("import os\nos._exit(1)", True),
    ("import os\nos.write(3, b'\\x02\\0\\0\\0[]')", True),
)


def descendants() -> set[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found: set[int] = set()
    wave = {os.getpid()}
    while wave:
        wave = {pid for pid, parent in parents.items() if parent in wave}
        found |= wave
    return found


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def broker(tool: str, arguments: JsonObject) -> Json:
    if tool == "stop":
        raise EndRun(Outcome(OutcomeStatus.DENIED, message="no", kind="denied"))
    return arguments


async def test_three_hundred_runs_leave_no_process_and_no_descriptor() -> None:
    others, before = descendants(), descriptors()
    async with SandboxHost.open(Limits(cpu_seconds=2, wall_seconds=20), ready=2) as host:
        await host.self_test()
        running = descriptors()
        for start in range(0, 300, 10):
            async with asyncio.TaskGroup() as group:
                for number in range(start, start + 10):
                    source, os_only = PROGRAMS[number % len(PROGRAMS)]
                    group.create_task(host.run(source, {}, mode="script", call=broker, os_only=os_only))
        assert (await host.run("2", {}, mode="script")).value == 2
        assert descriptors() <= running + 4  # the workers that wait for the next runs
        assert len(descendants() - others) <= 8  # the zygote, those workers, and the last ones on their way out

    assert descriptors() <= before + 1
    assert not descendants() - others
