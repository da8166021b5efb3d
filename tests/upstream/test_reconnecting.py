"""A server that ended is started again for whoever comes next, also while the old connection still closes."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from benchmarks._peers import PLAIN

from druse.model import CallContext, Caller, CallerKind
from druse.upstream import ServerEntry, Upstreams


async def test_calls_that_come_while_a_connection_closes_wait_for_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(PLAIN)
    entry = ServerEntry("echo", command=sys.executable, args=(str(tmp_path / "server.py"),))
    context = CallContext(Caller(CallerKind.AGENT, "a", "a", "a"))
    async with Upstreams.open([entry], logs=tmp_path / "logs") as upstreams:
        assert await upstreams.connect() == {}
        (spec,) = upstreams.specs()
        (connection,) = upstreams._connections.values()  # pyright: ignore[reportPrivateUsage]
        for _ in range(3):
            connection.mark_broken()
            calls = [upstreams.call(spec, {"n": number}, context) for number in range(3)]
            assert [outcome.data for outcome in await asyncio.gather(*calls)] == [{"n": n} for n in range(3)]
