"""One upstream server: connected when first needed, kept alive, connected again after it died."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from druse import __version__
from druse.model import Caller, JsonObject, Progress, UpstreamFailure, first_error
from druse.upstream.answers import Answer, go_on
from druse.upstream.direct import DirectCalls
from druse.upstream.questions import Heard, Questions
from druse.upstream.servers import ServerEntry

if TYPE_CHECKING:
    import mcp_types as types
    from mcp import Client

log = logging.getLogger("druse.upstream")

MAX_TOOLS = 5000

Sign: TypeAlias = "Callable[[ServerEntry], Any]"  # what signs the requests to a server; None: nothing
_BACK_OFF = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds before the next try, by failures in a row


class Connection:
    """Owns the client of one server. All work of the client happens in one task, started by `run`."""

    def __init__(
        self,
        entry: ServerEntry,
        *,
        logs: Path,
        environment: Mapping[str, str],
        connect_timeout: float,
        call_timeout: float,
        on_tools_changed: Callable[[Connection], None],
        on_question: Heard,
        sign: Sign,
        clock: Callable[[], float],
    ) -> None:
        self.entry = entry
        self.problem = entry.problem
        self.tools: list[types.Tool] = []
        self.refused: dict[str, str] = {}  # tools left out of its list, and why
        self._loose: frozenset[str] = frozenset()  # tools that promise nothing of their results
        self._questions = Questions(entry.name, on_question)
        self._logs = logs
        self._environment = environment
        self._connect_timeout = connect_timeout
        self._call_timeout = entry.timeout or call_timeout
        self._on_tools_changed = on_tools_changed
        self._sign = sign
        self._clock = clock
        self._client: Client | None = None
        self._started: DirectCalls | None = None
        self._direct: DirectCalls | None = None  # over stdio
        self._wanted = asyncio.Event()
        self._connecting = False
        self._settled = asyncio.Event()  # connected, or failed to
        self._broken = asyncio.Event()
        self._stirred = asyncio.Event()  # broken, or the server said that its tools changed
        self._failures = 0
        self._retry_at = 0.0

    @property
    def connected(self) -> bool:
        """Whether a call could go out at once."""
        return self._client is not None and not self._broken.is_set()

    async def run(self) -> None:
        """Connect whenever wanted, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._connecting = True
            await asyncio.sleep(max(0.0, self._retry_at - self._clock()))
            try:
                await self._serve()
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # top handler of a connection: a server may fail in any way it likes
                self._failed(error)
            finally:
                self._client = None
                if self._connecting:  # else it served: whoever came while it closed waits for the next one
                    self._connecting = False
                    self._settled.set()

    async def ready(self) -> Client:
        """The connected client. Raises UpstreamFailure saying what stopped it and what to do."""
        if self.entry.problem:
            raise self._failure(self.entry.problem, asked=False)
        if self.connected and self._client is not None:
            return self._client
        if not self._connecting:
            self._settled.clear()
            self._wanted.set()
        try:
            async with asyncio.timeout(self._connect_timeout + _BACK_OFF[-1]):
                await self._settled.wait()
        except TimeoutError:
            self.problem = "it did not answer in time"
        if self._client is None:
            raise self._failure(self.problem or "it could not be reached", asked=False)
        return self._client

    async def call(self, tool: str, arguments: JsonObject, progress: Progress | None, caller: Caller) -> Answer:
        """One `tools/call`. Cancelling it tells the server. What the server asks goes to the caller's client.

        Raises UpstreamFailure.
        """
        client = await self.ready()
        from mcp.shared.exceptions import MCPError

        try:
            async with self._questions.during(caller, self._call_timeout):
                if self._direct is None:
                    done = await client.call_tool(tool, dict(arguments), progress_callback=_callback(progress))
                    return Answer.of(done)
                result = await self._direct.call(tool, arguments, progress)
                plain = Answer.plain(result)
                if plain is not None and (plain.is_error or tool in self._loose):
                    return plain
                return Answer.of(await self._looked_at(client, tool, arguments, result, progress))
        except TimeoutError as error:
            raise self._failure(f"{tool} did not answer within {self._call_timeout:.0f} s") from error
        except MCPError as error:
            if error.error.code == -32000 or self._broken.is_set():  # connection closed
                self.mark_broken()
                raise self._failure(f"it ended while {tool} ran; what it had done by then is not known") from error
            raise self._failure(f"it refused {tool}: {error.error.message}", refused=True) from error
        except (ValueError, RuntimeError) as error:
            raise self._failure(f"{tool} answered against its own declared schema: {_first_line(error)}") from error

    async def request(self, method: str, params: JsonObject) -> JsonObject:
        """One request that is no tool call, and its result as it came. Raises UpstreamFailure."""
        client = await self.ready()
        import mcp_types as types
        from mcp.shared.exceptions import MCPError

        asked = types.Request[Any, str](method=method, params=params)
        try:
            async with asyncio.timeout(self._call_timeout):
                result = await client.session.send_request(asked, _any_result())
                return result.model_dump(mode="json", by_alias=True)
        except TimeoutError as error:
            raise self._failure(f"{method} was not answered within {self._call_timeout:.0f} s") from error
        except MCPError as error:
            raise self._failure(f"it refused {method}: {error.error.message}", refused=True) from error
        except (ValueError, RuntimeError) as error:
            raise self._failure(f"{method} was answered against the protocol: {_first_line(error)}") from error

    async def _looked_at(
        self, client: Client, tool: str, arguments: JsonObject, result: Any, progress: Progress | None
    ) -> types.CallToolResult:
        """A result off the wire, checked; where the server needs something first, what comes after that."""
        import mcp_types as types

        if isinstance(result, dict) and cast("JsonObject", result).get("resultType") == "input_required":
            first = types.InputRequiredResult.model_validate(result, by_name=False)
            return await go_on(client, tool, arguments, first, _callback(progress))
        done = types.CallToolResult.model_validate(result, by_name=False)
        if not done.is_error:
            await client.session.validate_tool_result(tool, done)
        return done

    async def relist(self) -> None:
        """Ask for the tools again: not every server tells when they change. Raises UpstreamFailure."""
        from mcp.shared.exceptions import MCPError

        client = await self.ready()
        try:
            async with asyncio.timeout(self._connect_timeout):
                self.tools = await self._list(client)
        except (MCPError, TimeoutError) as error:
            raise self._failure(f"its tools could not be listed: {_first_line(error)}") from error
        self._on_tools_changed(self)

    async def _serve(self) -> None:
        from mcp import Client

        self._broken.clear()
        self._stirred.clear()
        self._started = self._direct = None
        async with self._transport() as transport:
            client = Client(
                _sifted(transport, self._refuse),
                message_handler=self._on_message,
                elicitation_callback=self._questions.ask,
                client_info=_info(),
                cache=None,
            )
            async with asyncio.timeout(self._connect_timeout) as deadline, client:
                self.tools = await self._list(client)
                deadline.reschedule(None)
                self._client, self.problem, self._failures = client, "", 0
                self._direct = self._started
                self._connecting = False
                self._settled.set()
                self._on_tools_changed(self)
                await self._watch(client)
        self.problem = self.problem or "it ended"

    async def _watch(self, client: Client) -> None:
        """Until the connection breaks; hears of changed tools where only a listen stream tells of them."""
        if client.protocol_version < "2026-07-28":
            while not self._broken.is_set():
                await self._stirred.wait()
                self._stirred.clear()
                if not self._broken.is_set():
                    self.tools = await self._list(client)
                    self._on_tools_changed(self)
            return
        from mcp.shared.exceptions import MCPError

        try:
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(self._listen(client))
                await self._broken.wait()
                listening.cancel()
        except* MCPError:
            await self._broken.wait()

    async def _listen(self, client: Client) -> None:
        async with client.listen(tools_list_changed=True) as events:
            async for _ in events:
                self.tools = await self._list(client)
                self._on_tools_changed(self)

    async def _on_message(self, message: Any) -> None:
        import mcp_types as types

        # Only noted here: a request from inside the handler waits for the loop that runs the handler.
        if isinstance(message, types.ToolListChangedNotification):
            self._stirred.set()

    def _refuse(self, tool: str, problem: str) -> None:
        self.refused[tool] = problem
        log.warning("server %s: its tool %r is left out: %s", self.entry.name, tool, problem)

    async def _list(self, client: Client) -> list[types.Tool]:
        self.refused.clear()
        tools: list[types.Tool] = []
        cursor: str | None = None
        while True:
            page = await client.list_tools(cursor=cursor)
            tools.extend(page.tools)
            if not page.next_cursor or page.next_cursor == cursor or len(tools) > MAX_TOOLS:
                self._loose = frozenset(tool.name for tool in tools if tool.output_schema is None)
                return tools[:MAX_TOOLS]
            cursor = page.next_cursor

    @asynccontextmanager
    async def _transport(self) -> AsyncGenerator[Any]:
        if self.entry.url:
            import httpx2
            from mcp.client.streamable_http import streamable_http_client

            headers, sign = dict(self.entry.headers), self._sign(self.entry)
            async with httpx2.AsyncClient(headers=headers, timeout=self._call_timeout, auth=sign) as http:
                yield streamable_http_client(self.entry.url, http_client=http)
            return
        from druse.upstream.pipes import process_transport

        self._logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._logs / f"{self.entry.name}.log".replace("/", "_")).open("w", encoding="utf-8") as errors:
            yield process_transport(
                self.entry.command,
                self.entry.args,
                env=self.entry.env,
                environment=self._environment,
                cwd=self.entry.cwd,
                errors=errors,
                on_start=self._start,
                on_end=self._ended,
            )

    def _start(self, calls: DirectCalls) -> None:
        self._started = calls

    def _ended(self, reason: str) -> None:
        self.problem = reason
        self.mark_broken()

    def _failed(self, error: BaseException) -> None:
        self.problem = _cause(error, self._connect_timeout)
        self._failures += 1
        self._retry_at = self._clock() + _BACK_OFF[min(self._failures, len(_BACK_OFF) - 1)]
        log.warning("server %s: %s", self.entry.name, self.problem)

    def _failure(self, problem: str, *, refused: bool = False, asked: bool = True) -> UpstreamFailure:
        advice = (
            "Check the arguments."
            if refused
            else f'Try again, check its entry in mcp.json, or see .druse/logs/{self.entry.name}.log ("druse status").'
        )
        told = f"Server {self.entry.name!r}: {problem}. {advice}"
        return UpstreamFailure(told, server=self.entry.name, asked=asked and not refused)

    def mark_broken(self) -> None:
        """Drop the connection; the next call connects again."""
        self._broken.set()
        self._stirred.set()


