"""The MCP server: one object for both protocol eras, over any transport.

Handshake-era clients get `notifications/tools/list_changed` pushed on their connection; 2026-07-28 clients get it on
their `subscriptions/listen` stream. Neither is needed: the fixed surface reaches every tool (D3).
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol

import mcp_types as types
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from druse import __version__
from druse.front.documents import EXTENSION, Documents
from druse.front.elicitation import Ask, Decider, Elicitation, Question, asks_forms, called_tool, within
from druse.front.links import Link, current_link
from druse.front.results import result_of, wire_of
from druse.front.surface import INSTRUCTIONS
from druse.governance import ELICITATION_SCHEMA
from druse.model import Caller, DruseError, Json, JsonObject, Outcome, OutcomeStatus, Progress, ToolSpec
from druse.upstream.lines import LineReader, LineWriter, not_a_message

log = logging.getLogger("druse.front")

_INPUT_REQUIRED = "2026-07-28"  # since then a question is a result, not a request of the server
_QUESTION = "approval"


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

    def run_of(self, caller: Caller) -> str:
        """The run now open in the caller's session, empty where there is none."""
        ...

    async def serve_call(self, name: str, arguments: Json, caller: Caller, progress: Progress | None) -> Outcome:
        """Carry out one `tools/call`."""
        ...


class _At(types.PaginatedRequestParams):
    """Parameters of requests about one resource."""

    uri: str


class Opening(Protocol):
    """A desk that may still have to be opened."""

    async def ready(self) -> Desk:
        """The open desk. Raises the DruseError that stands in its way."""
        ...


class Front:
    """Builds the `Server` around a desk and tells clients when the listing changed."""

    def __init__(self, desk: Opening) -> None:
        self._desk = desk
        self._bus = InMemorySubscriptionBus()
        self._connections: dict[Any, str] = {}  # live handshake-era connections and the name we gave each
        self._elicitation = Elicitation(time.monotonic)
        self._modern_name = f"c-{uuid.uuid4().hex[:12]}"
        self.server: Server[Any] = Server(
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
            on_subscriptions_listen=ListenHandler(self._bus),
        )
        self.server.extensions = {EXTENSION: {"directoryRead": True}}
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
        return self.server.create_initialization_options(
            NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True)
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link) -> None:
        """Serve one client on a pipe or socket until it leaves."""

        def bad(line: bytes | None, problem: ValueError | None) -> None:
            writer.write(not_a_message(line, problem))

        async with asyncio.TaskGroup() as group:
            link.attach(writer, spawn=group.create_task, carry=self._carry_out, wire=wire_of)
            reads = LineReader(reader, on_bad=bad, take=link.take, context=link.context)
            try:
                await self.server.run(reads, LineWriter(writer), self.options())
            finally:
                link.end()

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
        return await (await self._documents(ctx)).resources(params.cursor if params else None)

    async def _list_templates(
        self, _ctx: Any, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        return (await self._ready()).documents.templates()

    async def _read_resource(self, ctx: Any, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        run_id = (await self._ready()).run_of(self._caller(ctx))
        return await (await self._documents(ctx)).read(str(params.uri), run_id)

    async def _list_prompts(self, ctx: Any, params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        return await (await self._documents(ctx)).prompts(params.cursor if params else None)

    async def _get_prompt(self, ctx: Any, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        run_id = (await self._ready()).run_of(self._caller(ctx))
        return await (await self._documents(ctx)).prompt(params.name, params.arguments or {}, run_id)

    async def _skills_list(self, ctx: Any, params: types.PaginatedRequestParams) -> dict[str, Any]:
        return await (await self._documents(ctx)).skills(params.cursor)

    async def _skills_get(self, ctx: Any, params: _At) -> dict[str, Any]:
        return await (await self._documents(ctx)).skill(params.uri)

    async def _directory_read(self, ctx: Any, params: _At) -> dict[str, Any]:
        return await (await self._documents(ctx)).directory(params.uri)

    async def _call_tool(
        self, ctx: Any, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        caller, arguments = self._caller(ctx), params.arguments or {}
        declared = ctx.session.client_capabilities
        able = declared is not None and asks_forms(declared.model_dump(mode="json", exclude_none=True))
        if not able or ctx.protocol_version < _INPUT_REQUIRED:
            ask = _asking(ctx) if able else None
            return result_of(await self._carry_out(params.name, arguments, caller, _progress(ctx), ask))
        call: JsonObject = {"name": params.name, "arguments": arguments}

        async def again() -> Outcome:
            return await self._carry_out(params.name, arguments, caller, _progress(ctx), None)

        if params.request_state is not None:
            response = (params.input_responses or {}).get(_QUESTION)
            answer = response.model_dump(mode="json") if isinstance(response, types.ElicitResult) else None
            ended = await self._elicitation.resume(
                await self._ready(), params.request_state, answer, caller, call, again
            )
            if ended is not None:
                return result_of(ended)
        outcome = await again()
        given = await self._elicitation.give(await self._ready(), outcome, caller, call)
        if given is None:
            return result_of(outcome)
        request = types.ElicitRequest(params=_form(given[0]))
        return types.InputRequiredResult(input_requests={_QUESTION: request}, request_state=given[1])

    async def _ready(self) -> Desk:
        try:
            return await self._desk.ready()
        except DruseError as error:
            raise MCPError(types.INTERNAL_ERROR, str(error)) from error

    async def _carry_out(
        self, name: str, arguments: Json, caller: Caller, progress: Progress | None, ask: Ask | None
    ) -> Outcome:
        try:
            desk = await self._desk.ready()
            outcome = await desk.serve_call(name, arguments, caller, progress)
            if ask is None or outcome.status is not OutcomeStatus.PENDING:
                return outcome
            tool = called_tool(name, arguments)
            again = partial(desk.serve_call, name, arguments, caller, progress)
            return await self._elicitation.carry(desk, outcome, caller, tool, ask, again)
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
        held = self._connections.get(ctx.session._connection)  # over HTTP
        return Link(held or self._modern_name, shared=held is None)


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


def _form(question: Question) -> types.ElicitRequestFormParams:
    return types.ElicitRequestFormParams(message=question.message, requested_schema=ELICITATION_SCHEMA)


def _asking(ctx: Any) -> Ask:
    """The way of a question through a handshake-era session, where it has no link."""

    async def ask(question: Question) -> JsonObject | None:
        form = ctx.session.elicit_form(question.message, ELICITATION_SCHEMA, related_request_id=ctx.request_id)
        try:
            result = await within(question.seconds, form)
        except (MCPError, ValidationError):  # it declared what it cannot do, or answered with nonsense
            return None
        return result.model_dump(mode="json") if result is not None else None

    return ask


def _progress(ctx: Any) -> Progress | None:
    meta: dict[str, Any] = ctx.meta or {}
    if not meta.get("progress_token"):
        return None

    async def report(done: float, total: float | None, message: str | None) -> None:
        await ctx.session.report_progress(done, total, message)

    return report
