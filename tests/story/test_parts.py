"""Steps that recur inside longer runs of different work become a tool through the same gate as a workflow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from story.conftest import Project

NAMES = ["ann", "ben", "cat", "dan", "eve", "fay"]
ENDINGS = ["cancel", "refund", "escalate"]


def neutral(number: int, name: str) -> dict[str, Any]:
    """A run that looks a customer and the orders up, and then goes its own way."""
    user = f"user_{name}_{number * 37}"
    orders = [f"O-{number}{place}" for place in range(1 + number % 3)]
    calls: list[tuple[str, dict[str, Any], Any]] = [
        ("desk__find_user", {"name": name}, {"user_id": user}),
        ("desk__get_orders", {"user_id": user}, {"orders": [{"id": order} for order in orders]}),
        *(("desk__get_order", {"order_id": order}, {"id": order, "open": True}) for order in orders),
        (f"desk__{ENDINGS[number % 3]}", {"note": f"{name} wants it"}, "ok"),
    ]
    steps = [{"t": t, "tool": tool, "args": args, "res": res} for t, (tool, args, res) in enumerate(calls, 1)]
    return {"traj": f"run-{number}", "task": name, "ok": 1, "user": [[0, f"I am {name}, help"]], "steps": steps}


@pytest.mark.requirement("H-11", "H-20")
async def test_a_part_of_different_work_is_a_candidate_is_proved_and_becomes_a_tool(project: Project) -> None:
    project.configure(servers={}, approved=False)
    runs = project.root / "runs.jsonl"
    runs.write_text("".join(json.dumps(neutral(number, name)) + "\n" for number, name in enumerate(NAMES)))
    await project.druse("traces", "import", "runs.jsonl")

    found = (await project.druse("candidates"))["candidates"]
    (part,) = [candidate for candidate in found if candidate["kind"] == "part"]
    assert part["usage_count"] == len(NAMES) and part["goal"] == "Runs find_user, get_orders, get_order"

    report = await project.druse("crystallize", part["signature"])

    assert report["status"] == "proposed" and report["permissions"] == [
        "desk__find_user",
        "desk__get_order",
        "desk__get_orders",
    ]
    assert [row["result"] for row in report["verification"]].count("wrong") == 0
    assert "def run(call, *, name: str)" in report["source"]
    again = (await project.druse("candidates"))["candidates"]
    assert part["signature"] not in [candidate["signature"] for candidate in again]

    await project.druse("approvals", "approve", report["approval_id"], "--yes")
    (tool,) = (await project.druse("tools", "list"))["tools"]
    assert (tool["name"], tool["status"]) == (report["tool"], "active")


async def test_what_only_one_workflow_has_is_no_part(project: Project) -> None:
    project.configure(servers={}, approved=False)
    same = [{**neutral(3 * number, name)} for number, name in enumerate(NAMES)]
    (project.root / "runs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in same))
    await project.druse("traces", "import", "runs.jsonl")

    found = (await project.druse("candidates"))["candidates"]

    assert [candidate["kind"] for candidate in found] == ["workflow"]


def shell(number: int, name: str) -> dict[str, Any]:
    """A run of commands of which three are the same in all work, values aside."""
    commands = [
        *([f"ls {name}"] if number % 2 else [f"grep -rn {name} src | wc -l"]),
        f"python3 -m pytest -q tests/test_{name}.py",
        f"git add src/{name}.py",
        f"git commit -q -m 'Fix {name}'",
        *(["git push"], ["git log --oneline"], [f"rm -r build/{name}"])[number % 3],
    ]
    done = {"stdout": "", "stderr": "", "exit_code": 0}
    steps = [{"t": t, "tool": "Bash", "args": {"command": text}, "res": done} for t, text in enumerate(commands, 1)]
    return {"traj": f"run-{number}", "task": name, "ok": 1, "user": [[0, f"please fix {name}"]], "steps": steps}


@pytest.mark.requirement("H-11", "H-20")
async def test_commands_that_recur_in_different_work_become_a_tool_of_words(project: Project) -> None:
    project.configure(servers={}, approved=False)
    (project.root / "runs.jsonl").write_text(
        "".join(json.dumps(shell(number, name)) + "\n" for number, name in enumerate(NAMES))
    )
    await project.druse("traces", "import", "runs.jsonl")
    found = (await project.druse("candidates"))["candidates"]
    (part,) = [candidate for candidate in found if candidate["kind"] == "part"]
    report = await project.druse("crystallize", part["signature"])
    assert report["status"] == "proposed", report
    assert [row["command"] for row in report["commands"]] == [
        "python3 -m pytest -q tests/test_<name>.py",
        "git add src/<name>.py",
        "git commit -q -m 'Fix <name>'",
    ]
    assert [row["result"] for row in report["verification"]].count("wrong") == 0
    assert report["permissions"] == ["Bash"]
