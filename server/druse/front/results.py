"""Outcomes as MCP results: complete text and complete structured content, since clients show the model either one."""

from __future__ import annotations

import json
from typing import Any

from druse.model import Json, JsonObject, Outcome, OutcomeStatus


def payload_of(outcome: Outcome) -> JsonObject:
    """The outcome as one JSON object: an object result as it is, anything else under `result`."""
    if outcome.ok:
        if outcome.structured is not None:
            return outcome.structured
        return outcome.data if isinstance(outcome.data, dict) else {"result": outcome.data}
    if outcome.status is OutcomeStatus.DIVERGED and isinstance(outcome.data, dict):
        return outcome.data
    payload: JsonObject = {"status": str(outcome.status), "message": outcome.message}
    if outcome.kind:
        payload["kind"] = outcome.kind
    if outcome.approval_id:
        payload["approval_id"] = outcome.approval_id
        payload["approve_with"] = f"druse approvals approve {outcome.approval_id}"
    if outcome.status is OutcomeStatus.ERROR and outcome.data is not None:
        payload["result"] = outcome.data
    payload.update(outcome.details)
    return payload


def wire_of(outcome: Outcome) -> JsonObject:
    """A `CallToolResult` as JSON. Content of an upstream (images, resources) passes through unchanged."""
    payload = payload_of(outcome)
    if outcome.content is not None and outcome.status in (OutcomeStatus.OK, OutcomeStatus.ERROR):
        plain = all(block.get("type") == "text" for block in outcome.content)
        return {
            "content": list[Json](outcome.content),
            # Clients that show only structured content must not lose an image: then there is none.
            **({"structuredContent": payload} if plain else {}),
            "isError": not outcome.ok,
        }
    text: JsonObject = {"type": "text", "text": _text_of(outcome, payload)}
    return {"content": [text], "structuredContent": payload, "isError": not outcome.ok}


def result_of(outcome: Outcome) -> Any:
    """A `CallToolResult`."""
    import mcp_types as types

    return types.CallToolResult.model_validate(wire_of(outcome), by_name=False)


def _text_of(outcome: Outcome, payload: JsonObject) -> str:
    if outcome.ok and isinstance(outcome.data, str) and outcome.structured is None:
        return outcome.data
    return json.dumps(payload, ensure_ascii=False)
