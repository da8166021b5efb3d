"""Cline: messages in Anthropic's form, in one JSON document a session."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from druse.past.events import Event
from druse.past.reading import Tally, document_of, list_of, seconds_of, table_of, text_of
from druse.past.telling import Telling

CLIENT = "cline"
_SAID = re.compile(r"<user_input[^>]*>(?P<text>[\s\S]*)</user_input>")
_TIMES = ("ts", "timestamp", "createdAt", "created_at")


def files(home: Path, environment: dict[str, str]) -> Iterator[Path]:
    """The transcripts of this account."""
    folder = Path(environment.get("CLINE_DIR") or home / ".cline") / "data"
    yield from sorted(
        (*folder.glob("sessions/*/*.messages.json"), *folder.glob("tasks/*/api_conversation_history.json"))
    )


def events(path: Path, root: str, tally: Tally) -> Iterator[Event]:
    """What one transcript tells. Messages without a time get the one of the file."""
    telling = Telling(CLIENT, root, tally, session=path.parent.name)
    document = document_of(path, tally)
    head = table_of(document)
    beside = path.with_name(f"{path.parent.name}.json")
    told_beside = table_of(document_of(beside, tally)) if beside.is_file() else head
    telling.cwd = str(told_beside.get("cwd") or told_beside.get("workspace_root") or "")
    telling.session = str(head.get("sessionId") or head.get("session_id") or telling.session)
    at = path.stat().st_mtime
    messages = enumerate(map(table_of, list_of(head.get("messages")) or list_of(document)))
    return telling.all_of(messages, lambda one: _message(one[1], one[0], at + one[0] / 1000, telling))


def _message(message: dict[str, Any], number: int, at: float, telling: Telling) -> Iterator[Event]:
    told = next((message[key] for key in _TIMES if message.get(key)), None)
    at = seconds_of(told) if told is not None else at
    blocks = [table_of(block) for block in list_of(message.get("content"))]
    for block in blocks:
        if block.get("type") == "tool_use":
            server, mark, tool = str(block.get("name")).partition("__")
            name = tool if mark else server
            given = table_of(block.get("input"))
            lines = list_of(given.get("commands"))
            if len(lines) == 1:
                given = {"command": lines[0]}
            elif lines:
                name = "several_commands"
            telling.ask(str(block.get("id")), name, given, at, server=server if mark else "")
    answers = [block for block in blocks if block.get("type") == "tool_result"]
    for block in answers:
        parts = [table_of(part) for part in list_of(block.get("content"))]
        failed = bool(block.get("is_error")) or any(part.get("success") is False for part in parts)
        result = parts[0]["result"] if len(parts) == 1 and "result" in parts[0] else block.get("content")
        yield from telling.answer(str(block.get("tool_use_id")), result, at, failed=failed)
    said = text_of(message.get("content"))
    quoted = _SAID.fullmatch(said.strip())
    text = quoted["text"] if quoted else said
    if message.get("role") == "user" and not answers and text.strip():
        yield telling.prompt(text, at, key=str(message.get("id") or number))
