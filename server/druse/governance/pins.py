"""A session goes on with the versions of tools and skills that it began with (seed id N-09).

An agent that read a tool's arguments, or half of a skill's steps, is not handed another version in the middle of its
work; the next session gets it. A pin chooses between versions that may run, and never keeps alive what may not: whoever
asks for a pinned version checks first that it is still good (see `Shelf.version`). What came into service after the
session began is not pinned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from druse.model import Caller, CallerKind
from druse.store import Store
from druse.store.pins import Pinned

KEPT_DAYS = 30  # that a session which nobody sees any more is remembered: a conversation can be taken up again
_HELD = 2000  # sessions in memory
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class InService:
    """What a session begins with: versions of tools by name, skills by name with origin, digest and text."""

    tools: Mapping[str, int]
    skills: Mapping[str, tuple[str, str, str]]


class Serving(Protocol):
    """Says what is in service."""

    async def __call__(self) -> InService:
        """At this moment."""
        ...


class Pins:
    """The pins of one workspace; sessions are told apart by the client's own names for them, else by connection."""

    def __init__(self, store: Store, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, Pinned] = {}
        self._listed: set[str] = set()  # connections that no conversation has come over yet
        self._turn = asyncio.Lock()
        self._pruned = False

    async def begin(self, caller: Caller, serving: Serving) -> bool:
        """Note what a session begins with, at its first request; whether this was the first.

        The first conversation of a connection begins with what that connection was listed.
        """
        if caller.kind is not CallerKind.AGENT or caller.shared or not caller.session or caller.session in self._known:
            return False
        async with self._turn:
            if caller.session in self._known:
                return False
            own = caller.session == caller.connection
            claimed = not own and caller.connection in self._listed
            held = self._known.get(caller.connection) if claimed else None
            if held is not None:
                began, texts = replace(held, session=caller.session, began_at=self._clock()), dict[str, str]()
            else:
                now = await serving()
                skills = {name: (origin, digest) for name, (origin, digest, _) in now.skills.items()}
                began = Pinned(caller.session, caller.client, self._clock(), dict(now.tools), skills)
                texts = {digest: text for _, digest, text in now.skills.values()}
            self._known[caller.session] = await self._store.pins.begin(began, texts)
            (self._listed.add if own else self._listed.discard)(caller.connection)
            while len(self._known) > _HELD:
                self._known.pop(next(iter(self._known)))
            if not self._pruned:
                self._pruned = True
                await self._store.pins.prune(self._clock() - KEPT_DAYS * _DAY, self._known)
        return True

    def of(self, caller: Caller | None) -> Pinned | None:
        """What the caller's session began with; None for callers that no session pins."""
        return self._known.get(caller.session) if caller is not None and not caller.shared else None

    def version(self, name: str, caller: Caller | None) -> int | None:
        """The version of a tool that the caller's session began with."""
        held = self.of(caller)
        return held.tools.get(name) if held is not None else None

    async def let_go(self, caller: Caller, tool: str) -> None:
        """Hold the caller's session no longer to a version of this tool."""
        held = self._known.get(caller.session)
        if held is not None and tool in held.tools:
            rest = {name: number for name, number in held.tools.items() if name != tool}
            self._known[caller.session] = replace(held, tools=rest)
            await self._store.pins.let_go(caller.session, tool)

    async def release(self, session: str | None) -> int:
        """Forget how a session, or every session, began: it goes on with what is in service; how many there were."""
        for name in list(self._known) if session is None else [session]:
            self._known.pop(name, None)
        return await self._store.pins.release(session)

    async def refresh(self) -> bool:
        """Notice what another process released; whether it did."""
        if not self._known:
            return False
        left = {pinned.session: pinned for pinned in await self._store.pins.known(self._known)}
        before, self._known = self._known, {name: left[name] for name in self._known if name in left}
        return self._known != before
