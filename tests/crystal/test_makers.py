"""Two makers of tools, one with and one without a model, behind one gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from capabilities.desk import Desk, surface, worked

CODE = '''"""Note the city of a user."""


def run(call, *, email: str) -> dict:
    """The city is noted."""
    user = call("desk__get_user", email=email)
    for _ in range(1):
        call("desk__add_note", text="note " + user["id"])
    return {"noted": user["id"]}
'''


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "project")


async def details(desk: Desk, approval_id: str) -> dict[str, Any]:
    return dict((await desk.druse("approvals", "show", approval_id))["details"])


@pytest.mark.requirement("H-10", "N-03")
async def test_both_makers_hand_in_the_same_artefact_with_its_source_traces_and_wait_for_a_person(desk: Desk) -> None:
    async with desk.client() as client:
        runs = [await worked(client, number) for number in range(1, 6)]
        (candidate,) = (await desk.druse("candidates"))["candidates"]
        made = await desk.druse("crystallize", candidate["signature"])
        assert made["status"] == "proposed", made
        own = await surface(client, "propose_tool", name="by_agent", code=CODE, run_ids=runs)
        assert own["status"] == "proposed", own
    induced, written = await details(desk, made["approval_id"]), await details(desk, own["approval_id"])
    assert set(induced) == set(written)
    left, right = induced["manifest"], written["manifest"]
    assert set(left) == set(right)
    assert (left["made_by"], right["made_by"]) == ("induction", "agent")
    for manifest in (left, right):
        assert sorted(manifest["made_from"]) == sorted(runs)
        assert sorted(part["run"] for part in manifest["verification"]) == sorted(runs)
        assert {part["result"] for part in manifest["verification"]} == {"right"}
        assert manifest["permissions"] == ["desk__add_note", "desk__get_user"]
        assert set(manifest["upstream_schemas"]) == {"desk__add_note", "desk__get_user"}
    assert not list((desk.root / "tools").rglob("*.py"))
    assert {row["status"] for row in (await desk.druse("tools", "list"))["tools"]} <= {"proposed"}


@pytest.mark.requirement("H-10")
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def run(:", "invalid syntax"),
        ('"""A."""\n', "it defines no function `run`"),
        (CODE.replace("    user", "    import os\n    user", 1), "import"),
        (CODE.replace("email: str", "email"), "has no annotation"),
        (CODE.replace('"note " +', '"NOTE " +'), "run "),
    ],
)
async def test_what_an_agent_hands_in_is_stopped_at_the_gate(desk: Desk, code: str, reason: str) -> None:
    async with desk.client() as client:
        runs = [await worked(client, number) for number in (1, 2)]
        made = await surface(client, "propose_tool", name="by_agent", code=code, run_ids=runs)
        assert made["status"] != "proposed" and reason in str(made), made
        assert (await desk.druse("approvals", "list"))["approvals"] == []


@pytest.mark.requirement("H-10")
async def test_without_runs_that_agree_no_maker_gets_through(desk: Desk) -> None:
    async with desk.client() as client:
        await worked(client, 1)
        (candidate,) = (await desk.druse("candidates", "--min-usage", "1"))["candidates"]
        made = await desk.druse("crystallize", candidate["signature"])
        assert made["status"] == "refused" and "two are needed" in made["message"]
        own = await surface(client, "propose_tool", name="by_agent", code=CODE)
        assert own["status"] != "proposed" and "no evidence" in str(own)
