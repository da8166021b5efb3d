"""The one writer of a process: a connection and its thread, which commits together what waits together.

A *unit* is a function over a `Transaction`; it runs on the thread without giving way, so that a call costs one hop
instead of one a statement. Units that wait while another commit is under way share the next one: one write, and where
any of them asks for it one sync. Each stands behind a savepoint, so one that fails takes nothing else along. Nobody is
answered before the commit that holds their unit has returned (D19).

A unit is committed on the event loop itself while nothing else is under way: that is a write into the cache of the
system, and takes less than waking a thread. So does a sync on most disks of today; where the last ones took longer, the
writer's thread makes them. It is also the thread that waits for another process's lock and for the log to be moved.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeAlias, TypeVar, cast

T = TypeVar("T")
Value: TypeAlias = "str | int | float | bytes | None"
# One for each "?" in their order, or one for each ":name". Numbered ones ("?1") take no sequence from Python 3.14 on.
Values: TypeAlias = "Sequence[Value] | Mapping[str, Value]"
Row: TypeAlias = "tuple[Any, ...]"

_BATCH = 256  # units in one commit
# A durable commit that takes less is made on the event loop: waking a thread and being woken by it takes as long.
_QUICK_SECONDS = 0.0006
# Moving the log into the database takes several syncs. It waits for a pause, or for a log of this many pages.
_PAUSE_SECONDS = 0.25
_LOG_PAGES = 2000
_PAGE_BYTES = 4096
_UNITS_IN_LOG = 250  # a unit changes some eight pages: about as many as the log has


class Transaction:
    """Statements that land together or not at all."""

    def __init__(self, connection: sqlite3.Connection, session: _Session | None = None) -> None:
        self._connection = connection
        self._session = session  # None: on the writer's own thread already

    async def execute(self, sql: str, values: Values = ()) -> int:
        """Run one statement; the number of rows it changed."""
        if self._session is None:
            return self._connection.execute(sql, values).rowcount
        return await self._there(lambda: self._connection.execute(sql, values).rowcount)

    async def insert(self, sql: str, values: Values = ()) -> int:
        """Run one INSERT; the row id it got."""
        return await self._there(lambda: self._connection.execute(sql, values).lastrowid or 0)

    async def execute_many(self, sql: str, rows: Iterable[Values]) -> None:
        """Run one statement for each row."""
        await self._there(lambda: self._connection.executemany(sql, rows))

    async def all(self, sql: str, values: Values = ()) -> list[Row]:
        """All rows, as the transaction sees them."""
        if self._session is None:
            return self._connection.execute(sql, values).fetchall()
        return await self._there(lambda: self._connection.execute(sql, values).fetchall())

    async def one(self, sql: str, values: Values = ()) -> Row | None:
        """The first row, or None."""
        rows = await self.all(sql, values)
        return rows[0] if rows else None

    async def _there(self, statement: Callable[[], T]) -> T:
        return statement() if self._session is None else await self._session.run(statement)


@dataclass(slots=True)
class _Unit:
    work: Callable[[Transaction], Coroutine[Any, Any, Any]]
    durable: bool
    answer: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


@dataclass(slots=True)
class _Session:
    """A transaction whose statements come one by one, from a block on the event loop."""

    durable: bool
    loop: asyncio.AbstractEventLoop
    begun: asyncio.Future[Any]
    jobs: SimpleQueue[tuple[Callable[[], Any] | str, asyncio.Future[Any]]] = field(
        default_factory=SimpleQueue[tuple[Callable[[], Any] | str, asyncio.Future[Any]]]
    )

    async def run(self, job: Callable[[], T]) -> T:
        """Carry out one statement on the thread."""
        answer: asyncio.Future[Any] = self.loop.create_future()
        self.jobs.put((job, answer))
        return cast("T", await answer)

    async def end(self, how: str) -> None:
        """End the transaction: COMMIT or ROLLBACK."""
        answer: asyncio.Future[Any] = self.loop.create_future()
        self.jobs.put((how, answer))
        await answer


class _Wake:
    """Tells the thread that something was committed without it, so that it looks for a pause to move the log in."""


class Writer:
    """Takes units and sessions in the order they came. Use `Writer.open`."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, loop: asyncio.AbstractEventLoop, busy_seconds: float
    ) -> None:
        self._path = path
        self._busy_ms = int(busy_seconds * 1000)
        self._connection = connection
        self._loop = loop
        self._queue: SimpleQueue[_Unit | _Session | _Wake | None] = SimpleQueue()
        self._under_way = 0  # handed to the thread and not told yet; only the event loop counts
        self._turn = Lock()  # whoever has it may use the connection
        self._dirty = False  # something was committed since the log was last moved
        self._logged = 0  # units since then
        self._restarted = True  # the next commit begins the log anew, which syncs its head
        self._rolled_out = os.name != "posix"
        # What a durable commit takes: half the last one, a quarter the one before.
        self._durable_seconds = 2 * _QUICK_SECONDS
        self._thread = Thread(target=self._serve, name="druse-writer", daemon=True)
        self.commits = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, *, busy_seconds: float) -> AsyncGenerator[Writer]:
        """The writer of the file at `path` until the block ends; what was handed in by then is carried out."""
        connection = await asyncio.to_thread(
            sqlite3.connect, path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
        )
        writer = cls(path, connection, asyncio.get_running_loop(), busy_seconds)
        try:
            await asyncio.to_thread(writer._settle)
            writer._thread.start()
            yield writer
        finally:
            if writer._thread.is_alive():
                writer._queue.put(None)
                await asyncio.shield(asyncio.to_thread(writer._thread.join))
            connection.close()

    async def write(self, work: Callable[[Transaction], Coroutine[Any, Any, T]], *, durable: bool = False) -> T:
        """Carry out one unit and commit it; its result.

        The unit awaits nothing but its transaction. `durable` has the log synced to the disk before this returns. A
        cancelled caller's unit is carried out all the same, unless its turn had not come yet.
        """
        here = not self._under_way and not self._restarted
        if here and (not durable or self._durable_seconds < _QUICK_SECONDS) and self._turn.acquire(blocking=False):
            try:
                with self._synced(durable=durable):
                    if self._begun_at_once():
                        return self._committed(work, durable=durable)
            finally:
                self._turn.release()
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._under_way += 1
        self._queue.put(_Unit(work, durable, answer))
        return cast("T", await answer)

    def _begun_at_once(self) -> bool:
        """Whether a transaction was begun without waiting: not where another process writes at this moment."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False  # the thread waits for its turn, and says so if that does not come
        return True

    def _committed(self, work: Callable[[Transaction], Coroutine[Any, Any, T]], *, durable: bool) -> T:
        try:
            result = _driven(work(Transaction(self._connection)))
            self._commit_now(durable=durable)
        except BaseException:
            self._roll_back()
            raise
        self.commits += 1
        self._logged += 1
        if not self._dirty or self._logged == _UNITS_IN_LOG:
            self._dirty = True
            self._queue.put(_Wake())
        return result

    def _commit_now(self, *, durable: bool) -> None:
        began = time.perf_counter()
        self._connection.execute("COMMIT")
        if durable:
            self._durable_seconds = (self._durable_seconds + time.perf_counter() - began) / 2

    @asynccontextmanager
    async def transaction(self, *, durable: bool = False) -> AsyncGenerator[Transaction]:
        """A block whose statements land together: committed at its end, rolled back if it raises."""
        session = _Session(durable, self._loop, self._loop.create_future())
        self._under_way += 1
        self._queue.put(session)
        try:
            await session.begun
        except asyncio.CancelledError:
            session.jobs.put(("ROLLBACK", self._loop.create_future()))
            raise
        try:
            yield Transaction(self._connection, session)
        except BaseException:
            await asyncio.shield(session.end("ROLLBACK"))
            raise
        await asyncio.shield(session.end("COMMIT"))

    # on the thread

    def _settle(self) -> None:
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute("PRAGMA foreign_keys=ON")
        self._connection.execute("PRAGMA temp_store=MEMORY")
        self._connection.execute("PRAGMA wal_autocheckpoint=0")  # done here, and never by a commit of the event loop
        self._connection.execute("PRAGMA busy_timeout=0")  # on the event loop; the thread waits

    def _serve(self) -> None:
        held: _Unit | _Session | _Wake | None = None  # taken from the queue while a batch was gathered
        while True:
            if self._logged >= _UNITS_IN_LOG:
                self._move_log()
            job = held or self._next()
            held = None
            if job is None:
                return
            if isinstance(job, _Wake):
                continue
            if isinstance(job, _Session):
                with self._waiting_turn():
                    self._lend(job)
                self._tell(self._over)
                continue
            batch = [job]
            while len(batch) < _BATCH:
                try:
                    more = self._queue.get_nowait()
                except Empty:
                    break
                if isinstance(more, _Unit):
                    batch.append(more)
                    continue
                held = more
                if more is None:
                    self._queue.put(None)
                break
            with self._waiting_turn():
                self._carry_out(batch)

    def _next(self) -> _Unit | _Session | _Wake | None:
        while self._dirty:
            before = self.commits
            try:
                return self._queue.get(timeout=_PAUSE_SECONDS)
            except Empty:
                if self.commits == before:
                    self._move_log()
        return self._queue.get()

    @contextlib.contextmanager
    def _waiting_turn(self) -> Generator[None]:
        """The use of the connection, by the thread, which may wait for other processes."""
        with self._turn:
            self._connection.execute(f"PRAGMA busy_timeout={self._busy_ms}")
            try:
                yield
            finally:
                self._connection.execute("PRAGMA busy_timeout=0")

    def _move_log(self) -> None:
        with self._waiting_turn():
            self._dirty, self._logged, self._restarted = False, 0, True
            with contextlib.suppress(sqlite3.Error):  # another process may be at it; the next pause comes
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            if not self._rolled_out:
                self._rolled_out = True
                self._roll_out()

    def _roll_out(self) -> None:
        """Make the log's file as long as it gets, so that syncing it later has no new length to note down.

        On a journaling file system that halves the time of a durable commit, and more where others write as well.
        SQLite reads a log up to the last frame whose checksum and salt are right; what lies behind is of no account.
        """
        with contextlib.suppress(sqlite3.Error, OSError):  # then commits take a little longer, nothing else
            # Within a write transaction nobody, in any process, adds to the log.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                with open(f"{self._path}-wal", "r+b") as file:  # noqa: PTH123 - the path of the database with a suffix
                    missing = _LOG_PAGES * _PAGE_BYTES - file.seek(0, os.SEEK_END)
                    file.write(bytes(max(0, missing)))
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                self._roll_back()

    def _carry_out(self, handed: Sequence[_Unit]) -> None:
        batch = [unit for unit in handed if not unit.answer.cancelled()]
        if batch:
            self._commit(batch)

        def told() -> None:
            self._under_way -= len(handed)
            for unit in batch:
                _settled(unit.answer, unit.result, unit.error)

        self._tell(told)

    def _commit(self, batch: Sequence[_Unit]) -> None:
        """Carry out units in one transaction; how that went stands in each."""
        try:
            durable = any(unit.durable for unit in batch)
            with self._synced(durable=durable):
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    for unit in batch:
                        self._run(unit)
                    self._commit_now(durable=durable)
                except BaseException:
                    self._roll_back()
                    raise
            self._note(len(batch))
        except BaseException as error:  # handed to whoever waits
            for unit in batch:
                unit.error = unit.error or error

    def _over(self) -> None:
        self._under_way -= 1

    def _note(self, units: int) -> None:
        self._dirty, self._restarted = True, False
        self._logged += units
        self.commits += 1

    def _run(self, unit: _Unit) -> None:
        self._connection.execute("SAVEPOINT unit")
        try:
            unit.result = _driven(unit.work(Transaction(self._connection)))
        except BaseException as error:  # handed to whoever waits
            unit.error = error
            if not self._connection.in_transaction:
                raise  # the whole transaction is gone, as after a full disk
            self._connection.execute("ROLLBACK TO unit")
        self._connection.execute("RELEASE unit")

    def _lend(self, session: _Session) -> None:
        """Serve one block's statements until it ends."""
        with self._synced(durable=session.durable):
            if not self._answer(session.begun, lambda: self._connection.execute("BEGIN IMMEDIATE")):
                return
            while True:
                job, answer = session.jobs.get()
                if not isinstance(job, str):
                    self._answer(answer, job)
                elif job == "COMMIT":
                    if not self._answer(answer, lambda: self._connection.execute("COMMIT")):
                        self._roll_back()
                    self._note(1)
                    return
                else:
                    self._roll_back()
                    self._tell(lambda answer=answer: _settled(answer, None, None))
                    return

    @contextlib.contextmanager
    def _synced(self, *, durable: bool) -> Any:
        if not durable:
            yield
            return
        self._connection.execute("PRAGMA synchronous=FULL")
        try:
            yield
        finally:
            self._connection.execute("PRAGMA synchronous=NORMAL")

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _answer(self, answer: asyncio.Future[Any], job: Callable[[], Any]) -> bool:
        """Carry out one statement and tell its result; whether it went well."""
        result, problem = None, None
        try:
            result = job()
        except BaseException as error:  # handed to whoever waits
            problem = error
        self._tell(lambda: _settled(answer, result, problem))
        return problem is None

    def _tell(self, news: Callable[[], Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(news)


def _driven(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that awaits nothing that takes time."""
    try:
        work.send(None)
    except StopIteration as finished:
        return cast("T", finished.value)
    work.close()
    raise RuntimeError("A unit of writing awaited something else than its transaction.")


def _settled(answer: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
