from __future__ import annotations

import pytest

from druse.model import NotAllowed
from governance.bench import AGENT, PERSON, Bench


async def test_only_a_person_decides_and_an_approval_is_used_once(bench: Bench) -> None:
    approvals = bench.approvals
    asked = await approvals.request("call", "h1", "x", {}, AGENT)
    with pytest.raises(NotAllowed):
        await approvals.decide(asked.id, AGENT, approve=True, how="cli")
    assert await approvals.take("call", "h1", AGENT) is None
    await approvals.decide(asked.id, PERSON, approve=True, how="cli")
    assert await approvals.take("call", "h2", AGENT) is None
    assert await approvals.take("call", "h1", AGENT) is not None
    assert await approvals.take("call", "h1", AGENT) is None
    late = await approvals.request("call", "h3", "x", {}, AGENT)
    bench.clock.now += 4000
    assert (await approvals.get(late.id)).status == "expired"
