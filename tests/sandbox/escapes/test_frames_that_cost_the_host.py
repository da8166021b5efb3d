"""Way out: a frame, or many, that cost the host its memory or its time."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from druse.runtime import Limits, SandboxHost
from druse.runtime.conversation import MAX_PROGRESS
from druse_sandbox import frames

BODIES = {
    "a text of commas": b'{"a":"' + b"," * 60 + b"x" * 4_000_000 + b'"}',
    "escapes": b'{"a":"' + b',\\"' * 1_300_000 + b'"}',
    "a text that is never closed": b'{"a":"' + b',\\"' * 1_300_000,
    "empty texts": b"[" + b'"",' * 1_300_000 + b'""]',
    "backslashes": b"[" + b"\\" * 3_900_000 + b"," * 50,
    "deep": b"[" * 2_000_000 + b"]" * 2_000_000,
    "wide": b"[" + b"1," * 2_000_000 + b"1]",
}


@pytest.mark.requirement("H-16")
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_frame_costs_a_few_times_its_size_and_no_more(body: bytes) -> None:
    tracemalloc.start()
    try:
        try:
            frames.decode(body)
        except frames.BadFrame as error:
            assert str(error)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 12 * len(body)


@given(st.binary(max_size=200) | st.text(alphabet='[]{}",\\:1u', max_size=200).map(str.encode))
def test_any_bytes_are_a_message_or_a_bad_frame(body: bytes) -> None:
    try:
        frames.decode(body)
    except frames.BadFrame as error:
        assert str(error)


async def test_a_worker_that_asks_and_does_not_read_is_ended_by_the_clock() -> None:
    async def large(tool: str, arguments: object) -> str:
        return "x" * 1_000_000

    frame = 'struct.pack(\'<I\', 27) + b\'{"call":"a","arguments":{}}\''
    source = f"import os, struct\nfor _ in range(400):\n    os.write(3, {frame})\nimport time\ntime.sleep(600)"
    began = time.monotonic()
    async with SandboxHost.open(Limits(wall_seconds=1), ready=0) as host:
        result = await host.run(source, {}, mode="script", os_only=True, call=large)

    assert result.error is not None and result.error.kind == "wall"
    assert time.monotonic() - began < 120  # it sleeps for ten minutes


@pytest.mark.parametrize("text", ["", "x" * 4000])
async def test_a_flood_of_progress_is_ended_by_its_count(text: str) -> None:
    seen = 0

    async def reported(done: float, total: float | None, message: str | None) -> None:
        nonlocal seen
        seen += 1

    source = (
        "import os, struct, json\n"
        f"body = json.dumps({{'progress': [1, 2, {text!r}]}}).encode()\n"
        "frame = struct.pack('<I', len(body)) + body\n"
        "while True:\n    os.write(3, frame * 8)\n"
    )
    async with SandboxHost.open(Limits(wall_seconds=10), ready=0) as host:
        result = await host.run(source, {}, mode="script", os_only=True, progress=reported)

    assert result.error is not None and result.error.kind == "protocol"
    assert seen <= MAX_PROGRESS


async def test_a_loop_that_reports_every_turn_ends_well() -> None:
    source = "def run(call):\n    for i in range(20000):\n        progress(i, 20000, 'step')\n    return i"
    seen: list[float] = []

    async def reported(done: float, total: float | None, message: str | None) -> None:
        seen.append(done)

    async with SandboxHost.open(ready=0) as host:
        result = await host.run(source, {}, progress=reported)

    assert result.value == 19999 and seen[:3] == [0.0, 1.0, 2.0] and len(seen) < MAX_PROGRESS


async def test_all_frames_of_a_run_together_are_bounded() -> None:
    source = "def run(call):\n    for i in range(100):\n        call('a', text='x' * 1000000)\n    return 1"

    async def small(tool: str, arguments: object) -> None:
        return None

    async with SandboxHost.open(ready=0) as host:
        result = await host.run(source, {}, call=small)

    assert result.error is not None and "bytes" in result.error.message
