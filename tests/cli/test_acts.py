"""What a person changes by a command is in the audit chain (seed ids S-33, L-34, N-33)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import doors

LOOKING = """agents list|agents show|approvals list|approvals show|audit check|audit export|audit prove|audit roots|audit show|
audit verify|candidates|checkpoint list|daemon status|doctor|find|jobs history|jobs list|keys list|memory context|
memory list|memory search|permissions check|permissions explain|permissions export|permissions suggest|permissions test|
pins list|plans list|plans show|policy|policy history|policy show|sandbox language|sandbox run|sandbox status|
skills find|skills list|skills show|skills validate|stats|status|tools diff|tools list|tools show|traces export|
traces list|traces payload|traces show|volumes list|volumes log|volumes proposals|volumes verify"""
# Files that are no state of a project's Druse: settings of clients, bundles, a text on standard output, a key file of
# somebody else's; and processes, whose calls have entries of their own.
ELSEWHERE = """approvals key|bundle cursor-link|bundle mcpb|bundle plugin|bundle server-json|bundle vscode-link|daemon stop|
dashboard|hook|init|install|mcp-json|serve|skills convert|uninstall"""
# Entries of what they do: an approval's, a tool's, the rules', a run's, a key's, a memory's, a call's.
OF_ITS_OWN = """approvals approve|approvals reject|checkpoint restore|checkpoint save|crystallize|dispatch|import|keys new|
keys revoke|memory add|memory forget|memory promote|plans undo|policy approve|run|skills promote|successor apply|
successor fork|tools accept|tools export|tools import|tools improve|tools retire|tools rollback|tools tend|
traces delete|traces mark"""
TOLD = """jobs run|login|memory view|pins release|skills export|skills import|skills new|skills retire|traces archive|
traces consent|traces import|volumes pull|volumes push|volumes remote|volumes use"""


def named(text: str) -> set[str]:
    return set(text.replace("\n", "").split("|"))


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[str]:
    if not isinstance(group, click.Group):
        yield " ".join(path)
        return
    if group.invoke_without_command:
        yield " ".join(path)
    context = click.Context(group)
    for name in group.list_commands(context):
        inner = group.get_command(context, name)
        assert inner is not None
        yield from commands(inner, (*path, name))


@pytest.mark.requirement("S-33")
def test_every_command_either_only_looks_or_is_known_to_leave_an_entry() -> None:
    from druse.cli import main

    groups = [named(text) for text in (LOOKING, ELSEWHERE, OF_ITS_OWN, TOLD)]
    assert set(commands(main)) == set().union(*groups)
    assert sum(map(len, groups)) == len(set().union(*groups))


class Project:
    def __init__(self, root: Path) -> None:
        self.root = root / "project"
        (self.root / ".druse").mkdir(parents=True)
        (self.root / "mcp.json").write_text('{"mcpServers": {"web": {"url": "http://127.0.0.1:9/mcp"}}}')
        self.environment = {"XDG_CONFIG_HOME": str(root / "config"), "USER": "alice", "LOGNAME": "alice"}

    def said(self, *arguments: str) -> Any:
        return doors.said(self.root, self.environment, *arguments)

    def entries(self, glob: str) -> list[dict[str, Any]]:
        return self.said("audit", "show", "--action", glob)["entries"]

    def tamper(self, statement: str) -> None:
        connection = sqlite3.connect(self.root / ".druse" / "druse.db")
        try:
            assert connection.execute(statement).rowcount == 1
            connection.commit()
        finally:
            connection.close()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.requirement("S-33", "S-35", "L-34")
def test_a_persons_acts_have_an_entry_before_and_after_them_also_where_they_fail(project: Project) -> None:
    (project.root / "runs.jsonl").write_text("")
    (project.root / "agents").mkdir()
    (project.root / "agents" / "one.md").write_text("# One\n\nReads the tables of one customer and sums them up.\n")
    bare = project.root / "bare.git"
    acts = [
        *("volumes use team:core", f"volumes remote team:core {bare}", "volumes push team:core"),
        *(
            "volumes pull team:core",
            "skills new greet --description Hello",
            "skills new greet --project --description Hello",
        ),
        *("skills import agents", "skills export greet", "skills retire greet", "memory view --write"),
        *(
            "jobs run seal",
            "pins release --all",
            "traces consent --all --yes",
            "traces import runs.jsonl",
            "traces archive",
        ),
        "login web --forget",
    ]
    for act in acts:
        project.said(*act.split())
    ended = {entry["cause"]: entry for entry in project.entries("command.end")}
    begun = project.entries("command.begin")
    said = [entry["subject"] for entry in begun]
    assert {name.removesuffix(" --forget") for name in said} == named(TOLD)
    for entry in begun:
        assert entry["actor"] == "person" and entry["client"].endswith("(cli)")
        assert ended[f"a{entry['seq']}"]["seq"] > entry["seq"]
    outcomes = {entry["subject"]: entry["payload"] for entry in ended.values()}
    assert outcomes["volumes push"]["status"] == "failed"  # there is no such remote
    assert len(outcomes["volumes use"]) == 1 and len(str(outcomes["skills retire"]["commit"])) == 40
    assert project.said("audit", "verify")["ok"]


@pytest.mark.requirement("N-33", "N-34")
@pytest.mark.parametrize(
    ("statement", "blamed"),
    [
        ("UPDATE project_memory SET content = 'use Redis' WHERE id = 1", "memory 1"),
        ("UPDATE project_memory SET expires_at = NULL WHERE id = 2", "memory 2"),
        ("UPDATE project_memory SET relevance_score = 0.1 WHERE id = 1", "memory 1"),
        ("DELETE FROM project_memory WHERE id = 2", "memory 2"),
        (
            "INSERT INTO project_memory (project_hash, memory_type, content, source_session_id, promoted_at,"
            " relevance_score) SELECT project_hash, memory_type, 'obey', source_session_id, promoted_at, 1.0"
            " FROM project_memory WHERE id = 1",
            "memory 3",
        ),
    ],
)
def test_a_memory_that_was_changed_by_hand_is_found_by_audit_verify(
    project: Project, statement: str, blamed: str
) -> None:
    project.said("memory", "add", "decision", "use SQLite for state")
    project.said("memory", "add", "pattern", "tests come first")
    project.said("memory", "forget", "2")
    assert project.said("audit", "verify")["ok"]
    project.tamper(statement)
    assert blamed in project.said("audit", "verify")["error"]["message"]
