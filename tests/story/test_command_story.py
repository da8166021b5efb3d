"""Repeated commands in a git repository become a tool whose values stay single words."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import Any

import pytest
from mcp import Client

from .conftest import Project  # type: ignore[import-not-found]

RULES = '[permissions]\nallow = ["Bash"]\n'
TEST = """import unittest


class Test(unittest.TestCase):
    def test_it(self) -> None:
        assert {}
"""
WORK = [
    ("parser", "Fix the empty input"),
    ("lexer", "Say why it stops"),
    ("writer", "Don't write twice"),
    ("reader", 'Handle "quoted" names'),
    ("printer", "Less work"),
]


async def call(client: Client, name: str, /, **arguments: Any) -> dict[str, Any]:
    return dict((await client.call_tool(name, arguments)).structured_content or {})


async def bash(client: Client, command: str) -> None:
    answer = await call(client, "run_tool", name="Bash", arguments={"command": command})
    assert answer.get("exit_code") == 0, answer


def git(project: Project, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=project.root, check=True, capture_output=True, text=True).stdout


def change(project: Project, module: str, text: str) -> None:
    (project.root / "src" / f"{module}.py").write_text(text)


@pytest.mark.requirement("H-12", "H-13", "H-15")
async def test_commands_become_a_tool_and_no_value_becomes_another_word(project: Project) -> None:
    (project.root / "src").mkdir()
    (project.root / "tests").mkdir()
    (project.root / ".gitignore").write_text(".druse/\n")
    git(project, "init", "-q")
    git(project, "config", "user.email", "a@example.com")
    git(project, "config", "user.name", "A")
    for module in [*(module for module, _ in WORK), "scanner", "broken"]:
        change(project, module, "")
        (project.root / "tests" / f"test_{module}.py").write_text(TEST.format(module != "broken"))
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "First")
    project.configure(servers={}, config=RULES)

    async with project.client() as client:
        for number, (module, message) in enumerate(WORK):
            goal = f"run the tests of module {module} and commit with message {message}"
            opened = await call(client, "dispatch_goal", goal=goal)
            change(project, module, f"# {number}\n")
            await bash(client, f"python3 -m unittest -q tests/test_{module}.py")
            await bash(client, f"git add src/{module}.py && git commit -q -m {shlex.quote(message)}")
            await call(client, "report_outcome", run_id=opened["run_id"], success=True)

        (candidate,) = (await project.druse("candidates"))["candidates"]
        report = await project.druse("crystallize", candidate["signature"])
        assert report["status"] == "proposed", report
        assert [row["command"] for row in report["commands"]] == [
            "python3 -m unittest -q tests/test_<name>.py",
            "git add src/<name>.py",
            "git commit -q -m <message>",
        ]
        assert report["commands"][1]["rule"] == "Bash(git add src/*.py)"
        assert report["commands"][2]["undo"] == "git reset --soft HEAD~1"
        shown = await project.druse("approvals", "show", report["approval_id"])
        dry = shown["dry_run"]["calls"]
        assert dry[0] == {"tool": "Bash", "arguments": {"command": "python3 -m unittest -q tests/test_printer.py"}}
        assert dry[1]["undo"] == "git restore --staged src/printer.py"
        done = await project.druse("approvals", "approve", report["approval_id"], "--yes")
        assert done["status"] == "approved"
        name = report["tool"]
        listed = await project.druse("tools", "show", name)
        assert listed["manifest"]["commands"] == report["commands"]

        # The tool's own approval covers its commands, and nothing else does.
        project.configure(servers={}, config='[permissions]\nallow = ["Read"]\n')
        for message in ("x; rm -rf src", "$(id)", 'it\'s "two"  words\nand a line', "`id` && echo"):
            change(project, "scanner", f"# {json.dumps(message)}\n")
            answer = await call(client, "run_tool", name=name, arguments={"name": "scanner", "message": message})
            assert answer.get("status") != "diverged", answer
            assert git(project, "log", "-1", "--format=%B").strip() == message
        head = git(project, "rev-parse", "HEAD")
        for values in (
            {"name": "scanner", "message": "--amend"},
            {"name": "../../x", "message": "m"},
            {"name": "scanner.py src/lexer", "message": "m"},
            {"name": "--all", "message": "m"},
            {"name": "broken", "message": "m"},
        ):
            change(project, "scanner", f"# {json.dumps(values)}\n")
            answer = await call(client, "run_tool", name=name, arguments=values)
            assert answer["status"] == "diverged", answer
            assert git(project, "rev-parse", "HEAD") == head
        plain = await call(client, "run_tool", name="Bash", arguments={"command": "git add src/lexer.py"})
        assert plain["status"] == "pending", plain
