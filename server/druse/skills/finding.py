"""Which skills fit a query (seed ids L-12, L-33): by words, or on request by words and meaning.

By words is FTS5's BM25 over name, description, keywords and body, whole words by their stems. By meaning adds vectors
of a table that ships with Druse; it is off until `[settings] skill_embeddings = true`. Both stand behind `SkillIndex`;
`scripts/bench skills` compares them on the labelled queries beside this file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Protocol

from druse.skills.library import Skill
from druse.store.fieldindex import FieldIndex
from druse.store.search import Document

DEFAULT_LIMIT = 5
MAX_BODY = 20_000  # characters of a body that are searched
_WEIGHTS = (4.0, 2.0, 2.0, 1.0)  # name, description, keywords, body


class SkillIndex(Protocol):
    """An index over skills, addressed as `ORIGIN/NAME`."""

    def search(self, query: str, *, limit: int) -> list[tuple[str, float]]:
        """Addresses with their scores (larger is better), best first; equal ones in a stable order."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


def by_words(skills: Sequence[Skill]) -> SkillIndex:
    """The default: FTS5."""
    return FieldIndex(_WEIGHTS, ((address(skill), _fields(skill)) for skill in skills))


class ByMeaning:
    """Words and vectors together. Loading the vectors takes about 0.3 s, once per process."""

    def __init__(self, skills: Sequence[Skill]) -> None:
        from druse.retrieval.embedding import default_embedder
        from druse.retrieval.index import HybridIndex

        documents: list[Document] = []
        for skill in sorted(skills, key=address):
            name, description, keywords, body = _fields(skill)
            documents.append(Document(address(skill), "skill", name, f"{description} {body}", keywords))
        self._index = HybridIndex(documents, default_embedder())

    def search(self, query: str, *, limit: int) -> list[tuple[str, float]]:
        """Addresses with their scores (larger is better), best first."""
        return self._index.search(query, limit=limit)

    def close(self) -> None:
        """Free what it holds."""
        self._index.close()


class SkillFinder:
    """Finds among the skills it was last given; the index is made anew when they change."""

    def __init__(self, *, meaning: Callable[[], bool] = lambda: False) -> None:
        self._meaning = meaning
        self._held: tuple[bool, list[Skill], SkillIndex] | None = None

    def find(self, skills: Sequence[Skill], query: str, *, limit: int = DEFAULT_LIMIT) -> list[tuple[Skill, float]]:
        """The usable ones of `skills` that fit, best first. Any text is a query."""
        usable = [skill for skill in skills if skill.usable]
        meaning = self._meaning()
        if self._held is None or self._held[:2] != (meaning, usable):
            if self._held is not None:
                self._held[2].close()
            self._held = (meaning, usable, ByMeaning(usable) if meaning else by_words(usable))
        known = {address(skill): skill for skill in usable}
        return [(known[found], score) for found, score in self._held[2].search(query, limit=max(1, limit))]


@dataclass(frozen=True, slots=True)
class Labelled:
    """The shipped set: skills, and queries with the names of the skills that fit."""

    skills: tuple[Skill, ...]
    queries: tuple[tuple[str, frozenset[str]], ...]


def labelled_queries() -> Labelled:
    """Read the shipped set. Skills and queries were written by hand, before any weight was chosen."""
    from druse.skills.document import SkillDocument

    rows = [
        json.loads(line) for line in files("druse.skills").joinpath("labelled.jsonl").read_text("utf-8").splitlines()
    ]
    skills: list[Skill] = []
    for row in rows:
        if "skill" in row:
            made = SkillDocument(row["skill"], row["description"], row["body"]).with_own(keywords=row["keywords"])
            skills.append(Skill(made.name, made.description, made.body, "labelled", document=made))
    queries = [(str(row["query"]), frozenset(map(str, row["skills"]))) for row in rows if "query" in row]
    return Labelled(tuple(skills), tuple(queries))


def address(skill: Skill) -> str:
    """`ORIGIN/NAME`."""
    return f"{skill.origin}/{skill.name}"


def _fields(skill: Skill) -> tuple[str, str, str, str]:
    document = skill.document
    if document is None:
        return skill.name, skill.description, "", ""
    return skill.name, skill.description, " ".join(document.keywords), document.body[:MAX_BODY]
