from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from druse.governance import Quotas
from druse.model import NotAllowed
from druse.store import Store
from governance.bench import AGENT, PERSON, Bench

UNNAMED = replace(AGENT, session="c1", connection="c1")  # a client that has no name for its conversations


@pytest.mark.requirement("S-27")
async def test_the_eleventh_is_refused_with_the_count_and_how_to_raise_it(bench: Bench) -> None:
    quotas = Quotas(bench.store, clock=bench.clock)
    for number in range(1, 11):
        assert await quotas.spend("synthesis", AGENT, 10, setting="max_synthesis_per_session = 20") == number
    with pytest.raises(NotAllowed, match=r"synthesis 11 .* 10 is the limit.*max_synthesis_per_session = 20"):
        await quotas.spend("synthesis", AGENT, 10, setting="max_synthesis_per_session = 20")
    assert await quotas.used("synthesis", AGENT) == 10
    assert await quotas.spend("synthesis", AGENT, 20, setting="") == 11  # raised
    assert await quotas.spend("other", AGENT, 1, setting="") == 1


@pytest.mark.requirement("S-27")
async def test_a_reconnect_and_a_restart_begin_no_new_count(bench: Bench) -> None:
    await Quotas(bench.store, clock=bench.clock).spend("synthesis", UNNAMED, 2, setting="")
    again = replace(UNNAMED, session="c2", connection="c2", client="claude-code 2.2")
    quotas = Quotas(bench.store, clock=bench.clock)
    assert await quotas.spend("synthesis", again, 2, setting="") == 2
    with pytest.raises(NotAllowed):
        await quotas.spend("synthesis", replace(again, session="c3", connection="c3"), 2, setting="")


async def test_sessions_that_a_client_names_are_counted_apart(bench: Bench) -> None:
    quotas = Quotas(bench.store, clock=bench.clock)
    assert await quotas.spend("synthesis", AGENT, 1, setting="") == 1
    assert await quotas.spend("synthesis", replace(AGENT, session="s2"), 1, setting="") == 1
    with pytest.raises(NotAllowed):
        await quotas.spend("synthesis", replace(AGENT, connection="c9"), 1, setting="")


async def test_a_person_is_not_counted_and_a_session_long_gone_is_forgotten(bench: Bench) -> None:
    quotas = Quotas(bench.store, clock=bench.clock)
    for _ in range(5):
        assert await quotas.spend("synthesis", PERSON, 1, setting="") == 0
    await quotas.spend("synthesis", UNNAMED, 1, setting="")
    bench.clock.now -= 9 * 3600
    with pytest.raises(NotAllowed):
        await quotas.spend("synthesis", UNNAMED, 1, setting="")
    bench.clock.now += 18 * 3600
    assert await quotas.spend("synthesis", UNNAMED, 1, setting="") == 1


@pytest.mark.requirement("S-27", "L-35")
async def test_who_proved_to_be_somebody_is_counted_as_that_whatever_the_session(bench: Bench) -> None:
    quotas = Quotas(bench.store, clock=bench.clock)
    alice, bob = (replace(AGENT, identity=f"{name} (idp)", role="user") for name in ("alice", "bob"))
    assert await quotas.spend("synthesis", alice, 1, setting="") == 1
    for again in (alice, replace(alice, session="s2", connection="c2", client="another")):
        with pytest.raises(NotAllowed):
            await quotas.spend("synthesis", again, 1, setting="")
    assert await quotas.spend("synthesis", bob, 1, setting="") == 1
    assert await quotas.spend("synthesis", AGENT, 1, setting="") == 1


@pytest.mark.requirement("S-27")
async def test_five_processes_at_once_spend_no_more_than_the_limit_whatever_the_clock_does(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(Store.open(tmp_path / "druse.db")) for _ in range(5)]

        async def spent(store: Store, now: float) -> int:
            tries = [
                await store.counters.spend("synthesis", "client x", limit=10, now=now, forget_after=21600.0)
                for _ in range(4)
            ]
            return sum(counted for _, counted in tries)

        midnight = 1_790_035_200.0
        for now in (midnight - 1, midnight + 1, midnight - 86400.0 * 400, midnight + 3600.0):  # on, back, on
            done = await asyncio.gather(*(spent(store, now) for store in stores))
            assert sum(done) == (10 if now == midnight - 1 else 0), (now, done)
