"""Workers that are started one by one: the same promises as with forked ones."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from druse.model import JsonObject
from druse.runtime import Limits, SandboxHost, SandboxResult

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host() -> AsyncGenerator[SandboxHost]:
    async with SandboxHost.open(Limits(cpu_seconds=1, memory_bytes=256 << 20), ready=2, spawned=True) as opened:
        yield opened


async def broker(tool: str, arguments: JsonObject) -> Any:
    return {"tool": tool, **arguments}


async def script(host: SandboxHost, source: str, **options: Any) -> SandboxResult:
    return await host.run(source, {}, call=broker, mode="script", **options)


def children() -> set[int]:
    """Processes of this process that run the sandbox."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == os.getpid() and b"druse_sandbox" in (entry / "cmdline").read_bytes():
                    found.add(int(entry.name))
            except OSError:
                continue
    return found


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_spawned_workers_run_code_and_calls(host: SandboxHost) -> None:
    source = (
        "rows = call_all([('echo', {'n': n}) for n in range(3)])\n[r['n'] for r in rows] + [call('x', a='é' * 9)['a']]"
    )
    result = await script(host, source)

    assert (result.status, result.value, result.calls) == ("ok", [0, 1, 2, "é" * 9], 4)


async def test_large_data_goes_both_ways(host: SandboxHost) -> None:
    result = await script(host, "len(call('echo', text='x' * 900000)['text'])")

    assert result.value == 900_000, result


async def test_the_self_test_holds_for_spawned_workers(host: SandboxHost) -> None:
    status = await host.self_test()

    assert status.tier == "T3" and len(status.probes) == 6


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        ("while True:\n    pass", {"killed"}),
        ("x = []\nwhile True:\n    x.append('a' * 1000000)", {"memory", "killed"}),
        ("import re\nre.match('(a+)+$', 'a' * 40 + 'b')", {"killed"}),
        ("for i in range(1000):\n    call('echo', n=i)", {"calls"}),
    ],
)
async def test_every_limit_ends_one_worker_and_the_host_goes_on(
    host: SandboxHost, source: str, kinds: set[str]
) -> None:
    result = await script(host, source)

    assert result.error is not None and result.error.kind in kinds, result
    assert (await script(host, "1 + 1")).value == 2


ESCAPES = [
    "import os; os.write(1, b'x' * 99)",  # standard output is not the pipe
    "import os; os.read(0, 1) or 1 / 0",  # nor standard input
    "open('/etc/passwd')",
    "import os\nfor n in range(64):\n    try:\n        os.write(n, b'\\0\\0\\0\\0')\n    except OSError:\n        pass",
    "import os; os.kill(os.getppid(), 9)",
    "import os; os.fork()",
]


@pytest.mark.parametrize("source", ESCAPES)
async def test_plain_python_in_a_spawned_worker_gets_nowhere(host: SandboxHost, source: str) -> None:
    result = await script(host, source, os_only=True)

    assert result.status in ("killed", "error"), result
    assert (await script(host, "1 + 1")).value == 2


async def test_a_killed_worker_is_an_error_and_the_next_run_works() -> None:
    async with SandboxHost.open(ready=0, spawned=True) as own:
        await own.self_test()

        async def killing(tool: str, arguments: JsonObject) -> Any:
            for pid in children() - others:
                os.kill(pid, signal.SIGKILL)
            return 1

        others = children()
        killed = await own.run("call('x')\nwhile True:\n    pass", {}, call=killing, mode="script")

        assert killed.status == "killed"
        assert (await script(own, "2")).value == 2


async def test_many_spawned_runs_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    before, descriptors = children(), open_descriptors()
    async with SandboxHost.open(ready=1, spawned=True) as own:
        for number in range(8):
            assert (await script(own, f"{number} + 1")).value == number + 1

    assert children() <= before and not caplog.records
    assert open_descriptors() <= descriptors + 2
