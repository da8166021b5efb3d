"""A small full-text index in memory over texts with several weighted fields: SQLite's FTS5 and its BM25."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterable, Sequence

from druse.store.ranked import TOKENIZE
from druse.store.search import split_words, words_of


class FieldIndex:
    """Rows of `(key, texts)`, one text a field. A query is any text; whole words count, by their stems."""

    def __init__(self, weights: Sequence[float], rows: Iterable[tuple[str, Sequence[str]]]) -> None:
        self._weights = ", ".join(str(float(weight)) for weight in weights)
        columns = ", ".join(f"field{number}" for number in range(len(weights)))
        marks = ", ".join("?" * (len(weights) + 1))
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._database.close)
        self._database.execute(
            f"CREATE VIRTUAL TABLE held USING fts5(key UNINDEXED, {columns}, tokenize = '{TOKENIZE}')"
        )
        self._database.executemany(
            f"INSERT INTO held (key, {columns}) VALUES ({marks})",
            ((key, *(split_words(text) for text in texts)) for key, texts in rows),
        )

    def search(self, query: str, *, limit: int) -> list[tuple[str, float]]:
        """Keys with their scores (larger is better), best first, equal ones by key."""
        match = " OR ".join(f'"{word}"' for word in words_of(query))
        if not match:
            return []
        rows = self._database.execute(
            f"SELECT key, -bm25(held, 0, {self._weights}) AS score FROM held WHERE held MATCH ?"
            " ORDER BY score DESC, key LIMIT ?",
            [match, limit],
        ).fetchall()
        return [(str(key), float(score)) for key, score in rows]

    def close(self) -> None:
        """Free the memory."""
        self._database.close()
