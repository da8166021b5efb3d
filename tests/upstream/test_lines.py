"""Lines of JSON-RPC out of bytes, however they are cut."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import Any

import anyio
import pytest

from druse.upstream.lines import CHUNK, LineProtocol, LineReader


def _line(number: int, **more: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": "ping", **more}).encode() + b"\n"


async def test_a_line_in_pieces_is_one_message_and_two_lines_in_one_piece_are_two() -> None:
    taken: list[Any] = []

    def take(message: Any) -> bool:
        taken.append(message["id"])
        return message["id"] != 3

    lines = LineReader(on_bad=lambda _line, _problem: None, take=take)
    first = _line(1)
    for place in range(len(first)):
        lines.feed(first[place : place + 1])
    lines.feed(_line(2) + b"\n  \n" + _line(3)[:-1])
    assert taken == [1, 2]
    lines.feed(b"\n")
    assert taken == [1, 2, 3]
    message = (await lines.receive()).message
    assert message.model_dump()["id"] == 3


async def test_bad_lines_are_told_in_their_place_and_the_end_behind_all_messages() -> None:
    told: list[object] = []
    lines = LineReader(on_bad=lambda line, _problem: told.append(line), on_end=lambda: told.append("end"))
    lines.feed(b"no json\n" + _line(1) + b"{}\n")
    lines.end()
    await lines.receive()
    assert told == [b"no json"]
    with pytest.raises(anyio.EndOfStream):
        await lines.receive()
    assert told == [b"no json", b"{}", "end"]
    with pytest.raises(anyio.EndOfStream):
        await lines.receive()
    assert told[-1] == "end" and len(told) == 3


async def test_a_session_that_does_not_read_stops_the_other_side_from_sending_without_end() -> None:
    """And nothing is lost: neither what came before the bytes were diverted nor what came behind."""
    here, there = socket.socketpair()
    reader = asyncio.StreamReader()
    transport, protocol = await asyncio.get_running_loop().create_connection(lambda: LineProtocol(reader), sock=here)
    there.setblocking(False)
    count, sent = 4000, 0
    everything = b"".join(_line(number, params={"text": "x" * 1000}) for number in range(count))
    await asyncio.get_running_loop().sock_sendall(there, everything[:5000])
    sent = 5000
    assert await reader.readexactly(3) == everything[:3]
    lines = LineReader(on_bad=lambda _line, _problem: None)
    lines.feed(everything[:3])
    await protocol.divert(lines, transport)
    while transport.is_reading():  # until it is held up; the buffers of the system are small beside it
        assert sent < len(everything), "everything was read, though nobody wanted it"
        with contextlib.suppress(BlockingIOError):
            sent += there.send(everything[sent : sent + CHUNK])
        await asyncio.sleep(0)

    async def send_rest() -> None:
        await asyncio.get_running_loop().sock_sendall(there, everything[sent:])
        there.shutdown(socket.SHUT_WR)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(send_rest())
        numbers = [(await lines.receive()).message.model_dump()["id"] for _ in range(count)]
        with pytest.raises(anyio.EndOfStream):
            await lines.receive()
    assert numbers == list(range(count))
    transport.close()
    there.close()
