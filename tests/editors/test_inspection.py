"""`druse doctor` on clients: each thing that keeps Druse from starting there is named, with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from editors.account import Account


def findings(account: Account, *options: str, code: int | None = 0) -> list[dict[str, str]]:
    done = account.run("doctor", "--no-start", "--json", *options)
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)["findings"]


def told(found: list[dict[str, str]], status: str) -> str:
    return "\n".join(f"{part['detail']} -> {part['do']}" for part in found if part["status"] == status)


def entry_of(account: Account) -> tuple[Path, Any]:
    account.druse("install", "cursor", "--no-handshake")
    path = account.home / ".cursor" / "mcp.json"
    return path, json.loads(path.read_text())


def test_a_healthy_client_answers_through_the_very_entry_in_its_file(account: Account) -> None:
    entry_of(account)
    data = account.druse("doctor", "--client", "cursor")
    details = [finding["detail"] for finding in data["findings"]]
    assert any("starts this Druse" in detail for detail in details)
    assert any("answers after" in detail for detail in details)


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"command": "/nowhere/python"}, "problem", "not there any more"),
        ({"command": "python"}, "warning", "programs with windows"),
        ({"args": ["-I", "-S", "/nowhere/shim.py", "serve"]}, "problem", "/nowhere/shim.py"),
        ({"disabled": True}, "warning", "turned off"),
    ],
)
def test_an_entry_that_went_stale_is_named(change: Any, status: str, words: str, account: Account) -> None:
    path, data = entry_of(account)
    data["mcpServers"]["druse"].update(change)
    path.write_text(json.dumps(data))
    found = findings(account, "--client", "cursor", code=None)
    assert words in told(found, status) and "cursor" in told(found, status).casefold()


def test_secrets_and_servers_past_druse_are_named_and_no_secret_is_shown(account: Account) -> None:
    path, data = entry_of(account)
    data["mcpServers"]["shop"] = {"command": "shop", "env": {"API_KEY": "hush-hush", "OTHER_KEY": "${env:X}"}}
    path.write_text(json.dumps(data))
    path.chmod(0o644)
    (account.project / "mcp.json").write_text('{"mcpServers": {"shop": {"command": "sh"}}}')
    found = findings(account)
    warned = told(found, "warning")
    assert "shop: env.API_KEY" in warned and "OTHER_KEY" not in warned and "chmod 600" in warned
    assert "shop can be reached without Druse" in warned and "hush" not in json.dumps(found)


def test_what_claude_code_waits_for_or_ignores_is_named(account: Account) -> None:
    account.druse("install", "claude-code", "--scope", "project", "--no-handshake")
    assert "approve" in told(findings(account), "warning")
    settings = account.home / ".claude" / "settings.json"
    settings.parent.mkdir()
    bad = {"enableAllProjectMcpServers": True, "permissions": {"defaultMode": "yolo"}}
    bad["hooks"] = {"Stop": [{"hooks": [{"type": "shell", "command": "x"}]}]}
    settings.write_text(json.dumps(bad))
    warned = told(findings(account), "warning")
    assert "defaultMode is 'yolo'" in warned and "'shell'" in warned and "approved it here" not in warned
    settings.write_text('{"a": ')
    assert "ignores" in told(findings(account, code=1), "problem")


def test_codex_is_asked_for_the_trust_of_its_hooks_and_of_the_project(account: Account) -> None:
    account.druse("install", "codex", "--hooks", "--no-handshake")
    account.druse("install", "codex", "--scope", "project", "--no-handshake")
    warned = told(findings(account), "warning")
    assert "/hooks" in warned and "trusts the project" in warned and "uninstall codex --scope project" in warned
    path = account.home / ".codex" / "config.toml"
    state = f'\n[hooks.state."{path}:post_tool_use:0:0"]\ntrusted_hash = "sha256:0"\n'
    path.write_text(path.read_text() + state + f'\n[projects."{account.project}"]\ntrust_level = "trusted"\n')
    warned = told(findings(account), "warning")
    assert "/hooks" not in warned and "trusts the project" not in warned


def test_hooks_of_codex_join_those_in_its_hooks_file(account: Account) -> None:
    path = account.home / ".codex" / "hooks.json"
    path.parent.mkdir()
    path.write_text('{"hooks": {}}')
    account.druse("install", "codex", "--hooks", "--no-handshake")
    assert "hook.py" in path.read_text() and "hook.py" not in (path.parent / "config.toml").read_text()
    account.druse("uninstall", "codex")
    assert path.read_text() == '{"hooks": {}}'


def test_a_client_without_druse_or_without_a_name_is_said_so(account: Account) -> None:
    assert "has no Druse" in told(findings(account, "--client", "zed", code=1), "problem")
    done = account.run("doctor", "--client", "curser", "--json")
    assert done.returncode == 1 and "cursor" in done.stdout
