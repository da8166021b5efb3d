"""Which approvals a client may be asked for through the protocol, and what it is asked.

An accepted elicitation is no proof of a person: a hook of the client can answer it (D8). So it is off unless a person
switched it on, it decides about one call only, and never about anything with which the rules, the trust level or the
tools could be changed: those wait for the command line whatever the settings say.
"""

from __future__ import annotations

import json

from druse.model import JsonObject, Source, visible
from druse.settings import Knobs
from druse.store.approvals import Approval

_BY_COMMAND_LINE_ONLY = ("Bash",)  # a command can do whatever the person can, approving included
_SENDING = ("WebFetch", "WebSearch")  # reads, but what stands in the address leaves the machine
_LONGEST = 4000  # characters of arguments; nobody judges more than that in a dialog

SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"approve": {"type": "boolean", "title": "Approve this one call", "default": False}},
    "required": ["approve"],
}  # an answer that merely accepts the form approves nothing


def may_elicit(approval: Approval, knobs: Knobs) -> bool:
    """Whether the answer of a client may decide about this. `knobs`: those in force, approved by a person."""
    details = approval.details
    if not knobs.elicit or approval.kind != "call" or details.get("tool") in _BY_COMMAND_LINE_ONLY:
        return False
    if details.get("source") not in (Source.UPSTREAM, Source.LOCAL, Source.CRYSTAL) or "effect" not in details:
        return False
    low = details["effect"] == "read" and details.get("tool") not in _SENDING
    return (low or knobs.elicit_writes) and len(_shown(approval)) <= _LONGEST


def question(approval: Approval) -> str:
    """What the client shows. Nothing in it can hide text or look like a line of ours."""
    asked = approval.requested_by
    effect = {"read": "it only reads", "write": "it changes something"}.get(
        str(approval.details.get("effect")), "it may change something"
    )
    why = approval.details.get("why")
    answerable = f" for {_flat(str(asked['identity']))}" if asked.get("identity") else ""
    lines = [
        f"Approve one call? {visible(approval.title.splitlines()[0] if approval.title else '')}",
        f"Permission gained: {_flat(str(approval.details.get('tool')))}, once, with exactly these arguments; {effect}",
        *_shown(approval).splitlines(),
        *([f"Why it asks: {_flat(str(why))}"] if why else []),
        f"Asked by: {asked.get('kind')} {_flat(str(asked.get('client')))}{answerable}",
        f"In a terminal: druse approvals show {approval.id}",
    ]
    return "\n".join(lines)


def _shown(approval: Approval) -> str:
    arguments = approval.details.get("arguments")
    given = arguments if isinstance(arguments, dict) else {}
    return "\n".join(
        f"  {_flat(name)}: {visible(json.dumps(value, ensure_ascii=False))}" for name, value in sorted(given.items())
    )


def _flat(text: str) -> str:
    return visible(" ".join(text.split()))
