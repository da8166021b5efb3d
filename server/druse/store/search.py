"""Full-text search over small texts: SQLite's FTS5 with porter stemming, in memory, made anew when its texts change.

`SearchIndex` answers with FTS5's own BM25. `occurrences` and `stems` hand out what FTS5 knows of the texts, for a
ranking of one's own over the same words.
"""

from __future__ import annotations

import itertools
import re
import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

FIELDS = ("name", "text", "parameters")
_TOKENIZE = "porter unicode61"


@dataclass(frozen=True, slots=True)
class Document:
    """What is found: `name` weighs most, then `parameters`, then `text`."""

    id: str
    kind: str  # tool, skill, run
    name: str
    text: str
    parameters: str = ""


class SearchIndex:
    """An index over documents. A query is any text of a user; it never raises."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._database.close)
        self._database.executescript(
            "CREATE VIRTUAL TABLE document USING fts5(id UNINDEXED, kind UNINDEXED, name, text, parameters,"
            f" tokenize = '{_TOKENIZE}');"
            "CREATE VIRTUAL TABLE term USING fts5vocab(document, row);"
            "CREATE VIRTUAL TABLE occurrence USING fts5vocab(document, instance);"
            f"CREATE VIRTUAL TABLE asked USING fts5(word, tokenize = '{_TOKENIZE}');"
            "CREATE VIRTUAL TABLE asked_term USING fts5vocab(asked, instance);"
        )
        self._database.executemany(
            "INSERT INTO document (rowid, id, kind, name, text, parameters) VALUES (?,?,?,?,?,?)",
            (
                (row, d.id, d.kind, split_words(d.name), split_words(d.text), split_words(d.parameters))
                for row, d in enumerate(documents)
            ),
        )

    def search(self, query: str, *, kind: str | None = None, limit: int = 10) -> list[tuple[str, float]]:
        """Ids with their scores (larger is better), best first."""
        words = words_of(query)
        if not words:
            return []
        match = " OR ".join(f'"{word}"' for word in words)
        where, values = ("AND kind = ?", [kind]) if kind else ("", [])
        rows = self._database.execute(
            "SELECT id, -bm25(document, 0, 0, 2.0, 1.0, 1.0) AS score FROM document WHERE document MATCH ?"
            f" {where} ORDER BY score DESC, id LIMIT ?",
            [match, *values, limit],
        ).fetchall()
        return [(str(row[0]), float(row[1])) for row in rows]

    def terms(self) -> list[tuple[str, int]]:
        """Every stem with the number of its occurrences, in the order of `occurrences`."""
        return [(str(term), int(count)) for term, count in self._database.execute("SELECT term, cnt FROM term")]

    def occurrences(self) -> Iterator[int]:
        """Every occurrence of every stem: document (its place in the given order) times 3, plus the field's number."""
        rows = self._database.execute(
            "SELECT doc * 3 + CASE col WHEN 'name' THEN 0 WHEN 'text' THEN 1 ELSE 2 END FROM occurrence"
        )
        return itertools.chain.from_iterable(rows)

    def stems(self, words: Sequence[str]) -> list[str]:
        """The stem of each word, as the index holds it; empty where nothing of a word is indexed."""
        found = [""] * len(words)
        self._database.executemany("INSERT INTO asked (rowid, word) VALUES (?,?)", enumerate(words))
        for row, term in self._database.execute("SELECT doc, term FROM asked_term"):
            found[int(row)] = str(term)
        self._database.execute("DELETE FROM asked")
        return found

    def close(self) -> None:
        """Free the memory."""
        self._database.close()


def split_words(text: str) -> str:
    """`getUserDetails` and `get_user_details` as words."""
    return re.sub(r"[_\-./]+", " ", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text))


def words_of(query: str) -> list[str]:
    """The different words of a query, at most 60, in lower case."""
    return list(dict.fromkeys(re.findall(r"\w+", split_words(query).lower())))[:60]
