"""One index over everything that can be found: words (FTS5) and meaning (vectors), fused.

Words are ranked by BM25 over three fields on the stems that FTS5 holds, each word of the query weighted by how much it
tells. Meaning is the cosine of vectors. Either score is measured from what an average document gets up to what the
best gets, and the two are added with equal weight: a list that tells documents apart counts, a flat one does not.
The likeness of single words (half weight) and of the name alone (a quarter) are added for those that come out best.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from druse.retrieval.embedding import Embedder, Matrix, Vectors, unit
from druse.retrieval.likeness import WordLikeness
from druse.store.search import Document, SearchIndex, split_words, words_of

_FIELD_WEIGHTS = np.array([2.0, 1.0, 1.0], np.float32)  # name, text, parameters
_SATURATION = 1.2  # BM25's k1
_LENGTH = 0.75  # BM25's b
_COARSE = 64  # leading dimensions that nominate documents; the table is trained so that they stand alone
EXACT_UP_TO = 8_000  # documents: below this, every document is compared in full
_NOMINATED = 600
_COMPARED = 400  # compared word by word


class HybridIndex:
    """An index over documents with one embedder. A query is any text of a user; it never raises.

    With `sentences`, a second and better model of meaning, its cosine counts in full and that of the first by half.
    """

    def __init__(self, documents: Sequence[Document], embedder: Embedder, *, sentences: Embedder | None = None) -> None:
        self._ids = [document.id for document in documents]
        self._kinds = np.array([document.kind for document in documents], dtype=object)
        self._embedder = embedder
        self._words = _Words(documents, embedder)
        told = [_told(document) for document in documents]
        self._likeness = WordLikeness(told, embedder)
        self.vectors: Vectors = embedder.embed(told)
        self._mean = _mean(self.vectors)
        self._names = embedder.embed([split_words(document.name) for document in documents])
        self._mean_name = _mean(self._names)
        large = len(documents) > EXACT_UP_TO
        self._coarse: Matrix | None = unit(self.vectors.rows[:, :_COARSE]) if large else None
        self._sentences = None if large else sentences
        self.meanings: Vectors | None = self._sentences.embed(told) if self._sentences else None
        self._mean_meaning = _mean(self.meanings) if self.meanings else None

    def search(self, query: str, *, kind: str | None = None, limit: int = 10) -> list[tuple[str, float]]:
        """Ids with their scores (larger is better), best first; nothing for a query without a word."""
        allowed = np.flatnonzero(self._kinds == kind) if kind else None
        if not self._ids or not words_of(query) or (allowed is not None and not allowed.size):
            return []
        lexical = self._words.scores(query)
        vector = self._embedder.embed([split_words(query)])
        places = self._nominated(lexical, vector, allowed)
        score = _above(lexical[places], float(lexical.mean())) + self._meant(query, vector, places)
        # The two that follow tell apart what the first two hold equal; they are dear, so only the best are asked.
        best = _largest(score, max(_COMPARED, limit))
        places, score = places[best], score[best]
        likeness = self._likeness.scores(query, places)
        named = self._names.rows[places] @ vector.rows[0]
        score = score + _above(likeness, float(likeness.mean())) / 2
        score += _above(named, float(self._mean_name @ vector.rows[0])) / 4
        order = np.lexsort((places, -score))[:limit]
        return [(self._ids[places[at]], float(score[at])) for at in order]

    def _meant(self, query: str, vector: Vectors, places: NDArray[np.intp]) -> Matrix:
        cosine = _above(self.vectors.rows[places] @ vector.rows[0], float(self._mean @ vector.rows[0]))
        if self._sentences is None or self.meanings is None or self._mean_meaning is None:
            return cosine
        asked = self._sentences.embed([query]).rows[0]
        meant = _above(self.meanings.rows[places] @ asked, float(self._mean_meaning @ asked))
        return np.asarray(meant + cosine / 2, np.float32)

    def close(self) -> None:
        """Free the memory that SQLite holds."""
        self._words.close()

    def _nominated(self, lexical: Matrix, vector: Vectors, allowed: NDArray[np.intp] | None) -> NDArray[np.intp]:
        """The places of the documents that are compared in full."""
        if self._coarse is None:
            return np.arange(len(self._ids)) if allowed is None else allowed
        rough = self._coarse @ unit(vector.rows[:, :_COARSE])[0]
        mixed = _above(lexical, float(lexical.mean())) + _above(rough, float(rough.mean()))
        pool = mixed if allowed is None else mixed[allowed]
        best = _largest(pool, _NOMINATED)
        return best if allowed is None else allowed[best]


class _Words:
    """BM25 over three fields. Every (stem, document) has its share computed once; a query only adds shares up."""

    def __init__(self, documents: Sequence[Document], embedder: Embedder) -> None:
        self._index = SearchIndex(documents)
        self._embedder = embedder
        self._size = len(documents)
        self._stems: dict[str, str] = {}
        terms = self._index.terms()
        self._place = {term: number for number, (term, _) in enumerate(terms)}
        seen = np.fromiter(self._index.occurrences(), np.int64, count=sum(count for _, count in terms))
        document, field = seen // 3, seen % 3
        lengths = np.bincount(seen, minlength=3 * self._size).reshape(-1, 3).astype(np.float32)
        average = np.maximum(lengths.mean(axis=0) if self._size else np.zeros(3), 1e-9)
        worth = _FIELD_WEIGHTS / (1 - _LENGTH + _LENGTH * lengths / average)
        term = np.repeat(np.arange(len(terms)), [count for _, count in terms])
        # Occurrences come by stem, and by document within a stem: equal neighbours are one posting.
        first = np.flatnonzero(np.diff(term * (self._size + 1) + document, prepend=-1))
        frequency = np.add.reduceat(worth[document, field], first) if seen.size else np.zeros(0, np.float32)
        self._documents = document[first].astype(np.int32)
        held = np.bincount(term[first], minlength=len(terms))
        self._starts = np.concatenate([[0], np.cumsum(held)])
        rarity = np.log1p((self._size - held + 0.5) / (held + 0.5)).astype(np.float32)
        saturated = frequency * (_SATURATION + 1) / (frequency + _SATURATION)
        self._shares = (saturated * rarity[term[first]]).astype(np.float32)

    def scores(self, query: str) -> Matrix:
        """The score of every document; 0 where no word is shared."""
        score = np.zeros(self._size, np.float32)
        for stem, weight in self._asked(query).items():
            place = self._place.get(stem)
            if place is not None:
                part = slice(self._starts[place], self._starts[place + 1])
                score[self._documents[part]] += self._shares[part] * np.float32(weight)
        return score

    def close(self) -> None:
        self._index.close()

    def _asked(self, query: str) -> dict[str, float]:
        words = words_of(query)
        unknown = [word for word in words if word not in self._stems]
        if unknown:
            if len(self._stems) > 50_000:
                self._stems.clear()
            self._stems.update(zip(unknown, self._index.stems(unknown), strict=True))
        asked: dict[str, float] = {}
        for word in words:
            asked.setdefault(self._stems.get(word, ""), self._embedder.salience(word))
        return asked


def _mean(vectors: Vectors) -> Matrix:
    return vectors.rows.mean(axis=0) if len(vectors.rows) else np.zeros(0, np.float32)


def _told(document: Document) -> str:
    return " ".join(split_words(part) for part in (document.name, document.text, document.parameters) if part)


def _above(scores: Matrix, mean: float) -> Matrix:
    """Scores measured from the mean (0) to the best (1); all 0 where nothing stands out."""
    if not scores.size:
        return scores
    reach = float(scores.max()) - mean
    return (scores - mean) / reach if reach > 1e-6 else np.zeros_like(scores)


def _largest(scores: Matrix, count: int) -> NDArray[np.intp]:
    return np.arange(scores.size) if scores.size <= count else np.argpartition(-scores, count)[:count]
