"""Commits that are shared, failures that are not, and what survives `kill -9`."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from druse.store import Database, Transaction

KEEPS_WRITING = """
import asyncio, sys
from pathlib import Path
from druse.store import Database

async def main():
    async with Database.open(Path(sys.argv[1])) as database:
        async def client(name):
            for number in range(100_000):
                async def unit(transaction):
                    await transaction.execute(
                        "INSERT INTO notice (kind, subject, text, created_at) VALUES (?, ?, '', 0)",
                        (str(name), str(number)),
                    )
                await database.write(unit)
                print(name, number, flush=True)
        async with asyncio.TaskGroup() as group:
            for name in range(8):
                group.create_task(client(name))

asyncio.run(main())
"""


async def _give(transaction: Transaction, subject: str) -> int:
    return await transaction.insert(
        "INSERT INTO notice (kind, subject, text, created_at) VALUES ('t', ?, '', 0)", (subject,)
    )


async def _held(database: Database) -> list[str]:
    return [str(row[0]) for row in await database.all("SELECT subject FROM notice ORDER BY id")]


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KEEPS_WRITING, str(tmp_path / "druse.db"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    acknowledged = [await process.stdout.readline() for _ in range(300)]
    process.send_signal(signal.SIGKILL)
    acknowledged += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    told = {tuple(line.decode().split()) for line in acknowledged if line.endswith(b"\n")}
    async with Database.open(tmp_path / "druse.db") as database:
        rows = await database.all("SELECT kind, subject FROM notice")
    assert told <= {(str(kind), str(subject)) for kind, subject in rows}


async def test_units_that_wait_together_share_one_commit(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "druse.db") as database:
        before = database.commits
        async with asyncio.TaskGroup() as group, database.transaction():
            for number in range(20):
                group.create_task(database.write(lambda t, n=number: _give(t, f"n{n}"), durable=number == 3))
            await asyncio.sleep(0)  # each hands in its unit while the block holds the writer
        assert await _held(database) == [f"n{number}" for number in range(20)]
        assert database.commits - before == 2


async def test_a_unit_that_fails_takes_no_other_along(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "druse.db") as database:

        async def broken(transaction: Transaction) -> None:
            await _give(transaction, "half")
            raise LookupError("broken")

        async def twice(transaction: Transaction) -> None:
            await _give(transaction, "a")

        async with asyncio.TaskGroup() as group, database.transaction():
            told = [
                group.create_task(_outcome(database.write(work)))
                for work in (lambda t: _give(t, "a"), broken, twice, lambda t: _give(t, "b"))
            ]
            await asyncio.sleep(0)
        assert [task.result() for task in told] == ["done", "LookupError", "IntegrityError", "done"]
        assert await _held(database) == ["a", "b"]


async def test_a_unit_whose_caller_left_before_its_turn_is_not_carried_out(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "druse.db") as database:
        before = database.commits
        async with asyncio.TaskGroup() as group, database.transaction():
            left = group.create_task(database.write(lambda t: _give(t, "left")))
            await asyncio.sleep(0)
            left.cancel()
            await asyncio.sleep(0)
        await database.write(lambda t: _give(t, "stayed"))
        assert await _held(database) == ["stayed"]
        assert database.commits - before == 2  # of the block and of what stayed


async def test_a_block_whose_caller_left_before_its_turn_holds_nobody_up(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "druse.db") as database:

        async def block() -> None:
            async with database.transaction() as transaction:
                await _give(transaction, "left")

        async with asyncio.TaskGroup() as group, database.transaction():
            left = group.create_task(block())
            await asyncio.sleep(0)
            left.cancel()
            await asyncio.sleep(0)
        await database.write(lambda t: _give(t, "stayed"))
        assert await _held(database) == ["stayed"]


async def test_a_block_that_raises_leaves_nothing_behind(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "druse.db") as database:
        with pytest.raises(LookupError):
            async with database.transaction() as transaction:
                await _give(transaction, "half")
                raise LookupError
        await database.write(lambda t: _give(t, "whole"))
        assert await _held(database) == ["whole"]


async def test_a_unit_must_not_wait_for_anything_else(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "druse.db") as database:

        async def dawdling(transaction: Transaction) -> None:
            await _give(transaction, "half")
            await asyncio.sleep(0)

        with pytest.raises(RuntimeError, match="awaited something else"):
            await database.write(dawdling)
        assert await _held(database) == []


async def test_reading_does_not_wait_for_an_open_block(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "druse.db") as database:
        async with database.transaction() as transaction, asyncio.timeout(120):
            await _give(transaction, "open")
            assert await _held(database) == []
        assert await _held(database) == ["open"]


async def test_a_log_that_was_rolled_out_is_read_by_others_and_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "druse.db"
    async with Database.open(path) as database:
        await database.write(lambda t: _give(t, "first"))
        async with asyncio.timeout(120):
            while _length(Path(f"{path}-wal")) < 2_000 * 4096:  # noqa: ASYNC110 - the writer's own pause
                await asyncio.sleep(0.02)
        for number in range(49):
            await database.write(lambda t, n=number: _give(t, f"n{n}"), durable=number % 2 == 0)
        # As a crash leaves it: the files as they are at this moment, opened by somebody else.
        for name in ("druse.db", "druse.db-wal"):
            (tmp_path / f"copy-{name}").write_bytes((tmp_path / name).read_bytes())
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT count(*) FROM notice").fetchone() == (50,)
    (tmp_path / "copy-druse.db-wal").rename(tmp_path / "copy.db-wal")
    (tmp_path / "copy-druse.db").rename(tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT count(*) FROM notice").fetchone() == (50,)
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    copy.close()


def _length(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


async def _outcome(work: Coroutine[Any, Any, Any]) -> str:
    try:
        await work
    except (LookupError, sqlite3.Error) as error:
        return type(error).__name__
    return "done"
