"""Copies of the database while it is in use, and going back to what one of them had learned.

Going back replaces runs, learned tools, plans, notices and memory. Approvals, rules, quotas and the audit chain are
never set back: what happened has happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

from druse.model import Invalid
from druse.store.database import Database

# In the order in which rows may be put in: what is referred to comes first.
LEARNED = (
    "blob",
    "archive",
    "run",
    "run_archive",
    "run_consent",
    "step",
    "user_turn",
    "tool_version",
    "notice",
    "plan",
    "feedback",
    "skill_use",
)


async def save(database: Database, target: Path) -> None:
    """Copy the database to a new file, whole and of one moment, while others write. Raises Invalid if it exists."""
    await asyncio.to_thread(_copy, database.path, target)


async def restore(database: Database, source: Path) -> dict[str, int]:
    """Put back what the copy had learned, in one transaction; the number of rows by table. Raises Invalid."""
    saved = await asyncio.to_thread(_rows, source)
    counts: dict[str, int] = {}
    async with database.transaction(durable=True) as transaction:
        present = [str(row[0]) for row in await transaction.all("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = [table for table in saved if table in present]
        await transaction.execute("PRAGMA defer_foreign_keys = ON")
        for table in reversed(tables):
            await transaction.execute(f'DELETE FROM "{table}"')
        for table in tables:
            columns, rows = saved[table]
            known = [str(row[1]) for row in await transaction.all(f'PRAGMA table_info("{table}")')]
            kept = [index for index, column in enumerate(columns) if column in known]
            names = ", ".join(f'"{columns[index]}"' for index in kept)
            marks = ", ".join("?" for _ in kept)
            for row in rows:
                await transaction.execute(
                    f'INSERT INTO "{table}" ({names}) VALUES ({marks})', [row[index] for index in kept]
                )
            counts[table] = len(rows)
    return counts


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        target.touch(mode=0o600, exist_ok=False)
    except FileExistsError as error:
        raise Invalid(f"Cannot save checkpoint {target.stem}: there is one of that name. Choose another.") from error
    with contextlib.closing(sqlite3.connect(source)) as live, contextlib.closing(sqlite3.connect(target)) as copy:
        live.backup(copy)


def _rows(path: Path) -> dict[str, tuple[list[str], list[tuple[str | int | float | bytes | None, ...]]]]:
    if not path.exists():
        raise Invalid(f"Cannot restore checkpoint {path.stem}: there is none. List them with druse checkpoint list.")
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        plain = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
        tables = [str(row[0]) for row in connection.execute(plain)]
        memory = sorted(table for table in tables if table.startswith("memory") and not _is_shadow(table))
        found: dict[str, tuple[list[str], list[tuple[str | int | float | bytes | None, ...]]]] = {}
        for table in [*(table for table in LEARNED if table in tables), *memory]:
            cursor = connection.execute(f'SELECT * FROM "{table}"')
            found[table] = ([str(column[0]) for column in cursor.description], cursor.fetchall())
        return found


def _is_shadow(table: str) -> bool:
    return table.endswith(("_data", "_idx", "_content", "_docsize", "_config"))
