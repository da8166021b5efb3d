"""All upstream servers as one provider of tools."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from druse.model import (
    DEEPEST,
    CallContext,
    Caller,
    Effect,
    Json,
    JsonObject,
    Outcome,
    OutcomeStatus,
    Source,
    ToolSpec,
    UpstreamFailure,
    nested_deeper,
)
from druse.upstream.answers import Answer
from druse.upstream.connection import Connection, Sign, unsigned
from druse.upstream.names import distinct_name, wire_name
from druse.upstream.questions import Heard
from druse.upstream.servers import ServerEntry

if TYPE_CHECKING:
    import mcp_types as types

MAX_RESULT_BYTES = 16 * 1024 * 1024


async def _unheard(_server: str, _caller: Caller, _action: str) -> None:
    """Nobody keeps a record."""


class Upstreams:
    """The servers of mcp.json. Nothing is connected before a tool of it is wanted."""

    def __init__(self, connections: Mapping[str, Connection], on_change: Callable[[], None]) -> None:
        self._connections = connections
        self._on_change = on_change
        self._specs: dict[str, tuple[ToolSpec, ...]] = {}
        self.unusable: dict[str, str] = {}  # wire name -> why a listed tool cannot be called

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        entries: Sequence[ServerEntry],
        *,
        logs: Path,
        environment: Mapping[str, str] = os.environ,
        connect_timeout: float = 20,
        call_timeout: float = 120,
        on_change: Callable[[], None] = lambda: None,
        on_question: Heard = _unheard,
        sign: Sign = unsigned,
        clock: Callable[[], float] = time.monotonic,
    ) -> AsyncGenerator[Upstreams]:
        """Make the servers callable until the block ends; then every child process is ended."""
        connections: dict[str, Connection] = {}
        upstreams = cls(connections, on_change)
        for entry in entries:
            connections[entry.name] = Connection(
                entry,
                logs=logs,
                environment=environment,
                connect_timeout=connect_timeout,
                call_timeout=call_timeout,
                on_tools_changed=upstreams.take_tools,
                on_question=on_question,
                sign=sign,
                clock=clock,
            )
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(connection.run()) for connection in connections.values()]
            try:
                yield upstreams
            finally:
                for task in tasks:
                    task.cancel()

    def specs(self) -> Sequence[ToolSpec]:
        """The tools of all servers that were connected once, by server in the order of mcp.json."""
        return [spec for name in self._connections for spec in self._specs.get(name, ())]

    def owner_of(self, wire: str) -> str | None:
        """The server whose tools begin as `wire` does, connected or not."""
        return next((name for name in self._connections if wire.startswith(wire_name(name, "")[:-1])), None)

    async def connect(self, names: Sequence[str] | None = None) -> dict[str, str]:
        """Connect these servers (default: all) in parallel; the problems of those that cannot be reached."""
        problems: dict[str, str] = {}

        async def one(connection: Connection) -> None:
            try:
                await connection.ready()
            except UpstreamFailure as error:
                problems[connection.entry.name] = str(error)

        async with asyncio.TaskGroup() as group:
            for name, connection in self._connections.items():
                if names is None or name in names:
                    group.create_task(one(connection))
        return problems

    async def request(self, name: str, method: str, params: JsonObject) -> JsonObject:
        """One request to a server that is no tool call; the result as it came. Raises UpstreamFailure."""
        return await self._connections[name].request(method, params)

    async def relist(self, name: str) -> None:
        """Ask one connected server for its tools again. Raises UpstreamFailure."""
        await self._connections[name].relist()

    def status(self) -> list[JsonObject]:
        """One line a server, for `druse status`."""
        return [
            {
                "server": name,
                "connected": connection.connected,
                "tools": len(self._specs.get(name, ())),
                "problem": "" if connection.connected else connection.problem,
            }
            for name, connection in self._connections.items()
        ]

    def take_tools(self, connection: Connection) -> None:
        """Build the specs of a server anew from what it listed."""
        server = connection.entry.name
        taken = {spec.name for name, specs in self._specs.items() if name != server for spec in specs}
        specs: list[ToolSpec] = []
        for tool in connection.tools:
            name = wire_name(server, tool.name)
            if name in taken:
                name = distinct_name(server, tool.name)
            taken.add(name)
            problem = _schema_problem(tool)
            if problem:
                self.unusable[name] = f"server {server!r} declares {tool.name!r} with a broken schema: {problem}"
                continue
            self.unusable.pop(name, None)
            specs.append(_spec(server, name, tool))
        for tool, problem in connection.refused.items():
            name = wire_name(server, tool)
            self.unusable[name] = f"server {server!r} declares {tool!r} with a broken schema: {problem}"
        self._specs[server] = tuple(specs)
        self._on_change()

    async def call(self, spec: ToolSpec, arguments: JsonObject, context: CallContext) -> Outcome:
        """One call on the server that owns the tool."""
        connection = self._connections[spec.server]
        answer = await connection.call(spec.upstream_name, arguments, context.progress, context.caller)
        return _outcome(spec, answer)


def _spec(server: str, name: str, tool: types.Tool) -> ToolSpec:
    annotations = tool.annotations
    return ToolSpec(
        name,
        Source.UPSTREAM,
        description=tool.description or tool.title or "",
        input_schema=cast("dict[str, Json]", tool.input_schema),
        output_schema=cast("dict[str, Json] | None", tool.output_schema),
        effect=Effect.UNKNOWN,
        read_only_hint=bool(annotations and annotations.read_only_hint),
        server=server,
        upstream_name=tool.name,
    )


def _schema_problem(tool: types.Tool) -> str:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    for schema in (tool.input_schema, tool.output_schema):
        if schema is None:
            continue
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            return error.message[:200]
        except RecursionError:
            return "it is nested too deeply"
    return ""


def _outcome(spec: ToolSpec, answer: Answer) -> Outcome:
    content, structured = answer.content, answer.structured
    text = "\n".join(str(block["text"]) for block in content if block.get("type") == "text")
    size = len(text) + sum(len(str(block.get("data", ""))) for block in content)
    if size > MAX_RESULT_BYTES:
        raise UpstreamFailure(
            f"Server {spec.server!r}: {spec.upstream_name} answered {size:,} characters, over the limit of "
            f"{MAX_RESULT_BYTES:,}. Ask it for less.",
            server=spec.server,
        )
    if nested_deeper(structured):
        raise UpstreamFailure(
            f"Server {spec.server!r}: {spec.upstream_name} answered data nested more than {DEEPEST} levels deep, "
            "which clients do not read. Ask it for less.",
            server=spec.server,
        )
    if answer.is_error:
        return Outcome(
            OutcomeStatus.ERROR,
            data=structured if structured is not None else _data(text),
            message=f"{spec.name} reported an error: {text[:2000] or 'without a text'}",
            kind="tool_error",
            content=content,
        )
    if spec.output_schema is not None and structured is None:
        raise UpstreamFailure(
            f"Server {spec.server!r}: {spec.upstream_name} declares an output schema but sent no structured content. "
            "Report it to the server's maintainer.",
            server=spec.server,
        )
    if structured is not None:
        return Outcome(OutcomeStatus.OK, data=structured, content=content, structured=structured)
    return Outcome(OutcomeStatus.OK, data=_data(text), content=content)


def _data(text: str) -> Json:
    """A text result as data: JSON where it is an object or a list, else the text itself."""
    import json

    if text[:1] in ("{", "["):
        try:
            loaded: Any = json.loads(text)
        except (ValueError, RecursionError):
            return text
        shallow = text.count("[") + text.count("{") <= DEEPEST or not nested_deeper(loaded)
        return cast("Json", loaded) if shallow else text
    return text
