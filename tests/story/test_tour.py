from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from examples.tour import walk

import warm


@pytest.mark.requirement("S-49")
def test_every_command_of_the_tour_prints_what_the_page_says(tmp_path: Path) -> None:
    root = tmp_path / "tour"
    root.mkdir()
    druse = tmp_path / "programs" / "druse"
    druse.parent.mkdir()
    druse.write_text(f'#!/bin/sh\nexec {shlex.join(warm.command())} "$@"\n')
    druse.chmod(0o755)
    wrong = walk(root, write=False, programs=str(druse.parent))
    assert not wrong, "\n".join(wrong) + "\nIf that is right now: scripts/tour --write"


def test_a_page_that_says_something_else_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison itself: another word, another count of lines, and one name for two are found; other ids are not."""
    import examples.tour as tour

    monkeypatch.setattr(tour, "FILES", tmp_path / "files")
    monkeypatch.setattr(tour, "PAGE", tmp_path / "page.md")
    (tmp_path / "files").mkdir()
    (tmp_path / "work").mkdir()

    def differs(*lines: str) -> bool:
        (tmp_path / "page.md").write_text("\n".join(["```console", *lines, "```", ""]))
        return bool(walk(tmp_path / "work", write=False))

    ids = ("$ echo 7f3a5b6c7d8e 7f3a5b6c7d8e", "1a0000000001 1a0000000001")
    assert not differs(*ids)
    assert differs(ids[0], "1a0000000001 2b0000000002")
    assert differs("$ echo well", "good")
    assert differs("$ echo well", "well", "well")
    assert not differs("$ echo well", "well", *ids)
