"""Search over recorded events and over memories: right, whatever the words, and quick in a large store."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from druse.memory import Notebook
from druse.model import Run, RunStatus, Step
from druse.store import RunRecord, Store
from druse.store.ranked import words_of

_WORDS = [
    f"{a}{b}" for a in "ba ce di fo gu hy ka le mi no pu ro sa te vi wo xa ze".split() for b in map(str, range(400))
]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncGenerator[Store]:
    async with Store.open(tmp_path / "druse.db") as store:
        yield store


def _fill(path: Path, texts: list[str]) -> None:
    database = sqlite3.connect(path)
    database.execute(
        "INSERT INTO run (id, goal, shape, status, source, domain, task, session, client, owner, mode, inputs, opened_at,"
        " touched_at) VALUES ('r', '', '', 'success', '', '', '', '', '', '', '', '{}', 1, 1)"
    )
    database.execute("UPDATE event_scan SET steps = 0, complete = 1")
    rows = list(enumerate(texts, 1))
    database.executemany("INSERT INTO event VALUES (?, 'r', ?, 'step', 1)", ((n, n) for n, _ in rows))
    database.executemany("INSERT INTO event_text (rowid, content) VALUES (?, ?)", rows)
    database.commit()
    database.close()


def _texts(dice: random.Random, count: int) -> list[str]:
    weights = [1 / (rank + 1) for rank in range(len(_WORDS))]
    words = iter(dice.choices(_WORDS, weights=weights, k=count * 20))
    return [" ".join(next(words) for _ in range(20)) for _ in range(count)]


async def test_the_bounded_search_ranks_as_a_full_ranking_does(store: Store) -> None:
    dice = random.Random(7)
    texts = _texts(dice, 6000)
    _fill(store.database.path, texts)
    agreed = total = 0
    for _ in range(60):
        query = " ".join(dice.choices(_WORDS, weights=[1 / (r + 1) for r in range(len(_WORDS))], k=dice.randint(1, 5)))
        found = [e.position for e in await store.events.search(query)]
        full = await store.database.all(
            "SELECT rowid, rank FROM event_text WHERE event_text MATCH ? ORDER BY rank",
            (" OR ".join(f'"{word}"' for word in words_of(query)),),
        )
        score = {int(row): float(rank) for row, rank in full}
        tenth = sorted(score.values())[: len(found)][-1] if found else 0.0
        assert len(found) == min(10, len(full))
        agreed += sum(score[number] <= tenth * 0.97 for number in found)  # 3 %: our lengths are in characters
        total += len(found)
    assert agreed / total >= 0.9


@pytest.mark.requirement("N-25")
async def test_100_000_events_are_searched_in_under_50_ms(store: Store) -> None:
    dice = random.Random(3)
    _fill(store.database.path, _texts(dice, 100_000))
    notebook = Notebook(store, "p", clock=lambda: 1.0)
    taken: list[float] = []
    for number in range(24):
        frequent = number % 4 == 0
        query = " ".join(dice.choices(_WORDS[:20] if frequent else _WORDS, k=4))
        rounds: list[float] = []
        for _ in range(3):  # the least of three: others use this machine as well
            began = time.perf_counter()
            assert len(await notebook.events(query)) == 10
            rounds.append(time.perf_counter() - began)
        taken.append(min(rounds))
    assert sorted(taken)[22] < 0.05, sorted(taken)[-5:]


@pytest.mark.requirement("N-25")
async def test_words_of_any_script_and_after_line_breaks_and_in_large_results_are_found(store: Store) -> None:
    run = Run("r1", "look", RunStatus.SUCCESS, opened_at=1.0, closed_at=2.0)
    steps = (
        Step("shop__find", {"name": "Müller"}, {"text": 'first line\nsecond "quoted" 東京 😀 C:\\new'}),
        Step("shop__dump", {}, {"head": "needle", "rest": "x" * 9000}),
    )

    async def record(transaction: object) -> None:
        await store.runs.open(transaction, RunRecord(run), owner="t")  # type: ignore[arg-type]
        for step in steps:
            await store.runs.add_step(transaction, "r1", step, now=1.0)  # type: ignore[arg-type]

    await store.database.write(record)
    notebook = Notebook(store, "p", clock=lambda: 1.0)
    for query in ("müller", "MULLER", "second", "quoted", "東京", "new"):
        assert [e.position for e in await notebook.events(query)] == [0], query
    assert [e.position for e in await notebook.events("needle")] == [1]


@pytest.mark.requirement("N-25")
async def test_equal_events_come_newest_first_and_only_the_projects_own_memories_are_found(store: Store) -> None:
    _fill(store.database.path, ["the same words"] * 9000)
    assert [e.position for e in await store.events.search("same words", limit=3)] == [9000, 8999, 8998]
    assert len(await store.events.search("same", limit=100_000)) == 1000
    mine, other = (Notebook(store, name, clock=lambda: 5.0) for name in ("mine", "other"))
    for number in range(600):
        await other.add("decision", f"use sqlite everywhere {number}", source="s")
    kept = await mine.add("decision", "use sqlite for state", source="s")
    gone = await mine.add("decision", "use sqlite for nothing", source="s", expires_at=4.0)
    assert [m.id for m in await mine.search("sqlite")] == [kept.id] and gone.id != kept.id
