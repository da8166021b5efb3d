"""Work that reaches its end whatever becomes of whoever waits for it."""

from __future__ import annotations

import asyncio

import pytest

from druse.routing.unstopped import unstopped


async def test_work_that_waits_for_nothing_is_done_without_a_turn_of_the_loop() -> None:
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "a turn")

    async def work() -> str:
        return "done"

    assert await unstopped(work()) == "done"
    assert turns == []


async def test_work_that_waits_goes_on_after_its_caller_was_stopped() -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        for gate in gates:
            await gate.wait()
        ended.set()

    caller = asyncio.create_task(unstopped(work()))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    for gate in gates:
        gate.set()
    async with asyncio.timeout(120):
        await ended.wait()


async def test_what_the_work_raises_before_and_after_it_waited_reaches_the_caller() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def at_once() -> None:
        raise ValueError("at once")

    async def later() -> int:
        try:
            return await future
        except LookupError as error:
            raise ValueError("later") from error

    with pytest.raises(ValueError, match="at once"):
        await unstopped(at_once())
    caller = asyncio.create_task(unstopped(later()))
    await asyncio.sleep(0)
    future.set_exception(LookupError())
    with pytest.raises(ValueError, match="later"):
        await caller
