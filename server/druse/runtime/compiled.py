"""Compiled tool code by its source, kept in this process only.

Unmarshalling is safe for bytes of our own compiler alone, so nothing is read from disk: a worker sends what it compiled
before a byte of the code has run, and the host keeps it under the hash of exactly that source.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from functools import cache
from importlib.metadata import version

from druse.model import digest_text

_KEPT = 256
_MAX_BYTES = 32 * 1024 * 1024


@cache
def _made_by() -> str:
    """What a change of makes compiled code another: Python, RestrictedPython, the policy of the dialect."""
    from druse_sandbox.language import POLICY_VERSION

    return f"{sys.version}|{version('RestrictedPython')}|{POLICY_VERSION}"


class CodeCache:
    """The last compiled sources."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, str] = OrderedDict()
        self._bytes = 0

    def key(self, source: str, mode: str) -> str:
        """What a source compiles under."""
        return digest_text(f"{mode}|{_made_by()}|{source}")

    def get(self, key: str) -> str | None:
        """The marshalled code in base64, if it is known."""
        if key in self._held:
            self._held.move_to_end(key)
        return self._held.get(key)

    def put(self, key: str, code: str) -> None:
        """Keep it; the least used ones are forgotten."""
        if key in self._held:
            return
        self._held[key] = code
        self._bytes += len(code)
        while len(self._held) > _KEPT or self._bytes > _MAX_BYTES:
            self._bytes -= len(self._held.popitem(last=False)[1])
