"""`druse install` and `druse uninstall`, as a person runs them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from druse.permissions import Policy, decide
from editors.account import Account


def test_what_is_installed_answers_when_started_as_the_client_starts_it(account: Account) -> None:
    data = account.druse("install", "cursor")
    hand = data["clients"][0]["handshake"]
    assert hand["ok"] and hand["tools"] >= 5
    entry = json.loads((account.home / ".cursor" / "mcp.json").read_text())["mcpServers"]["druse"]
    assert entry["command"] == sys.executable and Path(entry["command"]).is_absolute()
    assert entry["args"][:2] == ["-I", "-S"] and Path(entry["args"][2]).is_file() and entry["args"][3] == "serve"
    assert entry["args"][4:] == [
        "--workspace",
        "${workspaceFolder}",
    ]  # Cursor says the folder instead of starting there
    assert not (account.project / ".druse").exists()  # a project is made by the person, not by an installer


def test_a_dry_run_shows_the_change_without_secrets_and_writes_nothing(account: Account) -> None:
    path = account.home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text(
        '{"mcpServers": {\n  "gh": {"command": "x", "env": {"GITHUB_TOKEN": "ghp_0123456789abcdefghij"}}\n}}\n'
    )
    before = path.read_bytes()
    done = account.run("install", "cursor", "--dry-run")
    assert done.returncode == 0 and '+  "druse"' in done.stdout
    assert "ghp_0123456789" not in done.stdout and "GITHUB_TOKEN" in done.stdout
    assert path.read_bytes() == before and not (account.home / ".local").exists()


def test_all_means_those_that_are_found_and_uninstall_gives_every_byte_back(account: Account) -> None:
    files = {
        account.home / ".codex" / "config.toml": b'model = "x"\r\n# end',
        account.home / ".config" / "zed" / "settings.json": b'// mine\n{\n\t"theme": "One", // dark\n}',
        account.home / ".gemini" / "settings.json": b"",
    }
    for path, content in files.items():
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    data = account.druse("install", "all", "--no-handshake")
    assert {result["client"] for result in data["clients"]} == {"codex", "zed", "gemini"}
    assert all(path.read_bytes() != content for path, content in files.items())
    assert {result["client"] for result in account.druse("uninstall")["clients"]} == {"codex", "zed", "gemini"}
    assert {path: path.read_bytes() for path in files} == files
    assert account.druse("uninstall")["clients"] == []


def test_a_project_s_file_is_written_for_the_project_alone(account: Account) -> None:
    account.druse("install", "claude-code", "vscode", "--scope", "project", "--no-handshake")
    assert "druse" in json.loads((account.project / ".mcp.json").read_text())["mcpServers"]
    assert json.loads((account.project / ".vscode" / "mcp.json").read_text())["servers"]["druse"]["type"] == "stdio"
    account.druse("uninstall", "claude-code", "--scope", "user")
    assert (account.project / ".mcp.json").exists()
    account.druse("uninstall")
    assert list(account.project.iterdir()) == []


def test_a_client_that_starts_servers_anywhere_is_told_where_to_work(account: Account) -> None:
    data = account.druse("install", "claude-desktop")
    path = account.home / ".config" / "Claude" / "claude_desktop_config.json"
    arguments = json.loads(path.read_text())["mcpServers"]["druse"]["args"]
    assert arguments[-2:] == ["--workspace", str(account.project)]
    assert data["clients"][0]["handshake"]["ok"]
    account.druse("daemon", "stop")


def test_one_file_that_is_refused_does_not_keep_the_others_from_being_written(account: Account) -> None:
    broken = account.home / ".cursor" / "mcp.json"
    broken.parent.mkdir()
    broken.write_text("{,}")
    data = account.druse("install", "cursor", "codex", "--no-handshake", code=1)
    assert [result["ok"] for result in data["clients"]] == [False, True]
    assert "line 1" in data["clients"][0]["error"] and broken.read_text() == "{,}"


def test_a_client_s_own_command_is_used_and_its_work_is_looked_at(account: Account, tmp_path: Path) -> None:
    """Scripts stand for the client: one does as it should, one writes the file anew without its comments."""
    tools = tmp_path / "bin"
    tools.mkdir()
    path = account.home / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text('# mine\nmodel = "x"\n')
    good = (
        "import json, pathlib, sys\n"
        "path = pathlib.Path.home() / '.codex/config.toml'\n"
        "words = sys.argv[sys.argv.index('--') + 1:]\n"
        "path.write_text(path.read_text() + '\\n[mcp_servers.druse]\\ncommand = ' + json.dumps(words[0])"
        " + '\\nargs = ' + json.dumps(words[1:]) + '\\n')\n"
    )
    program = tools / "codex"
    for source, how in ((good, "codex mcp add"), (good.replace("path.read_text()", "''"), "file")):
        program.write_text(f"#!{sys.executable}\n{source}")
        program.chmod(0o755)
        data = account.druse("install", "codex", "--no-handshake", path=f"{tools}:/usr/bin:/bin")
        assert data["clients"][0]["files"][0]["how"] == how
        assert path.read_text().startswith('# mine\nmodel = "x"\n\n[mcp_servers.druse]')
        account.druse("uninstall", "codex")
        assert path.read_text() == '# mine\nmodel = "x"\n'


@pytest.mark.requirement("X-07")
@pytest.mark.parametrize("command", ["druse install all", "python -m druse install cursor", "nice druse uninstall"])
def test_an_agent_cannot_install_or_uninstall(command: str, tmp_path: Path) -> None:
    policy = Policy.from_lists({"allow": ["Bash"]}, workspace=tmp_path, home=tmp_path)
    assert str(decide(policy, "Bash", {"command": command}).verdict) != "allow"


def test_all_for_a_project_means_those_that_have_a_file_there(account: Account) -> None:
    (account.home / ".cursor").mkdir()
    (account.home / ".codeium" / "windsurf").mkdir(parents=True)
    data = account.druse("install", "all", "--scope", "project", "--no-handshake")
    assert [result["client"] for result in data["clients"]] == ["cursor"]
    data = account.druse("install", "windsurf", "--scope", "project", code=1)
    assert "--scope user" in data["clients"][0]["error"]


def test_what_cannot_be_backed_up_is_not_changed(account: Account) -> None:
    (account.home / ".local").write_text("a file where a folder should be")
    path = account.home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text("{}")
    data = account.druse("install", "cursor", "--no-handshake", code=1)
    assert "Cannot keep" in data["clients"][0]["error"] and path.read_text() == "{}"
