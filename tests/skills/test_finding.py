"""Skills are found by words; embeddings are an option that finds more of the labelled set."""

from __future__ import annotations

import pytest
from benchmarks.skills import measured

from druse.skills import ByMeaning, Skill, SkillDocument, SkillFinder, by_words, labelled_queries

from .conftest import Home


def skill(name: str, description: str, body: str = "", keywords: str = "", status: str = "active") -> Skill:
    made = SkillDocument(name, description, body).with_own(keywords=keywords)
    return Skill(name, description, body, "user", status=status, document=made)


@pytest.mark.requirement("L-12")
def test_the_shipped_set_is_found_by_words_alone() -> None:
    labelled = labelled_queries()
    assert len(labelled.queries) >= 50
    assert measured(by_words(labelled.skills), labelled)["recall@5"] >= 0.9


@pytest.mark.requirement("L-33")
def test_embeddings_find_more_of_the_shipped_set_than_words_and_are_off_by_default() -> None:
    labelled = labelled_queries()
    words, meaning = (measured(index, labelled) for index in (by_words(labelled.skills), ByMeaning(labelled.skills)))
    assert meaning["recall@5"] > words["recall@5"] and meaning["mrr@5"] > words["mrr@5"]
    paraphrase = "could we recover if the disk dies"
    finder = SkillFinder()
    assert "backup-restore" not in [s.name for s, _ in finder.find(labelled.skills, paraphrase)]
    finder = SkillFinder(meaning=lambda: True)
    assert "backup-restore" in [s.name for s, _ in finder.find(labelled.skills, paraphrase)]


@pytest.mark.requirement("L-12")
def test_whole_words_count_ties_are_stable_and_the_number_is_settable() -> None:
    finder = SkillFinder()
    held = [skill(f"good-{n}", "A good habit") for n in range(9)] + [skill("channels", "Write it in Go")]
    assert [s.name for s, _ in finder.find(held, "go")] == ["channels"]
    assert [s.name for s, _ in finder.find(held, "habits")] == [f"good-{n}" for n in range(5)]
    assert [s.name for s, _ in finder.find(held[::-1], "habits", limit=9)] == [f"good-{n}" for n in range(9)]
    for query in ("", '"', "a* NEAR(b", "\x00", "-x OR", "x" * 9999):
        finder.find(held, query)


@pytest.mark.requirement("L-12")
def test_name_description_keywords_and_body_are_searched_and_what_is_not_in_service_is_not() -> None:
    held = [
        skill("zebra-one", "a"),
        skill("b", "about zebras"),
        skill("c", "c", keywords="zebra"),
        skill("d", "d", "the zebra\n"),
        skill("zebra-draft", "zebra", status="draft"),
    ]
    found = [s.name for s, _ in SkillFinder().find(held, "zebra")]
    assert sorted(found) == ["b", "c", "d", "zebra-one"] and found[-1] == "d"


@pytest.mark.requirement("L-12", "L-33")
def test_the_command_finds_by_words_and_by_meaning(home: Home) -> None:
    for name, about in (("disk-rescue", "Restore files from a backup"), ("tea-time", "Brew green tea")):
        home.said("skills", "new", name, "--description", about, "--project")
    found = home.said("skills", "find", "restoring a backup", "--limit", "1")["skills"]
    assert [row["name"] for row in found] == ["disk-rescue"]
    found = home.said("skills", "find", "hot beverage", "--embeddings")["skills"]
    assert found[0]["name"] == "tea-time"
