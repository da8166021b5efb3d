"""Who may look at the page and who may decide on it.

The link that `druse dashboard` prints carries a pass that works once. It is told to the terminal and to nobody else: it
is on no disk, in no environment and no argument of a process. Exchanging it gives two secrets. The one for looking may
be kept by the browser; the one for deciding lives in the memory of the opened page and of this process only, so it ends
with either. A pass that was used before is worthless, and a person whose link does not work knows that somebody was
there first.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

_OPEN_PAGES = 8  # of one process; the oldest gives way


@dataclass(frozen=True, slots=True)
class Opened:
    """The secrets of one opened page; `decide` is empty where it may only look."""

    look: str
    decide: str


class Passes:
    """The passes of one process. `deciding`: a person sits at its terminal, so its links may decide."""

    def __init__(self, *, deciding: bool) -> None:
        self.deciding = deciding
        self._pass = b""
        self._looking: list[bytes] = []
        self._deciding: list[bytes] = []

    def issue(self) -> str:
        """A new pass; the one before it, if nobody used it, is void."""
        made = secrets.token_urlsafe(32)
        self._pass = _digest(made)
        return made

    def exchange(self, given: str) -> Opened | None:
        """The secrets for a pass, once; None for one that is wrong, void or used."""
        if not self._pass or not hmac.compare_digest(self._pass, _digest(given)):
            return None
        self._pass = b""
        look, decide = secrets.token_urlsafe(32), secrets.token_urlsafe(32) if self.deciding else ""
        self._looking = [*self._looking, _digest(look)][-_OPEN_PAGES:]
        if decide:
            self._deciding = [*self._deciding, _digest(decide)][-_OPEN_PAGES:]
        return Opened(look, decide)

    def may_look(self, token: str) -> bool:
        """Whether this secret lets its bearer look."""
        return _among(self._looking, token)

    def may_decide(self, token: str) -> bool:
        """Whether this secret lets its bearer decide."""
        return _among(self._deciding, token)


def _among(known: list[bytes], token: str) -> bool:
    given = _digest(token)
    return any(hmac.compare_digest(one, given) for one in known)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
