"""Secrets become keyed, equality-preserving handles before anything is stored (D10).

The same secret always gives the same `secret://<hex>` under one key, so induction still sees that two values are
equal; without the key the handle says nothing. A handle is never a constant of a generated tool. What a secret is
stands in `druse.redaction`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from druse import redaction
from druse.model import Json, JsonObject
from druse.redaction import is_secret_key

__all__ = ["HANDLE", "SecretHandles", "is_secret_key"]

HANDLE = re.compile(r"secret://[0-9a-f]{24}")


class SecretHandles:
    """Masks values under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def from_file(cls, path: Path) -> SecretHandles:
        """The handles of a workspace; makes its key, readable by the owner only, at the first use."""
        return cls(redaction.workspace_key(str(path)))

    def handle(self, secret: str) -> str:
        """The handle of one secret."""
        return redaction.handle_of(self._key, secret)

    def mask_object(self, value: Mapping[str, Json], schema: Mapping[str, Json] | None = None) -> JsonObject:
        """`value` without secrets; `schema` may declare more of them (`format: password`, `writeOnly`)."""
        return redaction.mask_object(self._key, value, _declared(schema))

    def mask(self, value: Json) -> Json:
        """`value` without secrets: by key, by the shape of well-known tokens, and inside texts."""
        return redaction.mask(self._key, value)

    def mask_text(self, text: str) -> str:
        """`text` with every secret found in it replaced by its handle."""
        return redaction.mask_text(self._key, text)


def _declared(schema: Mapping[str, Json] | None) -> frozenset[str]:
    properties = (schema or {}).get("properties")
    if not isinstance(properties, dict):
        return frozenset()
    return frozenset(
        key
        for key, part in properties.items()
        if isinstance(part, dict) and (part.get("format") == "password" or part.get("writeOnly") is True)
    )
