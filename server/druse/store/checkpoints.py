"""Copies of the database while it is in use, and going back to what one of them had learned.

Going back replaces runs, learned tools, plans, notices and memory. Approvals, rules, quotas and the audit chain are
never set back: what happened has happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from druse.model import Invalid
from druse.store.database import Database, StoreFull, Transaction

_ABANDONED_SECONDS = 3600.0  # no copy takes so long: what is older was left by a process that was killed

# In the order in which rows may be put in: what is referred to comes first.
LEARNED = (
    "blob",
    "archive",
    "run",
    "call_key",
    "run_archive",
    "run_consent",
    "step",
    "user_turn",
    "tool_version",
    "notice",
    "plan",
    "feedback",
    "skill_use",
    "project_memory",
)
_KEPT = {"plan": "hash IN (SELECT plan FROM execution)"}  # rows that others speak of which are never set back


async def save(database: Database, target: Path) -> None:
    """Copy the database to a new file, whole and of one moment, while others write.

    The file is there when it is whole. Raises Invalid if it exists, StoreFull.
    """
    await asyncio.to_thread(_copy, database.path, target)


async def restore(
    database: Database,
    source: Path,
    *,
    before: Path,
    note: Callable[[Transaction, dict[str, int]], Awaitable[object]],
) -> dict[str, int]:
    """Put back what the copy had learned, in one transaction, in which `note` is called last; rows by table.

    What is replaced is kept in the new file `before`: everything, since nobody writes between the two. Raises Invalid
    where the copy is missing or not whole, or `before` exists, and StoreFull; then nothing is changed.
    """
    saved = await asyncio.to_thread(_rows, source)
    counts: dict[str, int] = {}
    async with database.transaction(durable=True) as transaction:
        await asyncio.to_thread(_copy, database.path, before)
        present = [str(row[0]) for row in await transaction.all("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = [table for table in saved if table in present]
        await transaction.execute("PRAGMA defer_foreign_keys = ON")
        for table in reversed(tables):
            kept = f" WHERE NOT ({_KEPT[table]})" if table in _KEPT else ""
            await transaction.execute(f'DELETE FROM "{table}"{kept}')
        for table in tables:
            columns, rows = saved[table]
            known = [str(row[1]) for row in await transaction.all(f'PRAGMA table_info("{table}")')]
            kept = [index for index, column in enumerate(columns) if column in known]
            names = ", ".join(f'"{columns[index]}"' for index in kept)
            marks = ", ".join("?" for _ in kept)
            for row in rows:
                await transaction.execute(
                    f'INSERT {"OR IGNORE " if table in _KEPT else ""}INTO "{table}" ({names}) VALUES ({marks})',
                    [row[index] for index in kept],
                )
            counts[table] = len(rows)
        await note(transaction, counts)
    return counts


def _copy(source: Path, target: Path) -> None:
    taken = f"Cannot save checkpoint {target.stem}: there is one of that name. Choose another."
    if target.exists():
        raise Invalid(taken)
    waiting = target.with_name(f".{target.name}.{secrets.token_hex(6)}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in target.parent.glob(".*.partial*"):
            if left.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                left.unlink(missing_ok=True)
        waiting.touch(mode=0o600)
        with contextlib.closing(sqlite3.connect(source)) as live, contextlib.closing(sqlite3.connect(waiting)) as copy:
            live.backup(copy)
        with waiting.open("rb") as file:
            os.fsync(file.fileno())
        os.link(waiting, target)  # under its name only when it is whole, and in nobody's place
    except FileExistsError as error:
        raise Invalid(taken) from error
    except (OSError, sqlite3.OperationalError) as error:
        raise StoreFull(
            f"Cannot save checkpoint {target.stem}: {error}. Nothing is kept under that name; free disk space or "
            "check the permissions of the folder."
        ) from error
    finally:
        for left in (waiting, waiting.with_name(f"{waiting.name}-journal")):
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)


def _rows(path: Path) -> dict[str, tuple[list[str], list[tuple[str | int | float | bytes | None, ...]]]]:
    if not path.exists():
        raise Invalid(f"Cannot restore checkpoint {path.stem}: there is none. List them with druse checkpoint list.")
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        _check_whole(connection, path)
        plain = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
        tables = [str(row[0]) for row in connection.execute(plain)]
        memory = sorted(table for table in tables if table.startswith("memory") and not _is_shadow(table))
        found: dict[str, tuple[list[str], list[tuple[str | int | float | bytes | None, ...]]]] = {}
        for table in [*(table for table in LEARNED if table in tables), *memory]:
            cursor = connection.execute(f'SELECT * FROM "{table}"')
            found[table] = ([str(column[0]) for column in cursor.description], cursor.fetchall())
        return found


def _check_whole(connection: sqlite3.Connection, path: Path) -> None:
    problem = "it holds no database of Druse"
    with contextlib.suppress(sqlite3.DatabaseError):
        problem = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        if problem == "ok" and connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'run'").fetchone():
            return
    raise Invalid(f"Cannot restore checkpoint {path.stem}: it is not whole ({problem}). Take another one.")


def _is_shadow(table: str) -> bool:
    return table.endswith(("_data", "_idx", "_content", "_docsize", "_config"))
