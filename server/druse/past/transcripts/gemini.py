"""Gemini CLI: `~/.gemini/tmp/<project>/chats/session-*.jsonl`; a message is written again as its calls are answered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from druse.past.events import Event
from druse.past.reading import Tally, document_of, list_of, objects_of, seconds_of, table_of, text_of
from druse.past.telling import Telling

CLIENT = "gemini"
_DONE = frozenset(("success", "error", "cancelled"))
_MCP = re.compile(r"mcp_(?P<server>[^_]+)_(?P<tool>.+)")


def files(home: Path, environment: dict[str, str]) -> Iterator[Path]:
    """The transcripts of this account."""
    folder = Path(environment.get("GEMINI_CLI_HOME") or home) / ".gemini" / "tmp"
    yield from sorted(path for path in folder.glob("*/chats/session-*") if path.suffix in (".json", ".jsonl"))


def events(path: Path, root: str, tally: Tally) -> Iterator[Event]:
    """What one transcript tells."""
    telling = Telling(CLIENT, root, tally, session=path.stem)
    place = path.parent.parent / ".project_root"
    if place.is_file():
        telling.cwd = place.read_text(encoding="utf-8", errors="replace").strip()
    answered: set[str] = set()
    messages = _messages(path, telling, tally)
    return telling.all_of(messages, lambda message: _message(message, telling, answered, tally))


def _messages(path: Path, telling: Telling, tally: Tally) -> Iterator[dict[str, Any]]:
    lines: Iterable[dict[str, Any]] = (
        [table_of(document_of(path, tally))] if path.suffix == ".json" else objects_of(path, tally)
    )
    for line in lines:
        telling.session = str(line.get("sessionId") or telling.session)
        if "type" in line:
            yield line
        yield from (table_of(one) for one in list_of(line.get("messages")))


def _message(message: dict[str, Any], telling: Telling, answered: set[str], tally: Tally) -> Iterator[Event]:
    kind = message.get("type")
    if kind == "user":
        text = text_of(message.get("content"))
        key = str(message.get("id") or "")
        if text.strip() and not text.lstrip().startswith("<session_context>") and key not in answered:
            answered.add(key)
            yield telling.prompt(text, seconds_of(message.get("timestamp")), key=key)
    elif kind == "gemini":
        for call in map(table_of, list_of(message.get("toolCalls"))):
            key = str(call.get("id") or "")
            if call.get("status") in _DONE and key not in answered:
                answered.add(key)
                yield from _call(call, key, telling)
    elif kind not in ("info", "warning", "error"):
        tally.skipped[f"line type {str(kind)[:40]}"] += 1


def _call(call: dict[str, Any], key: str, telling: Telling) -> Iterator[Event]:
    name, at = str(call.get("name")), seconds_of(call.get("timestamp"))
    mcp = _MCP.fullmatch(name)
    telling.ask(key, mcp["tool"] if mcp else name, call.get("args"), at, server=mcp["server"] if mcp else "")
    response = table_of(
        table_of(table_of(next(iter(list_of(call.get("result"))), None)).get("functionResponse")).get("response")
    )
    failed = call.get("status") != "success" or "error" in response
    result = response.get("output", response.get("error", response))
    yield from telling.answer(key, result, at, failed=failed)
