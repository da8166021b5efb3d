"""Reads overlap, writes do not."""

from __future__ import annotations

import asyncio

import pytest

from druse.model import Effect, Source, ToolSpec
from druse.routing import Lanes, is_read

READ = ToolSpec("r", Source.UPSTREAM, effect=Effect.READ, server="a")
WRITE = ToolSpec("w", Source.UPSTREAM, effect=Effect.WRITE, server="a")
OTHER = ToolSpec("o", Source.UPSTREAM, effect=Effect.WRITE, server="b")


async def _most_at_once(lanes: Lanes, specs: list[ToolSpec]) -> int:
    inside, most = 0, 0
    gate = asyncio.Event()

    async def one(spec: ToolSpec) -> None:
        nonlocal inside, most
        async with lanes.turn(spec):
            inside += 1
            most = max(most, inside)
            await gate.wait()
            inside -= 1

    async with asyncio.TaskGroup() as group:
        for spec in specs:
            group.create_task(one(spec))
        for _ in range(20):
            await asyncio.sleep(0)
        gate.set()
    return most


@pytest.mark.requirement("N-11")
async def test_reads_overlap_up_to_the_limit() -> None:
    assert await _most_at_once(Lanes(10), [READ] * 12) == 10


@pytest.mark.requirement("N-12")
async def test_writes_to_one_target_never_overlap_and_others_do() -> None:
    assert await _most_at_once(Lanes(), [WRITE, WRITE, WRITE]) == 1
    assert await _most_at_once(Lanes(), [WRITE, OTHER, READ]) == 3


@pytest.mark.requirement("N-11")
@pytest.mark.parametrize(
    ("name", "hint", "read"),
    [("get_user", True, True), ("delete_user", True, False), ("get_user", False, False), ("listFiles", True, True)],
)
def test_a_servers_hint_counts_only_together_with_the_verb(name: str, hint: bool, read: bool) -> None:
    spec = ToolSpec(f"s__{name}", Source.UPSTREAM, read_only_hint=hint, server="s", upstream_name=name)
    assert is_read(spec) is read
