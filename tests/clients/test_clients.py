"""Real, unmodified clients work with Druse: installed by `druse install`, driven by a scripted model, offline.

Needs Node and the clients from npm, which scripts/clients installs; DRUSE_CLIENTS is the folder it put them in.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.driving import CLIENTS, Client, Desk
from clients.endpoint import Call, Line, Model, Say, serving
from doors import plain_server

_FOLDER = os.environ.get("DRUSE_CLIENTS", "")
_WHY = "real clients: run scripts/clients, which needs Node (DRUSE_CLIENTS is not set)"
pytestmark = [pytest.mark.skipif(not _FOLDER, reason=_WHY), pytest.mark.timeout(400)]

SERVER = """
SCHEMA = lambda *names: {"type": "object", "properties": {n: {"type": "string"} for n in names}, "required": list(names)}
TOOLS = [
    {"name": "find", "description": "Find a book by its title", "inputSchema": SCHEMA("title")},
    {"name": "add", "description": "Add a text to a book", "inputSchema": SCHEMA("book", "text")},
    {"name": "forbidden", "description": "Burn a book", "inputSchema": SCHEMA("book")},
    {"name": "publish", "description": "Publish a book", "inputSchema": SCHEMA("book")},
]
def answer(name, arguments):
    if name == "find":
        return json.dumps({"id": "book-" + arguments["title"].lower()})
    with open("notes.log", "a") as log:
        log.write(name + " " + json.dumps(arguments, sort_keys=True) + "\\n")
    return json.dumps({"done": name})
"""
RULES = """[permissions]
allow = ["notes__find", "notes__add", "Bash(git status:*)"]
deny = ["notes__forbidden"]

