"""Claude Code: `~/.claude/projects/<folder>/<session>.jsonl`, one line a message; most line types tell of no work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from druse.past.events import Event
from druse.past.reading import Tally, list_of, objects_of, seconds_of, table_of, text_of
from druse.past.telling import Telling

CLIENT = "claude-code"
_SILENT = frozenset(
    (
        *("attachment", "queue-operation", "api-request", "api-request-shape", "api-request-blob", "tools-used"),
        *("last-prompt", "atis-latch", "cost-state", "summary", "system", "file-history-snapshot", "progress"),
        *("custom-title", "ai-title", "agent-name", "pr-link", "mode", "permission-mode"),
    )
)
_NOT_SAID = ("<command-", "<local-command", "<system-reminder>", "<bash-", "Caveat:", "[Request interrupted")


def files(home: Path, environment: dict[str, str]) -> Iterator[Path]:
    """The transcripts of this account."""
    folder = Path(environment.get("CLAUDE_CONFIG_DIR") or home / ".claude") / "projects"
    yield from sorted(folder.rglob("*.jsonl"))


def events(path: Path, root: str, tally: Tally) -> Iterator[Event]:
    """What one transcript tells."""
    telling = Telling(CLIENT, root, tally, session=path.stem)
    return telling.all_of(objects_of(path, tally), lambda line: _line(line, telling, tally))


def _line(line: dict[str, Any], telling: Telling, tally: Tally) -> Iterator[Event]:
    kind = line.get("type")
    if kind in ("user", "assistant"):
        yield from _message(line, telling)
    elif kind not in _SILENT:
        tally.skipped[f"line type {str(kind)[:40]}"] += 1


def _message(line: dict[str, Any], telling: Telling) -> Iterator[Event]:
    telling.cwd = str(line.get("cwd") or telling.cwd)
    telling.session = str(line.get("sessionId") or telling.session)
    session = f"{telling.session}/{line.get('agentId') or 'side'}" if line.get("isSidechain") else ""
    at = seconds_of(line.get("timestamp"))
    message = table_of(line.get("message"))
    content = message.get("content")
    blocks = [table_of(block) for block in list_of(content)]
    if line["type"] == "assistant":
        for block in blocks:
            if block.get("type") == "tool_use":
                telling.ask(str(block.get("id")), str(block.get("name")), block.get("input"), at, session=session)
        if message.get("stop_reason") == "end_turn":
            telling.at = max(telling.at, at)
            yield telling.stop(session=session)
        return
    answers = [block for block in blocks if block.get("type") == "tool_result"]
    for block in answers:
        failed = bool(block.get("is_error"))
        # The client's own form of the result, which belongs to the only answer of a line.
        result = line.get("toolUseResult") if len(answers) == 1 and not failed else None
        yield from telling.answer(
            str(block.get("tool_use_id")),
            block.get("content") if result is None else result,
            at,
            failed=failed,
            session=session,
        )
    text = text_of(content)
    if not answers and text.strip() and not line.get("isMeta") and not line.get("isCompactSummary"):
        if text.lstrip().startswith(_NOT_SAID):
            return
        yield telling.prompt(text, at, key=str(line.get("promptId") or line.get("uuid") or ""), session=session)
