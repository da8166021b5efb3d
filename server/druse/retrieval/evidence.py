"""What speaks for a goal meaning the same as goals known before: evidence as numbers, no verdict.

A known goal is a text with a label (its workflow). Values in goals are taken out first, so that `invoice 17` and
`invoice 23` are one wording. Evidence for the likeliest label comes from three views of the text: its vector, its
words and pairs of words weighted by rarity, and which of its words that label has ever used. `leave` computes the same
evidence for a known goal as if it, or everything of its label, were unknown: that is what calibration learns from.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from druse.retrieval.embedding import Embedder, Matrix, unit
from druse.retrieval.wording import wording

Places: TypeAlias = "NDArray[np.intp]"

FEATURES = (
    "similarity",  # of the nearest goal of the label: mean of vector and word similarity
    "margin",  # to the nearest goal of any other label
    "centre",  # cosine with the middle of the label's goals
    "centre_margin",
    "vector",  # nearest by vector alone
    "words",  # nearest by words alone
    "agreement",  # share of the ten nearest goals, nearer ones counting more, that have the label
    "lead",  # of the three added up, over the next label
    "said_before",  # share of the goal's words, by what they tell, that the label's goals have used
    "known_words",  # share that any goal has used
)
_NEIGHBOURS = 10
_SAME = 0.75  # cosine from which a goal of elsewhere is taken for a known workflow
_BLOCK = 256  # goals judged at once, which bounds the memory


class Leave(StrEnum):
    """What is taken out before a known goal is judged."""

    NOTHING = "nothing"
    ITSELF = "itself"
    ITS_LABEL = "its label"


@dataclass(frozen=True, slots=True)
class Evidence:
    """For each judged goal its likeliest label (a number into `labels`) and a row of features."""

    labels: Places
    features: Matrix


class KnownGoals:
    """Goals with labels, ready to be compared with others."""

    def __init__(
        self, goals: Sequence[tuple[str, str]], embedder: Embedder, *, others: Sequence[tuple[str, str]] = ()
    ) -> None:
        """`others`: labelled goals of elsewhere. They are rivals, so that a lone workflow does not win by default."""
        own = self._own = {label for _, label in goals}
        goals = [*goals, *(self._unlike(others, [text for text, _ in goals], embedder) if others else ())]
        self.labels = sorted({label for _, label in goals})
        number = {label: at for at, label in enumerate(self.labels)}
        ordered = sorted(((number[label], wording(text)) for text, label in goals), key=lambda item: item[0])
        self.texts = [text for _, text in ordered]
        self.of = np.array([label for label, _ in ordered], np.intp)
        self.mine = np.array([self.labels[label] in own for label in self.of], bool)
        self._embedder = embedder
        self._starts = np.searchsorted(self.of, np.arange(len(self.labels)))
        self._vectors = embedder.embed(self.texts).rows
        self._sums: Matrix = np.add.reduceat(self._vectors, self._starts, axis=0)
        self._middles = unit(self._sums)
        self._grams = _Grams(self.texts)
        # Most words are said by few labels: a full table of words and labels grows with both.
        self._used: dict[str, Counter[int]] = {}
        for text, label in zip(self.texts, self.of.tolist(), strict=True):
            for word in _words(text):
                self._used.setdefault(word, Counter())[label] += 1
        self._said = {word: counts.total() for word, counts in self._used.items()}

    def knows(self, label: str) -> bool:
        """Whether a label is one of the goals given, none of elsewhere."""
        return label in self._own

    @staticmethod
    def _unlike(others: Sequence[tuple[str, str]], texts: Sequence[str], embedder: Embedder) -> list[tuple[str, str]]:
        """Those of the others whose workflow is none of the known ones by another name."""
        known = embedder.embed([wording(text) for text in texts]).rows
        near = (embedder.embed([wording(text) for text, _ in others]).rows @ known.T).max(axis=1)
        same = {label for (_, label), value in zip(others, near, strict=True) if value >= _SAME}
        return [(text, f"elsewhere: {label}") for text, label in others if label not in same]

    def judge(self, texts: Sequence[str]) -> Evidence:
        """Evidence for goals that are not among the known ones."""
        return self._judge([wording(text) for text in texts], None, Leave.NOTHING)

    def judge_known(self, which: Places, leave: Leave) -> Evidence:
        """Evidence for known goals (by place in `texts`) with themselves or their label left out."""
        return self._judge([self.texts[int(at)] for at in which], which, leave)

    def _judge(self, texts: Sequence[str], own: Places | None, leave: Leave) -> Evidence:
        parts = [
            self._block(texts[at : at + _BLOCK], None if own is None else own[at : at + _BLOCK], leave)
            for at in range(0, len(texts), _BLOCK)
        ]
        return Evidence(np.concatenate([p.labels for p in parts]), np.concatenate([p.features for p in parts]))

    def _block(self, texts: Sequence[str], own: Places | None, leave: Leave) -> Evidence:
        rows = np.arange(len(texts))
        asked = self._embedder.embed(texts).rows
        by_vector = asked @ self._vectors.T
        by_words = self._grams.similarity(texts)
        centre = asked @ self._middles.T
        if own is not None:
            hidden = (self.of[own][:, None] == self.of[None, :]) if leave is Leave.ITS_LABEL else None
            for matrix in (by_vector, by_words):
                matrix[rows, own] = 0
                if hidden is not None:
                    matrix[hidden] = 0
            rest = unit(self._sums[self.of[own]] - self._vectors[own])
            centre[rows, self.of[own]] = 0 if leave is Leave.ITS_LABEL else (rest * asked).sum(axis=1)
        both: Matrix = np.asarray((by_vector + by_words) / 2, np.float32)
        nearest, near_vector, near_words = (
            np.maximum.reduceat(matrix, self._starts, axis=1) for matrix in (both, by_vector, by_words)
        )
        votes = self._votes(both)
        total: Matrix = np.asarray(nearest + centre + votes / 2, np.float32)
        chosen = total.argmax(axis=1)
        said, heard = self._coverage(texts, chosen, own, leave)
        columns = (
            *_with_margin(nearest, chosen),
            *_with_margin(centre, chosen),
            near_vector[rows, chosen],
            near_words[rows, chosen],
            votes[rows, chosen],
            _with_margin(total, chosen)[1],
            said,
            heard,
        )
        return Evidence(chosen, np.stack(columns, axis=1).astype(np.float32))

    def _uses(self, word: str, label: int) -> int:
        counts = self._used.get(word)
        return counts[label] if counts else 0

    def _votes(self, similarity: Matrix) -> Matrix:
        """For every label the share of the nearest goals that carry it, nearer ones counting more."""
        count = min(_NEIGHBOURS, similarity.shape[1])
        nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(similarity, nearest, 1)
        weights = np.exp(10 * (values - values.max(axis=1, keepdims=True)))
        votes: Matrix = np.zeros((len(similarity), len(self.labels)), np.float32)
        np.add.at(votes, (np.arange(len(similarity))[:, None], self.of[nearest]), weights)
        return votes / votes.sum(axis=1, keepdims=True)

    def _coverage(
        self, texts: Sequence[str], chosen: Places, own: Places | None, leave: Leave
    ) -> tuple[Matrix, Matrix]:
        said, heard = np.zeros(len(texts), np.float32), np.zeros(len(texts), np.float32)
        for row, text in enumerate(texts):
            words = _words(text)
            label = int(chosen[row])
            by_any = np.array([self._said.get(word, 0) for word in words], np.int64)
            by_label = np.array([self._uses(word, label) for word in words], np.int64)
            rarity = np.log1p(len(self.texts) / (by_any + 1.0))
            if own is not None:
                mine = int(self.of[own[row]])
                by_mine = np.array([self._uses(word, mine) for word in words], np.int64)
                out = by_mine if leave is Leave.ITS_LABEL else np.ones_like(by_mine)
                by_any = by_any - out
                by_label = by_label - out if label == mine else by_label
            weight = rarity * [self._embedder.salience(word) for word in words]
            whole = float(weight.sum()) or 1.0
            said[row] = weight[by_label > 0].sum() / whole
            heard[row] = weight[by_any > 0].sum() / whole
        return said, heard


class _Grams:
    """Cosine over words and pairs of words, each weighted by its rarity among the known texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        sets = [_grams(text) for text in texts]
        self._size = len(texts)
        held = Counter(gram for grams in sets for gram in grams)
        self._rarity = {gram: float(np.log1p(self._size / count)) for gram, count in held.items()}
        self._unseen = float(np.log1p(self._size))
        lengths = [self._length(grams) for grams in sets]
        listed: dict[str, list[int]] = {gram: [] for gram in held}
        for at, grams in enumerate(sets):
            for gram in grams:
                listed[gram].append(at)
        self._postings = {gram: np.array(places, np.intp) for gram, places in listed.items()}
        self._scale = (1 / np.maximum(np.array(lengths), 1e-9)).astype(np.float32)

    def similarity(self, texts: Sequence[str]) -> Matrix:
        """Every text (rows) with every known one (columns), 0 to 1."""
        found = np.zeros((len(texts), self._size), np.float32)
        for row, text in enumerate(texts):
            grams = _grams(text)
            for gram in grams:
                places = self._postings.get(gram)
                if places is not None:
                    found[row, places] += self._rarity[gram] ** 2
            found[row] *= self._scale / max(self._length(grams), 1e-9)
        return found

    def _length(self, grams: Iterable[str]) -> float:
        return float(np.sqrt(sum(self._rarity.get(gram, self._unseen) ** 2 for gram in grams)))


def _with_margin(scores: Matrix, chosen: Places) -> tuple[Matrix, Matrix]:
    """The chosen label's score, and its lead over the best other one (over nothing where there is no other)."""
    rows = np.arange(len(scores))
    own = scores[rows, chosen]
    others = scores.copy()
    others[rows, chosen] = -np.inf
    rival = np.maximum(others.max(axis=1), 0)
    return own, own - rival


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"\w+", text)))


def _grams(text: str) -> list[str]:
    words = re.findall(r"\w+", text)
    return list(dict.fromkeys([*words, *(f"{one} {other}" for one, other in itertools.pairwise(words))]))
