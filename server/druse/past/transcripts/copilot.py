"""Copilot CLI: `~/.copilot/session-state/<id>/events.jsonl`, one event a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from druse.past.events import Event
from druse.past.reading import Tally, objects_of, seconds_of, table_of
from druse.past.telling import Telling

CLIENT = "copilot"
_SILENT = (
    "session.",
    "assistant.",
    "system.",
    "permission.",
    "hook.",
    "subagent.",
    "skill.",
    "tool.",
    "user.",
    "abort",
)
_TRAILER = re.compile(r"\n?<(?:shellId: \S+ completed|exited|command completed)[^>\n]*exit code -?\d+>\s*\Z")


def files(home: Path, environment: dict[str, str]) -> Iterator[Path]:
    """The transcripts of this account."""
    folder = Path(environment.get("COPILOT_HOME") or home / ".copilot") / "session-state"
    yield from sorted((*folder.glob("*/events.jsonl"), *folder.glob("*.jsonl")))


def events(path: Path, root: str, tally: Tally) -> Iterator[Event]:
    """What one transcript tells."""
    telling = Telling(CLIENT, root, tally, session=path.parent.name)
    return telling.all_of(objects_of(path, tally), lambda line: _line(line, telling, tally))


def _line(line: dict[str, Any], telling: Telling, tally: Tally) -> Iterator[Event]:
    kind, data = str(line.get("type")), table_of(line.get("data"))
    key = str(data.get("toolCallId") or "")
    if kind in ("session.start", "session.resume", "session.context_changed"):
        context = table_of(data.get("context")) or data
        telling.session = str(data.get("sessionId") or telling.session)
        telling.cwd = str(context.get("cwd") or telling.cwd)
    elif kind == "user.message":
        text = str(data.get("content") or "")
        if text.strip():
            yield telling.prompt(
                text, seconds_of(line.get("timestamp")), key=str(data.get("messageId") or line.get("id"))
            )
    elif kind == "tool.execution_start":
        server = str(data.get("mcpServerName") or "")
        tool = str(data.get("mcpToolName") or data.get("toolName"))
        telling.ask(key, tool, data.get("arguments"), seconds_of(line.get("timestamp")), server=server)
    elif kind == "tool.execution_complete":
        failed = data.get("success") is False
        yield from telling.answer(key, _result(data), seconds_of(line.get("timestamp")), failed=failed)
    elif kind == "session.shutdown" and telling.at:
        yield telling.stop()
    elif not kind.startswith(_SILENT):
        tally.skipped[f"line type {kind[:40]}"] += 1


def _result(data: dict[str, Any]) -> Any:
    shell, result = table_of(data.get("shellExecution")), table_of(data.get("result"))
    content = result.get("content", table_of(data.get("error")).get("message", ""))
    if shell:
        return {"stdout": _TRAILER.sub("", str(content)), "exit_code": shell.get("exitCode", 0)}
    return result.get("structuredContent", content)
