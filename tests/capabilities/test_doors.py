"""Every entry point passes the one decision function, and no door lets an agent speak in a person's place (X-07)."""

from __future__ import annotations

import asyncio
import importlib
import re
from pathlib import Path
from typing import Any

import click
import pytest
from mcp import Client

from capabilities.desk import SELF, Desk, run_tool, surface
from druse.capabilities import SPECS
from druse.cli import _COMMANDS  # pyright: ignore[reportPrivateUsage]
from druse.front.surface import SURFACE

SERVER = Path(__file__).resolve().parents[2] / "server" / "druse"

# Every entry point: True where it can lead to a call of a tool, and then there is an attempt below.
ENTRIES: dict[str, bool] = {
    **dict.fromkeys(("dispatch_goal", "run_tool", "run_code"), True),
    **dict.fromkeys(("find_tools", "propose_tool", "load_skill", "report_outcome"), False),
    **dict.fromkeys(("planner.execute_plan", "planner.undo_plan"), True),
    **dict.fromkeys(
        (
            *("planner.decompose", "planner.resolve_intent", "planner.generate_plan", "planner.validate_plan"),
            *("planner.transform_plan", "planner.introspect_result", "planner.synthesize_capability"),
            *(
                "planner.register_capability",
                "planner.compose_capability",
                "learning.record_feedback",
                "learning.analyze_failure",
            ),
            *("learning.suggest_improvement", "learning.apply_improvement", "learning.refine_schema"),
            *("learning.run_now", "introspect.capability_graph", "introspect.plan_trace", "introspect.type_analysis"),
            *("introspect.causal_chain", "introspect.debug_plan"),
            *("planner.fork_successor", "planner.apply_successor", "planner.plan_history"),
            *("orchestrator.claim", "orchestrator.finish", "orchestrator.graph"),
        ),
        False,
    ),
    **dict.fromkeys(("druse run", "druse dispatch", "druse plans"), True),
}


def commands() -> set[str]:
    return {f"druse {name}" for name in _COMMANDS}


@pytest.mark.requirement("X-07")
def test_every_entry_point_is_known_and_there_is_one_place_where_a_provider_is_called() -> None:
    listed = {spec.name for spec in SURFACE} | {spec.alias for spec in SPECS if spec.alias.split(".")[0] != "skills"}
    assert listed == {name for name in ENTRIES if not name.startswith("druse ")}
    calls: list[tuple[str, str]] = []
    routed: list[str] = []
    for path in SERVER.rglob("*.py"):
        text = path.read_text()
        calls += [(path.name, line.strip()) for line in text.splitlines() if re.search(r"provider\.call\(", line)]
        if path.parent.name == "cli" and re.search(r"application\.(call|dispatcher\.dispatch|serve_call)\(", text):
            routed.append(path.name)
    assert calls == [("router.py", "return await entry.provider.call(entry.spec, call.arguments, context)")]
    assert sorted(routed) == ["plans.py", "work.py"]


@pytest.mark.requirement("X-07", "S-25", "S-50")
async def test_a_denied_tool_is_reached_through_no_entry_point(desk: Desk) -> None:
    desk.configure(SELF)
    attempted: set[str] = set()
    text = {"text": "out"}
    async with desk.client() as client:
        for number in range(1, 7):
            opened = await surface(client, "dispatch_goal", goal=f"Write down word{number}")
            await run_tool(client, "desk__add_note", text=f"word{number}")
            await surface(client, "report_outcome", run_id=opened["run_id"], success=True)
        made = await run_tool(client, "planner.synthesize_capability", goal="Write down word9")
        await desk.druse("approvals", "approve", made["approval_id"], "--yes")
        plan = {"format": 1, "steps": [{"id": "n", "call": "desk__add_note", "arguments": text}]}
        valid = (await run_tool(client, "planner.validate_plan", plan=plan))["hash"]
        undo = {"call": "desk__add_note", "arguments": text}
        back = {"format": 1, "steps": [{"id": "n", "call": "desk__add_note", "arguments": text, "undo": undo}]}
        known = (await run_tool(client, "planner.validate_plan", plan=back))["hash"]
        made_of = (await run_tool(client, "planner.execute_plan", plan=back, hash=known))["execution"]
        before = len(desk.notes)
        desk.configure(SELF + 'deny = ["desk__add_note"]\n')

        answers: dict[str, Any] = {
            "run_tool": await run_tool(client, "desk__add_note", **text),
            "a tool by its own name": await surface(client, "desk__add_note", **text),
            "a learned tool": await run_tool(client, made["tool"], text="out"),
            "run_code": await surface(client, "run_code", code="call('desk__add_note', text='out')"),
            "dispatch_goal": await surface(client, "dispatch_goal", goal="Write down word9", replay=True),
            "planner.execute_plan": await run_tool(client, "planner.execute_plan", plan=plan, hash=valid),
            "planner.undo_plan": await run_tool(client, "planner.undo_plan", execution=made_of),
            "druse run": await desk.druse("run", "desk__add_note", "--args-json", '{"text": "out"}'),
            "druse plans": await desk.druse("plans", "undo", made_of, "--yes"),
            "druse dispatch": await desk.druse("dispatch", "Write down word9"),
        }
        attempted = set(answers)
        for door, answer in answers.items():
            assert "desk__add_note" in str(answer) and ("deny" in str(answer) or "denied" in str(answer)), (
                door,
                answer,
            )
    assert len(desk.notes) == before
    assert {name for name, reaches in ENTRIES.items() if reaches} <= attempted
    refused = (await desk.druse("audit", "show", "--action", "call.refused", "--limit", "100"))["entries"]
    assert len([entry for entry in refused if entry["subject"] == "desk__add_note"]) >= 6


