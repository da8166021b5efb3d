"""Nothing is stored that nothing reads: every column of the migrations stands in a query that hands it out or asks for it.

SQLite itself says what a statement reads: every statement written in the server's sources is prepared on a migrated
database whose authorizer notes the columns. Only setting a column is no reading.
"""

from __future__ import annotations

import ast
import importlib
import re
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import druse
from druse.store.database import migrations

SERVER = Path(druse.__file__).parent
NOT_OURS = re.compile(r"sqlite_|(memory_text|event_text)_|memory_text$")  # what the full-text indexes keep
WHOLE_TABLES = "checkpoints.py"  # copies every column, which is no use of any


@pytest.fixture
def database() -> Generator[sqlite3.Connection]:
    """An empty one with all its tables."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        for _, _, script in migrations():
            made.executescript(script)
        yield made


def columns(database: sqlite3.Connection) -> set[tuple[str, str]]:
    tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {
        (table, str(row[1]))
        for table in tables
        if not NOT_OURS.match(table)
        for row in database.execute(f'PRAGMA table_info("{table}")')
    }


def text_of(node: ast.AST, names: dict[str, object]) -> str | None:
    """A written text; a name in it stands for the module's constant, anything else for nothing."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = text_of(node.left, names), text_of(node.right, names)
        return None if left is None or right is None else left + right
    if not isinstance(node, ast.JoinedStr):
        return None
    parts: list[str] = []
    for part in node.values:
        value = part.value if isinstance(part, ast.FormattedValue) else part
        known = names.get(value.id) if isinstance(value, ast.Name) else getattr(value, "value", "")
        parts.append(known if isinstance(known, str) else "")
    return "".join(parts)


def statements() -> Iterator[str]:
    for path in sorted(SERVER.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if path.name == WHOLE_TABLES or not re.search(r"\b(SELECT|UPDATE|DELETE)\b", source):
            continue
        names = vars(importlib.import_module(".".join(path.relative_to(SERVER.parent).with_suffix("").parts)))
        for node in ast.walk(ast.parse(source)):
            text = text_of(node, names)
            if text and re.match(r"\s*(SELECT|UPDATE|DELETE|INSERT|WITH)\b", text):
                yield text


def read_by(database: sqlite3.Connection, sql: str) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()

    def noted(action: int, table: str | None, column: str | None, _database: str | None, _trigger: str | None) -> int:
        if action == sqlite3.SQLITE_READ:
            found.add((table or "", column or ""))
        return sqlite3.SQLITE_OK

    database.set_authorizer(noted)
    try:
        database.execute(f"EXPLAIN {sql}", [None] * sql.count("?"))
    except (sqlite3.OperationalError, sqlite3.ProgrammingError):
        pass  # a part of a statement, or of another database; the whole one is prepared where it stands
    finally:
        database.set_authorizer(None)
    return found


@pytest.mark.requirement("X-04")
def test_every_stored_column_has_a_reader(database: sqlite3.Connection) -> None:
    read: set[tuple[str, str]] = set().union(*(read_by(database, sql) for sql in statements()))
    assert sorted(columns(database) - read) == []


def test_a_column_that_is_only_written_is_found(database: sqlite3.Connection) -> None:
    assert read_by(database, "UPDATE run SET owner = 'x' WHERE id = 'a'") == {("run", "id")}
    assert ("run", "owner") in read_by(database, "SELECT owner FROM run")
