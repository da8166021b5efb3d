"""`scripts/bench skills`: which skills fit a query, by words (FTS5, the default) and with embeddings, labelled.

The shipped set has 50 skills and 70 queries, written by hand by whoever wrote the index: read differences, not heights.
`--file F` takes another: lines of `{"skill", "description", "keywords", "body"}` and of `{"query", "skills": [...]}`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

from druse.skills import ByMeaning, Labelled, Skill, SkillDocument, SkillIndex, by_words, labelled_queries


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/bench skills", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--file", type=Path, help="another labelled set")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    labelled = _read(options.file) if options.file else labelled_queries()
    found = {
        "skills": len(labelled.skills),
        "queries": len(labelled.queries),
        "words": measured(by_words(labelled.skills), labelled),
        "embeddings": measured(ByMeaning(labelled.skills), labelled),
    }
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{found['skills']} skills, {found['queries']} queries")
    for name in ("words", "embeddings"):
        print(f"{name:>10}: " + ", ".join(f"{key} {value:.3f}" for key, value in found[name].items()))


def measured(index: SkillIndex, labelled: Labelled) -> dict[str, float]:
    """Recall at 1 and 5, mean reciprocal rank, and the median time of one search."""
    ones: list[float] = []
    fives: list[float] = []
    ranks: list[float] = []
    taken: list[float] = []
    for query, right in labelled.queries:
        began = time.perf_counter()
        names = [found.rpartition("/")[2] for found, _ in index.search(query, limit=5)]
        taken.append((time.perf_counter() - began) * 1000)
        ones.append(len(right & {*names[:1]}) / len(right))
        fives.append(len(right & {*names}) / len(right))
        ranks.append(next((1 / place for place, name in enumerate(names, 1) if name in right), 0.0))
    index.close()
    return {
        "recall@1": statistics.mean(ones),
        "recall@5": statistics.mean(fives),
        "mrr@5": statistics.mean(ranks),
        "median_ms": statistics.median(taken),
    }


def _read(path: Path) -> Labelled:
    rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    skills: list[Skill] = []
    for row in rows:
        if "skill" in row:
            made = SkillDocument(row["skill"], row["description"], row.get("body", ""))
            made = made.with_own(keywords=row.get("keywords", ""))
            skills.append(Skill(made.name, made.description, made.body, "labelled", document=made))
    return Labelled(tuple(skills), tuple((r["query"], frozenset(r["skills"])) for r in rows if "query" in r))