SPEAKING = [
    "druse approvals approve abc --yes",
    "python3 -m druse policy approve --yes",
    "env X=1 druse init --allow 'Bash'",
    "uv run druse run desk__close_order --args-json '{}'",
    "druse dispatch 'close it'",
    "bash -c 'druse tools rollback x 1'",
    ".venv/bin/druse crystallize abc",
    "druse traces mark run-1 --success",
    "druse serve --http 127.0.0.1:9",
    "druse audit export /etc/x",
]


@pytest.mark.requirement("X-07", "S-47", "X-10")
async def test_no_door_lets_an_agent_approve_itself(desk: Desk) -> None:
    desk.configure('[permissions]\nallow = ["Bash", "Write", "Edit(./**)", "desk__get_*", "planner_*"]\n')
    async with desk.client() as client:
        waits = await run_tool(client, "desk__close_order", order_id="O1a")
        asked = waits["approval_id"]

        # as an argument, and as what a caller may say of itself
        for extra in ({"approved": True}, {"caller": "person"}, {"_meta": {"kind": "person"}}, {"approval_id": asked}):
            answer = await run_tool(client, "desk__close_order", order_id="O1a", **extra)
            assert answer["status"] == "invalid", answer
        for kind in ("approvals.decide", "approvals", "druse", "policy.approve"):
            assert (await run_tool(client, kind, id=asked))["status"] == "invalid"
        registered = await run_tool(client, "planner.register_capability", approval_id=asked)
        assert "asks for a call" in registered["message"], registered

        # by Druse's own commands
        for command in SPEAKING:
            answer = await run_tool(client, "Bash", command=command)
            assert answer["status"] == "denied" and "only a person" in answer["message"], (command, answer)
        looks = await run_tool(client, "Bash", command="druse approvals list")
        assert looks.get("status") != "denied", looks

        # by the files that Druse decides by
        for path in (".druse/config.toml", ".druse/policy.json", ".druse/druse.db", "tools/generated/x/v1.py"):
            answer = await run_tool(client, "Write", file_path=path, content="x")
            assert answer["status"] == "denied", (path, answer)
            answer = await run_tool(client, "Bash", command=f"cp mcp.json {path}")
            assert answer["status"] in ("denied", "pending"), (path, answer)
        code = "call('Write', file_path='.druse/config.toml', content='[permissions]')"
        assert "Druse decides by these files" in str(await surface(client, "run_code", code=code))
        plan = {
            "format": 1,
            "steps": [{"id": "w", "call": "Bash", "arguments": {"command": SPEAKING[0].replace("abc", asked)}}],
        }
        checked = await run_tool(client, "planner.validate_plan", plan=plan)
        assert [issue["kind"] for issue in checked["issues"]] == ["forbidden"]

        assert (await run_tool(client, "desk__close_order", order_id="O1a"))["approval_id"] == asked
        assert [one["status"] for one in (await desk.druse("approvals", "list", "--all"))["approvals"]][-1] == "pending"
    assert desk.notes == []


@pytest.mark.requirement("X-07")
async def test_two_clients_that_race_use_one_approval_once(desk: Desk) -> None:
    desk.configure('[permissions]\nallow = ["desk__get_*"]\n')

    async def close(client: Client) -> str:
        answer = await run_tool(client, "desk__close_order", order_id="O1a")
        return str(answer.get("status", "done"))

    async with desk.client() as one, desk.client() as two:
        waits = await run_tool(one, "desk__close_order", order_id="O1a")
        await desk.druse("approvals", "approve", waits["approval_id"], "--yes")
        ended = await asyncio.gather(*(close(client) for client in (one, two, one, two)))
        assert sorted(ended) == ["done", "pending", "pending", "pending"]
    assert desk.notes == ["closed O1a"]


@pytest.mark.requirement("X-07")
def test_every_command_of_druse_is_either_one_that_looks_or_a_persons() -> None:
    from druse.permissions.commands import _LOOKING  # pyright: ignore[reportPrivateUsage]

    for name, inner in _LOOKING.items():
        module, attribute = _COMMANDS[name].split(":")
        command = getattr(importlib.import_module(module), attribute)
        known = set(command.commands) if isinstance(command, click.Group) else set[str]()
        assert (inner or set()) - {""} <= known, name
    assert not {"run", "dispatch", "init", "serve", "crystallize"} & set(_LOOKING)
    assert "approve" not in (_LOOKING["approvals"] or ()) and "approve" not in (_LOOKING["policy"] or ())
    assert commands() >= {f"druse {name}" for name in _LOOKING}
