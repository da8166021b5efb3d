"""One client's connection: who it is, and the straight way of its `tools/call`.

A handshake-era client's calls are read off its lines, carried out and answered here; everything else it sends goes to
the SDK's session. The way through the session costs more than the rest of a call together.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import select
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, cast

from mcp.shared.exceptions import MCPError

from druse.front.counterparts import Direct
from druse.front.elicitation import within
from druse.front.guests import Guest
from druse.front.ledger import Ledger, id_text
from druse.model import Caller, CallerKind, Counterpart, Json, JsonObject, Outcome, Progress, digest_text

_SESSION_KEYS = ("claudecode/sessionId", "sessionId", "conversationId", "threadId")
_CALL_KEY = "claudecode/toolUseId"
_LINGER_SECONDS = 10.0
_LINGER_LOOK = 0.1  # seconds between two looks at whether the client still reads
_MODERN = "io.modelcontextprotocol/protocolVersion"  # in the `_meta` of every request since 2026-07-28

_current: contextvars.ContextVar[Link | None] = contextvars.ContextVar("link", default=None)


def current_link() -> Link | None:
    """The connection that the request being handled came in on; None over HTTP."""
    return _current.get()


class Carrier(Protocol):
    """Carries out one `tools/call`."""

    async def __call__(self, name: str, arguments: Json, caller: Caller, progress: Progress | None) -> Outcome:
        """The outcome; never raises for what a call can get wrong."""
        ...


class Link:
    """A client on a pipe or socket. `name` is ours; nothing the client sends changes it."""

    def __init__(
        self,
        name: str = "",
        *,
        shared: bool = False,
        guest: Guest | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.ledger = ledger  # of a client whose pipes are read here in place of its own process
        self.shared = shared  # clients that cannot be told apart
        self.guest = guest or Guest()
        self.name = name or f"c-{uuid.uuid4().hex[:12]}"
        self.client = ""  # name and version as the client told them in its handshake
        self.sessions: set[str] = set()  # what its calls were recorded under
        self.latest = ""  # the conversation that spoke last; a list of tools is asked for without a name
        self.context = contextvars.copy_context()
        self.context.run(_current.set, self)
        self.side = Direct({}, self.request)  # to ask a handshake-era client something
        self._open = False  # the handshake is complete
        self._calls: dict[str, asyncio.Task[None]] = {}  # by the id of the request, as JSON
        self._asked: set[str | int] = set()  # ids of requests that the session has not answered
        self._drained: asyncio.Event | None = None  # while the end is waited for
        self._questions: dict[str, asyncio.Future[JsonObject | None]] = {}  # by the id of our request
        self._writer: asyncio.StreamWriter | None = None
        self._spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]] | None = None
        self._carry: Carrier | None = None
        self._wire: Callable[[Outcome], JsonObject] | None = None

    def attach(
        self,
        writer: asyncio.StreamWriter,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        carry: Carrier,
        wire: Callable[[Outcome], JsonObject],
    ) -> None:
        """Take calls from now on: `carry` carries them out in tasks that `spawn` starts; `wire` renders outcomes."""
        self._writer, self._spawn, self._carry, self._wire = writer, spawn, carry, wire

    def caller(self, meta: JsonObject, client: str = "", side: Counterpart | None = None) -> Caller:
        """Who calls: from the connection and the client's own metadata, never from arguments. `side`: to ask it."""
        named = next((str(meta[key]) for key in _SESSION_KEYS if meta.get(key)), "")
        self.latest = named or self.latest
        session = self._own(named) or self.name
        self.sessions.add(session)
        told = str(meta.get(_CALL_KEY) or "")[:200]
        return self._caller(session, client, shared=self.shared and not named, call_id=told, side=side)

    def reader(self, meta: JsonObject, client: str = "") -> Caller:
        """Who asks for a list or a document: clients name the conversation in calls only, so it is the last one."""
        named = next((str(meta[key]) for key in _SESSION_KEYS if meta.get(key)), self.latest)
        return self._caller(self._own(named) or self.name, client, shared=self.shared and not named)

    def _own(self, named: str) -> str:
        """A conversation that a client named: nobody comes into another's by naming it."""
        return f"{digest_text(self.guest.identity)[7:23]}/{named}" if named and self.guest.identity else named

    def _caller(
        self, session: str, client: str, *, shared: bool, call_id: str = "", side: Counterpart | None = None
    ) -> Caller:
        return Caller(
            CallerKind.AGENT,
            session=session,
            connection=self.name,
            client=client or self.client,
            shared=shared,
            call_id=call_id,
            client_side=side,
            identity=self.guest.identity,
            role=self.guest.role,
        )

    def take(self, message: Any) -> bool:
        """Whether a message of the client is dealt with here; the session gets all others."""
        if not isinstance(message, dict):
            return False
        received = cast("JsonObject", message)
        if self.ledger is not None:
            self.ledger.asked(received)
        method, params = received.get("method"), received.get("params")
        given: JsonObject = params if isinstance(params, dict) else {}
        if method == "tools/call" and self._open and self._take_call(received.get("id"), given):
            return True
        if isinstance(number := received.get("id"), str | int) and method != "subscriptions/listen":
            well_formed = received.get("jsonrpc") == "2.0" and isinstance(params, dict | None)
            if isinstance(method, str) and well_formed:
                self._asked.add(number)
        if method == "notifications/cancelled":
            number = given.get("requestId")
            if isinstance(number, str | int):
                self._asked.discard(number)
                self._note_answered(number)
            call = self._calls.get(id_text(number))
            return call is not None and call.cancel()
        if method is None:
            return self._take_answer(received)
        if method == "initialize":
            declared = given.get("capabilities")
            self.side = Direct(declared if isinstance(declared, dict) else {}, self.request)
            info = given.get("clientInfo")
            self.client = f"{info.get('name', '')} {info.get('version', '')}".strip() if isinstance(info, dict) else ""
        elif method == "notifications/initialized":
            self._open = bool(self.client)
        return False

    async def request(self, method: str, params: JsonObject, seconds: float) -> JsonObject | None:
        """The client's result; None where it refused or none came in time. The session never sees it."""
        number = f"druse-{uuid.uuid4().hex[:12]}"
        answer = self._questions[number] = asyncio.get_running_loop().create_future()
        try:
            await self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
            return await within(seconds, answer)
        finally:
            del self._questions[number]
            if answer.cancelled():  # nobody waits any more: the client can close its dialog
                gone: JsonObject = {"requestId": number, "reason": "nobody waits for the answer any more"}
                await self._send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": gone})

    def _take_answer(self, received: JsonObject) -> bool:
        number = received.get("id")
        if not isinstance(number, str) or not number.startswith("druse-"):
            return False
        waiting = self._questions.get(number)
        if waiting is not None and not waiting.done():
            result = received.get("result")
            waiting.set_result(result if isinstance(result, dict) else None)
        return True  # too late for the others

    def answered(self, number: str | int) -> None:
        """The session answered a request."""
        self._asked.discard(number)
        self._note_answered(number)
        self._look()

    async def linger(self) -> None:
        """The client asks nothing more: wait for what it asked, as long as it listens, `_LINGER_SECONDS` at most.

        Whoever writes requests into a pipe and closes it wants the answers. Not waited for is what waits for the
        client itself.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + _LINGER_SECONDS
        self._drained = drained = asyncio.Event()
        self._look()
        while not drained.is_set() and not self._questions and loop.time() < until and not self._gone():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_LOOK):
                    await drained.wait()

    def _look(self) -> None:
        """Tell who lingers that all is answered."""
        if self._drained is not None and not self._calls and not self._asked:
            self._drained.set()

    def _gone(self) -> bool:
        """Whether nobody reads any more."""
        writer = self._writer
        way = writer and (writer.get_extra_info("socket") or writer.get_extra_info("pipe"))
        if writer is None or writer.is_closing() or not way or not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(way.fileno(), 0)
        return bool(poll.poll(0))

    def end(self) -> None:
        """The client left: nobody waits for its calls."""
        for call in self._calls.values():
            call.cancel()

    def _take_call(self, number: Json, params: JsonObject) -> bool:
        name, arguments, meta = params.get("name"), params.get("arguments"), params.get("_meta") or {}
        well_formed = (
            isinstance(number, str | int)
            and not isinstance(number, bool)
            and isinstance(name, str)
            and (arguments is None or isinstance(arguments, dict))
            and isinstance(meta, dict)
            and _MODERN not in meta
            and id_text(number) not in self._calls
        )
        if not well_formed or self._spawn is None:
            return False  # the session knows what to answer
        work = self._answer(number, cast("str", name), arguments or {}, cast("JsonObject", meta))
        self._calls[id_text(number)] = self.context.run(self._spawn, work)
        return True

    async def _answer(self, number: Json, name: str, arguments: Json, meta: JsonObject) -> None:
        assert self._carry is not None and self._wire is not None
        token = meta.get("progressToken")
        progress = self._progress(token) if isinstance(token, str | int) else None
        answer: JsonObject = {"jsonrpc": "2.0", "id": number}
        try:
            caller = self.caller(meta, side=self.side)
            answer["result"] = self._wire(await self._carry(name, arguments, caller, progress))
        except MCPError as error:
            answer["error"] = error.error.model_dump(mode="json", exclude_none=True)
        finally:
            del self._calls[id_text(number)]
        await self._send(answer)
        self._note_answered(number)
        self._look()

    def _note_answered(self, number: Json) -> None:
        if self.ledger is not None and self._writer is not None:
            self.ledger.answered(number, behind=self._writer.transport.get_write_buffer_size() > 0)

    def _progress(self, token: str | int) -> Progress:
        async def report(done: float, total: float | None, message: str | None) -> None:
            params: JsonObject = {"progressToken": token, "progress": done}
            if total is not None:
                params["total"] = total
            if message is not None:
                params["message"] = message
            await self._send({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})

        return report

    async def _send(self, message: JsonObject) -> None:
        assert self._writer is not None
        if self._writer.is_closing():
            return
        self._writer.write(_line(message))
        try:
            await self._writer.drain()
        except ConnectionError:
            return  # the client is gone; its reading side ends the connection


def _line(message: JsonObject) -> bytes:
    from pydantic_core import PydanticSerializationError, to_json

    try:
        return to_json(message, inf_nan_mode="null") + b"\n"
    except (PydanticSerializationError, UnicodeEncodeError):  # half a surrogate pair, which JSON can only escape
        return json.dumps(message).encode() + b"\n"
