"""Way out: a dataclass whose fields name what attributes may not."""

from __future__ import annotations

import pytest

from druse.runtime import SandboxHost

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.requirement("H-16")]

HEAD = "from dataclasses import dataclass, field, asdict, astuple, replace\n"


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    desugared_defaults = {'__class__': 1}\nasdict(A())",
        "class A:\n    desugared_fields = ['__class__']\ndataclass(A)",
        "class A:\n    x: int = 1\nsetattr(A, 'desugared_fields', ['__class__'])\nasdict(dataclass(A)())",
        "class A:\n    x: int = 1\nA.desugared_fields = ['__class__']",
        "@dataclass\nclass A:\n    __class__: int = 1\nasdict(A())",
        "@dataclass\nclass A:\n    x: int = field(init=False)\n    def __init__(self):\n        return None\nasdict(A())",
        "@dataclass\nclass E(Exception):\n    with_traceback: int = field(init=False)\nasdict(E())",
        "replace(1, x=2)",
        "asdict(asdict)",
        "asdict(Exception())",
    ],
)
async def test_nothing_but_the_fields_of_the_object_itself_is_read(host: SandboxHost, source: str) -> None:
    result = await host.run(HEAD + source, {}, mode="script")

    assert result.status in ("error", "rejected"), result


async def test_a_subclass_does_not_thaw_a_frozen_class(host: SandboxHost) -> None:
    source = (
        "@dataclass(frozen=True)\nclass P:\n    x: int = 1\nclass Q(P):\n    pass\nq = Q()\n"
        "try:\n    q.x = 5\nexcept AttributeError:\n    pass\n"
        "try:\n    setattr(q, 'x', 5)\nexcept AttributeError:\n    pass\nq.x"
    )

    assert (await host.run(HEAD + source, {}, mode="script")).value == 1


async def test_a_field_is_read_from_the_object_and_not_through_a_property(host: SandboxHost) -> None:
    source = (
        "@dataclass\nclass P:\n    x: int = 1\nclass Q(P):\n    @property\n    def y(self):\n        return 'no'\n"
        "asdict(Q()), astuple(Q()), replace(Q(), x=3).x"
    )

    assert (await host.run(HEAD + source, {}, mode="script")).value == [{"x": 1}, [1], 3]
