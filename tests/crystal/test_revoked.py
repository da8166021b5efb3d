"""What is taken back while something runs is taken back for its next call: trust, rules, a tool's own service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from druse.front.application import Application, open_application
from druse.front.base import open_base, person
from druse.model import CallContext, Caller, CallerKind, Effect, JsonObject, Outcome, Source, ToolSpec
from druse.settings import Workspace

AGENT = Caller(CallerKind.AGENT, session="s", connection="c", client="client 1")
ALLOW = '[permissions]\nallow = ["shop__get_order", "planner_*"{more}]\n'
CODE = (
    '"""Look at an order and note it."""\n\n\ndef run(call, *, order: str) -> dict:\n    """What was noted."""\n'
    '    found = call("shop__get_order", order=order)\n    return call("shop__note", order=found["id"])\n'
)
TEXT: JsonObject = {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}


class Shop:
    """A server in this process whose reads can be held up."""

    announce: Any = None

    def __init__(self) -> None:
        self.noted: list[str] = []
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        self.go_on.set()

    def hold(self) -> None:
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        self.noted.clear()

    def specs(self) -> Sequence[ToolSpec]:
        ways = (("get_order", Effect.READ), ("note", Effect.WRITE))
        return [
            ToolSpec(f"shop__{name}", Source.UPSTREAM, name, TEXT, effect=effect, server="shop", upstream_name=name)
            for name, effect in ways
        ]

    async def call(self, spec: ToolSpec, arguments: JsonObject, context: CallContext) -> Outcome:
        if spec.upstream_name == "note":
            self.noted.append(str(arguments["order"]))
            return Outcome.of({"noted": arguments["order"]})
        self.reached.set()
        await self.go_on.wait()
        return Outcome.of({"id": arguments["order"]})

    def resources(self) -> Sequence[JsonObject]:
        return ()

    templates = prompts = resources

    def read(self, uri: str) -> JsonObject | None:
        return None

    async def prompt(self, name: str, arguments: Mapping[str, str], side: object) -> JsonObject | None:
        return None


class House:
    """A workspace at work over the shop."""

    def __init__(self, workspace: Workspace, application: Application, shop: Shop) -> None:
        self.workspace = workspace
        self.application = application
        self.shop = shop

    async def tool(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        return await self.surface("run_tool", **{"name": name, "arguments": arguments})

    async def surface(self, surface: str, /, **arguments: Any) -> dict[str, Any]:
        done = await self.application.serve_call(surface, arguments, AGENT, None)
        data = dict(done.data) if isinstance(done.data, dict) else {}
        return {**data, "outcome": str(done.status), "message": done.message, **done.details}

    async def approve_all(self, *kinds: str) -> None:
        async with open_base(self.workspace) as base:
            for asked in await base.approvals.list(open_only=True):
                if asked.kind in kinds:
                    await base.decide(asked.id, approve=True, how="cli")

    def rules(self, more: str = "", rest: str = "") -> None:
        self.workspace.config.write_text(ALLOW.format(more=more) + rest)

    async def recorded(self, order: str) -> str:
        opened = await self.surface("dispatch_goal", goal=f"Note order {order}")
        await self.tool("shop__get_order", order=order)
        await self.tool("shop__note", order=order)
        await self.surface("report_outcome", run_id=opened["run_id"], success=True)
        return str(opened["run_id"])

    async def made(self) -> dict[str, Any]:
        runs = [await self.recorded(order) for order in ("O1", "O2")]
        return await self.surface("propose_tool", name="note_it", code=CODE, description="Note", run_ids=runs)

    @asynccontextmanager
    async def held(self, surface: str, /, **arguments: Any) -> AsyncGenerator[asyncio.Task[dict[str, Any]]]:
        """A call that has come as far as its first read; it goes on when the block ends."""
        self.shop.hold()
        running = asyncio.create_task(self.surface(surface, **arguments))
        with anyio.fail_after(120):
            await self.shop.reached.wait()
            yield running
            self.shop.go_on.set()
            await asyncio.wait({running})


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[House]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    workspace = Workspace.find(tmp_path)
    workspace.state.mkdir()
    workspace.config.write_text(ALLOW.format(more=', "shop__note"'))
    shop = Shop()
    async with open_application(workspace, profile=shop) as application:
        yield House(workspace, application, shop)


@pytest.mark.requirement("S-24", "S-26")
async def test_a_trust_level_lowered_while_a_tool_runs_does_not_answer_for_its_next_call(house: House) -> None:
    level = "[self_programming]\ntrust_level = {}\n"
    house.rules(', "shop__note"', level.format(4))
    await house.approve_all("policy")
    await house.approve_all("trust")
    assert (await house.made())["status"] == "registered"
    house.rules("", level.format(4))  # what the tool calls is allowed by nothing but the trust level
    async with house.held("run_tool", name="note_it", arguments={"order": "O3"}) as running:
        pass
    assert running.result()["outcome"] == "ok" and house.shop.noted == ["O3"]
    async with house.held("run_tool", name="note_it", arguments={"order": "O4"}) as running:
        house.rules("", level.format(3) + "# lower than before\n")
    stopped = running.result()
    assert (stopped["outcome"], stopped["failed_step"]["tool"]) == ("diverged", "shop__note"), stopped
    assert stopped["approval_id"] and house.shop.noted == []


@pytest.mark.requirement("S-26")
async def test_a_tool_taken_out_of_service_while_it_runs_makes_no_further_call(house: House) -> None:
    assert (await house.made())["status"] == "proposed"
    await house.approve_all("tool")
    async with (
        open_base(house.workspace) as other,
        house.held("run_tool", name="note_it", arguments={"order": "O3"}) as running,
    ):
        await other.shelf.retire("note_it", person(), "it notes too much")
    stopped = running.result()
    assert stopped["outcome"] == "diverged" and "went out of service while it ran" in stopped["message"], stopped
    assert stopped["failed_step"]["tool"] == "shop__note" and house.shop.noted == []
    assert [step["tool"] for step in stopped["done"]] == ["shop__get_order"]


SCRIPT = "found = call('shop__get_order', order='O3')\ncall('shop__note', order='O3')\n"
STEPS = [
    {"id": "a", "call": "shop__get_order", "arguments": {"order": "O3"}},
    {"id": "b", "call": "shop__note", "arguments": {"order": "O3"}},
]


@pytest.mark.requirement("S-26")
@pytest.mark.parametrize("way", ["script", "plan"])
async def test_a_rule_revoked_while_a_script_or_a_plan_runs_holds_for_its_next_call(house: House, way: str) -> None:
    calls: dict[str, Any] = {"code": SCRIPT}
    if way == "plan":
        plan: dict[str, Any] = {"format": 1, "steps": STEPS}
        checked = await house.tool("planner.validate_plan", plan=plan)
        assert checked["valid"], checked
        calls = {"name": "planner.execute_plan", "arguments": {"plan": plan, "hash": checked["hash"]}}
    for more, status in (("", "pending"), (', "shop__note"]\ndeny = ["shop__note"', "denied")):
        house.rules(', "shop__note"')
        async with house.held("run_code" if way == "script" else "run_tool", **calls) as running:
            house.rules(more)
        stopped = running.result()
        assert house.shop.noted == []
        assert stopped["outcome"] == (status if way == "script" else "diverged"), stopped
        assert bool(stopped.get("approval_id")) is (status == "pending" and way == "plan"), stopped


async def test_a_request_for_rules_is_withdrawn_when_the_files_say_something_else(house: House) -> None:
    house.rules(', "shop__note", "Bash(touch:*)"')
    async with open_base(house.workspace) as base:
        (asked,) = await base.adoption.ask()
    house.rules("")
    async with open_base(house.workspace) as base:
        assert (await base.approvals.get(asked.id)).status == "expired"
        assert await base.approvals.list(open_only=True) == []
