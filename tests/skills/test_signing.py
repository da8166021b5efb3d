"""If the user's git signs, so does Druse, also proposals and merges; `verify` lists what is unsigned or bad."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import Home

needs_keys = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="signing by ssh needs ssh-keygen")


def _sign(home: Home, root: Path) -> None:
    key = root / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = Path(f"{key}.pub").read_text()
    (root / "signers").write_text(f"alice@example.org {public}")
    folder = Path(home.environment["XDG_CONFIG_HOME"]) / "git"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config").write_text(
        f"[user]\n\tname = Alice\n\temail = alice@example.org\n\tsigningkey = {key}\n[gpg]\n\tformat = ssh\n"
        f'[gpg "ssh"]\n\tallowedSignersFile = {root / "signers"}\n[commit]\n\tgpgsign = true\n'
    )


@needs_keys
@pytest.mark.requirement("L-36")
def test_commits_proposals_and_merges_are_signed_where_the_users_git_signs(home: Home, tmp_path: Path) -> None:
    home.environment["HOME"] = str(tmp_path)
    home.said("skills", "new", "first", "--description", "Made before git signed")
    assert home.said("volumes", "verify", "user:alice")["git_signs"] is False
    _sign(home, tmp_path)
    home.said("skills", "new", "my-skill", "--description", "A thing to do")
    home.said("volumes", "use", "team:core")
    home.said("skills", "promote", "my-skill")
    (asked,) = home.said("approvals", "list")["approvals"]
    home.said("approvals", "approve", asked["id"], "--yes")
    checked = home.said("volumes", "verify", "user:alice")
    assert [row["subject"] for row in checked["unsigned"]] == ["Create skill: First", "Create volume user:alice"]
    assert checked["bad"] == [] and checked["commits"] == 3 and checked["git_signs"] is True
    team = home.said("volumes", "verify", "team:core")
    assert team["unsigned"] == team["bad"] == [] and team["commits"] >= 3
    assert home.said("volumes", "log", "team:core")["commits"][0]["signed"] is True


@needs_keys
@pytest.mark.requirement("L-36")
def test_a_signature_of_other_words_is_bad(home: Home, tmp_path: Path) -> None:
    home.environment["HOME"] = str(tmp_path)
    _sign(home, tmp_path)
    home.said("skills", "new", "my-skill", "--description", "A thing to do")
    volume = home.volumes / "user" / "alice"

    def git(*arguments: str, data: str = "") -> str:
        done = subprocess.run(["git", *arguments], cwd=volume, input=data, capture_output=True, text=True, check=True)
        return done.stdout

    forged = git("cat-file", "commit", "HEAD").replace("Create skill", "Forged skill")
    git("update-ref", "HEAD", git("hash-object", "-t", "commit", "-w", "--stdin", data=forged).strip())
    checked = home.said("volumes", "verify", "user:alice")
    assert [row["subject"] for row in checked["bad"]] == ["Forged skill: My Skill"]
