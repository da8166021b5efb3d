"""Way out: one call in the source that is two calls in the run, or a value that reads differently the second time."""

from __future__ import annotations

import pytest

from druse.model import Json, JsonObject
from druse.runtime import SandboxHost

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def pair(tool: str, arguments: JsonObject) -> Json:
    return [1, 2]


@pytest.mark.parametrize(
    "source",
    [
        "whole = a, b = call('pay')",
        "a, b = whole = call('pay')",
        "(a, b) = [c, d] = call('pay')",
        "x = {}\nx['k'] = a, b = call('pay')",
        "class A:\n    whole = a, b = call('pay')",
        "for a, b in [call('pay')]:\n    pass",
        "a, *b = call('pay')",
        "d = {'k': [0]}\nd['k'] += call('pay')",
    ],
)
async def test_the_right_side_is_evaluated_once(host: SandboxHost, source: str) -> None:
    result = await host.run(source + "\nresult = 1", {}, mode="script", call=pair)

    assert (result.value, result.calls) == (1, 1), result


async def test_chained_targets_are_filled_from_left_to_right(host: SandboxHost) -> None:
    source = "pool = [1, 2, 3, 4]\npair = lo, hi = pool.pop(0), pool.pop()\n[pair, lo, hi, pool]"

    assert (await host.run(source, {}, mode="script")).value == [[1, 4], 1, 4, [2, 3]]


async def test_a_class_that_calls_itself_deque_is_not_taken_for_one(host: SandboxHost) -> None:
    source = (
        "class deque:\n    n = 0\n    def __iter__(self):\n        deque.n += 1\n"
        "        return iter(['x'] if deque.n == 1 else ['x' * 3000000])\nresult = deque()"
    )
    result = await host.run(source, {}, mode="script")

    assert result.status == "error" and result.error is not None and result.error.kind == "result"


async def test_an_endless_iterable_does_not_fill_the_memory_when_unpacked(host: SandboxHost) -> None:
    source = "import itertools\ntry:\n    a, b = itertools.count()\nexcept ValueError as e:\n    r = str(e)\nr"

    assert (await host.run(source, {}, mode="script")).value == "too many values to unpack (expected 2)"
