"""The first rules govern from the first start; every later edit waits and says so."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import warm
from druse.cli import main

Druse = Callable[..., Any]


@pytest.fixture
def druse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Druse:
    """A command in a fresh project; its JSON answer."""
    (tmp_path / ".druse").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))

    def run(*arguments: str) -> Any:
        return json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)

    return run


def write(text: str) -> None:
    Path(".druse/config.toml").write_text(text)


@pytest.mark.requirement("S-26")
def test_rules_written_before_the_first_start_govern_from_it_on_in_the_name_of_who_starts(druse: Druse) -> None:
    write('[permissions]\nallow = ["Bash(touch:*)"]\n')
    before = druse("permissions", "explain", "Bash(touch x)")
    assert before["verdict"] == "allow" and not Path(".druse/druse.db").exists()

    state = druse("policy", "show")

    assert (state["number"], state["waiting"]) == (1, [])
    assert druse("permissions", "explain", "Bash(touch x)")["verdict"] == "allow"
    (adopted,) = druse("policy", "history")["policies"]
    assert adopted["adopted_by"].endswith("(first start)") and adopted["content"]["allow"] == ["Bash(touch:*)"]
    (entry,) = [one for one in druse("audit", "show")["entries"] if one["action"] == "policy.adopted"]
    assert entry["actor"] == "person" and entry["payload"]["first"] is True


@pytest.mark.requirement("S-26")
def test_a_later_edit_waits_and_policy_and_status_say_what_to_do(druse: Druse) -> None:
    druse("status")
    write('[permissions]\nallow = ["Bash(touch:*)"]\n')

    for command in ("policy", "status"):
        told = CliRunner().invoke(main, [command]).stdout
        assert "allowed: Bash(touch:*)" in told and "druse policy approve" in told
    explained = druse("permissions", "explain", "Bash(touch x)")
    assert explained["verdict"] == "ask" and "druse policy approve" in explained["why"]

    druse("policy", "approve", "--yes")
    assert druse("permissions", "explain", "Bash(touch x)")["verdict"] == "allow"
    assert druse("status")["rules_waiting"] == []


@pytest.mark.requirement("S-19")
def test_the_first_start_takes_no_trust_level_over(druse: Druse) -> None:
    write('[permissions]\nallow = ["Bash(touch:*)"]\n[self_programming]\ntrust_level = 3\n')
    state = druse("policy", "show")
    assert (state["trust_level"], state["waiting"]) == (0, ["trust level 0 -> 3"])
    assert druse("policy", "approve", "--yes")["trust_level"] == 3


@pytest.mark.requirement("S-26")
def test_allow_rules_that_came_with_a_clone_wait_and_its_denials_hold(druse: Druse) -> None:
    write('[permissions]\nallow = ["Bash(touch:*)"]\ndeny = ["Bash(ls)"]\n')
    for command in (["init", "-q"], ["add", "-f", ".druse/config.toml"]):
        subprocess.run(["git", *command], check=True)
    assert druse("policy", "show")["waiting"] == ["allowed: Bash(touch:*)"]
    assert druse("permissions", "explain", "Bash(touch x)")["verdict"] == "ask"
    assert druse("permissions", "explain", "Bash(ls)")["verdict"] == "deny"


@pytest.mark.requirement("S-25")
def test_taking_the_approved_rules_out_of_the_database_makes_no_second_first_start(druse: Druse) -> None:
    druse("status")
    connection = sqlite3.connect(".druse/druse.db")
    with connection:
        connection.execute("DELETE FROM policy")
    connection.close()
    Path(".druse/policy.json").unlink()
    write('[permissions]\nallow = ["Bash(*)"]\n')
    assert druse("policy", "show")["waiting"] == ["allowed: Bash(*)"]
    assert druse("permissions", "explain", "Bash(touch x)")["verdict"] == "ask"


def test_two_processes_that_start_at_once_adopt_once(druse: Druse) -> None:
    write('[permissions]\nallow = ["Bash(touch:*)"]\n')
    command = [*warm.command(), "policy", "show", "--json"]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    for process in started:
        out, _ = process.communicate()
        assert json.loads(out)["waiting"] == []
    assert len(druse("policy", "history")["policies"]) == 1
    assert druse("approvals", "list")["approvals"] == []


def test_what_init_writes_is_in_force_also_after_a_client_was_there_first(druse: Druse) -> None:
    druse("status")
    made = druse("init", "--allow", "Bash(touch:*)")
    assert made["rules_waiting"] == []
    assert druse("permissions", "explain", "Bash(touch x)")["verdict"] == "allow"


@pytest.mark.requirement("S-36")
def test_the_block_has_the_seeds_defaults_and_a_key_or_value_it_does_not_know_stops_the_start(druse: Druse) -> None:
    block = druse("policy", "show")["self_programming"]
    assert block == {"enabled": True, "max_synthesis_per_session": 10, "max_plan_depth": 5}
    assert druse("status")["trust_level"] == 0
    for line in ("trust_levels = 1", "trust_level = 5", "enabled = 1", "max_plan_depth = 0"):
        write(f"[self_programming]\n{line}\n")
        refused = druse("status")["error"]["message"]
        assert "config.toml:2" in refused, (line, refused)
