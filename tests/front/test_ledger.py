"""What a client's process reads in the ledger of a daemon that died, against what happened."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from druse import shim
from druse.front import ledger as ledgers
from druse.front.ledger import Ledger

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files in memory are shared on Linux")

INITIALIZE = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(1, 6) | st.sampled_from(["a", "\u00fc", "1"]), st.integers(0, 40)),
        st.tuples(st.just("answer"), st.integers(0, 20), st.booleans()),
    ),
    max_size=60,
)


@given(steps, st.integers(0, 400), st.binary(max_size=20).filter(lambda rest: b"\n" not in rest))
@settings(max_examples=80)
def test_the_ledger_tells_who_waits_the_handshake_and_half_a_line(
    steps: list[tuple[str, int | str, int]], long: int, rest: bytes
) -> None:
    files = os.memfd_create("one"), os.memfd_create("two")
    before, ledgers._LONG = ledgers._LONG, long
    try:
        ledger = Ledger(*files)
        waiting: dict[str, None] = {}
        behind = False
        for message in (INITIALIZE, INITIALIZED):
            _hear(ledger, message)
        ledger.answered(0, behind=False)
        late: list[str] = []
        for what, value, more in steps:
            if what == "ask":
                if json.dumps(value) in waiting:
                    continue  # an id is in use until it is answered
                _hear(ledger, {"jsonrpc": "2.0", "id": value, "method": "ping", "params": {"p": "x" * more}})
                waiting[json.dumps(value)] = None
            elif open_ids := [name for name in waiting if name not in late]:
                name = open_ids[int(value) % len(open_ids)]
                behind = bool(more)
                late.append(name)
                ledger.answered(json.loads(name), behind=behind)
                if not behind:
                    for gone in late:
                        del waiting[gone]
                    late.clear()
        ledger.heard(rest)
        relay = shim.Relay(shim.Place(os.getcwd()))  # noqa: PTH109 - as the shim does
        relay._ledger = files
        relay._recall()
        assert set(relay._waiting) == set(waiting)
        assert [json.loads(line) for line in relay._handshake] == [INITIALIZE, INITIALIZED]
        assert bytes(relay._from_client) == rest
        assert bytes(relay._for_client) == (b"\n" if behind else b"")
    finally:
        ledgers._LONG = before
        for file in files:
            os.close(file)


def _hear(ledger: Ledger, message: Mapping[str, Any]) -> None:
    line = json.dumps(message).encode() + b"\n"
    ledger.heard(line[:5])
    ledger.heard(line[5:])
    ledger.asked(json.loads(line))
    ledger.tidy()


def test_a_ledger_that_was_never_written_says_nothing() -> None:
    files = os.memfd_create("one"), os.memfd_create("two")
    try:
        assert shim._frames(files) == []
    finally:
        for file in files:
            os.close(file)
