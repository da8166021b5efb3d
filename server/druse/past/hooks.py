"""The events that clients give their hooks, read from the spool."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from druse.model import Json, JsonObject
from druse.past.events import Event, Kind
from druse.past.tools import Known, Told, known

_PROMPTS = frozenset(("userpromptsubmit", "beforeagent", "beforesubmitprompt", "userpromptsubmitted"))
_STOPS = frozenset(("stop", "afteragent", "agentstop", "sessionend"))
_SHELL, _MCP, _EDIT = "aftershellexecution", "aftermcpexecution", "afterfileedit"
_SESSION = ("session_id", "sessionId", "conversation_id")
_LAST_SECOND = 1e11
_RESULTS = ("tool_response", "tool_output", "toolResult")
_ARGUMENTS = ("tool_input", "toolArgs")
_RUN = re.compile(r'"run_id":\s*"([^"\\]{1,80})"')


def event_of(line: Mapping[str, Any], root: str) -> Event | None:
    """The event of one line of the spool; None where it tells nothing that is kept. Raises ValueError, TypeError."""
    client, at, payload = str(line["client"]), float(line["at"]), cast("dict[str, Any]", line["event"])
    if not 0 < at < _LAST_SECOND:
        raise ValueError("its time is none")
    name = str(payload.get("hook_event_name", "")).lower()
    session = str(next((payload[key] for key in _SESSION if payload.get(key)), "")) or "unnamed"
    if payload.get("agent_id"):
        session = f"{session}/{payload['agent_id']}"  # a helper of the agent works on its own
    cwd = str(payload.get("cwd") or "")
    if name in _PROMPTS:
        key = next((payload[key] for key in ("prompt_id", "turn_id", "generation_id") if payload.get(key)), "")
        return Event(Kind.PROMPT, client, session, at, key=str(key), text=str(payload.get("prompt") or ""), cwd=cwd)
    if name in _STOPS:
        return Event(Kind.STOP, client, session, at, cwd=cwd)
    told = _told(name, payload, cwd)
    if told is None:
        return None
    call = known(client, told, root)
    if call is None:
        return None
    took = payload.get("duration_ms", payload.get("duration"))
    duration = float(took) if isinstance(took, int | float) and 0 <= took < 1e9 else None
    return Event(
        Kind.CALL,
        client,
        session,
        at - (duration or 0.0) / 1000,
        key=str(payload.get("tool_use_id") or ""),
        tool=call.tool,
        arguments=call.arguments,
        result=call.result,
        failed=call.failed,
        duration_ms=duration,
        own=call.own,
        run_id=run_named(call),
        cwd=cwd,
    )


def run_named(call: Known) -> str:
    """The run that an answer of Druse's own tools names; of those two only, as others pass on what servers say."""
    if call.own not in ("dispatch_goal", "report_outcome") or call.failed:
        return ""
    result = call.result if isinstance(call.result, dict) else {}
    found = _RUN.search(call.result) if isinstance(call.result, str) else None  # more than JSON, as with Copilot
    return str(result.get("run_id") or (found and found[1]) or call.arguments.get("run_id") or "")


def _told(name: str, payload: dict[str, Any], cwd: str) -> Told | None:
    if name == _SHELL:
        code = payload.get("exit_code")
        printed: Json = {"stdout": str(payload.get("output") or ""), "stderr": "", "exit_code": code or 0}
        return Told("bash", {"command": str(payload.get("command", ""))}, printed, bool(code), cwd=cwd)
    if name == _EDIT:
        edits = payload.get("edits")
        if not isinstance(edits, list) or len(cast("list[Any]", edits)) != 1:
            return None
        edit = cast("list[Any]", edits)[0]
        return Told("edit", {"file_path": payload.get("file_path"), **edit}, cwd=cwd)
    tool = payload.get("tool_name", payload.get("toolName"))
    if not isinstance(tool, str) or not tool:
        return None
    given: Any = next((payload[key] for key in _ARGUMENTS if key in payload), None) or {}
    arguments: JsonObject = cast("JsonObject", given) if isinstance(given, dict) else {"input": given}
    result: Any = next((payload[key] for key in (*_RESULTS, "result_json") if key in payload), None)
    mcp: Any = payload.get("mcp")
    server = str(cast("dict[str, Any]", mcp).get("server") or "") if isinstance(mcp, dict) else ""
    failed = name == "posttoolusefailure" or _failed(result)
    if name == "posttoolusefailure" or payload.get("error"):
        failed, result = True, str(payload.get("error") or payload.get("error_message") or "")
    return Told(tool, arguments, cast("Json", result), failed, server, cwd)


def _failed(result: Any) -> bool:
    """Whether an answer says itself that the call failed."""
    if not isinstance(result, dict):
        return False
    told = cast("dict[str, Any]", result)
    return bool(told.get("isError") or told.get("is_error") or told.get("error") or told.get("resultType") == "failure")
