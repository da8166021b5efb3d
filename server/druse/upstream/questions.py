"""What a server asks of the user, passed on to the client whose call it is asked in, and nobody else.

A server of 2026-07-28 asks in its answer to a call, so the call is known. One of the handshake era asks beside its
calls: then the question goes to the client behind the calls in flight, and where those belong to several clients it is
refused, as nobody can say whose user is meant. The client shows that the server asks, not Druse; the answer goes to
that server and decides nothing here (D8). A call that ends takes its questions along.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from druse.model import Caller, Json, JsonObject, able, visible

if TYPE_CHECKING:
    import mcp_types as types

log = logging.getLogger("druse.upstream")

ANSWER_SECONDS = 300.0  # that a server waits for a user; it does not count as the call's own time
_INVALID_REQUEST = -32600

# Hears of each question that was passed on: the server, the caller, and what the user did.
Heard: TypeAlias = "Callable[[str, Caller, str], Awaitable[None]]"


@dataclass(eq=False, slots=True)
class _Flight:
    """A call on its way."""

    caller: Caller
    deadline: asyncio.Timeout
    seconds: float
    asking: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])


class Questions:
    """The questions of one server."""

    def __init__(self, server: str, heard: Heard) -> None:
        self._server = server
        self._heard = heard
        self._flights: list[_Flight] = []
        self._current: contextvars.ContextVar[_Flight | None] = contextvars.ContextVar("flight", default=None)

    @asynccontextmanager
    async def during(self, caller: Caller, seconds: float) -> AsyncGenerator[None]:
        """A call of this caller is in flight. Raises TimeoutError when it took longer than `seconds` of its own."""
        async with asyncio.timeout(seconds) as deadline:
            flight = _Flight(caller, deadline, seconds)
            token = self._current.set(flight)
            self._flights.append(flight)
            try:
                yield
            finally:
                self._flights.remove(flight)
                self._current.reset(token)
                for task in flight.asking:
                    task.cancel()

    async def ask(self, context: Any, params: types.ElicitRequestParams) -> types.ElicitResult | types.ErrorData:
        """Implements the SDK's elicitation callback."""
        import mcp_types as types

        flight = self._current.get() or self._only()
        asked = cast("JsonObject", params.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"meta"}))
        side = flight.caller.client_side if flight is not None else None
        if flight is None or side is None or not able(side.capabilities, "elicitation/create", asked):
            why = "The client behind this call cannot put a question before its user."
            return types.ErrorData(code=_INVALID_REQUEST, message=why)
        request: JsonObject = {"method": "elicitation/create", "params": _marked(self._server, asked)}
        async with asyncio.TaskGroup() as group:
            work = group.create_task(side.ask({"question": request}, seconds=ANSWER_SECONDS))
            flight.asking.add(work)
            self._wait_for(flight, None)
            try:
                await asyncio.wait([work])
            finally:
                flight.asking.discard(work)
                if not flight.asking and flight in self._flights:
                    self._wait_for(flight, asyncio.get_running_loop().time() + flight.seconds)
        answer = None if work.cancelled() else work.result()["question"]  # cancelled where the call ended meanwhile
        result = _result(answer)
        await self._heard(self._server, flight.caller, result.action)
        return result

    def _wait_for(self, flight: _Flight, until: float | None) -> None:
        if not flight.deadline.expired():
            flight.deadline.reschedule(until)

    def _only(self) -> _Flight | None:
        """The newest call in flight, if all there are come from one client."""
        callers = [flight.caller for flight in self._flights]
        one = len({(caller.connection, caller.client, caller.session) for caller in callers}) == 1
        if len(callers) > 1 and (not one or callers[0].shared):
            log.warning(
                "server %s asked something of a user while calls of several clients were in flight; refused",
                self._server,
            )
            return None
        return self._flights[-1] if self._flights else None


def _marked(server: str, params: JsonObject) -> JsonObject:
    """The question as the client shows it: first who asks, then each line of theirs marked as quoted."""
    said = visible(str(params.get("message", ""))).splitlines() or [""]
    head = f"The server {visible(server)!r} asks you (not Druse; this approves nothing in Druse):"
    return {**params, "message": "\n".join([head, *(f"> {line}" for line in said)])}


def _result(answer: JsonObject | None) -> types.ElicitResult:
    import mcp_types as types
    from pydantic import ValidationError

    try:
        wire: dict[str, Json] = {**(answer or {"action": "cancel"})}
        return types.ElicitResult.model_validate(wire, by_name=False)
    except ValidationError:
        return types.ElicitResult(action="cancel")
