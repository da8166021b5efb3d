"""Servers moved behind Druse, and hooks: into our files, out of the client's, and back."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from mcp import Client, StdioServerParameters

from doors import agent, plain_server
from druse.editors import serve_arguments
from editors.account import Account

serve = serve_arguments()
_SERVER = plain_server(
    """
import os
TOOLS = [{"name": "secret", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}]
def answer(name, arguments):
    return os.environ.get("API_TOKEN", "") + " in " + os.path.basename(os.getcwd())
"""
)


def _servers(account: Account) -> Any:
    return json.loads((account.home / ".config" / "druse" / "mcp.json").read_text())["mcpServers"]


async def test_a_server_moved_behind_druse_works_there_with_its_secret_and_goes_back(account: Account) -> None:
    script = account.home / "server.py"
    script.write_text(_SERVER)
    path = account.home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    given = {"own": {"command": sys.executable, "args": [str(script)], "env": {"API_TOKEN": "hush-hush-123456"}}}
    path.write_text("// mine\n" + json.dumps({"mcpServers": given}, indent=4) + "\n")
    before = path.read_bytes()
    data = account.druse("install", "cursor", "--import-servers", "--no-handshake")
    assert data["clients"][0]["moved"] == ["own"]
    assert "hush" not in json.dumps(data) and "hush" not in path.read_text()
    assert list(json.loads(path.read_text().removeprefix("// mine\n"))["mcpServers"]) == ["druse"]
    assert _servers(account)["own"]["env"] == {"API_TOKEN": "${OWN_API_TOKEN}"}
    values = account.home / ".config" / "druse" / "secrets.json"
    assert values.stat().st_mode & 0o777 == 0o600
    assert json.loads(values.read_text()) == {"OWN_API_TOKEN": "hush-hush-123456"}
    (account.project / ".druse").mkdir()
    (account.project / ".druse" / "config.toml").write_text('[permissions]\nallow = ["own__*"]\n')
    account.druse("policy", "approve", "--yes")
    async with agent(account.project, {**os.environ, "HOME": str(account.home)}) as client:
        result = await client.call_tool("run_tool", {"name": "own__secret", "arguments": {}})
    assert "in project" in str(result.content), result
    account.druse("uninstall", "cursor")
    assert path.read_bytes() == before
    assert not (account.home / ".config" / "druse").exists()


def test_each_client_s_way_of_writing_is_translated_and_what_only_it_can_do_stays(account: Account) -> None:
    files: dict[Path, str] = {
        account.home / ".codex" / "config.toml": (
            '[mcp_servers.a]\ncommand = "a"\nenv_vars = ["A_KEY"]\nstartup_timeout_sec = 9\n\n'
            '[mcp_servers.web]\nurl = "https://x.example/mcp"\nbearer_token_env_var = "WEB_TOKEN" # c\n'
        ),
        account.home / ".config" / "opencode" / "opencode.json": json.dumps(
            {
                "mcp": {
                    "o": {"type": "local", "command": ["o", "-x"], "environment": {"K": "{env:O_K}"}, "enabled": True}
                }
            }
        ),
        account.home / ".config" / "goose" / "config.yaml": (
            "extensions:\n  dev:\n    type: builtin\n    enabled: true\n"
            "  g:\n    type: stdio\n    cmd: g\n    args: [--token, abcdef]\n    env_keys: [G_KEY]\n    enabled: true\n"
        ),
        account.home / ".config" / "Code" / "User" / "mcp.json": json.dumps(
            {"servers": {"v": {"command": "v", "env": {"T": "${input:t}"}}, "off": {"url": "https://y.example"}}}
        ),
        account.home
        / ".continue"
        / "config.yaml": "mcpServers:\n  - name: c # c\n    command: c\n  - name: d\n    command: d\n",
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True)
        path.write_text(text)
    names = ["codex", "opencode", "goose", "vscode", "continue"]
    data = account.druse("install", *names, "--import-servers", "--no-handshake")
    done = {result["client"]: result for result in data["clients"]}
    servers = _servers(account)
    assert servers["a"] == {"command": "a", "env": {"A_KEY": "${A_KEY}"}}
    assert servers["web"]["headers"] == {"Authorization": "Bearer ${WEB_TOKEN}"}
    assert servers["o"] == {"command": "o", "args": ["-x"], "env": {"K": "${O_K}"}}
    assert servers["g"] == {"command": "g", "args": ["--token", "${G_TOKEN}"], "env": {"G_KEY": "${G_KEY}"}}
    assert done["continue"]["moved"] == ["c", "d"]
    assert "part of the client" in done["goose"]["left"]["dev"]
    assert "${input:t}" in done["vscode"]["left"]["v"] and "login" in done["vscode"]["left"]["off"]
    codex = tomllib.loads((account.home / ".codex" / "config.toml").read_text())["mcp_servers"]
    assert list(codex) == ["druse"] and codex["druse"]["env_vars"] == ["A_KEY", "WEB_TOKEN"]
    assert [
        s["name"] for s in yaml.safe_load((account.home / ".continue" / "config.yaml").read_text())["mcpServers"]
    ] == ["druse"]
    for status in ("written", "unchanged"):  # the first time Codex learns what the servers of the others need
        again = account.druse("install", "codex", "--import-servers", "--no-handshake")
        assert [part["status"] for part in again["clients"][0]["files"]] == [status]
    account.druse("uninstall")
    assert {path: path.read_text() for path in files} == files


def test_a_server_that_two_clients_share_stays_behind_druse_until_both_are_out(account: Account) -> None:
    shared = json.dumps({"mcpServers": {"s": {"command": "s"}}})
    paths = [account.home / ".cursor" / "mcp.json", account.home / ".gemini" / "settings.json"]
    for path in paths:
        path.parent.mkdir()
        path.write_text(shared)
    account.druse("install", "cursor", "gemini", "--import-servers", "--no-handshake")
    assert list(_servers(account)) == ["s"]
    account.druse("uninstall", "cursor")
    assert paths[0].read_text() == shared and list(_servers(account)) == ["s"]
    account.druse("uninstall", "gemini")
    assert paths[1].read_text() == shared
    assert not (account.home / ".config" / "druse" / "mcp.json").exists()


def test_moved_servers_return_also_to_a_file_that_was_changed_since(account: Account) -> None:
    path = account.home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text('{"mcpServers": {"s": {"command": "s"}}}')
    account.druse("install", "cursor", "--import-servers", "--no-handshake")
    data = json.loads(path.read_text())
    data["mcpServers"]["later"] = {"command": "l"}
    path.write_text(json.dumps(data, indent=1))
    account.druse("uninstall", "cursor")
    assert json.loads(path.read_text()) == {"mcpServers": {"s": {"command": "s"}, "later": {"command": "l"}}}


def test_a_failure_on_the_way_leaves_every_file_as_it_was(account: Account) -> None:
    path = account.home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text('{"mcpServers": {"s": {"command": "s"}}}')
    hooks = account.home / ".cursor" / "hooks.json"
    hooks.write_text('{"version": 1, "hooks": []}')
    data = account.druse("install", "cursor", "--import-servers", "--hooks", "--no-handshake", code=1)
    assert "hooks.json" in data["clients"][0]["error"]
    assert path.read_text() == '{"mcpServers": {"s": {"command": "s"}}}'
    assert not (account.home / ".config").exists()
    assert list((account.home / ".local" / "state" / "druse" / "installs").iterdir()) == []


@pytest.mark.parametrize(
    ("client", "name", "content"),
    [
        ("claude-code", ".claude/settings.json", '{\n  // mine\n  "hooks": {"Stop": [{"hooks": []}]}\n}'),
        ("codex", ".codex/config.toml", '[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ntype = "command"\ncommand = "x" # c\n'),
        ("gemini", ".gemini/settings.json", ""),
        ("cursor", ".cursor/hooks.json", '{"version": 1, "hooks": {"stop": [{"command": "mine"}]}}'),
    ],
)
def test_hooks_are_added_to_the_user_s_own_and_taken_out_again(
    client: str, name: str, content: str, account: Account
) -> None:
    path = account.home / name
    path.parent.mkdir()
    path.write_text(content)
    account.druse("install", client, "--hooks", "--no-handshake")
    text = path.read_text()
    assert "hook.py" in text and client in text and "mine" in text if "mine" in content else "hook.py" in text
    data = account.druse("install", client, "--hooks", "--no-handshake")
    assert {part["status"] for part in data["clients"][0]["files"]} == {"unchanged"}
    path.write_text(text + "\n" if client != "codex" else text + "\n[more]\nx = 1\n")
    account.druse("uninstall", client)
    left = path.read_text()
    assert "hook.py" not in left
    if client == "codex":
        assert tomllib.loads(left) == {**tomllib.loads(content), "more": {"x": 1}}
    else:
        assert left.strip() == content.strip()


def test_a_secret_that_two_clients_hold_is_kept_until_both_are_out_and_never_shown(account: Account) -> None:
    server = {
        "command": "s",
        "args": ["--token", "plain-looking", "--api-key=other-value"],
        "env": {"DB": "x://u:pw1@h"},
    }
    shared = json.dumps({"mcpServers": {"s": server}}, indent=2)
    for name in (".cursor/mcp.json", ".gemini/settings.json"):
        path = account.home / name
        path.parent.mkdir()
        path.write_text(shared)
    done = account.run("install", "cursor", "gemini", "--import-servers", "--no-handshake")
    assert done.returncode == 0
    for secret in ("plain-looking", "other-value", "pw1"):
        assert secret not in done.stdout and secret not in json.dumps(_servers(account))
    values = account.home / ".config" / "druse" / "secrets.json"
    kept = json.loads(values.read_text())
    assert set(kept.values()) == {"plain-looking", "other-value", "x://u:pw1@h"}
    account.druse("uninstall", "cursor")
    assert json.loads(values.read_text()) == kept
    account.druse("uninstall", "gemini")
    assert not values.exists() and (account.home / ".gemini" / "settings.json").read_text() == shared


async def test_a_running_daemon_makes_way_for_one_that_knows_the_moved_servers(account: Account) -> None:
    script = account.home / "server.py"
    script.write_text(_SERVER)
    path = account.home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"mcpServers": {"own": {"command": sys.executable, "args": [str(script)]}}}))
    environment = {**os.environ, "HOME": str(account.home)}
    environment.pop("XDG_CONFIG_HOME", None)
    (account.project / ".druse").mkdir(mode=0o700)
    server = StdioServerParameters(command=serve[0], args=serve[1:], cwd=account.project, env=environment)
    try:
        async with Client(server, mode="legacy") as client:
            found = await client.call_tool("find_tools", {"query": "secret"})
            assert "own__secret" not in str(found.content)
            account.druse("install", "cursor", "--import-servers", "--no-handshake")
            found = await client.call_tool("find_tools", {"query": "secret"})
            assert "own__secret" in str(found.content), found
    finally:
        account.run("daemon", "stop")
