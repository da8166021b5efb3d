"""What the audit chain is made of: entries, each bound to the one before by its hash, and signed roots over them.

An entry is canonical JSON that holds the hash of the entry before; its own hash is `sha256` over its text. A root is
the Merkle root over the first `size` entries, with the chain's head and the policy in force, signed by the instance.
"""

from __future__ import annotations

import json
from typing import cast

from druse.model import Caller, Invalid, JsonObject, canonical, digest_text
from druse.store import RootRow

GENESIS = "sha256:" + "0" * 64
TILE = 256  # entries per full subtree whose root is kept, and between two signed roots


def entry_text(
    seq: int, previous: str, action: str, subject: str, caller: Caller, payload: JsonObject, *, about: JsonObject
) -> str:
    """The canonical text of an entry. `about`: time, instance and cause."""
    entry: JsonObject = {
        "seq": seq,
        "prev": previous,
        "action": action,
        "subject": subject,
        "actor": str(caller.kind),
        "session": caller.session,
        "client": caller.client,
        "payload": payload,
        **about,
    }
    if caller.identity:
        entry["identity"] = f"{caller.identity} as {caller.role}"
    if caller.tool:
        entry["tool"] = f"{caller.tool} v{caller.version}"
    return canonical(entry)


def entry_id(seq: int) -> str:
    """How an entry is named."""
    return f"a{seq}"


def seq_of(identifier: str) -> int:
    """The number in an entry's name. Raises Invalid."""
    if identifier[:1] == "a" and identifier[1:].isascii() and identifier[1:].isdigit():
        return int(identifier[1:])
    raise Invalid(
        f'Cannot use {identifier!r}: an audit entry is named like a17. List them with "druse audit show".',
        where="entry",
        problem="not an entry",
    )


def parsed(text: str) -> JsonObject:
    """The object in a text; empty where it is none."""
    try:
        loaded = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("JsonObject", loaded) if isinstance(loaded, dict) else {}


def root_statement(size: int, root: bytes, head: str, *, time: float, policy: str, instance: str, public: str) -> str:
    """What is signed of a log of `size` entries."""
    return canonical(
        {
            "format": "druse audit root 1",
            "size": size,
            "root": root.hex(),
            "head": head,
            "time": time,
            "policy": policy,
            "instance": instance,
            "public": public,
        }
    )


def root_as_dict(root: RootRow) -> JsonObject:
    """A signed root for a file or a screen."""
    return {"size": root.size, "statement": root.statement, "signature": root.signature}


def root_from_dict(data: JsonObject) -> RootRow:
    """A signed root from a file. Raises Invalid."""
    size, statement, signature = data.get("size"), data.get("statement"), data.get("signature")
    if not (isinstance(size, int) and isinstance(statement, str) and isinstance(signature, str)):
        raise Invalid("Cannot read a signed root: size, statement or signature is missing.", where="root")
    return RootRow(size, statement, signature)


def hash_of(text: str) -> str:
    """The hash of an entry."""
    return digest_text(text)
