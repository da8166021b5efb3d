"""Programs that need no rule because they read in the workspace, made to read elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from druse.model import Verdict
from druse.permissions import Policy, decide


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    """A workspace with a link that leads out of it, and a rule that has nothing to do with commands."""
    workspace, outside = tmp_path / "work", tmp_path / "outside"
    for folder in (workspace / "data", workspace / "empty", outside):
        folder.mkdir(parents=True)
    (outside / "secret.txt").write_text("secret")
    (workspace / "data" / "link").symlink_to(outside / "secret.txt")
    (workspace / "data" / "a.txt").write_text("a")
    return Policy.from_lists({"allow": ["Read(./data/**)"]}, workspace=workspace, home=tmp_path / "home")


def verdict(policy: Policy, command: str) -> Verdict:
    outside = policy.workspace.parent / "outside" / "secret.txt"
    return decide(policy, "Bash", {"command": command.replace("OUT", str(outside))}).verdict


@pytest.mark.parametrize(
    "command",
    [
        # --color takes no value of its own word, so the next word is an option like any other
        *("grep --color -fOUT data/a.txt", "grep --color --file=OUT data/a.txt", "grep --colour -R a data"),
        # -e in a bundle gives the pattern, so the first operand is a file
        *("grep -ie. OUT", "grep -he. OUT", "rg -ie. OUT", "git grep --no-index -ie. OUT", "git grep -ie. --no-i OUT"),
        # what a folder holds is read through its links
        *("diff -rN data empty", "diff -N data empty", "diff --recursive data empty", "diff data empty"),
        *("ls -RL data", "ls -R --deref data", "du -aL data"),
        # a file that names other files
        *("md5sum -c data/a.txt", "md5sum --check data/a.txt"),
        # programs and options that read more than their operands
        *(
            "jq -n '$ENV'",
            "jq -n 'env.HOME'",
            """jq -n 'import "s" as $d {search:"/etc"}; $d'""",
            "jq 'include \"x\"; .'",
        ),
        *("git blame -S OUT data/a.txt", "git blame -SOUT data/a.txt", "git diff --no-index empty data"),
        *("test -s OUT", "test OUT -nt data/a.txt"),
    ],
)
def test_a_reader_reaches_nothing_outside_the_workspace(policy: Policy, command: str) -> None:
    assert verdict(policy, command) is not Verdict.ALLOW


@pytest.mark.parametrize(
    "command",
    [
        *(
            "grep --color -i a data/a.txt",
            "grep --color=always a data/a.txt",
            "grep -rie a data",
            "grep -ie a data/a.txt",
        ),
        *("diff -u data/a.txt data/a.txt", "diff -r --no-dereference data empty", "ls -la data", "ls --color=never"),
        *("du -sh data", "md5sum data/a.txt", "jq '.environment' data/a.txt", "jq -r '.items[]|.name' data/a.txt"),
        *("git log -S secret", "git blame data/a.txt", "test -f data/a.txt", "git diff --stat"),
    ],
)
def test_what_reads_in_the_workspace_needs_no_rule(policy: Policy, command: str) -> None:
    assert verdict(policy, command) is Verdict.ALLOW


def test_a_denied_file_is_seen_behind_a_bundled_pattern(policy: Policy) -> None:
    strict = Policy.from_lists({"deny": ["Read(./data/**)"]}, workspace=policy.workspace, home=policy.home)
    assert verdict(strict, "grep -ie. data/a.txt") is Verdict.DENY
