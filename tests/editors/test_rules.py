"""Rules of Claude Code read by `druse init`, and Druse's own written back for it."""

from __future__ import annotations

import json
from pathlib import Path

from editors.account import Account

_USER = {
    "permissions": {
        "allow": ["Bash(git:*)", "Edit(*.md)", "Edit", "Write(*.txt)", "Bash", "mcp__shop__get*", "mcp__druse", "Task"],
        "ask": ["Edit(./src/**)"],
        "deny": ["Read(.env)", "Read(/local)", "mcp__shop__drop"],
    }
}


def _settings(account: Account) -> None:
    path = account.home / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text("// mine\n" + json.dumps(_USER))
    project = account.project / ".claude" / "settings.local.json"
    project.parent.mkdir()
    project.write_text(json.dumps({"permissions": {"allow": ["Bash(npm run test)", "Bash(bash:*)"]}}))


def test_rules_of_claude_code_are_proposed_in_druse_s_spelling_and_taken_over_on_wish(account: Account) -> None:
    _settings(account)
    data = account.druse("init", "--client-rules", "--allow", "Read")
    rules = data["client_rules"]
    assert rules["taken"]
    assert rules["allow"] == ["Bash(git:*)", "FileEdit(*.md)", "shop__get*", "Bash(npm run test)"]
    assert rules["ask"] == ["FileEdit(./src/**)"] and rules["deny"] == ["Read(.env)", "shop__drop"]
    left = {entry["rule"].split(" (/")[0]: entry["why"] for entry in rules["left"]}
    assert "new files" in left["allow Edit"] and "no effect" in left["allow Write(*.txt)"]
    assert "every command" in left["allow Bash"] and "settings' own folder" in left["deny Read(/local)"]
    assert "allow Bash(bash:*)" in left and "allow Task" in left
    assert data["rules_waiting"] == []
    told = account.druse("permissions", "explain", "Edit(notes.md)")
    assert told["verdict"] == "allow" and told["rule"] == "FileEdit(*.md)"
    assert account.druse("permissions", "explain", "Read(.env)")["verdict"] == "deny"


def test_without_a_word_the_rules_are_shown_and_not_taken(account: Account) -> None:
    _settings(account)
    shown = account.run("init").stdout
    assert "FileEdit(*.md)" in shown and "--client-rules" in shown
    assert "FileEdit" not in (account.project / ".druse" / "config.toml").read_text()
    assert Path(account.project / ".druse" / ".gitignore").exists()


def test_rules_are_written_for_claude_code_and_come_back_as_they_were(account: Account) -> None:
    account.druse(
        "init",
        *("--allow", "FileEdit(*.md)", "--allow", "Bash(git:*)", "--allow", "shop__get_*"),
        *("--deny", "Read(.env)", "--deny", "shop__refund(amount>100)", "--ask", "Write(./out/**)"),
    )
    data = account.druse("permissions", "export", "--for", "claude-code")
    assert data["permissions"] == {
        "allow": ["Edit(*.md)", "Bash(git:*)", "mcp__shop__get_*"],
        "ask": ["Edit(./out/**)"],
        "deny": ["Read(.env)"],
    }
    assert [entry["rule"] for entry in data["left"]] == ["deny shop__refund(amount>100)"]
    path = account.project / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text(account.run("permissions", "export", "--for", "claude-code").stdout)
    again = account.druse("init")["client_rules"]
    assert again["allow"] == ["FileEdit(*.md)", "Bash(git:*)", "shop__get_*"] and not again["taken"]
