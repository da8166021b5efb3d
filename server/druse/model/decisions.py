"""Who asks, what was decided, and how it went."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from druse.model.counterpart import Counterpart
from druse.model.json_data import Json, JsonObject


class CallerKind(StrEnum):
    """Who stands behind a call. All of them come through the one router."""

    AGENT = "agent"  # an MCP client
    TOOL = "tool"  # a crystallized tool, from the sandbox
    CODE = "code"  # run_code, from the sandbox
    REPLAY = "replay"  # FOLLOWER
    JOB = "job"
    PERSON = "person"  # the CLI or the page


@dataclass(frozen=True, slots=True)
class Caller:
    """The identity of a call. It comes from the connection or the pipe, never from what was sent."""

    kind: CallerKind
    session: str = ""
    connection: str = ""
    client: str = ""  # name and version the client gave
    run_id: str = ""
    tool: str = ""  # the crystallized tool that calls, with its version below
    version: int | None = None
    grants: tuple[str, ...] = ()  # rules a person approved with that tool; they never outrank deny or an explicit ask
    depth: int = 0  # nesting of tools calling tools
    unconfined: bool = False  # it runs in a sandbox that does not hold on this machine (tier T0)
    cause: str = ""  # the audit entry that led to what is called
    shared: bool = False  # the session stands for several clients that cannot be told apart
    # The client itself, where what is called may ask it something; no part of who calls.
    client_side: Counterpart | None = field(default=None, compare=False, repr=False)
    call_id: str = ""  # the client's own id of the call, by which its hooks and transcripts name it
    identity: str = ""  # who is answerable, as a token or key proved it; empty for clients of this account
    role: str = ""  # what that token or key may do, where there is one


class Verdict(StrEnum):
    """What the decision function says."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict and where it comes from. `rule` is empty when no rule matched (then `verdict` is ASK)."""

    verdict: Verdict
    rule: str = ""
    origin: str = ""  # file:line, or the name of the layer
    why: str = ""
    how_to_allow: str = ""  # the narrowest rule that covers this call, where there is one
    place: str = ""  # the path the call was decided for, links followed; the effect takes this one and no other
    consented: bool = False  # no rule allows it: a person approved exactly this call
    names_host: bool = False  # an allow rule names exactly the host of the URL, so it may be in a private network


class OutcomeStatus(StrEnum):
    """How a call through the router ended."""

    OK = "ok"
    ERROR = "error"  # the tool itself reported failure
    DENIED = "denied"
    PENDING = "pending"  # a person must approve; nothing happened
    DIVERGED = "diverged"  # a crystallized tool stopped at a guard
    INVALID = "invalid"  # arguments or name; nothing happened
    FAILED = "failed"  # upstream, sandbox or store failed


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a call. `data` is what tool code receives; `content` is the MCP content to pass through unchanged."""

    status: OutcomeStatus
    data: Json = None
    message: str = ""  # for people, three parts: tried, stopped by, what to do
    kind: str = ""  # stable word for machines when status is not OK
    approval_id: str = ""
    content: tuple[JsonObject, ...] | None = None  # MCP content blocks as JSON; None = render from data
    structured: JsonObject | None = None
    unsure: bool = False  # it was begun, and nobody can say whether it happened
    details: JsonObject = field(default_factory=dict[str, Json])

    @classmethod
    def of(cls, payload: JsonObject) -> Outcome:
        """A finished call with an object as its result, for tool code and for the wire alike."""
        return cls(OutcomeStatus.OK, data=payload, structured=payload)

    @property
    def ok(self) -> bool:
        """Whether the effect happened and the tool reported success."""
        return self.status is OutcomeStatus.OK
