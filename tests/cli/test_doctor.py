"""`druse doctor`, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def doctor(root: Path, *options: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "druse", "doctor", "--json", *options],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_CONFIG_HOME": str(root / "none")},
    )
    return done.returncode, json.loads(done.stdout)


def named(data: dict[str, Any], check: str) -> list[dict[str, str]]:
    return [finding for finding in data["findings"] if finding["check"] == check]


def test_a_healthy_project_is_found_healthy_from_handshake_to_sandbox(tmp_path: Path) -> None:
    (tmp_path / ".druse").mkdir(mode=0o700)
    (tmp_path / ".druse" / "config.toml").write_text('[permissions]\nallow = ["Bash(git:*)"]\n', encoding="utf-8")
    code, data = doctor(tmp_path)
    assert code == 0 and data["ok"], data
    assert "1 allow" in named(data, "config")[0]["detail"]
    assert [finding["status"] for finding in named(data, "protocol")] == ["ok", "ok"]
    assert "stdout is pure" in named(data, "start")[0]["detail"]
    assert named(data, "sandbox")


@pytest.mark.parametrize(
    ("name", "text", "check", "told"),
    [
        (".druse/config.toml", "[permissions]\nalow = []\n", "config", "config.toml:2"),
        ("mcp.json", '{"mcpServers": {"a": {"command": "no-such-program"}}}', "servers", "no-such-program"),
        ("mcp.json", "{", "servers", "not JSON"),
    ],
)
def test_what_does_not_work_is_named_with_its_place(
    name: str, text: str, check: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / ".druse").mkdir(mode=0o700)
    (tmp_path / name).write_text(text, encoding="utf-8")
    code, data = doctor(tmp_path, "--no-start")
    problems = [finding for finding in named(data, check) if finding["status"] == "problem"]
    assert code == 1 and told in problems[0]["detail"]
    assert problems[0]["do"]


def test_a_secret_by_value_and_a_rule_for_every_command_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / ".druse").mkdir(mode=0o700)
    (tmp_path / ".druse" / "config.toml").write_text('[permissions]\nallow = ["Bash"]\n', encoding="utf-8")
    server = {"command": sys.executable, "env": {"API_TOKEN": "abcdef123456"}}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"a": server}}), encoding="utf-8")
    code, data = doctor(tmp_path, "--no-start")
    assert code == 0
    warned = [finding["detail"] for finding in data["findings"] if finding["status"] == "warning"]
    assert any("API_TOKEN" in text for text in warned) and any("every command" in text for text in warned)
    assert not any("abcdef123456" in json.dumps(finding) for finding in data["findings"])


def test_what_others_can_read_is_warned_of_but_for_the_public_key(tmp_path: Path) -> None:
    doctor(tmp_path)  # makes the state
    (tmp_path / ".druse" / "keys" / "audit.pub").chmod(0o644)
    (tmp_path / ".druse" / "keys" / "audit.key").chmod(0o644)
    _, data = doctor(tmp_path)
    warned = [finding["detail"] for finding in named(data, "state") if finding["status"] == "warning"]
    assert [detail.partition(" ")[0].rpartition("/")[2] for detail in warned] == ["audit.key"]
