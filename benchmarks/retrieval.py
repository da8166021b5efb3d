"""Tool retrieval: our index and plain FTS5 on the same documents, queries and judgements, in the same run.

Files are JSON lines. Documents: `id`, `name`, `text`, and where known `server`, `server_desc`, `params`, `enums`.
Queries: `id`, `text`. Judgements: `q`, `doc`, and `rel` (1 where absent).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from druse.model import Invalid
from druse.retrieval.embedding import default_embedder
from druse.retrieval.index import EXACT_UP_TO, HybridIndex
from druse.retrieval.sentences import sentence_embedder
from druse.store.search import Document, SearchIndex

Search = Callable[[str], list[str]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench retrieval", description=__doc__)
    for name in ("docs", "queries", "qrels"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--grow", type=int, default=0, metavar="N", help="repeat the documents up to N, for time only")
    parser.add_argument("--json", action="store_true", dest="as_json")
    chosen = parser.parse_args()
    documents = [document_of(row) for row in rows(chosen.docs)]
    judged: dict[str, dict[str, float]] = defaultdict(dict)
    for row in rows(chosen.qrels):
        judged[str(row["q"])][str(row["doc"])] = float(row.get("rel", 1))
    queries = [(str(row["id"]), str(row["text"])) for row in rows(chosen.queries) if str(row["id"]) in judged]
    if chosen.grow:
        documents = grown(documents, chosen.grow)
    started = time.perf_counter()
    hybrid, plain = HybridIndex(documents, default_embedder()), SearchIndex(documents)
    built = time.perf_counter() - started
    found = {
        "default": measure(lambda query: [item for item, _ in hybrid.search(query)], queries, judged),
        **extra(documents, queries, judged),
        "fts5": measure(lambda query: [item for item, _ in plain.search(query)], queries, judged),
    }
    if chosen.as_json:
        print(json.dumps(found))
        return
    print(f"{len(documents)} documents, {len(queries)} queries, {hybrid.vectors.model}, built in {built:.1f} s")
    for name, row in found.items():
        print(f"{name:8}", "  ".join(f"{key} {value:.4f}" for key, value in row.items()))


def extra(
    documents: list[Document], queries: list[tuple[str, str]], judged: dict[str, dict[str, float]]
) -> dict[str, dict[str, float]]:
    """The row of `druse[minilm]`; said on stderr and left out where that is not installed."""
    try:
        index = HybridIndex(documents, default_embedder(), sentences=sentence_embedder())
    except Invalid as missing:
        print(f"no row `minilm`: {missing}", file=sys.stderr)
        return {}
    if index.meanings is None:
        print(f"no row `minilm`: it ranks up to {EXACT_UP_TO} documents", file=sys.stderr)
        return {}
    return {"minilm": measure(lambda query: [item for item, _ in index.search(query)], queries, judged)}


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def document_of(row: dict[str, Any]) -> Document:
    words = [str(word) for key in ("params", "enums") for word in row.get(key) or ()]
    name = f"{row.get('server') or ''} {row.get('name') or row['id']}".strip()
    text = f"{row.get('text') or ''} {row.get('server_desc') or ''}".strip()
    return Document(str(row["id"]), "tool", name, text, " ".join(words))


def grown(documents: list[Document], size: int) -> list[Document]:
    """The same documents again under other ids and with words of their neighbours, until there are `size`."""
    more = list(documents)
    while len(more) < size:
        turn, at = divmod(len(more), len(documents))
        one, other = documents[at], documents[(at * 7 + turn * 13) % len(documents)]
        more.append(Document(f"{one.id}~{turn}", one.kind, f"{one.name} {turn}", f"{one.text} {other.name}"))
    return more[:size]


def measure(search: Search, queries: list[tuple[str, str]], judged: dict[str, dict[str, float]]) -> dict[str, float]:
    gains, first, five, reciprocal, times = ([] for _ in range(5))
    for query, text in queries:
        started = time.perf_counter()
        ranked = search(text)
        times.append((time.perf_counter() - started) * 1000)
        wanted = {doc: value for doc, value in judged[query].items() if value > 0}
        if not wanted:
            continue
        best = sum(v / math.log2(at + 2) for at, v in enumerate(sorted(wanted.values(), reverse=True)[:10]))
        gains.append(sum(wanted.get(doc, 0) / math.log2(at + 2) for at, doc in enumerate(ranked[:10])) / best)
        first.append(len(wanted.keys() & set(ranked[:1])) / len(wanted))
        five.append(len(wanted.keys() & set(ranked[:5])) / len(wanted))
        reciprocal.append(next((1 / (at + 1) for at, doc in enumerate(ranked[:10]) if doc in wanted), 0.0))
    times.sort()
    summary = {"ndcg@10": gains, "recall@1": first, "recall@5": five, "mrr": reciprocal}
    return {
        **{name: round(statistics.fmean(values), 4) if values else 0.0 for name, values in summary.items()},
        "p95_ms": round(times[min(len(times) - 1, int(len(times) * 0.95))], 3) if times else 0.0,
    }
