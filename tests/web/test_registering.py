"""A program hands a tool in while the server runs: through the gate, unapproved at every trust level (N-15)."""

from __future__ import annotations

import asyncio
import contextlib
import json

import httpx
import pytest
from click.testing import CliRunner

from druse.cli import main
from druse.front.application import open_application
from druse.model import Caller, CallerKind
from druse.settings import Workspace
from web.conftest import House

CODE = '''"""Look a user up and note the city."""


def run(call, *, email: str) -> dict:
    user = call("crm__get_user", email=email)
    return call("crm__note", text=user["city"])
'''
AGENT = Caller(CallerKind.AGENT, session="s", connection="s", client="agent 1.0")


def trace(number: int) -> str:
    email, city = f"u{number}@x.io", f"City{number}"
    steps = [
        {"t": 1, "tool": "crm__get_user", "args": {"email": email}, "res": {"city": city}},
        {"t": 2, "tool": "crm__note", "args": {"text": city}, "res": {"noted": number}},
    ]
    return json.dumps({"traj": f"t{number}", "ok": 1, "user": [[0, f"note the city of {email}"]], "steps": steps})


async def registered(http: httpx.AsyncClient, **body: object) -> tuple[int, dict[str, object]]:
    answer = await http.post("/tools", json=body)
    return answer.status_code, answer.json()


@pytest.mark.requirement("N-15", "H-40")
async def test_a_tool_handed_in_over_http_passes_the_gate_and_waits_for_a_person_at_every_trust_level(
    house: House,
) -> None:
    lines = house.root / "runs.jsonl"
    lines.write_text("\n".join(trace(number) for number in (1, 2, 3)))
    await house.druse("traces", "import", str(lines))
    house.configure("[self_programming]\ntrust_level = 3\nmax_synthesis_per_session = 7\n")
    await house.druse("policy", "approve", "--yes")
    tool = {"name": "note_city", "code": CODE, "run_ids": ["t1", "t2", "t3"]}
    async with house.serve() as http:
        no_token = await http.post("/tools", json=tool, headers={"Authorization": "Bearer x"})
        elsewhere = await http.post("/tools", json=tool, headers={"Origin": "http://evil.example"})
        rebound = await http.post("/tools", json=tool, headers={"Host": "evil.example"})
        assert no_token.status_code == 401
        assert {elsewhere.status_code, rebound.status_code} <= {403, 421}
        for wrong, why in (
            ({**tool, "run_ids": []}, "no evidence"),
            ({**tool, "code": CODE.replace('user["city"]', '"elsewhere"')}, "replay"),
            ({**tool, "code": CODE.replace("def run", "import os\n\n\ndef run")}, "os is not available"),
            ({**tool, "name": "planner_execute_plan"}, "another tool has that name"),
            ({**tool, "bundle": "{}"}, "Not both"),
            ({"bundle": "{}"}, "Cannot import"),
        ):
            status, told = await registered(http, **wrong)
            assert status == (422 if why == "Not both" else 409) and why in str(told["detail"]), (why, told)
        status, told = await registered(http, **tool)
        assert (status, told["status"]) == (202, "pending"), told
        assert not (house.root / "tools" / "generated" / "note_city").exists()

        # Level 3 lets Druse put proved tools in service; not this one.
        workspace = Workspace.find(house.root, environment=house.environment)
        async with open_application(workspace, environment=house.environment) as application:
            assert application.base.rules.trust_level == 3
            given = {"name": "planner.register_capability", "arguments": {"approval_id": told["approval_id"]}}
            asked = await application.serve_call("run_tool", given, AGENT, None)
            assert asked.status == "pending", asked
        assert (await house.druse("tools", "list"))["tools"][0]["status"] == "proposed"
        await house.druse("approvals", "approve", str(told["approval_id"]), "--yes")
        assert (await house.druse("tools", "show", "note_city"))["version"] == 1

        # as a file that was exported; changed by a byte it is refused
        exported = await asyncio.to_thread(bundle, house)
        await house.druse("tools", "retire", "note_city")
        status, told = await registered(http, bundle=exported.replace("City", "city", 1).replace("email", "mail"))
        assert status == 409 and "signature" in str(told["detail"])
        status, told = await registered(http, bundle=exported)
        assert status in (202, 409), told
        # Every request is counted for who sends it, not for a session of its own.
        for _ in range(3):
            status, told = await registered(http, **{**tool, "run_ids": []})
        assert status == 403 and "synthesis" in str(told["detail"]), told
    shown = (await house.druse("audit", "show", "--action", "approval.requested"))["entries"]
    assert any("local client" in entry["client"] for entry in shown)


def bundle(house: House) -> str:
    with contextlib.chdir(house.root):
        return CliRunner(env=house.environment).invoke(main, ["tools", "export", "note_city"]).stdout
