"""Way out: a worker under foreign control says what the host does not expect, and the host falls over."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from druse.model import Json, JsonObject, Outcome, OutcomeStatus
from druse.runtime import EndRun, SandboxHost

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.requirement("H-16")]

SENDER = (
    "import os, struct\nfor body in {bodies!r}:\n    os.write(3, struct.pack('<I', len(body)) + body)\n    {then}\n"
)


async def broker(tool: str, arguments: JsonObject) -> Json:
    if tool == "stop":
        raise EndRun(Outcome(OutcomeStatus.DENIED, message="no", kind="denied"))
    return tool


async def reported(done: float, total: float | None, message: str | None) -> None:
    assert isinstance(done, float) and done == done


async def forge(host: SandboxHost, *messages: Any, then: str = "pass") -> Any:
    bodies = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in messages]
    source = SENDER.format(bodies=bodies, then=then)
    return await host.run(source, {}, mode="script", os_only=True, call=broker, progress=reported)


@pytest.mark.parametrize(
    "message",
    [
        {"calls": [5]},
        {"calls": [{"call": 1}]},
        {"calls": []},
        {"calls": {"a": 1}},
        {"calls": None},
        {"calls": [{"call": "x", "arguments": []}]},
        {"calls": [{"call": "x", "arguments": {}}] * 600},
        {"call": None, "arguments": {}},
        {"call": "x"},
        {"progress": 5},
        {"progress": [1, 2]},
        {"progress": [1, 2, "x" * 100_000]},
        {"done": "ok", "problems": 5},
        {"done": "ok", "problems": None},
        {"done": "ok", "prints": 5},
        {"done": ["ok"]},
        {"done": None},
        {"ready": {}},
        {"compiled": "AAAA"},
        [],
        b"",
        b"\xff\xfe",
        b"[" * 4000,
        b'{"done": 1e999}',
        b'{"done": NaN}',
        b'{"done": "ok", "value": ' + b"9" * 500 + b"}",
        b'{"done": "ok", "value": "\\ud800"}',
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_frame_that_is_none_ends_the_run_and_not_the_host(host: SandboxHost, message: Any) -> None:
    result = await forge(host, message)
    after = await host.run("1 + 1", {}, mode="script")

    assert result.status == "killed" and result.error is not None, result
    assert after.value == 2


@pytest.mark.parametrize(
    "message",
    [
        {"done": "ok", "problems": [5, {"line": "x"}], "error": {"kind": 5, "message": None}},
        {"done": "error", "error": {"line": 10**300, "kind": "k" * 9999, "message": "m" * 99999}},
        {"done": "ok", "value": {"a": [1]}, "layers": 5, "calls": "x"},
    ],
)
async def test_a_result_with_odd_parts_is_cut_to_what_a_result_is(host: SandboxHost, message: Any) -> None:
    result = await forge(host, message)

    assert result.status in ("ok", "error")
    assert result.error is None or (len(result.error.kind) <= 100 and len(result.error.message) <= 4000)


@pytest.mark.parametrize("number", [10**350, "x", None, True, -0.0], ids=str)
async def test_a_report_of_progress_without_a_measure_is_left_out(host: SandboxHost, number: Any) -> None:
    assert (await forge(host, {"progress": [number, number, 5]}, {"done": "ok", "value": 1})).value == 1


async def test_a_denied_call_among_many_ends_the_run_as_denied(host: SandboxHost) -> None:
    source = "def run(call):\n    return call_all([('a', {}), ('stop', {}), ('b', {})])"
    result = await host.run(source, {}, call=broker)

    assert result.status == "ended" and result.outcome is not None and result.outcome.kind == "denied"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
KEYS = st.sampled_from(["call", "calls", "arguments", "done", "progress", "problems", "value", "error", "compiled"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=st.lists(st.dictionaries(KEYS, PLAIN, max_size=4), min_size=1, max_size=3))
async def test_whatever_a_worker_says_the_host_answers_with_a_result(host: SandboxHost, messages: list[Any]) -> None:
    result = await forge(host, *messages)

    assert result.status in ("ok", "rejected", "error", "killed", "diverged")
