"""How often an agent may do what costs: counted per session, also over a reconnect (seed ids S-27, S-28)."""

from __future__ import annotations

from collections.abc import Callable

from druse.governance.rules import HTTP_API
from druse.model import Caller, CallerKind, NotAllowed
from druse.store import Store

_FORGET_AFTER = 6 * 3600.0  # a session that did nothing of the kind for so long is another one


class Quotas:
    """Counters of one workspace."""

    def __init__(self, store: Store, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def spend(self, name: str, caller: Caller, limit: int, *, setting: str) -> int:
        """Count one more for the caller's session; the count. Raises NotAllowed where that passes `limit`.

        A person is not counted. `setting`: the line of config.toml that raises the limit.
        """
        if caller.kind is CallerKind.PERSON:
            return 0
        count, counted = await self._store.counters.spend(
            name, scope_of(caller), limit=limit, now=self._clock(), forget_after=_FORGET_AFTER
        )
        if counted:
            return count
        raise NotAllowed(
            f"{name} {count + 1} of this session is not allowed: {limit} is the limit. A person can raise it with "
            f'"{setting}" under [self_programming] in .druse/config.toml and "druse policy approve".',
            rule=f"[self_programming] {setting}",
        )

    async def used(self, name: str, caller: Caller) -> int:
        """How much of a quota the caller's session has used."""
        return await self._store.counters.count(name, scope_of(caller), now=self._clock(), forget_after=_FORGET_AFTER)


def scope_of(caller: Caller) -> str:
    """What a session is counted by: who proved to be there, else the client's own name for it, else the client.

    Never the connection.
    """
    if caller.identity:  # proved, so that neither a new session nor another name begins anew
        return f"identity {caller.identity}"
    # Over the HTTP API every request is a session of its own: counted is who sends it.
    if caller.connection != HTTP_API and caller.session and caller.session != caller.connection:
        return f"session {caller.session}"
    named = caller.client if caller.connection == HTTP_API else caller.client.split(" ")[0]
    return f"client {named}"
