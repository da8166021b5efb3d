"""`druse bundle`: what is in each package."""

from __future__ import annotations

import base64
import json
import re
import sys
import tomllib
import urllib.parse
import zipfile
from pathlib import Path

from druse import __version__
from editors.account import Account


def test_the_bundle_for_claude_desktop_holds_druse_and_nothing_of_this_machine(account: Account) -> None:
    first = account.druse("bundle", "mcpb")
    again = account.druse("bundle", "mcpb", "--output", "again.mcpb")
    assert first["sha256"] == again["sha256"]
    with zipfile.ZipFile(account.project / "druse.mcpb") as archive:
        names = set(archive.namelist())
        manifest = json.loads(archive.read("manifest.json"))
        project = tomllib.loads(archive.read("pyproject.toml").decode())
        everything = b"".join(archive.read(name) for name in names)
    assert manifest["server"]["type"] == "uv" and manifest["server"]["entry_point"] in names
    assert {
        "src/druse/shim.py",
        "src/druse_sandbox/worker.py",
        "src/druse/_bundled/skills/using-druse/SKILL.md",
    } <= names
    assert project["project"]["version"] == manifest["version"] == __version__
    assert any(need.startswith("mcp<") or need.startswith("mcp>") for need in project["project"]["dependencies"])
    assert sys.prefix.encode() not in everything and not any("__pycache__" in name for name in names)


def test_the_plugin_brings_server_hooks_and_skills(account: Account) -> None:
    account.druse("bundle", "plugin", "--output", "plug")
    folder = account.project / "plug"
    server = json.loads((folder / ".mcp.json").read_text())["mcpServers"]["druse"]
    assert server["command"] == sys.executable and server["args"][-1] == "serve"
    hooks = json.loads((folder / "hooks" / "hooks.json").read_text())["hooks"]
    assert {"PostToolUse", "PostToolUseFailure", "UserPromptSubmit", "Stop"} <= set(hooks)
    assert (folder / "skills" / "using-druse" / "SKILL.md").read_text().startswith("---")
    assert len((folder / "README.md").read_text().split()) >= 40 and "Apache" in (folder / "LICENSE").read_text()
    account.druse("bundle", "plugin", "--output", "plug")  # again over itself
    (account.project / "other").mkdir()
    (account.project / "other" / "mine.txt").write_text("mine")
    told = account.druse("bundle", "plugin", "--output", "other", code=1)
    assert "holds something else" in told["error"]["message"]


def test_the_links_carry_the_entry_that_install_writes(account: Account) -> None:
    link = urllib.parse.urlsplit(account.run("bundle", "cursor-link").stdout.strip())
    query = urllib.parse.parse_qs(link.query)
    entry = json.loads(base64.b64decode(query["config"][0]))
    assert (link.scheme, query["name"]) == ("cursor", ["druse"]) and entry["command"] == sys.executable
    link = account.run("bundle", "vscode-link").stdout.strip()
    entry = json.loads(urllib.parse.unquote(link.removeprefix("vscode:mcp/install?")))
    assert entry["name"] == "druse" and entry["type"] == "stdio" and Path(entry["args"][2]).is_file()
    entry = json.loads(account.run("mcp-json").stdout)["mcpServers"]["druse"]
    assert entry["command"] == sys.executable
    assert account.run("mcp-json", "--client", "goose").stdout.startswith("extensions:\n  druse:\n")


def test_server_json_keeps_the_registry_s_bounds(account: Account) -> None:
    data = json.loads(account.run("bundle", "server-json").stdout)
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", data["name"])
    assert 1 <= len(data["description"]) <= 100 and data["version"] == __version__
    package = data["packages"][0]
    assert {"registryType", "identifier", "version", "transport"} <= set(package)
    assert all("value" in argument or "valueHint" in argument for argument in package["packageArguments"])
