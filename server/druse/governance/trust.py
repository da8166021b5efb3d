"""Trust levels: what Druse may do to itself without asking (seed ids S-19 to S-24).

| action     | what it is                                                     | level that needs nobody's yes |
|------------|----------------------------------------------------------------|---|
| introspect | look at its own tools, plans and decisions                     | 1 |
| transform  | run code that was given no permission at all                   | 2 |
| synthesize | make a tool from recorded runs, proved by replay               | 3 |
| register   | put a proved tool in service; it rolls back when it fails      | 3 |
| execute    | count that tool as approved, with everything it calls          | 4 |

A capability that synthesizes or registers may be called at every level: below level 3 it ends in a request for
approval. Deny rules and explicit ask rules hold at every level. A level comes into force only as a person approved it.
"""

from __future__ import annotations

from enum import StrEnum

from druse.model import Verdict

HIGHEST = 4


class Action(StrEnum):
    """What can be done to Druse by Druse."""

    INTROSPECT = "introspect"
    TRANSFORM = "transform"
    SYNTHESIZE = "synthesize"
    REGISTER = "register"
    EXECUTE = "execute"


SECURITY = {
    Action.INTROSPECT: "low",
    Action.TRANSFORM: "low",
    Action.SYNTHESIZE: "high",
    Action.REGISTER: "medium",
    Action.EXECUTE: "high",
}  # the seed's classes (S-09); nothing but this table says which class a capability has

PROPOSING = frozenset((Action.SYNTHESIZE, Action.REGISTER))

_NEEDED = {
    Action.INTROSPECT: 1,
    Action.TRANSFORM: 2,
    Action.SYNTHESIZE: 3,
    Action.REGISTER: 3,
    Action.EXECUTE: 4,
}


def allowed(level: int, action: Action, *, enabled: bool = True, permissions: int | None = None) -> Verdict:
    """Whether an action goes on without a person: ALLOW, ASK, or DENY where self-programming is off.

    `permissions`: how many the sandbox grants the code to be transformed with. Only none makes it a transformation;
    unknown or some make it an execution, whatever it calls itself.
    """
    if not enabled:
        return Verdict.DENY
    if action is Action.TRANSFORM and permissions != 0:
        action = Action.EXECUTE
    return Verdict.ALLOW if level >= _NEEDED[action] else Verdict.ASK
