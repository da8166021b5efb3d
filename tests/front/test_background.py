"""What goes on beside the requests: begun in order, ended in reverse, and named where it fails."""

from __future__ import annotations

import asyncio
import functools

import pytest

from druse.front.background import Work, at_work


async def until_cancelled(name: str, events: list[str]) -> None:
    events.append(f"{name} began")
    try:
        await asyncio.Event().wait()
    finally:
        events.append(f"{name} ended")


async def test_works_are_begun_in_order_and_ended_in_reverse() -> None:
    events: list[str] = []
    works = [Work(name, functools.partial(until_cancelled, name, events)) for name in ("first", "second")]
    async with at_work(works):
        await asyncio.sleep(0)
    assert events == ["first began", "second began", "second ended", "first ended"]


async def test_a_work_that_fails_is_named_and_takes_the_others_along(caplog: pytest.LogCaptureFixture) -> None:
    events: list[str] = []

    async def fail() -> None:
        raise RuntimeError("out of order")

    works = [Work("other", functools.partial(until_cancelled, "other", events)), Work("counting days", fail)]
    with pytest.raises(ExceptionGroup) as raised:
        async with at_work(works):
            await asyncio.Event().wait()
    assert raised.group_contains(RuntimeError, match="out of order")
    assert [record.message.split(" failed")[0] for record in caplog.records] == ["counting days"]
    assert events == ["other began", "other ended"]