[settings]
daemon_idle_seconds = 1
"""
TITLES = ("Garden", "Kitchen", "Cellar", "Attic", "Garage")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "home", tmp_path / "project", Path(_FOLDER) / "node_modules" / ".bin")
    made.home.mkdir()
    (made.project / ".druse").mkdir(parents=True)
    (made.project / "notes.py").write_text(plain_server(SERVER))
    python = shutil.which("python3") or "python3"
    server = {"command": python, "args": [str(made.project / "notes.py")]}
    (made.project / "mcp.json").write_text(json.dumps({"mcpServers": {"notes": server}}))
    (made.project / ".druse" / "config.toml").write_text(RULES)
    subprocess.run(["git", "init", "-q"], cwd=made.project, env=made.environment, check=True)
    subprocess.run(["git", "add", "."], cwd=made.project, env=made.environment, check=True)
    made.druse("policy", "approve", "--yes")
    yield made


def learned(desk: Desk) -> tuple[str, str]:
    """A tool that five runs taught and that waits for a person; its name and the approval."""
    lines: list[str] = []
    for title in TITLES:
        text = f"water the {title.lower()}"
        find = {"t": 0, "tool": "notes__find", "args": {"title": title}, "res": {"id": f"book-{title.lower()}"}}
        add = {
            "t": 1,
            "tool": "notes__add",
            "args": {"book": f"book-{title.lower()}", "text": text},
            "res": {"done": "add"},
        }
        goal = f'Note "{text}" in book "{title}"'
        lines.append(json.dumps({"traj": title, "ok": 1, "user": [[0, goal]], "steps": [find, add]}))
    (desk.project / "runs.jsonl").write_text("\n".join(lines))
    desk.druse("import", "--from", "jsonl", "runs.jsonl")
    (candidate,) = desk.druse("candidates")["candidates"]
    report = desk.druse("crystallize", candidate["signature"])
    assert report["status"] == "proposed", report
    return report["tool"], report["approval_id"]


def texts(model: Model) -> str:
    """All that the client showed the model, JSON in texts opened up."""
    return model.seen.texts[-1].replace("\\\\", "").replace('\\"', '"')


@pytest.mark.parametrize("client", CLIENTS, ids=[client.name for client in CLIENTS])
def test_a_real_client_lists_calls_is_denied_waits_for_a_person_and_uses_a_tool_that_just_came(
    client: Client, desk: Desk
) -> None:
    if not (desk.binaries / client.binary).exists():
        pytest.skip(f"{client.binary} is not in {desk.binaries}: scripts/clients installs it")
    tool, waiting = learned(desk)

    def own(name: str, /, **arguments: Any) -> Call:
        return Call(client.prefix + name, arguments)

    def run(name: str, /, **arguments: Any) -> Call:
        return own("run_tool", name=name, arguments=arguments)

    def published() -> Call:
        """A person says yes while the agent waits; then it calls again."""
        (asked,) = [one for one in desk.druse("approvals", "list")["approvals"] if one["kind"] == "call"]
        desk.druse("approvals", "approve", asked["id"], "--yes")
        return run("notes__publish", book="book-attic")

    def arrived() -> Call:
        """A person puts the learned tool in service; the agent goes on with something else meanwhile."""
        desk.druse("approvals", "approve", waiting, "--yes")
        time.sleep(1.5)  # the daemon watches the folder of tools, and clients gather changes of lists
        return Call(*client.shell("git status --short"))

    values = {"title": "Garage", "text": "sweep"}
    lines: list[Line] = [
        # Codex asks its model before its servers are up; on a busy machine Druse's first start takes longer than that.
        Call(*client.shell("sleep 5")),
        *(
            [
                Call(
                    *client.search(
                        [client.prefix + name for name in ("find_tools", "run_tool", "dispatch_goal", "report_outcome")]
                    )
                )
            ]
            if client.search
            else []
        ),
        own("dispatch_goal", goal="Put the books in order"),
        own("find_tools", query="find a book by its title"),
        run("notes__find", title="Attic"),
        run("notes__forbidden", book="book-attic"),
        run("notes__publish", book="book-attic"),
        published,
        arrived,
        *([Call(*client.search([client.prefix + tool]))] if client.search else []),
        own(tool, **values) if client.lists_new_tools else run(tool, **values),
        own("report_outcome", success=True),
        Say("Done."),
    ]
    with serving(lines) as model:
        client.prepare(desk, model)
        installed = desk.druse("install", client.name, "--hooks")
        begun = time.monotonic()
        done = client.run(desk, model, "Please put the books in order")
        print(f"{client.name}: {time.monotonic() - begun:.1f} s, {len(model.seen.offered)} requests")
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:], installed)
    assert model.seen.problems == [], (model.seen.problems, done.stderr[-2000:])
    said = texts(model)
    # list and call
    assert any(client.prefix + "run_tool" in offered for offered in model.seen.offered)
    assert "book-attic" in said
    # a denied call, and one that waited for a person
    assert "deny notes__forbidden" in said, said[-3000:]
    assert "pending" in said
    log = (desk.project / "notes.log").read_text().splitlines()
    assert log == [
        'publish {"book": "book-attic"}',
        'add {"book": "book-garage", "text": "sweep"}',
    ]
    # what the client did by itself, told by its hook, is in the run of the goal, between what went through Druse
    (run_kept,) = [one for one in desk.runs("success") if one["goal"] == "Put the books in order"]
    names = [step["tool"] for step in run_kept["steps"] if not step["err"]]
    expected = ["notes__find", "notes__publish", tool]
    if client.name in HOOKED:
        expected.insert(2, "Bash")
    assert [name for name in names if name != "Bash" or client.name in HOOKED] == expected
    assert desk.druse("audit", "verify")["ok"] is True
    # the transcript tells nothing that is not known already
    if client.name != "continue":
        imported = desk.druse("import", "--from", client.name)
        assert imported["files"] >= 1
        assert imported["calls"] == (0 if client.name in HOOKED else imported["calls"]), imported
    desk.druse("uninstall", client.name)


HOOKED = ("claude-code", "codex", "gemini")  # opencode has no hooks of this kind
