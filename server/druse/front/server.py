"""The MCP server: one object for both protocol eras, over any transport.

Handshake-era clients get `notifications/tools/list_changed` pushed on their connection; 2026-07-28 clients get it on
their `subscriptions/listen` stream. Neither is needed: the fixed surface reaches every tool (D3).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import mcp_types as types
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError

from druse import __version__
from druse.front.calls import Call, Calls
from druse.front.elicitation import Decider, Elicitation, after_decision, asking, called_tool
from druse.front.extensions import SKILLS, TASKS, check_task_header, require_tasks
from druse.front.guests import guest_of
from druse.front.interaction import MODERN, capabilities_of, carried
from druse.front.links import Link, current_link
from druse.front.listening import listen_with_tasks, task_ids
from druse.front.profiles import Profile
from druse.front.results import result_of, wire_of
from druse.front.surface import INSTRUCTIONS
from druse.model import Caller, DruseError, Json, JsonObject, Outcome, OutcomeStatus, Progress, ToolSpec, digest_text
from druse.upstream.lines import LineProtocol, LineReader, LineWriter, not_a_message

if TYPE_CHECKING:
    from druse.front.deferred import Deferred
    from druse.front.documents import Documents

log = logging.getLogger("druse.front")


class Desk(Decider, Protocol):
    """What the server puts on the wire (see `druse.front.application`)."""

    async def listing(self, caller: Caller) -> Sequence[ToolSpec]:
        """The tools of `tools/list`: the fixed surface and the first crystallized tools."""
        ...

    @property
    def documents(self) -> Documents:
        """Resources and prompts."""
        ...

    async def documents_for(self, caller: Caller) -> Documents:
        """Resources and prompts as the caller's session knows them."""
        ...

    @property
    def listeners(self) -> list[Callable[[], Awaitable[None]]]:
        """Whoever wants to hear that the listing changed."""
        ...

    @property
    def deferred(self) -> Deferred:
        """Calls answered with a task."""
        ...

    async def waits_with(self, approval_id: str) -> str:
        """The tool that an approval is for."""
        ...

    async def decided(self, approval_id: str) -> str:
        """Wait until an approval is decided or has expired; its status then."""
        ...

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start work that no request owns; it is stopped with the desk."""
        ...

    def run_of(self, caller: Caller) -> str:
        """The run now open in the caller's session, empty where there is none."""
        ...

    async def serve_call(self, name: str, arguments: Json, caller: Caller, progress: Progress | None) -> Outcome:
        """Carry out one `tools/call`."""
        ...


class _At(types.PaginatedRequestParams):
    """Parameters of requests about one resource."""

    uri: str


class _Task(types.RequestParams):
    """Parameters of requests about one task."""

    task_id: str


class _Answers(_Task):
    """Parameters of `tasks/update`."""

    input_responses: dict[str, dict[str, Any]]


class Opening(Protocol):
    """A desk that may still have to be opened."""

    async def ready(self) -> Desk:
        """The open desk. Raises the DruseError that stands in its way."""
        ...


