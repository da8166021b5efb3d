"""Lists of tools in which one is malformed: that one is left out, the others stay usable."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, cast

from mcp.shared.message import SessionMessage

from druse.model import Json, JsonObject

_SHOWN = 60


class SiftedReader:
    """A session's read stream; `refused` hears of each tool that was taken out of a list, and why."""

    def __init__(self, stream: Any, refused: Callable[[str, str], None]) -> None:
        self._stream = stream
        self._refused = refused

    @property
    def last_context(self) -> Any:
        """The sender's context, where the stream tells it."""
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> Any:
        """The next message."""
        return self._sifted(await self._stream.receive())

    async def aclose(self) -> None:
        """Read no more."""
        await self._stream.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return self._sifted(await self._stream.__anext__())

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None:
        return await self._stream.__aexit__(exc_type, exc_val, exc_tb)

    def _sifted(self, item: Any) -> Any:
        result = getattr(item.message, "result", None) if isinstance(item, SessionMessage) else None
        if isinstance(result, dict) and isinstance(cast("JsonObject", result).get("tools"), list):
            sift(cast("JsonObject", result), self._refused)
        return item


def sift(result: JsonObject, refused: Callable[[str, str], None]) -> None:
    """Take out of a `tools/list` result what the protocol does not allow; nothing where the fault lies elsewhere."""
    if not _problem(result):
        return
    tools = cast("list[Json]", result["tools"])
    problems = [_problem({**result, "tools": [tool]}) for tool in tools]
    if _problem({**result, "tools": [tool for tool, problem in zip(tools, problems, strict=True) if not problem]}):
        return
    for tool, problem in zip(tools, problems, strict=True):
        if problem:
            refused(_name_of(tool), problem)
    result["tools"] = [tool for tool, problem in zip(tools, problems, strict=True) if not problem]


def _problem(result: JsonObject) -> str:
    """Why a result is not one of `tools/list`; empty where it is."""
    from mcp_types.methods import validate_server_result
    from pydantic import ValidationError

    version = "2026-07-28" if "resultType" in result else "2025-11-25"
    try:
        validate_server_result("tools/list", version, result)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"][2:] if part != "tools") or "it"
        return f"{place}: {first['msg']}"
    return ""


def _name_of(tool: Json) -> str:
    name = tool.get("name") if isinstance(tool, dict) else None
    return name[:_SHOWN] if isinstance(name, str) else json.dumps(tool)[:_SHOWN]
