"""Full-text search over small texts: SQLite's FTS5 with porter stemming, in memory, made anew when its texts change."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass


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
        self._database.execute(
            "CREATE VIRTUAL TABLE document USING fts5(id UNINDEXED, kind UNINDEXED, name, text, parameters,"
            " tokenize = 'porter unicode61')"
        )
        self._database.executemany(
            "INSERT INTO document (id, kind, name, text, parameters) VALUES (?,?,?,?,?)",
            ((d.id, d.kind, split_words(d.name), d.text, split_words(d.parameters)) for d in documents),
        )

    def search(self, query: str, *, kind: str | None = None, limit: int = 10) -> list[tuple[str, float]]:
        """Ids with their scores (larger is better), best first."""
        words = list(dict.fromkeys(re.findall(r"\w+", split_words(query).lower())))[:40]
        if not words:
            return []
        match = " OR ".join(f'"{word}"' for word in words)
        where, values = ("AND kind = ?", [kind]) if kind else ("", [])
        rows = self._database.execute(
            "SELECT id, -bm25(document, 0, 0, 4.0, 1.5, 1.0) AS score FROM document WHERE document MATCH ?"
            f" {where} ORDER BY score DESC, id LIMIT ?",
            [match, *values, limit],
        ).fetchall()
        return [(str(row[0]), float(row[1])) for row in rows]

    def close(self) -> None:
        """Free the memory."""
        self._database.close()


def split_words(text: str) -> str:
    """`getUserDetails` and `get_user_details` as words."""
    return re.sub(r"[_\-./]+", " ", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text))
