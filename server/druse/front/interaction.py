"""How a request that may need something of its client is carried out, in either era."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, Protocol

import anyio
import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from pydantic import ValidationError

from druse.front.calls import Call, Calls, log_to
from druse.front.counterparts import Direct
from druse.front.elicitation import within
from druse.model import Caller, Json, JsonObject, Progress

MODERN = "2026-07-28"  # since then a question is a result, not a request of the server

_REQUESTS: dict[str, tuple[type[Any], type[Any]]] = {
    "elicitation/create": (types.ElicitRequest, types.ElicitResult),
    "sampling/createMessage": (types.CreateMessageRequest, types.CreateMessageResult),
    "roots/list": (types.ListRootsRequest, types.ListRootsResult),
}


class Work(Protocol):
    """Carries out a request for a caller whose `client_side` may be asked."""

    async def __call__(self, caller: Caller, progress: Progress | None) -> Any:
        """The result as it goes on the wire. Raises MCPError."""
        ...


class Deferral(Protocol):
    """Answers a call with a task (see `druse.front.tasks`)."""

    @property
    def after(self) -> float:
        """Seconds after which a call that is still at work is answered with a task."""
        ...

    async def adopt(self, call: Call) -> JsonObject:
        """Keep the call as a task; the `CreateTaskResult`."""
        ...


async def carried(
    context: Any,
    params: types.InputResponseRequestParams,
    caller: Caller,
    request: JsonObject,
    work: Work,
    *,
    calls: Calls,
    spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]],
    defer: Deferral | None = None,
) -> Any:
    """The result of a request: complete, an `InputRequiredResult`, or that of a task it has become.

    `request` is what a state given out for it is bound to. Raises MCPError.
    """
    declared = capabilities_of(context)
    if context.protocol_version < MODERN:
        side = Direct(declared, _sending(context), log=_logging(context), hang_up=context.close_sse_stream)
        return await work(replace(caller, client_side=side), _progress(context))
    if params.request_state is not None:
        call = calls.resume(params.request_state, caller, request)
        given = params.input_responses or {}
        call.answer({key: _plain(response) for key, response in given.items()})
    else:

        async def working(begun: Call) -> Any:
            return await work(replace(caller, client_side=begun), begun.progress)

        call = calls.start(caller, declared, request, working, spawn)
        call.may_defer = defer is not None
    call.context = context
    try:
        await call.turn(defer.after if defer is not None and call.takes_tasks else None)
        if call.done:
            return call.result()
        if call.pending and not call.alone:
            return calls.park(call)
        assert defer is not None  # no other way out of `turn`
        return await defer.adopt(call)
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):
            await call.cancel()
        raise
    finally:
        if call.context is context:
            call.context = None


def capabilities_of(context: Any) -> JsonObject:
    """What the client declared, for this request or in its handshake."""
    declared = context.session.client_capabilities
    return declared.model_dump(mode="json", by_alias=True, exclude_none=True) if declared is not None else {}


def _plain(response: Any) -> JsonObject:
    return response.model_dump(mode="json", by_alias=True, exclude_none=True) if hasattr(response, "model_dump") else {}


def _sending(context: Any) -> Callable[[str, JsonObject, float], Awaitable[JsonObject | None]]:
    async def send(method: str, params: JsonObject, seconds: float) -> JsonObject | None:
        asked, answered = _REQUESTS[method]
        metadata = ServerMessageMetadata(related_request_id=context.request_id)
        try:
            request = asked.model_validate({"method": method, "params": params}, by_name=False)
            result = await within(seconds, context.session.send_request(request, answered, metadata=metadata))
        except (MCPError, ValidationError):  # it declared what it cannot do, or answered with nonsense
            return None
        return _plain(result) if result is not None else None

    return send


def _logging(context: Any) -> Callable[[str, Json], Awaitable[None]]:
    async def log(level: str, data: Json) -> None:
        await log_to(context, level, data)

    return log


def _progress(context: Any) -> Progress | None:
    meta: dict[str, Any] = context.meta or {}
    if not meta.get("progress_token"):
        return None

    async def report(done: float, total: float | None, message: str | None) -> None:
        await context.session.report_progress(done, total, message)

    return report
