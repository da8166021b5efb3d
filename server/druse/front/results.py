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


def result_of(outcome: Outcome) -> Any:
    """A `CallToolResult`. Content of an upstream (images, resources) passes through unchanged."""
    import mcp_types as types

    payload = payload_of(outcome)
    if outcome.content is not None and outcome.status in (OutcomeStatus.OK, OutcomeStatus.ERROR):
        plain = all(block.get("type") == "text" for block in outcome.content)
        wire: JsonObject = {
            "content": list[Json](outcome.content),
            "isError": not outcome.ok,
            # Clients that show only structured content must not lose an image: then there is none.
            **({"structuredContent": payload} if plain else {}),
        }
        return types.CallToolResult.model_validate(wire, by_name=False)
    text = _text_of(outcome, payload)
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)], structured_content=payload, is_error=not outcome.ok
    )


def _text_of(outcome: Outcome, payload: JsonObject) -> str:
    if outcome.ok and isinstance(outcome.data, str) and outcome.structured is None:
        return outcome.data
    return json.dumps(payload, ensure_ascii=False)
