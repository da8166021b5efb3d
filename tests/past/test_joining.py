"""What a client did by itself and what it did through Druse are one run."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest
from mcp import Client

from story.conftest import Project, project
from tests.past.hooking import bash, command, hook, prompt, runs_of, stop

__all__ = ["project"]

SERVER = """
TOOLS = [{"name": "note", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}}]
def answer(name, arguments):
    return json.dumps({"kept": arguments["text"]})
"""


async def call(client: Client, name: str, arguments: dict[str, Any], key: str) -> dict[str, Any]:
    answer = await client.call_tool(name, arguments, meta={"claudecode/toolUseId": key})
    return dict(answer.structured_content or {})


def served(tool: str, key: str, given: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """The hook's event of a call that went to Druse."""
    event = bash("", key=key)
    return {**event, "tool_name": f"mcp__druse__{tool}", "tool_input": given, "tool_response": json.dumps(answer)}


def shown(run: dict[str, Any]) -> list[tuple[str, str]]:
    return [(step["tool"], str(step["args"].get("command") or step["args"].get("text"))) for step in run["steps"]]


@pytest.mark.requirement("H-41", "N-08")
async def test_both_halves_of_a_goal_are_one_run_in_order_and_its_outcome_counts_for_both(project: Project) -> None:
    from doors import plain_server

    (project.root / "notes.py").write_text(plain_server(SERVER))
    server = {"command": sys.executable, "args": ["notes.py"]}
    project.configure(servers={"notes": server}, config='[permissions]\nallow = ["notes__*", "Bash"]\n')
    async with project.client() as client:
        hook(project.root, prompt("Release version 7"))
        hook(project.root, bash("git status"))
        goal = {"goal": "Release version 7"}
        opened = await call(client, "dispatch_goal", goal, "toolu_1")
        hook(project.root, served("dispatch_goal", "toolu_1", goal, opened))
        hook(project.root, bash("git tag v7"))

        note = {"name": "notes__note", "arguments": {"text": "v7"}}
        hook(project.root, served("run_tool", "toolu_2", note, await call(client, "run_tool", note, "toolu_2")))
        again = {"name": "Bash", "arguments": {"command": "echo done"}}
        await call(client, "run_tool", again, "toolu_3")
        hook(project.root, bash("git push", key="toolu_4"))
        told = {"success": True, "run_id": opened["run_id"]}
        hook(
            project.root,
            served("report_outcome", "toolu_5", told, await call(client, "report_outcome", told, "toolu_5")),
        )
        hook(project.root, bash("ls", key="toolu_6"))
        hook(project.root, stop())
    (run,) = await asyncio.to_thread(runs_of, project.root, "success")
    assert shown(run) == [
        ("Bash", "git tag v7"),
        ("notes__note", "v7"),
        ("Bash", "echo done"),
        ("Bash", "git push"),
    ]
    before, after = await asyncio.to_thread(runs_of, project.root, "unfinished")
    assert (shown(before), shown(after)) == ([("Bash", "git status")], [("Bash", "ls")])
    # The chain speaks of what Druse carried out; what a client told of itself is no contradiction.
    assert (await asyncio.to_thread(command, project.root, "audit", "verify"))["ok"] is True


@pytest.mark.requirement("H-41")
async def test_calls_that_began_without_a_goal_get_the_words_of_the_user(project: Project) -> None:
    project.configure(servers={}, config='[permissions]\nallow = ["Bash"]\n')
    async with project.client() as client:
        hook(project.root, prompt("Say hello to Ann"))
        hook(project.root, bash("git status"))
        asked = {"name": "Bash", "arguments": {"command": "echo hello Ann"}}
        hook(project.root, served("run_tool", "toolu_2", asked, await call(client, "run_tool", asked, "toolu_2")))
        hook(project.root, bash("git log", key="toolu_3"))
        hook(project.root, prompt("And to Bob", key="p2"))
        await call(client, "report_outcome", {"success": True}, "toolu_4")
    (run,) = await asyncio.to_thread(runs_of, project.root, "success")
    assert run["goal"] == "Say hello to Ann"
    assert shown(run) == [("Bash", "git status"), ("Bash", "echo hello Ann"), ("Bash", "git log")]
    assert [text for _, text in run["user"]] == ["Say hello to Ann", "And to Bob"]


async def test_what_copilot_s_hooks_tell_of_calls_to_druse_joins_the_run_and_is_not_recorded_twice(
    project: Project,
) -> None:
    """Payloads as Copilot CLI 1.0.102 sent them: no event name, no server, no id of the call."""

    def told(tool: str, given: dict[str, Any], text: str) -> None:
        payload = {"sessionId": "78613a14", "toolName": tool, "toolArgs": given, "hook_event_name": "postToolUse"}
        hook(
            project.root,
            {**payload, "toolResult": {"resultType": "success", "textResultForLlm": text}},
            client="copilot",
        )

    project.configure(config='[permissions]\nallow = ["Bash"]\n')
    async with project.client() as client:
        opened = dict((await client.call_tool("dispatch_goal", {"goal": "Look around"})).structured_content or {})
        both = json.dumps(opened) + "\n" + json.dumps(opened)
        told("druse-dispatch_goal", {"goal": "Look around"}, both)
        given = {"command": "git status --short", "description": "Look"}
        told("bash", given, " M a.txt\n<shellId: 0 completed with exit code 0>")
        await client.call_tool("report_outcome", {"success": True, "run_id": opened["run_id"]})
    kept = await asyncio.to_thread(runs_of, project.root, "success")
    (run,) = [run for run in kept if run["goal"] == "Look around"]
    assert [(step["tool"], step["args"].get("command"), step["res"]) for step in run["steps"]] == [
        ("Bash", "git status --short", {"stdout": " M a.txt", "stderr": "", "exit_code": 0})
    ]
