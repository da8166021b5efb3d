"""Calls of 2026-07-28 clients, which may outlive the request that began them.

In that era a server never calls its client: a call that needs something of the client is answered with what it needs,
and waits; the client makes the request again with its answers and a state that was given out for exactly this call of
this connection. Or the call is answered with a task, goes on alone, and the client asks after it (see
`druse.front.tasks`). A request that is cancelled while it waits takes its call along.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from druse.front.counterparts import parts_of
from druse.front.extensions import takes_tasks
from druse.model import Caller, Json, JsonObject, able, digest

MAX_PARKED = 1000  # calls that wait for their client at a time; the oldest gives way
_KEEP_SECONDS = 300.0  # that the end of a call is kept for a client which comes back late


class Call:
    """One call at work. Implements `Counterpart` for whatever is called."""

    def __init__(self, caller: Caller, capabilities: JsonObject, request: JsonObject) -> None:
        self.caller = caller
        self.capabilities = capabilities
        self.request = request
        self.approval_id = ""  # what it waits for, if a person has to approve it
        self.may_defer = False  # the request is one that may be answered with a task
        self.alone = False  # it is to be, or has been, answered with a task
        self.message = ""  # what it is doing, in words
        self.changed: Callable[[], Awaitable[None]] | None = None  # told of each change once it is a task
        self.context: Any = None  # of the request that waits for it now; None where none does
        self.pending: dict[str, JsonObject] = {}  # requests to the client without an answer yet
        self._answers: dict[str, asyncio.Future[JsonObject | None]] = {}
        self._used: set[str] = set()
        self._stirred = asyncio.Event()
        self._work: asyncio.Task[Any] | None = None
        self._ended_at = 0.0
        self._value: Any = None
        self._error: Exception | None = None

    @property
    def takes_tasks(self) -> bool:
        """Whether the client declared with this request that it can be answered with a task."""
        return takes_tasks(self.capabilities)

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._work is not None and self._work.done()

    @property
    def cancelled(self) -> bool:
        """Whether it was stopped before its end."""
        return self._work is not None and self._work.cancelled()

    def begin(self, work: asyncio.Task[Any]) -> None:
        """It is at work in this task."""
        self._work = work
        work.add_done_callback(self._finish)

    def _finish(self, _work: asyncio.Task[Any]) -> None:
        self._ended_at = asyncio.get_running_loop().time()
        self._stirred.set()

    async def carry(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do the work and keep what it came to, an exception too: whoever asks for the result gets it."""
        try:
            self._value = await work
        except Exception as error:
            self._error = error

    def result(self) -> Any:
        """What the call came to. Raises what it raised, and MCPError where it was stopped."""
        if self._error is not None:
            raise self._error
        if self.cancelled:
            raise MCPError(types.INTERNAL_ERROR, "The call was cancelled.")
        return self._value

    @property
    def over_for(self) -> float:
        """Seconds since it ended; 0 while it is at work."""
        return asyncio.get_running_loop().time() - self._ended_at if self.done else 0.0

    def stop(self) -> None:
        """Stop it."""
        if self._work is not None:
            self._work.cancel()

    async def cancel(self) -> None:
        """Stop it and wait until it has stopped."""
        self.stop()
        if self._work is not None:
            await asyncio.wait([self._work])

    async def ended(self) -> None:
        """Wait until it has ended, however."""
        assert self._work is not None
        await asyncio.wait([self._work])

    async def turn(self, seconds: float | None = None) -> None:
        """Until it has ended, needs something of the client, goes on alone, or `seconds` are over."""
        try:
            async with asyncio.timeout(seconds):
                while not (self.done or self.pending or self.alone):
                    self._stirred.clear()
                    await self._stirred.wait()
        except TimeoutError:
            return

    def answer(self, responses: Mapping[str, JsonObject]) -> None:
        """Take answers of the client; one that nobody waits for is ignored."""
        for key, response in responses.items():
            future = self._answers.get(key)
            if key in self.pending and future is not None and not future.done():
                del self.pending[key]
                future.set_result(response)

    # what the called one uses

    async def ask(self, requests: Mapping[str, JsonObject], *, seconds: float) -> dict[str, JsonObject | None]:
        """Answered with the client's next request, or through its task."""
        waiting: dict[str, str] = {}
        for key, request in requests.items():
            if able(self.capabilities, *parts_of(request)):
                waiting[key] = self._fresh(key)
                self._answers[waiting[key]] = asyncio.get_running_loop().create_future()
                self.pending[waiting[key]] = request
        try:
            await self._stir()
            if waiting:
                await asyncio.wait([self._answers[name] for name in waiting.values()], timeout=seconds)
            answers = {key: self._answers[name] for key, name in waiting.items()}
            return {key: answers[key].result() if key in answers and answers[key].done() else None for key in requests}
        finally:
            for name in waiting.values():
                self.pending.pop(name, None)
                del self._answers[name]
            await self._stir()

    async def log(self, level: str, data: Json) -> None:
        """On the stream of the request, if that asked for log messages of this level."""
        if self.context is not None:
            await log_to(self.context, level, data)

    async def go_on_alone(self, message: str = "") -> None:
        """Be answered with a task, where the client takes one and the request may be."""
        if self.takes_tasks and self.may_defer:
            self.alone, self.message = True, message or self.message
            await self._stir()

    async def hang_up(self) -> None:
        """Nothing: streams of this era cannot be taken up again."""

    async def progress(self, done: float, total: float | None, message: str | None) -> None:
        """On the stream of the request that waits, else as the words of the task."""
        if self.context is not None:
            await self.context.session.report_progress(done, total, message)
            return
        share = f"{done:g} of {total:g}" if total else f"{done:g}"
        self.message = f"{message} ({share})" if message else share
        await self._stir()

    async def _stir(self) -> None:
        self._stirred.set()
        if self.changed is not None:
            await self.changed()

    def _fresh(self, key: str) -> str:
        name, number = key, 2
        while name in self._used:
            name, number = f"{key}-{number}", number + 1
        self._used.add(name)
        return name


