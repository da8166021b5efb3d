"""One row of the table `step`, whoever tells of it: the process that made the call, or a client."""

from __future__ import annotations

import json
from collections.abc import Mapping

from druse.model import Json, Step
from druse.store import blobs
from druse.store.database import Transaction

_encoded = json.JSONEncoder(separators=(",", ":")).encode  # made once: that takes longer than a small value


def text_of(value: Json | Mapping[str, Json]) -> str:
    """A value as it stands in a column, without spaces. Members keep their order."""
    return _encoded(value)


async def insert_step(
    transaction: Transaction, run_id: str, step: Step, *, position: int, turn: int, told_by: str = ""
) -> None:
    """Put a step into a run at a place that is free; a large result goes into a blob.

    `told_by` names the client that told of it; empty where Druse itself made the call.
    """
    result = text_of(step.result)
    blob = None
    if len(result) > blobs.INLINE_BYTES:
        blob = await blobs.put(transaction, result.encode("utf-8", "surrogatepass"))
    await transaction.execute(
        "INSERT INTO step (run_id, position, turn, tool, arguments, result, result_blob, failed, effect,"
        " started_at, duration_ms, told_by) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            *(run_id, position, turn, step.tool, text_of(dict(step.arguments)), None if blob else result, blob),
            *(int(step.failed), step.effect, step.started_at, step.duration_ms, told_by),
        ),
    )
