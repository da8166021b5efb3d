"""Outcomes of fixtures."""

from __future__ import annotations

from druse.model import JsonObject, Outcome, OutcomeStatus

_MISSING_CAPABILITY = -32021


def text(said: str) -> Outcome:
    """A text."""
    return Outcome(OutcomeStatus.OK, data=said, content=({"type": "text", "text": said},))


def failed(said: str) -> Outcome:
    """A tool that reports failure."""
    content: JsonObject = {"type": "text", "text": said}
    return Outcome(OutcomeStatus.ERROR, message=said, kind="tool_error", content=(content,))


def refused(required: JsonObject) -> Outcome:
    """A protocol error: the client did not declare what this needs."""
    said = "The client lacks a capability that this needs"
    return protocol_error(_MISSING_CAPABILITY, said, {"requiredCapabilities": required})


def protocol_error(code: int, message: str, data: JsonObject | None = None) -> Outcome:
    """A JSON-RPC error in place of a result."""
    details: JsonObject = {"code": code, "data": data}
    return Outcome(OutcomeStatus.FAILED, message=message, kind="protocol_error", details=details)
