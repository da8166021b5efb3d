"""Texts as vectors: a static table of word pieces that ships inside the `wordllama` wheel; nothing is downloaded.

A vector is the mean of the vectors of a text's word pieces, scaled to length 1. The table was trained so that pieces
that carry little meaning have short vectors, so the length of a word's vector also says how much the word tells: that
is `salience`, and it takes the place of a list of stop words.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from druse.model import Invalid

Matrix: TypeAlias = "NDArray[np.float32]"

_DIMENSIONS = 256
_LONGEST = 2000  # characters of a text that count; what a tool or a goal is about stands at its beginning
_loading = threading.Lock()


@dataclass(frozen=True, slots=True)
class Vectors:
    """One row per text, each of length 1 (or 0 for an empty text), and the model that made them."""

    model: str
    rows: Matrix

    def similarity(self, others: Vectors) -> Matrix:
        """Cosine of every row of `others` (rows) with every row here (columns). Raises Invalid across models."""
        if self.model != others.model:
            raise Invalid(
                f"Cannot compare vectors of {self.model} with vectors of {others.model}: distances between models mean "
                "nothing. Build both from the texts with one model."
            )
        return others.rows @ self.rows.T


class Embedder(Protocol):
    """A model that turns texts into vectors."""

    @property
    def model(self) -> str:
        """Name, version and size of the model; vectors of two models are never compared."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors of the texts."""
        ...

    def salience(self, word: str) -> float:
        """How much a word tells, larger is more; only ratios mean something."""
        ...


class StaticEmbedder:
    """WordLlama's table. Use `default_embedder`, which loads it once per process."""

    def __init__(self, table: Any, version: str) -> None:
        self._table = table
        self._pieces: Matrix = table.embedding
        self._tokenizer: Any = table.tokenizer
        self.model = f"wordllama-{version}-{_DIMENSIONS}"
        self.salience = lru_cache(maxsize=65_536)(self._salience)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors of the texts; letter case makes no difference."""
        if not texts:
            return Vectors(self.model, np.zeros((0, _DIMENSIONS), np.float32))
        rows: Matrix = np.asarray(self._table.embed([text[:_LONGEST].lower() for text in texts]), np.float32)
        return Vectors(self.model, unit(np.nan_to_num(rows)))

    def _salience(self, word: str) -> float:
        pieces = self._tokenizer.encode(word.lower(), add_special_tokens=False).ids
        return float(np.sqrt(np.linalg.norm(self._pieces[pieces].sum(axis=0)))) if pieces else 1.0


def unit(rows: Matrix) -> Matrix:
    """Rows scaled to length 1; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), np.float32)


def default_embedder() -> Embedder:
    """The embedder that Druse uses; loaded at the first call (about 0.3 s), then kept."""
    with _loading:
        return _load()


@lru_cache(maxsize=1)
def _load() -> StaticEmbedder:
    package: Any = importlib.import_module("wordllama")
    # The wheel keeps weights and tokenizer in its own folder; told so, it looks there and never on the network.
    home = Path(str(package.__file__)).parent
    table = package.WordLlama.load(dim=_DIMENSIONS, cache_dir=home, disable_download=True)
    return StaticEmbedder(table, importlib.import_module("importlib.metadata").version("wordllama"))
