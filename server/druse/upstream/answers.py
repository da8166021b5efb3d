"""What a server answers to a call, as data; and the way on where it first needs something of the client.

Nearly every answer is a few texts and perhaps an object. Those are taken as they are; everything else goes through the
SDK's models, which say what is wrong with it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from druse.model import Json, JsonObject, first_error

if TYPE_CHECKING:
    import mcp_types as types
    from mcp import Client

_PLAIN = frozenset({"content", "structuredContent", "isError", "resultType", "_meta", "ttlMs", "cacheScope"})
_TEXT = {"type", "text"}
_PAUSE_SECONDS = 0.05  # before a call is made again that only has to be made again


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a call: blocks of content as they go on the wire, and the structured content if there is one."""

    content: tuple[JsonObject, ...]
    structured: JsonObject | None
    is_error: bool

    @classmethod
    def of(cls, result: types.CallToolResult) -> Answer:
        """A result as the SDK gives it."""
        content = [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in result.content]
        structured = cast("JsonObject | None", result.structured_content)
        return cls(tuple(cast("list[JsonObject]", content)), structured, bool(result.is_error))

    @classmethod
    def plain(cls, result: Json) -> Answer | None:
        """A result off the wire that holds nothing but texts and an object; None where there is more to it."""
        if not isinstance(result, dict) or not _PLAIN.issuperset(result):
            return None
        content, structured = result.get("content"), result.get("structuredContent")
        failed, kind = result.get("isError", False), result.get("resultType", "complete")
        if (
            not isinstance(content, list)
            or not isinstance(failed, bool)
            or kind != "complete"
            or not (structured is None or isinstance(structured, dict))
            or ("_meta" in result and not isinstance(result["_meta"], dict))
            or (structured is None and "structuredContent" in result)
        ):
            return None
        for block in content:
            if not isinstance(block, dict) or block.keys() != _TEXT or block["type"] != "text":
                return None
            if not isinstance(block["text"], str):
                return None
        return cls(tuple(cast("list[JsonObject]", content)), structured, failed)


async def go_on(
    client: Client, tool: str, arguments: JsonObject, first: types.InputRequiredResult, progress: Any
) -> types.CallToolResult:
    """Make a call again with what the server said it needs. Raises MCPError where it asks for what nobody gives."""
    import mcp_types as types
    from mcp.client.session import ClientRequestContext
    from mcp.shared.exceptions import MCPError

    async def answered(key: str, request: types.InputRequest) -> types.InputResponse:
        meta = request.params.meta if request.params else None
        context = ClientRequestContext(session=client.session, request_id=key, meta=meta)
        response = await client.session.dispatch_input_request(context, request)
        if isinstance(response, types.ErrorData):
            raise MCPError.from_error_data(response)
        return response

    responses: types.InputResponses | None = None
    if first.input_requests:
        try:
            async with asyncio.TaskGroup() as group:
                asked = {k: group.create_task(answered(k, one)) for k, one in first.input_requests.items()}
        except* MCPError as refused:
            raise first_error(refused) from refused
        responses = {key: task.result() for key, task in asked.items()}
    else:
        await asyncio.sleep(_PAUSE_SECONDS)
    return await client.call_tool(
        tool, dict(arguments), progress_callback=progress, input_responses=responses, request_state=first.request_state
    )
