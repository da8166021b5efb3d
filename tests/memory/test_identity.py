"""One project, one hash, however it is cloned."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from druse.memory import normal_remote, project_hash

SPELLINGS = [
    "git@github.com:Acme/Widgets.git",
    "ssh://git@github.com/acme/widgets.git",
    "ssh://git@github.com:22/acme/widgets",
    "https://github.com/Acme/widgets.git/",
    "https://user:token@github.com/acme/widgets",
    "https://github.com:443/acme/widgets.git",
    "git://github.com/acme/widgets.git",
]


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True)


@pytest.mark.requirement("N-21")
@pytest.mark.parametrize("url", SPELLINGS)
def test_every_spelling_of_one_remote_gives_the_same_stable_hash(tmp_path: Path, url: str) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "remote", "add", "origin", url)
    assert normal_remote(url) == "github.com/acme/widgets"
    assert project_hash(tmp_path) == "9c7f1d96fd695f0b"


@pytest.mark.requirement("N-21")
def test_worktrees_and_subfolders_share_the_hash_and_other_projects_do_not(tmp_path: Path) -> None:
    main, tree = tmp_path / "main", tmp_path / "tree"
    main.mkdir()
    git(main, "init", "-q")
    git(main, "commit", "-q", "--allow-empty", "-m", "x")
    git(main, "worktree", "add", "-q", str(tree))
    (main / "src").mkdir()
    without_remote = project_hash(main)
    assert project_hash(tree) == project_hash(main / "src") == without_remote
    git(main, "remote", "add", "origin", SPELLINGS[0])
    assert project_hash(tree) == project_hash(main) != without_remote
    assert normal_remote("https://github.com:8443/acme/widgets") == "github.com:8443/acme/widgets"
    (tmp_path / "plain").mkdir()
    assert project_hash(tmp_path / "plain") not in (without_remote, project_hash(main))
    (main / ".git" / "config").write_bytes(b"\xff[[[\n")
    assert project_hash(main) == without_remote


@pytest.mark.requirement("N-21")
def test_a_submodule_and_a_shallow_clone_have_the_hash_of_their_remote(tmp_path: Path) -> None:
    main, outer, shallow = tmp_path / "main", tmp_path / "outer", tmp_path / "shallow"
    main.mkdir()
    git(main, "init", "-q")
    git(main, "commit", "-q", "--allow-empty", "-m", "x")
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(main), "inner")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{main}", str(shallow))
    assert project_hash(outer / "inner") == project_hash(shallow) != project_hash(outer)


@pytest.mark.requirement("N-21")
@pytest.mark.parametrize("url", ["~nobody-of-that-name/x.git", "a\0b", "file://\0", "https://[::1", "@:", "x" * 5000])
def test_whatever_a_repository_calls_its_remote_there_is_a_hash(tmp_path: Path, url: str) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / ".git" / "config").write_text(f'[remote "origin"]\n\turl = {url}\n')
    assert len(project_hash(tmp_path)) == 16
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / ".git").write_text(f"gitdir: {url}\n")
    assert len(project_hash(tmp_path / "tree")) == 16
