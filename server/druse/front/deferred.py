"""Calls answered with a task: the extension `io.modelcontextprotocol/tasks`.

A client that declares the extension gets a task in place of a result where a call takes long, or waits for a person's
approval. It asks after it with `tasks/get`, answers its questions with `tasks/update`, stops it with `tasks/cancel`.
A task is stored before the client hears of it and outlives the connection. After a restart of the server a call that
waits for approval goes on waiting; one that was at work has failed, as nobody can say how far it came.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeAlias

import mcp_types as types
from mcp.shared.exceptions import MCPError

from druse.front.calls import Call
from druse.model import Caller, CallerKind, Json, JsonObject
from druse.store import DeferredCall, Store
from druse.store.leases import Unrenewed

MAX_LIVE = 200  # tasks at work at a time
_DAY = 86400.0
_POLL_MILLISECONDS = 1000
_LEASE_SECONDS = 30.0
_BEAT_SECONDS = 10.0
_NOTE_SECONDS = 2.0  # between two notes of progress on disk
_WATCHED = 100  # changes that wait for a client which does not read
_KEPT = 200  # ends of tasks kept whole in memory; on disk they stand without secrets
_GONE = (
    "The server ended while this call was at work; what it had done by then is not known. Look before you call again."
)
_SECRET = (
    "The server ended while this call waited for a person, and it held a secret, which is not stored. Nothing has "
    "happened. Make the same call again: an approval given meanwhile counts for it."
)

Mask: TypeAlias = "Callable[[Json], Json]"
GoOn: TypeAlias = "Callable[[DeferredCall, Caller], Coroutine[Any, Any, Any]]"
Spawn: TypeAlias = "Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]"


class Deferred:
    """The tasks of one workspace, as this process serves them."""

    def __init__(self, store: Store, mask: Mask, *, clock: Callable[[], float], spawn: Spawn, after: float) -> None:
        self.after = after
        self._store = store.deferred
        self._mask = mask
        self._clock = clock
        self._spawn = spawn
        self._live: dict[str, tuple[Call, DeferredCall]] = {}
        self._unrenewed = Unrenewed[str](_LEASE_SECONDS)
        self._ends: dict[str, JsonObject] = {}
        self._watchers: dict[str, set[asyncio.Queue[JsonObject]]] = {}

    async def adopt(self, call: Call) -> JsonObject:
        """Keep the call as a task; the `CreateTaskResult`."""
        if len(self._live) >= MAX_LIVE:
            call.stop()
            said = f"{MAX_LIVE} tasks are at work already. Wait for some of them, or stop them with tasks/cancel."
            raise MCPError(types.INTERNAL_ERROR, said)
        now, caller = self._clock(), call.caller
        masked = self._mask(call.request)
        held = DeferredCall(
            secrets.token_urlsafe(24),
            now,
            now,
            now + _DAY,
            message=call.message,
            caller={
                **{"session": caller.session, "connection": caller.connection, "client": caller.client},
                **({"identity": caller.identity, "role": caller.role} if caller.identity else {}),
            },
            call=call.request if masked == call.request else None,
            approval_id=call.approval_id,
            lease_until=now + _LEASE_SECONDS,
        )
        await self._store.add(held)
        self._keep(call, held)
        return {"resultType": "task", **_wire(replace(held, status="working"), {})}

    async def belongs(self, task_id: str, identity: str) -> bool:
        """Whether a task, if there is one, is of whom it is asked for."""
        held = self._live[task_id][1] if task_id in self._live else await self._store.get(task_id)
        return held is None or str((held.caller or {}).get("identity") or "") == identity

    async def require(self, task_id: str, identity: str) -> None:
        """Raise MCPError -32602 for a task of somebody else, as for one that is not known."""
        if not await self.belongs(task_id, identity):
            raise _unknown()

    async def get(self, task_id: str) -> JsonObject:
        """The `DetailedTask`. Raises MCPError -32602 for one that is not known."""
        if task_id in self._live:
            return _now(*self._live[task_id])
        if task_id in self._ends:
            return self._ends[task_id]
        held = await self._store.get(task_id)
        if held is None or held.expires_at <= self._clock():
            raise _unknown()
        return _stored(held)

    @contextmanager
    def watch(self, ids: Sequence[str]) -> Generator[tuple[list[str], asyncio.Queue[JsonObject]]]:
        """Those of these tasks that are at work or ended lately, and a queue of what becomes of them."""
        known = [one for one in ids if one in self._live or one in self._ends]
        changes: asyncio.Queue[JsonObject] = asyncio.Queue(_WATCHED)
        for one in known:
            self._watchers.setdefault(one, set()).add(changes)
            if one in self._ends:
                changes.put_nowait(self._ends[one])
        try:
            yield known, changes
        finally:
            for one in known:
                self._watchers[one].discard(changes)
                if not self._watchers[one]:
                    del self._watchers[one]

    def _tell(self, task_id: str, state: JsonObject) -> None:
        for changes in self._watchers.get(task_id, ()):
            if not changes.full():  # who does not read can still ask
                changes.put_nowait(state)

    async def update(self, task_id: str, responses: Mapping[str, JsonObject]) -> None:
        """Take answers to its questions; unknown keys and answers to a task that has ended are ignored."""
        if task_id not in self._live:
            await self.get(task_id)
            return
        self._live[task_id][0].answer(responses)

    async def cancel(self, task_id: str) -> None:
        """Stop it; one that has ended stays as it is."""
        if task_id not in self._live:
            await self.get(task_id)
            return
        self._live[task_id][0].stop()

    async def run(self, go_on: GoOn) -> None:
        """Keep the leases of what is at work here, and take over what a process that ended left, until cancelled."""
        try:
            while True:
                await self._store.hold(list(self._live), until=self._clock() + _LEASE_SECONDS)
                await self._take_over(go_on)
                await asyncio.sleep(_BEAT_SECONDS)
        finally:
            await asyncio.shield(self._store.hold(list(self._live), until=0.0))

    async def _take_over(self, go_on: GoOn) -> None:
        """What waits for a person goes on waiting, what was at work has failed."""
        now = self._clock()
        await self._store.hold(self._unrenewed.over(await self._store.ends(), now), until=0.0)
        for held in await self._store.take_over(now=now, until=now + _LEASE_SECONDS):
            if not (held.approval_id and held.call and held.caller):
                said = _SECRET if held.approval_id else _GONE
                error: JsonObject = {"code": types.INTERNAL_ERROR, "message": said}
                await self._store.change(held.id, now=now, status="failed", message=said, outcome=error)
                continue
            session, connection, client = (str(held.caller[key]) for key in ("session", "connection", "client"))
            identity, role = (str(held.caller.get(key) or "") for key in ("identity", "role"))
            caller = Caller(CallerKind.AGENT, session, connection, client, identity=identity, role=role)
            call = Call(caller, {}, held.call)
            call.alone, call.message, call.approval_id = True, held.message, held.approval_id
            call.begin(self._spawn(call.carry(go_on(held, caller))))
            self._keep(call, held)

    def _keep(self, call: Call, held: DeferredCall) -> None:
        self._live[held.id] = (call, held)

        async def changed() -> None:
            await self._note(held.id)

        call.changed = changed
        self._spawn(self._follow(held.id, call))

    async def _note(self, task_id: str) -> None:
        if task_id not in self._live:
            return
        call, held = self._live[task_id]
        now, status = self._clock(), "input_required" if call.pending else "working"
        asked = dict[str, Json](call.pending) or None
        if (status, asked) == (held.status, held.requests) and now - held.updated_at < _NOTE_SECONDS:
            return
        self._live[task_id] = (call, replace(held, status=status, requests=asked, message=call.message, updated_at=now))
        await self._store.change(
            task_id, now=now, status=status, message=call.message, requests=_without(asked, self._mask)
        )

    async def _follow(self, task_id: str, call: Call) -> None:
        """Note how the call ended."""
        await call.ended()
        _, held = self._live[task_id]
        status, message, outcome = _end_of(call)
        ended = replace(held, status=status, message=message, outcome=outcome, updated_at=self._clock(), requests=None)
        self._ends[task_id] = _stored(ended)
        self._tell(task_id, self._ends[task_id])
        while len(self._ends) > _KEPT:
            del self._ends[next(iter(self._ends))]
        del self._live[task_id]
        await self._store.change(
            task_id, now=ended.updated_at, status=status, message=message, outcome=_without(outcome, self._mask)
        )


def _unknown() -> MCPError:
    return MCPError(types.INVALID_PARAMS, "There is no such task, or it is too old.")


def _end_of(call: Call) -> tuple[str, str, JsonObject | None]:
    if call.cancelled:
        return "cancelled", "The call was cancelled.", None
    try:
        result = call.result()
    except MCPError as error:
        data: JsonObject = error.error.model_dump(mode="json", exclude_none=True)
        return "failed", error.error.message, data
    except Exception as error:
        said = f"The call failed inside Druse: {type(error).__name__}. See the server's log."
        return "failed", said, {"code": types.INTERNAL_ERROR, "message": said}
    return "completed", "", result.model_dump(mode="json", by_alias=True, exclude_none=True)


def _now(call: Call, held: DeferredCall) -> JsonObject:
    if call.pending:
        return _wire(replace(held, status="input_required", message=call.message), {"inputRequests": {**call.pending}})
    return _wire(replace(held, status="working", message=call.message), {})


def _stored(held: DeferredCall) -> JsonObject:
    key = {"completed": "result", "failed": "error", "input_required": "inputRequests"}.get(held.status)
    value = held.requests if held.status == "input_required" else held.outcome
    return _wire(held, {key: value} if key else {})


def _wire(held: DeferredCall, more: JsonObject) -> JsonObject:
    return {
        "taskId": held.id,
        "status": held.status,
        **({"statusMessage": held.message} if held.message else {}),
        "createdAt": _iso(held.created_at),
        "lastUpdatedAt": _iso(held.updated_at),
        "ttlMs": int((held.expires_at - held.created_at) * 1000),
        "pollIntervalMs": _POLL_MILLISECONDS,
        **more,
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _without(value: JsonObject | None, mask: Mask) -> JsonObject | None:
    masked = mask(value)
    return masked if isinstance(masked, dict) else None
