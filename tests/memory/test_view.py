"""The readable view of memory: made from the store, never the source."""

from __future__ import annotations

import pytest

from druse.memory import rendered
from druse.store.memories import Memory

from ..skills.conftest import Home  # type: ignore[import-not-found]


@pytest.mark.requirement("L-08")
def test_the_view_is_regenerated_from_the_store_and_an_edit_of_it_changes_nothing(home: Home) -> None:
    home.said("memory", "add", "decision", "use SQLite for state, not Redis", "--source", "session-abc123")
    written = home.said("memory", "view", "--write")
    path = home.volumes / "user" / "alice" / written["path"]
    assert "- use SQLite for state, not Redis (score 1.00, source session-abc123)" in path.read_text()
    path.write_text("# Memory\n\n- use Redis for everything\n")
    assert home.said("jobs", "run", "historian")["report"]["view"] == written["path"]
    assert path.read_text() == written["text"] and "Redis for everything" not in str(home.said("memory", "list"))
    home.said("memory", "forget", "1")
    home.said("jobs", "run", "historian")
    assert "SQLite" not in path.read_text()
    subjects = [row["subject"] for row in home.said("volumes", "log", "user:alice")["commits"]]
    assert any(subject.startswith("Keep edited") for subject in subjects)  # the edit itself is not lost
    before = len(subjects)
    home.said("jobs", "run", "historian")  # nothing changed: no commit
    assert len(home.said("volumes", "log", "user:alice")["commits"]) == before


@pytest.mark.requirement("L-08")
def test_what_is_remembered_cannot_become_markup() -> None:
    evil = Memory(1, "p", "pattern", "x\n# Heading [click](http://e.org) <script>", "s`1", 1.0, 0.5)
    text = rendered([evil], "p")
    assert "\n# Heading" not in text and "<script>" not in text.replace("\\<script\\>", "") and "\\[click\\]" in text
    assert rendered([], "p").endswith("Nothing is remembered.\n")
