"""One SQLite file: opened once per process, in WAL mode, migrated by numbered scripts.

Reads go through aiosqlite, writes through the process's one `Writer`; in WAL mode neither waits for the other. Several
processes (a server, the CLI) may hold the same file. Writers wait for each other up to `BUSY_SECONDS`; an acknowledged
write survives `kill -9` of any process (WAL, synchronous=NORMAL), a durable one a power cut as well (D19).
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from druse.model import DruseError, StoreDamaged
from druse.store.writer import Row, Transaction, Value, Values, Writer

__all__ = ["BUSY_SECONDS", "Database", "Row", "StoreBusy", "StoreFull", "Transaction", "Value", "migrations"]

BUSY_SECONDS = 10.0
_AGAIN_SECONDS = 0.02  # between two tries of what SQLite does not wait for by itself

T = TypeVar("T")


class StoreBusy(DruseError):
    """Another process kept the database locked for longer than `BUSY_SECONDS`; nothing was written."""

    kind = "store_busy"


class StoreFull(DruseError):
    """The disk is full or not writable; nothing of the change under way was written."""

    kind = "store_full"


class Database:
    """The connections of this process. Use `Database.open`."""

    def __init__(self, path: Path, connection: aiosqlite.Connection) -> None:
        self.path = path
        self._connection = connection
        self._writer: Writer | None = None
        self._looking = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncGenerator[Database]:
        """Open (or create) and migrate the file. Raises StoreDamaged, StoreBusy or StoreFull."""
        _make_private(path)
        with _translated(path):
            connection = await aiosqlite.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
        try:
            database = cls(path, connection)
            with _translated(path):
                await database._prepare()
            async with Writer.open(path, busy_seconds=BUSY_SECONDS) as writer:
                database._writer = writer
                yield database
        finally:
            await connection.close()

    async def all(self, sql: str, values: Values = ()) -> list[Row]:
        """All rows of a query."""
        with _translated(self.path):
            return [tuple(row) for row in await self._connection.execute_fetchall(sql, values)]

    async def one(self, sql: str, values: Values = ()) -> Row | None:
        """The first row of a query, or None."""
        rows = await self.all(sql, values)
        return rows[0] if rows else None

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[None]:
        """All reads of this process inside the block see the database of one moment, whatever is written meanwhile."""
        async with self._looking:
            with _translated(self.path):
                await self._connection.execute("BEGIN")
            try:
                yield
            finally:
                await self._connection.execute("COMMIT")

    async def write(self, work: Callable[[Transaction], Coroutine[Any, Any, T]], *, durable: bool = False) -> T:
        """Carry out one unit of writing, committed before this returns; see `Writer.write`."""
        with _translated(self.path):
            return await self._writing.write(work, durable=durable)

    @asynccontextmanager
    async def transaction(self, *, durable: bool = False) -> AsyncGenerator[Transaction]:
        """A write transaction: committed at the end of the block, rolled back if the block raises.

        `durable` syncs the log to the disk before the block's end returns. Other writers of the process wait for the
        block; where nothing else is awaited in it, `write` is faster.
        """
        with _translated(self.path):
            async with self._writing.transaction(durable=durable) as transaction:
                yield transaction

    @property
    def commits(self) -> int:
        """How many transactions this process has committed; units that shared one count once."""
        return self._writing.commits

    @property
    def _writing(self) -> Writer:
        assert self._writer is not None, "the database is not open"
        return self._writer

    async def _prepare(self) -> None:
        await self._keep_a_log()
        for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "temp_store=MEMORY"):
            await self._connection.execute(f"PRAGMA {pragma}")
        await self._connection.execute(
            "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT"
        )
        async with self._connection.execute("SELECT number FROM migration") as cursor:
            applied = {int(row[0]) for row in await cursor.fetchall()}
        for number, name, script in migrations():
            if number not in applied:
                await self._apply(number, name, script)

    async def _keep_a_log(self) -> None:
        """Set WAL mode. Two processes that make one file at once stop each other, and SQLite does not wait here."""
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                await self._connection.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > until:
                    raise
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _apply(self, number: int, name: str, script: str) -> None:
        # A second process may be migrating at this moment: whoever comes later finds the number taken.
        await self._connection.execute("BEGIN IMMEDIATE")
        try:
            async with self._connection.execute(
                "INSERT OR IGNORE INTO migration (number, name) VALUES (?, ?)", (number, name)
            ) as cursor:
                mine = cursor.rowcount == 1
            if mine:
                for statement in _statements(script):
                    await self._connection.execute(statement)
            await self._connection.execute("COMMIT")
        except BaseException:
            await self._connection.execute("ROLLBACK")
            raise


def _make_private(path: Path) -> None:
    """The file exists, readable by its owner only, before SQLite writes to it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
    except OSError as error:
        raise StoreFull(f"Cannot make {path}: {error}. Free disk space or check the folder's permissions.") from error


def migrations() -> list[tuple[int, str, str]]:
    """Number, name and script of every migration, in order."""
    found: list[tuple[int, str, str]] = []
    for entry in files("druse.store").joinpath("migrations").iterdir():
        match = re.fullmatch(r"(\d{4})_(\w+)\.sql", entry.name)
        if match:
            found.append((int(match[1]), match[2], entry.read_text(encoding="utf-8")))
    return sorted(found)


def _statements(script: str) -> list[str]:
    """The statements of a script; triggers contain semicolons, so SQLite itself says where one ends."""
    statements: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


class _translated:
    """Turns SQLite's errors into ours: what was tried, what stopped it, what to do."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, sqlite3.Error):
            return
        code = getattr(error, "sqlite_errorname", "")
        if _is_busy(error):
            raise StoreBusy(
                f"Cannot use {self._path}: another process has kept it locked for {BUSY_SECONDS:.0f} s. "
                "Nothing was written; end that process or try again."
            ) from error
        if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise StoreDamaged(
                f"Cannot read {self._path}: {error}. It was left as it is; move it away to start afresh, or restore a "
                "copy of it.",
                first_bad=str(self._path),
            ) from error
        if code.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")):
            raise StoreFull(
                f"Cannot write {self._path}: {error}. Nothing of the change under way was written, and what came "
                "before it is kept; free disk space or check its permissions."
            ) from error