class Front:
    """Builds the `Server` around a desk and tells clients when the listing changed."""

    def __init__(self, desk: Opening, profile: Profile | None = None) -> None:
        self._desk = desk
        self._profile = profile
        self._bus = InMemorySubscriptionBus()
        self._listener = ListenHandler(self._bus)
        self._connections: dict[Any, str] = {}  # live handshake-era connections and the name we gave each
        self._elicitation = Elicitation()
        self._calls = Calls()
        self._modern_name = f"c-{uuid.uuid4().hex[:12]}"
        self.server: Server[Any] = _Server(
            "druse",
            version=__version__,
            title="Druse",
            instructions=INSTRUCTIONS,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._get_prompt,
            on_subscriptions_listen=self._listen,
        )
        if profile is not None:
            profile.announce = self._announce
            self._serve_profile()
        self.server.extensions = {SKILLS: {"directoryRead": True}, TASKS: {}}
        self.server.add_request_handler("tasks/get", _Task, self._task_get)
        self.server.add_request_handler("tasks/update", _Answers, self._task_update)
        self.server.add_request_handler("tasks/cancel", _Task, self._task_cancel)
        self.server.add_request_handler("skills/list", types.PaginatedRequestParams, self._skills_list)
        self.server.add_request_handler("skills/get", _At, self._skills_get)
        self.server.add_request_handler("resources/directory/read", _At, self._directory_read)
        self.server.add_notification_handler(
            "notifications/initialized", types.NotificationParams, self._remember_connection
        )

    def listen_to(self, desk: Desk) -> None:
        """Tell clients from now on when something of this desk changed."""
        desk.listeners.append(self.tools_changed)
        desk.documents.listeners.append(self.documents_changed)

    def options(self) -> Any:
        """Initialization options that tell handshake-era clients the truth about `listChanged`."""
        return self.server.create_initialization_options()

    async def serve(
        self,
        protocol: LineProtocol,
        reads: asyncio.ReadTransport,
        writer: asyncio.StreamWriter,
        link: Link,
        *,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve one client on a pipe or socket until it leaves; `protocol` is that of the transport `reads`.

        `answered` is called when the client has its first answer.
        """

        def bad(line: bytes | None, problem: ValueError | None) -> None:
            writer.write(not_a_message(line, problem))

        async with asyncio.TaskGroup() as group:
            link.attach(writer, spawn=group.create_task, carry=self._carry_out, wire=wire_of)
            context, ledger = link.context, link.ledger
            lines = LineReader(on_bad=bad, linger=link.linger, take=link.take, context=context, witness=ledger)
            await protocol.divert(lines, reads)
            try:
                await self.server.run(lines, LineWriter(writer, answered, link.answered), self.options())
            finally:
                link.end()
                await self._calls.leave(link.name)

    async def tools_changed(self) -> None:
        """Tell every client, each in its era, that `tools/list` differs."""
        await self._bus.publish(ToolsListChanged())
        for connection in list(self._connections):
            await connection.notify("notifications/tools/list_changed", None)

    async def documents_changed(self) -> None:
        """Tell every client, each in its era, that resources and prompts differ."""
        await self._bus.publish(ResourcesListChanged())
        await self._bus.publish(PromptsListChanged())
        for connection in list(self._connections):
            await connection.notify("notifications/resources/list_changed", None)
            await connection.notify("notifications/prompts/list_changed", None)

    async def _remember_connection(self, ctx: Any, _params: types.NotificationParams) -> None:
        # mcp 2.3 has no public way to notify a handshake-era client outside a request; the connection is the way.
        connection = ctx.session._connection
        self._connections.setdefault(connection, f"c-{uuid.uuid4().hex[:12]}")
        connection.exit_stack.callback(self._connections.pop, connection, None)

    async def _list_tools(self, ctx: Any, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        tools = [_wire_tool(spec) for spec in await (await self._ready()).listing(self._reader(ctx))]
        return types.ListToolsResult(tools=tools, ttl_ms=0, cache_scope="private")

    async def _list_resources(self, ctx: Any, params: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
        listed = await (await self._documents(ctx)).resources(params.cursor if params else None)
        if self._profile is not None and not listed.next_cursor:
            more = [types.Resource.model_validate(one, by_name=False) for one in self._profile.resources()]
            listed.resources = [*listed.resources, *more]
        return listed

    async def _list_templates(
        self, _ctx: Any, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        listed = (await self._ready()).documents.templates()
        if self._profile is not None:
            more = [types.ResourceTemplate.model_validate(one, by_name=False) for one in self._profile.templates()]
            listed.resource_templates = [*listed.resource_templates, *more]
        return listed

    async def _read_resource(self, ctx: Any, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        found = self._profile.read(str(params.uri)) if self._profile is not None else None
        if found is not None:
            wire = {"contents": [found], "ttlMs": 0, "cacheScope": "private"}
            return types.ReadResourceResult.model_validate(wire, by_name=False)
        run_id = (await self._ready()).run_of(self._caller(ctx))
        return await (await self._documents(ctx)).read(str(params.uri), run_id)

    async def _list_prompts(self, ctx: Any, params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        listed = await (await self._documents(ctx)).prompts(params.cursor if params else None)
        if self._profile is not None and not listed.next_cursor:
            more = [types.Prompt.model_validate(one, by_name=False) for one in self._profile.prompts()]
            listed.prompts = [*listed.prompts, *more]
        return listed

    async def _get_prompt(self, ctx: Any, params: types.GetPromptRequestParams) -> Any:
        profile = self._profile
        if profile is not None and params.name in [one["name"] for one in profile.prompts()]:

            async def work(caller: Caller, progress: Progress | None) -> Any:
                found = await profile.prompt(params.name, params.arguments or {}, caller.client_side)
                return types.GetPromptResult.model_validate(found, by_name=False)

            request: JsonObject = {"prompt": params.name, "arguments": dict(params.arguments or {})}
            spawn = (await self._ready()).spawn
            return await carried(ctx, params, self._caller(ctx), request, work, calls=self._calls, spawn=spawn)
        run_id = (await self._ready()).run_of(self._caller(ctx))
        return await (await self._documents(ctx)).prompt(params.name, params.arguments or {}, run_id)

    async def _skills_list(self, ctx: Any, params: types.PaginatedRequestParams) -> dict[str, Any]:
        return await (await self._documents(ctx)).skills(params.cursor)

    async def _skills_get(self, ctx: Any, params: _At) -> dict[str, Any]:
        return await (await self._documents(ctx)).skill(params.uri)

    async def _directory_read(self, ctx: Any, params: _At) -> dict[str, Any]:
        return await (await self._documents(ctx)).directory(params.uri)

    async def _call_tool(self, ctx: Any, params: types.CallToolRequestParams) -> Any:
        name, arguments = params.name, params.arguments or {}
        desk = await self._ready()

        async def work(caller: Caller, progress: Progress | None) -> Any:
            return result_of(await self._carry_out(name, arguments, caller, progress))

        request: JsonObject = {"name": name, "arguments": arguments}
        caller = self._caller(ctx)
        calls, defer = self._calls, desk.deferred
        return await carried(ctx, params, caller, request, work, calls=calls, spawn=desk.spawn, defer=defer)

    async def _task_get(self, ctx: Any, params: _Task) -> dict[str, Any]:
        return await (await self._deferred(ctx, params)).get(params.task_id)

    async def _task_update(self, ctx: Any, params: _Answers) -> dict[str, Any]:
        await (await self._deferred(ctx, params)).update(params.task_id, params.input_responses)
        return {}

    async def _task_cancel(self, ctx: Any, params: _Task) -> dict[str, Any]:
        await (await self._deferred(ctx, params)).cancel(params.task_id)
        return {}

    async def _listen(self, ctx: Any, params: types.SubscriptionsListenRequestParams) -> Any:
        if not task_ids(params):
            return await self._listener(ctx, params)
        return await listen_with_tasks(self._listener, (await self._ready()).deferred, ctx, params)

    async def _deferred(self, ctx: Any, params: _Task) -> Deferred:
        """Where tasks are, if this one is the caller's."""
        if ctx.protocol_version < MODERN:
            raise MCPError(types.METHOD_NOT_FOUND, "Method not found")
        require_tasks(capabilities_of(ctx))
        named = ctx.request.headers.get("mcp-name") if ctx.request is not None else None
        check_task_header(named, params.task_id)
        deferred = (await self._ready()).deferred
        await deferred.require(params.task_id, guest_of(ctx).identity)
        return deferred

    def _serve_profile(self) -> None:
        """What only a profile has: log levels, watched resources, completion."""

        async def accept(_ctx: Any, _params: Any) -> types.EmptyResult:
            return types.EmptyResult()

        async def complete(_ctx: Any, _params: types.CompleteRequestParams) -> types.CompleteResult:
            return types.CompleteResult(completion=types.Completion(values=[], total=0, has_more=False))

        self.server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, accept)
        self.server.add_request_handler("resources/subscribe", types.SubscribeRequestParams, accept)
        self.server.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, accept)
        self.server.add_request_handler("completion/complete", types.CompleteRequestParams, complete)

    async def _announce(self, what: str) -> None:
        await (self.tools_changed() if what == "tools" else self.documents_changed())

    async def _ready(self) -> Desk:
        try:
            return await self._desk.ready()
        except DruseError as error:
            raise MCPError(types.INTERNAL_ERROR, str(error)) from error

    async def _carry_out(self, name: str, arguments: Json, caller: Caller, progress: Progress | None) -> Outcome:
        try:
            desk = await self._desk.ready()
            outcome = await desk.serve_call(name, arguments, caller, progress)
            if outcome.kind == "protocol_error":
                raise _error_of(outcome)
            if outcome.status is not OutcomeStatus.PENDING:
                return outcome
            side, ask = caller.client_side, asking(caller.client_side) if _answers(caller) else None
            tool = called_tool(name, arguments)
            again = partial(desk.serve_call, name, arguments, caller, progress)
            if ask is not None:
                outcome = await self._elicitation.carry(desk, outcome, caller, tool, ask, again)
            waits = outcome.status is OutcomeStatus.PENDING and bool(outcome.approval_id)
            if not (waits and isinstance(side, Call) and side.takes_tasks and side.may_defer):
                return outcome
            if await desk.waits_with(outcome.approval_id) != tool:
                return outcome  # part of it is done: it is not for us to do that part twice
            side.approval_id = outcome.approval_id
            await side.go_on_alone(outcome.message)
            return await after_decision(desk, outcome, again)
        except DruseError as error:
            return Outcome(OutcomeStatus.FAILED, message=str(error), kind=error.kind)
        except MCPError:
            raise
        except Exception:  # top handler of MCP requests: the client gets an id, the log the traceback
            incident = uuid.uuid4().hex[:8]
            log.exception("incident %s: %s failed", incident, name)
            return Outcome(
                OutcomeStatus.FAILED,
                message=f"{name} failed inside Druse (incident {incident}). Nothing more is known to have "
                "happened than the audit chain shows; see the server's log.",
                kind="internal",
            )

    async def _documents(self, ctx: Any) -> Documents:
        return await (await self._ready()).documents_for(self._reader(ctx))

    def _caller(self, ctx: Any) -> Caller:
        """Identity from the connection and the client's own metadata, never from arguments."""
        meta: dict[str, Any] = dict(ctx.meta or {})
        return self._link(ctx).caller(meta, _client_of(ctx, meta))

    def _reader(self, ctx: Any) -> Caller:
        meta: dict[str, Any] = dict(ctx.meta or {})
        return self._link(ctx).reader(meta, _client_of(ctx, meta))

    def _link(self, ctx: Any) -> Link:
        link = current_link()
        if link is not None:
            return link
        guest = guest_of(ctx)
        held = self._connections.get(ctx.session._connection)  # over HTTP
        if held is not None:
            return Link(held, guest=guest)
        # A request of 2026-07-28 over HTTP names no connection. Clients are told apart by program, machine and token,
        # and where they send a session id all the same, by that.
        headers: Mapping[str, str] = ctx.request.headers if ctx.request is not None else {}
        told = headers.get("mcp-session-id", "")
        bearer = guest.identity or headers.get("authorization", "")  # an access token is renewed, its bearer stays
        marks = (told, bearer, headers.get("user-agent", ""))
        host = ctx.request.client.host if ctx.request is not None and ctx.request.client is not None else ""
        who = digest_text("\0".join((*marks, host, _client_of(ctx, dict(ctx.meta or {})))))
        return Link(f"{self._modern_name}-{who[7:19]}", shared=not told, guest=guest)