class Calls:
    """The calls of one front that wait for their client."""

    def __init__(self) -> None:
        self._parked: dict[str, tuple[Call, str]] = {}  # by state: the call and what the state is bound to

    def start(
        self,
        caller: Caller,
        capabilities: JsonObject,
        request: JsonObject,
        work: Callable[[Call], Coroutine[Any, Any, Any]],
        spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]],
    ) -> Call:
        """Begin a call; `spawn` starts its task, which the request does not own."""
        call = Call(caller, capabilities, request)
        call.begin(spawn(call.carry(work(call))))
        return call

    def park(self, call: Call) -> types.InputRequiredResult:
        """What the client is to answer, with the state it comes back with."""
        state = secrets.token_urlsafe(24)
        self._parked[state] = (call, _bound(call.caller, call.request))
        call.context = None
        for old in [old for old, (parked, _) in self._parked.items() if parked.over_for > _KEEP_SECONDS]:
            del self._parked[old]
        while len(self._parked) > MAX_PARKED:
            self._parked.pop(next(iter(self._parked)))[0].stop()
        wire: dict[str, Any] = {"resultType": "input_required", "inputRequests": dict(call.pending)}
        return types.InputRequiredResult.model_validate({**wire, "requestState": state}, by_name=False)

    def resume(self, state: str, caller: Caller, request: JsonObject) -> Call:
        """The call that a state was given out for; the state counts once. Raises MCPError -32602."""
        call, bound = self._parked.get(state, (None, ""))
        if call is None or bound != _bound(caller, request):
            raise MCPError(
                types.INVALID_PARAMS,
                "The requestState is not one that was given out for this request and is still good. Make the request "
                "again without it.",
            )
        del self._parked[state]
        return call

    async def leave(self, connection: str) -> None:
        """A client is gone: what waits for its answers is stopped, what goes on alone goes on."""
        for state, (call, _) in list(self._parked.items()):
            if call.caller.connection == connection:
                del self._parked[state]
                await call.cancel()


async def log_to(context: Any, level: str, data: Json) -> None:
    """A log message on the stream of a request."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated by 2026-07-28; upstream servers and old clients still log
        await context.session.send_log_message(level, data, related_request_id=context.request_id)


def _bound(caller: Caller, request: JsonObject) -> str:
    about: JsonObject = {"connection": caller.connection, "client": caller.client, "session": caller.session}
    return digest({"request": request, **about})
