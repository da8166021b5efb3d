"""What was sent on streams of HTTP lately, so that a client whose stream broke can have the rest of it.

The SDK names a stream by the request it answers, and clients number their requests alike: each session has streams of
its own, and what was sent to one is given to no other.
"""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any

from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

if TYPE_CHECKING:
    from mcp.types import JSONRPCMessage

MAX_EVENTS = 5000
MAX_BYTES = 32 * 1024 * 1024


class RecentEvents(EventStore):
    """The newest events of all streams, within bounds of number and size."""

    def __init__(self, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._events: deque[tuple[int, str, JSONRPCMessage | None, int]] = deque()
        self._bytes = 0
        self._number = 0

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Keep an event; its id."""
        self._number += 1
        size = len(message.model_dump_json()) if message is not None else 0
        self._events.append((self._number, stream_id, message, size))
        self._bytes += size
        while len(self._events) > self._max_events or (self._bytes > self._max_bytes and len(self._events) > 1):
            self._bytes -= self._events.popleft()[3]
        return str(self._number)

    async def replay_events_after(
        self, last_event_id: str, send_callback: EventCallback, within: str = ""
    ) -> str | None:
        """Send what followed an event on its stream; the stream, None where the event is no longer known.

        `within` is what the name of the stream must begin with.
        """
        number = int(last_event_id) if last_event_id.isascii() and last_event_id.isdigit() else -1
        stream = next((stream for known, stream, _, _ in self._events if known == number), None)
        if stream is None or not stream.startswith(within):
            return None
        following = [(n, message) for n, on, message, _ in self._events if on == stream and n > number]
        for n, message in following:
            if message is not None:
                await send_callback(EventMessage(message, str(n)))
        return stream


class _OfSession(EventStore):
    """The events of one session among those of all."""

    def __init__(self, events: RecentEvents, name: str) -> None:
        self._events = events
        self._name = name

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        return await self._events.store_event(self._name + stream_id, message)

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        stream = await self._events.replay_events_after(last_event_id, send_callback, self._name)
        return stream[len(self._name) :] if stream is not None else None


class Sessions(StreamableHTTPSessionManager):
    """The SDK's, with events kept for each session."""

    def __init__(self, app: Any, **more: Any) -> None:
        self._events = RecentEvents()
        self._numbers = count()
        super().__init__(app, **more)

    @property
    def event_store(self) -> EventStore:
        """For the session that is being opened: the SDK asks for it once for each."""
        return _OfSession(self._events, f"{next(self._numbers)}/")

    @event_store.setter
    def event_store(self, given: EventStore | None) -> None:  # what the SDK's own constructor sets
        assert given is None