class _Server(Server[Any]):
    """The SDK's server, which tells of `listChanged` over HTTP as well, where the SDK makes the options itself."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """Options that say that all lists change."""
        told = NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True)
        return super().create_initialization_options(
            notification_options or told, experimental_capabilities, extensions
        )


def _answers(caller: Caller) -> bool:
    """Whether an answer of the caller's client may decide: of this account's clients, and of who administers it all."""
    return not caller.identity or caller.role == "system_admin"


def _error_of(outcome: Outcome) -> MCPError:
    """The JSON-RPC error that a call ended in, in place of a result."""
    code = outcome.details.get("code")
    return MCPError(code if isinstance(code, int) else types.INTERNAL_ERROR, outcome.message, outcome.details["data"])


def _client_of(ctx: Any, meta: dict[str, Any]) -> str:
    params = ctx.session.client_params
    if params is not None:
        return f"{params.client_info.name} {params.client_info.version}"
    info: dict[str, Any] = meta.get("io.modelcontextprotocol/clientInfo") or {}
    return f"{info.get('name', '')} {info.get('version', '')}".strip()


def _wire_tool(spec: ToolSpec) -> types.Tool:
    return types.Tool(
        name=spec.name,
        description=spec.description,
        input_schema=dict(spec.input_schema),
        # A hint only where it is proven: clients run read-only tools without asking anyone.
        annotations=types.ToolAnnotations(read_only_hint=True) if spec.read_only_hint else None,
    )
