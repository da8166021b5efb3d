"""Installers and bundles against the vendors' own programs.

Run by `scripts/clients`, which installs these from npm into the folder that DRUSE_CLIENTS names.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from editors.account import Account

_CLIENTS = os.environ.get("DRUSE_CLIENTS", "") and os.environ["DRUSE_CLIENTS"] + "/node_modules/.bin"

pytestmark = [
    pytest.mark.skipif(not _CLIENTS, reason="DRUSE_CLIENTS is not set: scripts/clients runs these with real clients"),
    pytest.mark.timeout(300),
]


def client(account: Account, *command: str) -> str:
    """What a client's command says. Skips where the client is not installed."""
    program = Path(_CLIENTS) / command[0]
    if not program.exists():
        pytest.skip(f"{command[0]} is not in {_CLIENTS}")
    done = subprocess.run(
        [str(program), *command[1:]],
        cwd=account.project,
        env={"HOME": str(account.home), "PATH": f"{_CLIENTS}:{os.environ['PATH']}", "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    return done.stdout + done.stderr


def test_claude_code_connects_to_what_was_installed_by_its_own_command(account: Account) -> None:
    path = account.home / ".claude.json"
    path.write_text('{\n  "numStartups": 3\n}\n')
    before = path.read_bytes()
    client(account, "claude", "--version")
    data = account.druse("install", "claude-code", path=f"{_CLIENTS}:{os.environ['PATH']}")
    assert data["clients"][0]["files"][0]["how"] == "claude mcp add-json"
    after = path.read_bytes()
    assert "Connected" in client(account, "claude", "mcp", "list")
    if path.read_bytes() == after:
        account.druse("uninstall", "claude-code")
        assert path.read_bytes() == before
    else:  # it has written its own notes since
        account.druse("uninstall", "claude-code")
        assert "druse" not in path.read_text() and "numStartups" in path.read_text()


def test_codex_lists_what_was_installed_and_its_comments_stay(account: Account) -> None:
    path = account.home / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text('# mine\nmodel = "x"  # c\n\n[mcp_servers.a]\ncommand = "b"\n')
    before = path.read_bytes()
    client(account, "codex", "--version")
    data = account.druse("install", "codex", "--no-handshake", path=f"{_CLIENTS}:{os.environ['PATH']}")
    assert data["clients"][0]["files"][0]["status"] == "written"
    assert "# mine" in path.read_text() and "# c" in path.read_text()
    listed = client(account, "codex", "mcp", "list")
    assert "druse" in listed and "enabled" in listed
    account.druse("uninstall", "codex")
    assert path.read_bytes() == before


def test_gemini_connects_to_what_was_installed(account: Account) -> None:
    path = account.home / ".gemini" / "settings.json"
    path.parent.mkdir()
    path.write_text('// mine\n{\n\t"ui": {"theme": "Default"} // c\n}\n')
    before = path.read_bytes()
    account.druse("install", "gemini", "--no-handshake")
    listed = client(account, "gemini", "mcp", "list")
    assert "druse" in listed
    account.druse("uninstall", "gemini")
    assert path.read_bytes() == before


def test_the_bundle_passes_its_vendor_s_validator(account: Account) -> None:
    account.druse("bundle", "mcpb")
    client(account, "mcpb", "unpack", "druse.mcpb", "un")
    assert "passes" in client(account, "mcpb", "validate", "un/manifest.json")


def test_the_plugin_passes_its_vendor_s_validator_and_its_server_connects(account: Account) -> None:
    account.druse("bundle", "plugin", "--output", "plug")
    assert "Validation passed" in client(account, "claude", "plugin", "validate", "plug")
    assert "Connected" in client(account, "claude", "--plugin-dir", "plug", "mcp", "list")


def test_opencode_connects_to_what_was_installed_among_comments(account: Account) -> None:
    path = account.home / ".config" / "opencode" / "opencode.jsonc"
    path.parent.mkdir(parents=True)
    path.write_text('// mine\n{\n  "theme": "x", // c\n}\n')
    before = path.read_bytes()
    account.druse("install", "opencode", "--no-handshake")
    assert "connected" in client(account, "opencode", "mcp", "list")
    account.druse("uninstall", "opencode")
    assert path.read_bytes() == before
