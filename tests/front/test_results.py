"""An outcome looks the same whichever way it takes to the client."""

from __future__ import annotations

import pytest

from druse.front.results import result_of, wire_of
from druse.model import JsonObject, Outcome, OutcomeStatus

IMAGE: JsonObject = {"type": "image", "data": "aGk=", "mimeType": "image/png"}
TEXT: JsonObject = {"type": "text", "text": "two\nlines"}


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(OutcomeStatus.OK, data={"a": [1, None, {"b": 2.5}]}),
        Outcome(OutcomeStatus.OK, data="a text"),
        Outcome(OutcomeStatus.OK, data=[1, 2]),
        Outcome(OutcomeStatus.OK, data={"n": 1}, content=(TEXT,), structured={"n": 1}),
        Outcome(OutcomeStatus.OK, data="x", content=(TEXT, IMAGE)),
        Outcome(OutcomeStatus.ERROR, data="x", message="m", kind="tool_error", content=(TEXT,)),
        Outcome(OutcomeStatus.PENDING, message="waits", kind="needs_approval", approval_id="a1"),
        Outcome(OutcomeStatus.DENIED, message="no", kind="not_allowed", details={"rule": "x"}),
    ],
)
def test_the_straight_way_and_the_session_send_the_same_result(outcome: Outcome) -> None:
    sent = result_of(outcome).model_dump(mode="json", by_alias=True, exclude_none=True)
    sent.pop("resultType", None)  # of the 2026-07-28 era; the session leaves it out for the handshake era
    assert sent == wire_of(outcome)
