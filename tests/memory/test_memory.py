"""Project memory over a real store: the seed's table, historian, dreamer, markers, search."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from druse.memory import Notebook, dreams, marker, markers, signals_of, supersedes
from druse.model import Invalid, Run, RunStatus, Step
from druse.store import RunRecord, Store
from druse.store.memories import Memory, Source

DAY = 86400.0


class Desk:
    """A store whose clock the test owns."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = 1_000_000.0
        self.notebook = Notebook(store, "p", clock=lambda: self.now)

    async def run(self, name: str, *said: str, session: str = "", note: str = "", steps: tuple[Step, ...] = ()) -> None:
        turns = tuple(enumerate(said))
        run = Run(name, said[0] if said else "", RunStatus.OPEN, user_turns=turns, session=session, opened_at=self.now)
        async with self.store.database.transaction() as transaction:
            await self.store.runs.open(transaction, RunRecord(run), owner="test")
            for step in steps:
                await self.store.runs.add_step(transaction, name, step, now=self.now)
            await self.store.runs.close(transaction, name, RunStatus.SUCCESS, now=self.now, note=note)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncGenerator[Desk]:
    async with Store.open(tmp_path / "druse.db") as store:
        yield Desk(store)


@pytest.mark.requirement("N-20", "N-22")
async def test_the_table_has_exactly_the_seeds_columns(desk: Desk) -> None:
    rows = await desk.store.database.all("PRAGMA table_info(project_memory)")
    assert [(row[1], row[2]) for row in rows] == [
        *(("id", "INTEGER"), ("project_hash", "TEXT"), ("memory_type", "TEXT"), ("content", "TEXT")),
        *(("source_session_id", "TEXT"), ("promoted_at", "REAL"), ("relevance_score", "REAL"), ("expires_at", "REAL")),
    ]
    with pytest.raises(Invalid, match="decision, pattern, correction, architecture"):
        await desk.notebook.add("mood", "happy today", source="s")
    with sqlite3.connect(desk.store.database.path) as plain, pytest.raises(sqlite3.IntegrityError):
        plain.execute("INSERT INTO project_memory (memory_type) VALUES ('mood')")
    plain.close()


@pytest.mark.requirement("N-23", "N-24")
async def test_an_expired_memory_is_gone_at_its_time_and_there_just_before(desk: Desk) -> None:
    await desk.notebook.add("decision", "always there", source="s")
    await desk.notebook.add("pattern", "there for a day", source="s", expires_at=desk.now + DAY)
    desk.now += DAY - 1
    assert len(await desk.notebook.list()) == len(await desk.notebook.search("there")) == 2
    desk.now += 1
    assert [m.content for m in await desk.notebook.list()] == ["always there"]
    assert [m.content for m in await desk.notebook.search("there")] == ["always there"]
    desk.now += 1000 * DAY
    assert len(await desk.notebook.list()) == 1 and len(await desk.notebook.list(expired=True)) == 2


@pytest.mark.requirement("N-28")
def test_the_seeds_row_renders_to_exactly_its_marker() -> None:
    memory = Memory(1, "p", "decision", "use SQLite for state, not Redis.", "session-abc123", 0, 1)
    assert marker(memory) == {
        "role": "system",
        "content": "[MEMORY MARKER] Decision: use SQLite for state, not Redis. Source: session-abc123.",
    }
    many = [Memory(n, "p", "pattern", f"{n} " + "x" * 300, "s", 0, 1) for n in range(30)]
    chosen = markers(many)
    assert len(chosen) <= 10 and sum(len(m["content"]) for m in chosen) <= 2000
    assert len(markers([Memory(n, "p", "pattern", f"word {n}", "s", 0, 1) for n in range(30)])) == 10


@pytest.mark.requirement("N-26", "N-23")
async def test_the_historian_promotes_what_was_decided_once_each_with_its_quote(desk: Desk) -> None:
    failed = Step("shop__find", {"zip": 123}, {"message": "zip must be a string"}, failed=True)
    worked = Step("shop__find", {"zip": "123"}, {"id": 1})
    unreachable = Step("shop__get", {"id": 1}, {"message": "connection refused"}, failed=True)
    got = Step("shop__get", {"id": 2}, {"ok": 1})
    await desk.run(
        "r1",
        *(
            "Build the report. We decided to use SQLite for state, not Redis.",
            "Whenever a file is saved, run the tests.",
        ),
        session="session-1",
        note="Decision: keep one writer.",
        steps=(failed, worked, unreachable, got),
    )
    first = await desk.notebook.remember()
    assert (first.runs, first.memories) == (1, 4)
    kept = {m.memory_type: m for m in await desk.notebook.list()}
    assert "SQLite" in " ".join(m.content for m in await desk.notebook.list(memory_type="decision"))
    assert 'zip="123" works; zip=123 fails' in kept["correction"].content
    assert kept["correction"].expires_at is not None and kept["pattern"].source_session_id == "session-1"
    for memory in await desk.notebook.list():
        (source,) = await desk.store.memories.sources(memory.id)
        assert source.run_id == "r1" and source.quote and 0 <= memory.relevance_score <= 1
        assert "refused" not in memory.content  # failures of the surroundings teach nothing
    again = await desk.notebook.remember()
    assert (again.runs, again.memories) == (0, 0) and len(await desk.notebook.list()) == 4


