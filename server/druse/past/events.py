"""What a client did, in one form for all clients, whether its hook told it or its transcript."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from druse.model import Json, JsonObject


class Kind(StrEnum):
    """What happened."""

    PROMPT = "prompt"  # its user said something
    CALL = "call"  # a tool was called and answered, or failed
    STOP = "stop"  # the agent's turn is over
    OUTCOME = "outcome"  # it is known how the work went


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in a session of a client. `at` is in seconds since the epoch: when a call began.

    `key` is the client's own id of the call or the prompt, empty where it gives none. Of a call of Druse's own tools,
    which are recorded as they are served, `own` is the name, and `run_id` the run that its answer named.
    """

    kind: Kind
    client: str
    session: str
    at: float
    key: str = ""
    text: str = ""  # of a prompt
    tool: str = ""
    arguments: JsonObject = field(default_factory=dict[str, Json])
    result: Json = None
    failed: bool = False
    duration_ms: float | None = None
    own: str = ""
    run_id: str = ""
    success: bool = False  # of an outcome
    cwd: str = ""  # where it happened, where that is told
    ended: bool = False  # of a stop: the agent ended its turn by itself
    past: bool = False  # a transcript told it, maybe not for the first time
