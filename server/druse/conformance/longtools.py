"""The suite's tools that take long, each of which becomes a task where the client can take one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from druse.conformance.forms import answers, ask, form
from druse.conformance.results import failed, protocol_error, refused, text
from druse.model import CallContext, JsonObject, Outcome

_Tool: TypeAlias = "Callable[[JsonObject, CallContext], Awaitable[Outcome]]"
_TASKS = "io.modelcontextprotocol/tasks"


async def _greet(arguments: JsonObject, _context: CallContext) -> Outcome:
    return text(f"Hello, {arguments.get('name')}!")


async def _slow_compute(arguments: JsonObject, context: CallContext) -> Outcome:
    await _alone(context)
    seconds = arguments.get("seconds")
    await asyncio.sleep(seconds if isinstance(seconds, int | float) else 0)
    return text(f"Computed {arguments.get('label') or ''} in {seconds} s")


async def _failing_job(_arguments: JsonObject, context: CallContext) -> Outcome:
    if not await _alone(context):
        return refused({"extensions": {_TASKS: {}}})
    await asyncio.sleep(0.5)
    return failed("This job always fails")


async def _protocol_error_job(_arguments: JsonObject, context: CallContext) -> Outcome:
    await _alone(context)
    return protocol_error(-32603, "This job always ends in a protocol error")


async def _confirm_delete(arguments: JsonObject, context: CallContext) -> Outcome:
    await _alone(context)
    answer = await ask(context.caller.client_side, "confirm", f"Delete {arguments.get('filename')}?", confirm="boolean")
    return text(f"{arguments.get('filename')}: {'deleted' if answer.get('confirm') else 'kept'}")


async def _multi_input(_arguments: JsonObject, context: CallContext) -> Outcome:
    await _alone(context)
    given = await answers(
        context.caller.client_side,
        {"first": form("Your name?", name="string"), "second": form("Sure?", confirm="boolean")},
    )
    return text(f"{sum(answer is not None for answer in given.values())} inputs received.")


async def _with_task(_arguments: JsonObject, context: CallContext) -> Outcome:
    side = context.caller.client_side
    if side is None or not _takes_tasks(side.capabilities):
        return refused({"extensions": {_TASKS: {}}})
    answer = await ask(side, "user_name", "What is your name?", name="string")
    await _alone(context)
    await asyncio.sleep(0.05)
    return text(f"Hello, {answer.get('name')}!")


async def _alone(context: CallContext) -> bool:
    """Become a task; whether the client takes one."""
    side = context.caller.client_side
    if side is None:
        return False
    await side.go_on_alone()
    return _takes_tasks(side.capabilities)


def _takes_tasks(capabilities: JsonObject) -> bool:
    extensions = capabilities.get("extensions")
    return isinstance(extensions, dict) and _TASKS in extensions


LONG: dict[str, _Tool] = {
    "greet": _greet,
    "slow_compute": _slow_compute,
    "failing_job": _failing_job,
    "protocol_error_job": _protocol_error_job,
    "confirm_delete": _confirm_delete,
    "multi_input": _multi_input,
    "test_tool_with_task": _with_task,
}
