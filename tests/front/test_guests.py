"""A stream of notifications lasts as long as the token that it was opened with."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from druse.front.guests import Lease

START, PART = {"type": "http.response.start", "status": 200}, {"type": "http.response.body", "more_body": True}
END: dict[str, Any] = {"type": "http.response.body", "body": b"", "more_body": False}


async def listened(seconds: float, *, ends: bool = False) -> list[Any]:
    """What goes out of a stream that lasts until its client is gone, or ends by itself."""
    sent: list[Any] = []
    came: asyncio.Queue[Any] = asyncio.Queue()
    came.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    async def send(message: Any) -> None:
        sent.append(message)

    lease = Lease(came.get, send, seconds)
    await lease.send(START)
    await lease.send(PART)
    if ends:
        await lease.send({**PART, "more_body": False})
    async with asyncio.timeout(60):
        while (await lease.receive())["type"] != "http.disconnect":
            pass
    await lease.close()
    return sent


@pytest.mark.requirement("L-35")
async def test_the_stream_of_a_token_that_ends_is_ended_as_an_answer_is() -> None:
    assert await listened(0.05) == [START, PART, END]
    assert await listened(-5) == [START, PART, END]
    assert await listened(0.05, ends=True) == [START, PART, {**PART, "more_body": False}]
