"""Codex: `~/.codex/sessions/Y/M/D/rollout-*.jsonl`, one `{timestamp, type, payload}` a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from druse.past.events import Event
from druse.past.reading import Tally, objects_of, seconds_of, table_of, text_of
from druse.past.telling import Telling

CLIENT = "codex"
_SILENT = frozenset(("world_state", "token_usage_record", "compacted", "ghost_snapshot", "inter_agent_communication"))
_NOT_SAID = re.compile(r"\s*(?:<[a-z_]+>|# AGENTS\.md)")
_CALLS = frozenset(("function_call", "custom_tool_call", "local_shell_call", "mcp_tool_call"))
_ANSWERS = frozenset(("function_call_output", "custom_tool_call_output", "mcp_tool_call_output"))
_HEADED = re.compile(r"\A(?:Wall time: [^\n]*\n)(?:[^\n]*\n)*?Output:\n(?P<body>[\s\S]*)\Z")


def files(home: Path, environment: dict[str, str]) -> Iterator[Path]:
    """The transcripts of this account."""
    folder = Path(environment.get("CODEX_HOME") or home / ".codex")
    for part in ("sessions", "archived_sessions"):
        yield from sorted((folder / part).rglob("*.jsonl"))


def events(path: Path, root: str, tally: Tally) -> Iterator[Event]:
    """What one transcript tells."""
    telling = Telling(CLIENT, root, tally, session=path.stem)
    return telling.all_of(objects_of(path, tally), lambda line: _line(line, telling, tally))


def _line(line: dict[str, Any], telling: Telling, tally: Tally) -> Iterator[Event]:
    kind, payload = line.get("type"), table_of(line.get("payload"))
    if kind == "session_meta":
        telling.session = str(payload.get("id") or payload.get("session_id") or telling.session)
        telling.cwd = str(payload.get("cwd") or telling.cwd)
    elif kind == "turn_context":
        telling.cwd = str(payload.get("cwd") or telling.cwd)
    elif kind == "event_msg":
        if payload.get("type") in ("task_complete", "turn_complete") and telling.at:
            yield telling.stop()
    elif kind == "response_item":
        yield from _item(payload, seconds_of(line.get("timestamp")), telling)
    elif kind not in _SILENT:
        tally.skipped[f"line type {str(kind)[:40]}"] += 1


def _item(item: dict[str, Any], at: float, telling: Telling) -> Iterator[Event]:
    kind, key = item.get("type"), str(item.get("call_id") or item.get("id") or "")
    if kind == "message" and item.get("role") == "user":
        text = text_of(item.get("content"))
        told = table_of(item.get("internal_chat_message_metadata_passthrough"))
        if text.strip() and not _NOT_SAID.match(text):
            yield telling.prompt(text, at, key=str(told.get("turn_id") or item.get("id") or ""))
    elif kind in _CALLS:
        space = str(item.get("namespace") or "")
        server = space.removeprefix("mcp__") if space.startswith("mcp__") else ""
        telling.ask(key, str(item.get("name") or "local_shell"), _given(item), at, server=server)
    elif kind in _ANSWERS:
        output = item.get("output")
        told = table_of(output)
        content = told.get("content", told.get("output")) if told else output
        failed = told.get("success") is False
        yield from telling.answer(key, _bare(content), at, failed=failed)


def _given(item: dict[str, Any]) -> Any:
    action = table_of(item.get("action"))
    if action:
        return {"command": action.get("command"), "workdir": action.get("working_directory")}
    given = item.get("arguments", item.get("input"))
    try:
        return json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError):
        return given


def _bare(output: Any) -> Any:
    """An MCP answer without the time that Codex writes above it."""
    text = text_of(output) if isinstance(output, list) else output
    headed = _HEADED.match(text) if isinstance(text, str) and "exited with code" not in text[:300] else None
    return headed["body"] if headed else text
