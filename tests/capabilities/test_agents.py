"""What is known of an agent, and its constraints at the decision function (S-43)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from capabilities.desk import CONFIG, Desk, run_tool, worked
from druse.front.application import open_application
from druse.front.base import open_base
from druse.governance import Action
from druse.model import Caller, CallerKind, OutcomeStatus, Verdict
from druse.settings import Workspace
from druse.store import Execution, StoredPlan

BOUND = (
    '[agents.mcp]\nmax_autonomy_level = 1\nrequire_approval_domains = ["finance"]\nllm_model = "small"\n'
    'risk_tolerance = "low"\n[domains]\nfinance = ["desk__close_order"]\n'
)


def caller(client: str, kind: CallerKind = CallerKind.AGENT) -> Caller:
    return Caller(kind, session=client, connection=client, client=client)


async def called(application: Any, who: Caller, name: str, **arguments: Any) -> str:
    told = {"name": name, "arguments": arguments}
    return str((await application.serve_call("run_tool", told, who, None)).status)


@pytest.mark.requirement("S-43")
async def test_a_domain_asks_even_at_level_4_and_the_narrower_of_trust_and_autonomy_governs(desk: Desk) -> None:
    await desk.druse("status")
    desk.configure(f"{CONFIG}{BOUND}[self_programming]\ntrust_level = 4\n")
    await desk.druse("policy", "approve", "--yes")
    for asked in (await desk.druse("approvals", "list"))["approvals"]:
        if asked["kind"] == "trust":
            await desk.druse("approvals", "approve", asked["id"], "--yes")
    bound, free = caller("mcp 1.0"), caller("other 2.0")
    async with open_application(Workspace.find(desk.root), environment=desk.environment) as application:
        await application.connect_all()
        rules = application.base.rules
        assert rules.trust_level == 4
        for who, closes, level in ((bound, OutcomeStatus.PENDING, 1), (free, OutcomeStatus.OK, 4)):
            assert await called(application, who, "desk__close_order", order_id="O1a") == closes, who
            assert await called(application, who, "desk__add_note", text="x") == OutcomeStatus.OK
            assert rules.level_of(who.client) == level
            transform = {
                "plan": {"format": 1, "steps": []},
                "code": "def run(call, *, plan: dict) -> dict:\n    return plan\n",
            }
            expected = OutcomeStatus.PENDING if level < 2 else OutcomeStatus.OK
            assert await called(application, who, "planner.transform_plan", **transform) == expected
            assert (rules.trusts(Action.REGISTER, who.client) is Verdict.ALLOW) is (level >= 3)
        # neither another way in nor another spelling of the name is outside of it, nor a tool that it calls
        script: dict[str, Any] = {"code": "call('desk__close_order', order_id='O2a')"}
        assert (await application.serve_call("run_code", script, bound, None)).status is OutcomeStatus.PENDING
        for name in ("MCP 9", "Mcp"):
            assert await called(application, caller(name), "desk__close_order", order_id="O1a") == OutcomeStatus.PENDING
        inside = Caller(CallerKind.TOOL, "t", "t", "mcp 1.0", tool="t", version=1, grants=("desk__close_order",))
        spec = application.registry.resolve("desk__close_order").spec
        assert rules.decide(spec, spec.name, {"order_id": "O1a"}, inside).verdict is Verdict.ASK
        person = caller("ada", CallerKind.PERSON)
        assert rules.decide(spec, spec.name, {"order_id": "O1a"}, person).verdict is Verdict.ALLOW

        # what loosens waits for a person, what tightens holds at once, also for everybody
        looser = BOUND.replace("level = 1", "level = 3").replace('["finance"]', "[]").replace("desk__close_order", "x")
        desk.configure(f"{CONFIG}{looser}[self_programming]\ntrust_level = 4\n")
        assert await called(application, bound, "desk__close_order", order_id="O1a") == OutcomeStatus.PENDING
        assert rules.level_of("mcp 1") == 1
        assert [text.split(":")[0].split(" no ")[0] for text in rules.waiting] == [
            "agent mcp",
            "agent mcp",
            "the domain finance",
        ]
        desk.configure(f'{CONFIG}{BOUND}[agents."*"]\nmax_autonomy_level = 0\n[self_programming]\ntrust_level = 4\n')
        assert await called(application, free, "introspect.capability_graph") == OutcomeStatus.PENDING


@pytest.mark.requirement("S-43")
async def test_the_memory_of_an_agent_has_the_seeds_keys_and_its_last_hundred_plans(desk: Desk) -> None:
    desk.configure(f'[permissions]\nallow = ["desk__*", "planner_*"]\n{BOUND}')
    async with desk.client() as client:
        for number in range(1, 6):
            await worked(client, number)
        made = await run_tool(client, "planner.synthesize_capability", goal="Note the city of u7@x.io")
        plan = {"format": 1, "goal": "list", "steps": [{"id": "n", "call": "desk__list_notes"}]}
        valid = (await run_tool(client, "planner.validate_plan", plan=plan))["hash"]
        done = await run_tool(client, "planner.execute_plan", plan=plan, hash=valid)
        async with open_base(Workspace.find(desk.root)) as base:
            await base.decide(made["approval_id"], approve=True, how="cli")
            await base.store.plans.keep(StoredPlan(valid, plan, "", 1.0, "x"))
            for number in range(120):
                old = Execution(f"exec-{number}", valid, {}, "done", "s", "", float(number), agent="mcp")
                await base.store.plans.begin(old)
            await base.store.plans.begin(Execution("exec-x", valid, {}, "done", "s", "", 1e12, agent="other"))
        listed = [template.uri_template for template in (await client.list_resource_templates()).resource_templates]
        assert "agent://{id}" in listed
        content: Any = (await client.read_resource("agent://mcp")).contents[0]
    memory = json.loads(content.text)
    assert list(memory) == [
        *("agent_id", "capabilities_owned", "execution_history", "learned_patterns", "preferences", "constraints")
    ]
    assert memory["capabilities_owned"] == [made["tool"]]
    history = [row["execution"] for row in memory["execution_history"]]
    assert history == [done["execution"], *(f"exec-{number}" for number in range(119, 20, -1))]
    assert memory["learned_patterns"][0].keys() == {"pattern", "confidence"}
    assert 0 < memory["learned_patterns"][0]["confidence"] < 1
    assert memory["preferences"] == {"llm_model": "small", "risk_tolerance": "low"}
    assert memory["constraints"] == {"max_autonomy_level": 1, "require_approval_domains": ["finance"]}
    assert await desk.druse("agents", "show", "mcp") == memory
    assert "mcp" in (await desk.druse("agents", "list"))["agents"]
    for wrong in ("max_autonomy_level = 5", "require_approval_domains = 3", "autonomy = 1", 'risk_tolerance = "mad"'):
        desk.configure(f"[agents.mcp]\n{wrong}\n")
        told = await desk.druse("agents", "list")
        assert "config.toml:2" in told["error"]["message"], told
