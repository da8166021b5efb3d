"""Actions of class high that need more than one person (seed id N-45): who counts as one, and as another.

A person is told from another by the account of the operating system, or by the key of a reviewer whom the rules name.
The yes of a reviewer is signed with that key over exactly this request. Agents, trust levels and answers of clients are
no persons and count for nothing here.
"""

from __future__ import annotations

import os

from druse.governance.signing import signed_by
from druse.model import JsonObject, NotAllowed, canonical
from druse.settings import People
from druse.store.approvals import Approval

_HIGH = frozenset(("tool", "successor", "policy", "trust"))  # new code in service, or other rules
SECONDED = "approval.seconded"


def needed(approval: Approval, people: People) -> int:
    """How many distinct identities must say yes."""
    high = approval.kind in _HIGH or (approval.kind == "call" and approval.details.get("security") == "high")
    return people.high_needs if high else 1


def statement(approval: Approval) -> str:
    """What a reviewer signs."""
    made: JsonObject = {"format": "druse review 1", "approval": approval.id, "subject": approval.subject_hash}
    return canonical(made | {"kind": approval.kind, "requested": approval.requested_entry})


def account_identity() -> str:
    """The account of this process. The operating system says it, not the environment."""
    return f"account {os.getuid()}" if hasattr(os, "getuid") else f"account {os.getlogin()}"


def reviewer_identity(approval: Approval, name: str, signature: str, people: People) -> str:
    """The identity of a reviewer who signed. Raises NotAllowed."""
    key = people.reviewers.get(name)
    if key is None or not signed_by(key, statement(approval), signature):
        why = "the rules in force name no such reviewer" if key is None else "the key is another one"
        raise NotAllowed(
            f"Approval {approval.id} cannot be decided as {name}: {why}. Reviewers stand under [approvals.reviewers] "
            "in config.toml; see druse approvals key."
        )
    return f"key {key}"