@cache
def _any_result() -> type[types.Result]:
    import mcp_types as types

    class AnyResult(types.Result, extra="allow"):
        """Its fields are the caller's to check."""

    return AnyResult


def unsigned(_entry: ServerEntry) -> Any:
    """No signature on requests beyond the entry's own headers."""
    return None


def _info() -> Any:
    import mcp_types as types

    return types.Implementation(name="druse", version=__version__)


@asynccontextmanager
async def _sifted(transport: Any, refused: Callable[[str, str], None]) -> AsyncGenerator[tuple[Any, Any]]:
    """A transport whose lists of tools hold no malformed one."""
    from druse.upstream.listing import SiftedReader

    async with transport as (reads, writes):
        yield SiftedReader(reads, refused), writes


def _callback(progress: Progress | None) -> Any:
    if progress is None:
        return None

    async def report(progress_value: float, total: float | None, message: str | None) -> None:
        await progress(progress_value, total, message)

    return report


def _cause(error: BaseException, timeout: float) -> str:
    error = first_error(error)
    if isinstance(error, UpstreamFailure):
        return re.sub(r"^Server '.*?': (.*)\.$", r"\1", str(error))
    if isinstance(error, TimeoutError):
        return f"it did not complete the MCP handshake within {timeout:.0f} s"
    if isinstance(error, FileNotFoundError):
        return f"its command was not found ({error.filename or error})"
    return f"it could not be started or spoke no MCP ({type(error).__name__}: {_first_line(error)})"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:300]
