"""Way out: an error on the way to a guard's answer, caught by tool code, and the run goes on as if the guard had held."""

from __future__ import annotations

import pytest

from druse.runtime import SandboxHost

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.requirement("H-16")]

LOUD = (
    "class Loud:\n    def __str__(self):\n        raise ValueError('x')\n    def __repr__(self):\n"
    "        raise ValueError('x')\n    def __eq__(self, other):\n        raise ValueError('x')\n"
    "    def __bool__(self):\n        raise ValueError('x')\n    def __hash__(self):\n        return 1\n"
)


@pytest.mark.parametrize(
    "guard",
    [
        "require(False, Loud())",
        "require(Loud())",
        "require(False, '\\ud800')",
        "one([], 'k', Loud())",
        "one([{'k': Loud()}], 'k', Loud())",
        "one([{'k': 1}], [], 1)",
        "one(5, Loud(), 1)",
        "expect(Loud(), 'str')",
        "expect({'a': Loud()}, {'a': 'int'})",
        "expect(1, Loud())",
        "expect([1], [])",
        "expect({'a': 1}, {5: 'int'})",
    ],
)
async def test_a_guard_holds_or_ends_the_run(host: SandboxHost, guard: str) -> None:
    source = f"{LOUD}try:\n    {guard}\nexcept Exception:\n    pass\nresult = 'went on'"
    result = await host.run(source, {}, mode="script")

    assert result.status == "diverged" and result.error is not None and result.error.kind == "diverged", result


@pytest.mark.parametrize(
    "handling",
    [
        "    try:\n        require(False, 'no')\n    except Exception:\n        return 'went on'",
        "    try:\n        require(False, 'no')\n    except RecursionError:\n        return 'went on'",
        "    try:\n        require(False, 'no')\n    finally:\n        return 'went on'",
        "    with Swallow():\n        require(False, 'no')\n    return 'went on'",
    ],
)
async def test_a_guard_that_has_no_room_left_is_not_passed(host: SandboxHost, handling: str) -> None:
    source = (
        "class Swallow:\n    def __enter__(self):\n        return self\n    def __exit__(self, a, b, c):\n"
        "        return True\n"
        f"def guarded():\n{handling}\n"
        "def deep(n):\n    if n == 0:\n        return guarded()\n    return deep(n - 1)\n"
        "deep(arguments['depth'])"
    )
    for depth in (850, *range(960, 1000)):
        result = await host.run(source, {"depth": depth}, mode="script")
        assert result.status in ("diverged", "error") and result.value is None, (depth, result)


async def test_a_deep_value_cannot_be_used_to_pass_a_shape(host: SandboxHost) -> None:
    source = (
        "shape = 'int'\nvalue = 1\nfor _ in range(3000):\n    shape = [shape]\n    value = [value]\n"
        "try:\n    expect(value, shape)\nexcept Exception:\n    pass\nresult = 'went on'"
    )
    result = await host.run(source, {}, mode="script")

    assert result.status in ("error", "diverged") and result.value is None
