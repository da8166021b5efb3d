"""What can go wrong, one class per thing a caller can do about it.

DruseError
├─ NotAllowed        a rule or a trust level says no       (.rule, .how_to_allow)
├─ NeedsApproval     a person must say yes first           (.approval_id)
├─ NotFound          nothing of that name                  (.nearest)
├─ Invalid           input, tool or policy file is wrong   (.where, .problem)
├─ UpstreamFailure   another MCP server failed             (.server)
├─ SandboxFailure    a limit was hit or the tool raised    (.kind, .step)
└─ StoreDamaged      chain or database does not verify     (.first_bad)

A message has three parts, in this order: what was tried, what stopped it, what to do now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast


class DruseError(Exception):
    """The root. `kind` is the stable word that machines see."""

    kind = "error"


class NotAllowed(DruseError):
    """A rule, a missing rule or a trust level refuses the call."""

    kind = "not_allowed"

    def __init__(self, message: str, *, rule: str = "", how_to_allow: str = "") -> None:
        super().__init__(message)
        self.rule = rule
        self.how_to_allow = how_to_allow


class NeedsApproval(DruseError):
    """Nothing happened; a person can approve `approval_id`, then the same call goes through."""

    kind = "needs_approval"

    def __init__(self, message: str, *, approval_id: str) -> None:
        super().__init__(message)
        self.approval_id = approval_id


class NotFound(DruseError):
    """No such tool, run, skill or approval; `nearest` lists similar names, best first."""

    kind = "not_found"

    def __init__(self, message: str, *, nearest: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.nearest = tuple(nearest)


class Invalid(DruseError):
    """Input that cannot be used: `where` is a field path or `file:line`, `problem` says what is wrong with it."""

    kind = "invalid"

    def __init__(self, message: str, *, where: str = "", problem: str = "") -> None:
        super().__init__(message)
        self.where = where
        self.problem = problem


class UpstreamFailure(DruseError):
    """A server of mcp.json hung, died, flooded or broke the protocol."""

    kind = "upstream_failure"

    def __init__(self, message: str, *, server: str, asked: bool = True) -> None:
        super().__init__(message)
        self.server = server
        self.asked = asked  # False: the request never reached it, so that nothing has happened


class SandboxFailure(DruseError):
    """The sandbox stopped the code; `step` is the number of calls it had made."""

    kind = "sandbox_failure"

    def __init__(self, message: str, *, step: int = 0) -> None:
        super().__init__(message)
        self.step = step


class StoreDamaged(DruseError):
    """The database or the audit chain does not verify; `first_bad` names the first bad entry."""

    kind = "store_damaged"

    def __init__(self, message: str, *, first_bad: str = "") -> None:
        super().__init__(message)
        self.first_bad = first_bad


def first_error(error: BaseException) -> BaseException:
    """The error itself, or of a group (of groups) the first that is none."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
