"""How well a document answers each word of a query, when it says the same in other words.

Late interaction (Khattab and Zaharia, ColBERT, 2020) on static word vectors: every word of the query is compared with
every word of the document and only the closest counts. A word that some word of nearly every document resembles tells
little and weighs little, as rare words weigh more in BM25.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from druse.retrieval.embedding import Embedder, Matrix, unit
from druse.store.search import words_of

_DIMENSIONS = 128  # leading ones of the table; enough to tell words apart, and half the time and memory


class WordLikeness:
    """The words of all documents with their vectors, and for each document which of them it has."""

    def __init__(self, texts: Sequence[str], embedder: Embedder) -> None:
        self._embedder = embedder
        places: dict[str, int] = {}
        held: list[int] = []
        starts = [0]
        for text in texts:
            held.extend(places.setdefault(word, len(places)) for word in set(re.findall(r"\w+", text.lower())))
            starts.append(len(held))
        self._held = np.array(held, np.int32)
        self._starts = np.array(starts, np.int64)
        self._share = (np.bincount(self._held, minlength=len(places)) / max(1, len(texts))).astype(np.float32)
        self._words = self._vectors(list(places))

    def scores(self, query: str, documents: NDArray[np.intp]) -> Matrix:
        """The score of each of the documents, given by their places; larger is better."""
        words = words_of(query)
        if not words or not self._share.size or not documents.size:
            return np.zeros(documents.size, np.float32)
        alike: Matrix = np.maximum(self._vectors(words) @ self._words.T, 0)
        common = np.clip((alike**4) @ self._share, 1e-6, 1)
        tells = np.array([self._embedder.salience(word) for word in words], np.float32)
        closest = self._closest(alike, documents)
        return np.asarray((tells * np.log1p(1 / common)) @ closest**2, np.float32)

    def _closest(self, alike: Matrix, documents: NDArray[np.intp]) -> Matrix:
        """For each word of the query (rows) and document (columns), the likeness of the document's closest word."""
        sizes = self._starts[documents + 1] - self._starts[documents]
        firsts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        places = np.repeat(self._starts[documents] - firsts, sizes) + np.arange(int(sizes.sum()))
        # One column more, so that a document without words at the end still has a place to begin at.
        spread = np.append(alike[:, self._held[places]], np.zeros((len(alike), 1), np.float32), axis=1)
        closest = np.maximum.reduceat(spread, firsts, axis=1)
        closest[:, sizes == 0] = 0
        return closest

    def _vectors(self, words: Sequence[str]) -> Matrix:
        return unit(self._embedder.embed(words).rows[:, :_DIMENSIONS])
