"""opencode: `opencode.db`, SQLite; a part of a message is a call with its answer."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from druse.past.events import Event
from druse.past.reading import Odd, Tally, seconds_of, table_of
from druse.past.telling import Telling

CLIENT = "opencode"
_OWN = frozenset(
    (
        *("bash", "edit", "glob", "grep", "read", "skill", "task", "todowrite", "todoread", "webfetch", "websearch"),
        *("write", "list", "patch", "apply_patch", "multiedit", "question", "codesearch", "invalid", "lsp", "batch"),
        *("plan_enter", "plan_exit"),
    )
)
_PARTS = (
    "SELECT session.id, session.directory, message.data, part.data, part.id, part.time_created FROM part"
    " JOIN message ON message.id = part.message_id JOIN session ON session.id = part.session_id"
    " ORDER BY session.time_created, session.id, part.time_created, part.id"
)


def files(home: Path, environment: dict[str, str]) -> Iterator[Path]:
    """The database of this account."""
    share = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    yield from sorted((share / "opencode").glob("opencode*.db"))


def events(path: Path, root: str, tally: Tally) -> Iterator[Event]:
    """What the database tells."""
    telling = Telling(CLIENT, root, tally)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            for session, directory, message, part, key, at in database.execute(_PARTS):
                if session != telling.session:
                    yield from telling.end()
                    telling = Telling(CLIENT, root, tally, session=str(session))
                    telling.cwd = str(directory)
                try:
                    yield from _part(json.loads(message), json.loads(part), str(key), at, telling)
                except (Odd, ValueError, RecursionError) as odd:
                    tally.skipped[str(odd) if isinstance(odd, Odd) else "a broken row"] += 1
    except sqlite3.Error as error:
        tally.skipped[f"a database that cannot be read: {error}"[:120]] += 1
    yield from telling.end()


def _part(message: Any, part: Any, key: str, at: Any, telling: Telling) -> Iterator[Event]:
    told = table_of(part)
    if told.get("type") == "text" and table_of(message).get("role") == "user" and not told.get("synthetic"):
        text = str(told.get("text") or "")
        bare = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text  # `opencode run` quotes it
        yield telling.prompt(bare, seconds_of(at), key=key)
    elif told.get("type") == "tool":
        yield from _call(told, telling)


def _call(part: dict[str, Any], telling: Telling) -> Iterator[Event]:
    state, name, key = table_of(part.get("state")), str(part.get("tool")), str(part.get("callID") or "")
    if state.get("status") not in ("completed", "error"):
        raise Odd("a call without an answer")
    time, metadata = table_of(state.get("time")), table_of(state.get("metadata"))
    at = seconds_of(time.get("start"))
    server, mark, tool = name.partition("_")
    mcp = name not in _OWN and bool(mark)
    telling.ask(key, tool if mcp else name, state.get("input"), at, server=server if mcp else "")
    result: Any = state.get("output", state.get("error"))
    if name == "bash":
        result = {"stdout": result, "exit_code": metadata.get("exit", 0)}
    elif name == "read":
        shown = table_of(metadata.get("display"))
        result = shown.get("text", result) if not shown.get("truncated") else result
    elif name == "write" and metadata.get("exists") is False:
        result = {"type": "create"}
    yield from telling.answer(key, result, at, failed=state.get("status") == "error")