@pytest.mark.requirement("N-26")
async def test_no_run_promotes_more_than_five(desk: Desk) -> None:
    await desk.run("r1", *(f"Decision: use tool number {n} for job {n}." for n in range(12)))
    assert (await desk.notebook.remember()).memories == 5


@pytest.mark.requirement("N-28")
async def test_a_later_decision_against_an_earlier_one_supersedes_it(desk: Desk) -> None:
    assert supersedes("use Postgres instead of SQLite", "we decided to use SQLite")
    assert not supersedes("use SQLite, not Redis", "use SQLite everywhere")
    await desk.run("r1", "Decision: use SQLite for state.", session="a")
    await desk.notebook.remember()
    await desk.run("r2", "Decision: use Postgres instead of SQLite.", session="b")
    assert (await desk.notebook.remember()).expired == 1
    assert [m.content for m in await desk.notebook.list()] == ["use Postgres instead of SQLite"]
    assert all("SQLite for state" not in m["content"] for m in await desk.notebook.markers())


@pytest.mark.requirement("N-27")
async def test_a_pattern_of_three_sessions_is_dreamt_of_and_of_two_is_not(desk: Desk) -> None:
    for number in range(3):
        assert await dreams(desk.store, "p", now=desk.now) == []
        await desk.run(f"r{number}", "Always run the linter before you commit the change.", session=f"s{number}")
        await desk.notebook.remember()
    (dream,) = await dreams(desk.store, "p", now=desk.now)
    assert dream.sessions == 3 and dream.runs == ("r0", "r1", "r2")
    assert dream.name == "run-linter-you-commit-change"
    assert len(await desk.notebook.list()) == 1


def test_questions_and_small_talk_are_no_signals() -> None:
    run = Run("r", user_turns=((0, "Should we use SQLite? Thanks. Show me the file list now."),))
    assert signals_of(run) == []


@pytest.mark.requirement("N-25")
@pytest.mark.parametrize(
    "query",
    ['"', '"a" NEAR b', "NEAR(a b)", "a*", "-a", "a AND", "(", "col:a", "^a", "{}", "'; DROP TABLE run;--", "é ü", "", "x" * 9999,
     "\x00", "²", "ⅷ", "𐍈 a", "a\u0301"],
)  # fmt: skip
async def test_any_text_is_a_query(desk: Desk, query: str) -> None:
    await desk.notebook.add("decision", "a is b", source="s")
    await desk.run("r1", "a is b")
    await desk.notebook.search(query)
    await desk.notebook.events(query)


@pytest.mark.requirement("N-25")
async def test_what_was_recorded_is_found_also_while_the_run_is_open(desk: Desk) -> None:
    step = Step("shop__find", {"name": "Lovelace"}, {"zip": "10001"})
    await desk.run("r1", "Look up a customer", note="went well", steps=(step,))
    assert [e.kind for e in await desk.notebook.events("lovelace")] == ["step"]
    assert [e.kind for e in await desk.notebook.events("customers")] == ["goal"]
    run = Run("r2", "open work", RunStatus.OPEN, opened_at=desk.now)
    async with desk.store.database.transaction() as transaction:
        await desk.store.runs.open(transaction, RunRecord(run), owner="t")
    assert [e.run_id for e in await desk.notebook.events("open")] == ["r2"]
    async with desk.store.database.transaction() as transaction:
        await desk.store.runs.add_step(transaction, "r2", Step("x", {"a": "zebra"}), now=desk.now)
    assert [e.run_id for e in await desk.notebook.events("zebra")] == ["r2"]
    await desk.store.runs.delete("r2")
    assert await desk.notebook.events("zebra") == []


async def test_two_writers_of_one_memory_keep_it_once(desk: Desk) -> None:
    made = Memory(0, "p", "decision", "use one writer", "s", desk.now, 0.7)
    numbers = await asyncio.gather(*(desk.store.memories.add(made, [Source(f"r{n}", "q")]) for n in range(5)))
    assert len(set(numbers)) == 1 and len(await desk.store.memories.sources(numbers[0])) == 5
