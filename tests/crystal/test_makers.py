"""Two makers of tools, one with and one without a model, behind one gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from capabilities.desk import CONFIG, Desk, surface, worked
from druse.crystal import previewed
from druse.model import ToolVersion

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
        first = await worked(client, 1)
        (candidate,) = (await desk.druse("candidates", "--min-usage", "1"))["candidates"]
        made = await desk.druse("crystallize", candidate["signature"])
        assert made["status"] == "refused" and "two are needed" in made["message"]
        own = await surface(client, "propose_tool", name="by_agent", code=CODE)
        assert own["status"] != "proposed" and "no evidence" in str(own)
        again = await worked(client, 1)
        second = await worked(client, 2)
        opened = await surface(client, "dispatch_goal", goal="Note the city of u3@x.io")
        for named, told in (
            ([first, first], "at least two successful recorded runs"),
            ([first, again], "made the very same calls, so nothing shows that email can be anything else"),
            ([first, second, opened["run_id"]], f"{opened['run_id']} is open"),
            ([first, second, "run-x"], "no recorded run is called run-x"),
        ):
            own = await surface(client, "propose_tool", name="by_agent", code=CODE, run_ids=named)
            assert own["status"] != "proposed" and told in str(own), own
        own = await surface(client, "propose_tool", name="by_agent", code=CODE, run_ids=[first, second])
        assert own["status"] == "proposed", own
        await desk.druse("approvals", "approve", own["approval_id"], "--yes")
        # What an agent wrote is found by the words of its runs, and is told call by call before it runs.
        desk.configure(CONFIG + "[settings]\ncandidate_runs = 2\n")
    plan = await desk.druse("dispatch", "Note the city of u4@x.io", "--dry-run")
    assert plan["tool"] == "by_agent v1"
    assert plan["calls"] == [
        {"tool": "desk__get_user", "arguments": {"email": "u4@x.io"}},
        {
            "tool": "desk__add_note",
            "arguments": {},
            "from_results": {"text": "'note ' + user['id']"},
            "for": "_ in range(1)",
        },
    ]


COMMANDS = """\"\"\"Tag it.\"\"\"


def run(call, *, name: str, by: str = "me") -> dict:
    \"\"\"It.\"\"\"
    call("Bash", command=command("git", "tag", f"v-{word(name, 'name')}"))
    call("Bash", command=command("git", "commit", "-m", word(name, "text")))
    return call("note", text="by " + by, at=now().year, to=[name, {"x": 1}])
"""


@pytest.mark.parametrize(
    ("name", "shown"),
    [("one", "git tag v-one"), ("a b", "(stops here: "), ("--all", "git tag v---all")],
)
def test_a_preview_has_every_value_that_the_inputs_decide_and_what_takes_it_back(name: str, shown: str) -> None:
    first, second, third = previewed(ToolVersion("t", 1, COMMANDS, {}), {"name": name})
    arguments: Any = first["arguments"]
    assert str(arguments["command"]).startswith(shown) or str(arguments["command"]).startswith("(stops here: ")
    assert "undo" in first and "undo" in second
    assert third == {
        "tool": "note",
        "arguments": {"text": "by me", "to": [name, {"x": 1}]},
        "from_results": {"at": "now().year"},
    }
