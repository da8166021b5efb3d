"""The best matches of a full-text table, at a cost that hardly grows with the table.

FTS5 ranks by reading the length of every row that has any word of a query: with a frequent word that is most of the
table. Here the rows worth ranking are found first, by what FTS5 does fast: every row of the rare words (their lists are
short), and of the frequent ones the newest rows that have most of them together. Those few hundred are then ranked by
BM25 with the counts of the whole table. Rows of equal rank come newest first.

What can be missed: where every word of a query is frequent, an older row that is just as good as `_ENOUGH` newer ones.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import re
import sqlite3
from collections.abc import Mapping, Sequence

from druse.store.database import Database, Row, Value

TOKENIZE = "porter unicode61"
MAX_WORDS = 32
MAX_FOUND = 1000  # however many are asked for

_RARE_ROWS = 5000  # rows of rare words that are read in one search, all words together
_ENOUGH = 256  # rows that are ranked
_FREQUENT_WORDS = 6  # of a query, the rarest of them, whose combinations are looked for
_COMBINATIONS = 24
_TEXT = 300_000  # characters ranked in one search
_REMEMBERED = 4096  # words whose counts are kept while the table grows by no more than a tenth
_K, _B = 1.2, 0.75  # of BM25, as FTS5 has them


class RankedText:
    """Search over one FTS5 table. `rows` is the table that the found ids belong to, with its `content` column.

    Not to be shared by tasks of several event loops; counts of frequent words are kept.
    """

    def __init__(self, database: Database, table: str, *, rows: str, key: str, keep: str = "") -> None:
        self._database = database
        self._table = table
        self._rows, self._key = rows, key
        self._keep = f"AND {keep}" if keep else ""  # a condition on `rows`, whose values `best` is given
        self._counts: dict[str, tuple[int, int]] = {}  # word -> rows that have it, and rows there were then

    async def best(self, query: str, *, limit: int, values: Sequence[Value] = ()) -> list[tuple[int, float]]:
        """Ids with their scores (larger is better), best first. Any text is a query."""
        size = await self._size()
        counts = {word: count for word, count in (await self._counted(words_of(query), size)).items() if count}
        if not counts or limit < 1:
            return []
        weights = {word: math.log(1 + (size - min(n, size) + 0.5) / (n + 0.5)) for word, n in counts.items()}
        limit = min(limit, MAX_FOUND)
        wanted = max(_ENOUGH, limit)
        found = await self._candidates(counts, weights, wanted, values)
        texts = await self._texts(found[: 2 * wanted])
        ranked = await asyncio.to_thread(_ranked, texts, weights)
        return ranked[:limit]

    async def _size(self) -> int:
        row = await self._database.one(f"SELECT max({self._key}) FROM {self._rows}")
        return int(row[0] or 0) if row else 0

    async def _counted(self, words: Sequence[str], size: int) -> dict[str, int]:
        """In how many rows each word is."""
        known = {w: self._counts[w][0] for w in words if w in self._counts and size <= 1.1 * self._counts[w][1]}
        missing = [word for word in words if word not in known]
        if missing:
            one = f"(SELECT count(*) FROM {self._table} WHERE {self._table} MATCH ?)"
            row = await self._database.one(f"SELECT {', '.join([one] * len(missing))}", [_quoted(w) for w in missing])
            for word, count in zip(missing, row or (), strict=True):
                known[word] = int(count)
                if int(count) > _RARE_ROWS:
                    if len(self._counts) >= _REMEMBERED:
                        self._counts.clear()
                    self._counts[word] = (int(count), size)
        return {word: known[word] for word in words}

    async def _candidates(
        self, counts: Mapping[str, int], weights: Mapping[str, float], wanted: int, values: Sequence[Value]
    ) -> list[int]:
        """Rows worth ranking, most promising first."""
        rare: list[str] = []
        read = 0
        for word in sorted(counts, key=lambda w: counts[w]):
            read += counts[word]
            if read > _RARE_ROWS:
                break
            rare.append(word)
        frequent = sorted((w for w in counts if w not in rare), key=lambda w: counts[w])[:_FREQUENT_WORDS]
        promise: dict[int, float] = {}
        if rare:
            parts = [self._select(f"'{number}'") for number in range(len(rare))]
            matches: list[Value] = [value for word in rare for value in (_quoted(word), *values)]
            for number, row in await self._database.all(" UNION ALL ".join(parts), matches):
                promise[int(row)] = promise.get(int(row), 0.0) + weights[rare[int(number)]]
        any_rare = " OR ".join(map(_quoted, rare))
        newest = f"{self._select('0')} ORDER BY {self._table}.rowid DESC LIMIT ?"
        more: dict[int, float] = {}
        for together in _combinations(frequent, weights):
            match = " AND ".join(map(_quoted, together))
            worth = sum(weights[word] for word in together)
            if rare:
                for _, row in await self._database.all(newest, [f"({any_rare}) AND {match}", *values, wanted]):
                    more[int(row)] = max(more.get(int(row), 0.0), worth)
            if len(promise) < wanted:
                for _, row in await self._database.all(newest, [match, *values, wanted]):
                    promise.setdefault(int(row), worth)
            elif not rare:
                break
        for row, worth in more.items():
            promise[row] = promise.get(row, 0.0) + worth
        return sorted(promise, key=lambda row: (-promise[row], -row))

    def _select(self, label: str) -> str:
        join = f" CROSS JOIN {self._rows} ON {self._rows}.{self._key} = {self._table}.rowid" if self._keep else ""
        return f"SELECT {label}, {self._table}.rowid FROM {self._table}{join} WHERE {self._table} MATCH ? {self._keep}"

    async def _texts(self, ids: Sequence[int]) -> list[tuple[int, str]]:
        marks = ",".join("?" * len(ids))
        name = "rowid" if self._rows == self._table else self._key
        found: Sequence[Row] = await self._database.all(
            f"SELECT {name}, content FROM {self._rows} WHERE {name} IN ({marks})", list(ids)
        )
        by_id = {int(row): str(text) for row, text in found}
        texts: list[tuple[int, str]] = []
        room = _TEXT
        for row in ids:
            text = by_id.get(row, "")
            room -= len(text)
            if room < 0 and texts:
                break
            texts.append((row, text))
        return texts


def words_of(query: str) -> list[str]:
    """The different words of any text, in lower case, none of them syntax to FTS5."""
    return list(dict.fromkeys(re.findall(r"[^\W_]+", query.lower())))[:MAX_WORDS]


def _quoted(word: str) -> str:
    return f'"{word}"'


def _combinations(words: Sequence[str], weights: Mapping[str, float]) -> list[tuple[str, ...]]:
    """Groups of words, those of the greatest weight first."""
    groups = itertools.chain.from_iterable(itertools.combinations(words, n) for n in range(1, len(words) + 1))
    return sorted(groups, key=lambda g: (-sum(weights[w] for w in g), len(g), g))[:_COMBINATIONS]


def _ranked(texts: Sequence[tuple[int, str]], weights: Mapping[str, float]) -> list[tuple[int, float]]:
    """The texts by BM25, with the stems that FTS5 makes; their lengths count in characters."""
    words = list(weights)
    database = sqlite3.connect(":memory:")
    try:
        database.executescript(
            f"CREATE VIRTUAL TABLE passage USING fts5(content, tokenize = '{TOKENIZE}');"
            "CREATE VIRTUAL TABLE place USING fts5vocab(passage, instance);"
        )
        insert = "INSERT INTO passage (rowid, content) VALUES (?,?)"
        database.executemany(insert, enumerate(words))
        weight_of: dict[str, float] = {}
        for number, stem in database.execute("SELECT doc, term FROM place").fetchall():
            weight_of.setdefault(stem, weights[words[number]])
        first = len(words)
        database.executemany(insert, ((first + number, text) for number, (_, text) in enumerate(texts)))
        marks = ",".join("?" * len(weight_of))
        counted = database.execute(
            f"SELECT doc, term, count(*) FROM place WHERE term IN ({marks}) AND doc >= {first} GROUP BY doc, term",
            list(weight_of),
        ).fetchall()
    finally:
        database.close()
    usual = max(1.0, sum(len(text) for _, text in texts) / max(1, len(texts)))
    scores: dict[int, float] = {row: 0.0 for row, _ in texts}
    for number, stem, count in counted:
        length = len(texts[int(number) - first][1])
        gain = int(count) * (_K + 1) / (int(count) + _K * (1 - _B + _B * length / usual))
        scores[texts[int(number) - first][0]] += weight_of[str(stem)] * gain
    return sorted(scores.items(), key=lambda item: (-item[1], -item[0]))
