"""The suite's tools, apart from those that become tasks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from druse.conformance.documents import IMAGE
from druse.conformance.forms import answers, ask, elicitation, form, roots, sampling
from druse.conformance.longtools import LONG
from druse.conformance.results import failed, refused, text
from druse.conformance.schemas import CHOICES, DEFAULTS, JSON_SCHEMA_2020_12
from druse.model import CallContext, Effect, JsonObject, Outcome, OutcomeStatus, Source, ToolSpec

_Tool: TypeAlias = "Callable[[JsonObject, CallContext], Awaitable[Outcome]]"

_STEP_SECONDS = 0.05
_AUDIO = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="


async def _simple_text(_arguments: JsonObject, _context: CallContext) -> Outcome:
    return text("This is a simple text response for testing.")


def _fixed(*content: JsonObject) -> _Tool:
    async def tool(_arguments: JsonObject, _context: CallContext) -> Outcome:
        return Outcome(OutcomeStatus.OK, content=content)

    return tool


_PICTURE: JsonObject = {"type": "image", "data": IMAGE, "mimeType": "image/png"}


def _embedded(uri: str, mime: str, said: str) -> JsonObject:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime, "text": said}}


async def _logging(_arguments: JsonObject, context: CallContext) -> Outcome:
    side = context.caller.client_side
    for said in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        if side is not None:
            await side.log("info", said)
        await asyncio.sleep(_STEP_SECONDS)
    return text("Tool with logging executed successfully")


async def _progress(_arguments: JsonObject, context: CallContext) -> Outcome:
    for done in (0, 50, 100):
        if context.progress is not None:
            await context.progress(done, 100, f"Completed step {done} of 100")
        await asyncio.sleep(_STEP_SECONDS)
    return text("done")


async def _error(_arguments: JsonObject, _context: CallContext) -> Outcome:
    return failed("This tool intentionally returns an error for testing")


async def _sampling(arguments: JsonObject, context: CallContext) -> Outcome:
    request = sampling(str(arguments["prompt"]), 100)
    answer = (await answers(context.caller.client_side, {"sample": request}))["sample"]
    return text(f"LLM response: {_said(answer)}")


async def _elicitation(arguments: JsonObject, context: CallContext) -> Outcome:
    request = form(str(arguments["message"]), response="string")
    return await _told(context, request, "User response")


async def _defaults(_arguments: JsonObject, context: CallContext) -> Outcome:
    return await _told(context, elicitation("Please provide user information", DEFAULTS), "Elicitation completed")


async def _choices(_arguments: JsonObject, context: CallContext) -> Outcome:
    return await _told(context, elicitation("Please select values", CHOICES), "Elicitation completed")


async def _told(context: CallContext, request: JsonObject, words: str) -> Outcome:
    answer = (await answers(context.caller.client_side, {"ask": request}))["ask"] or {}
    return text(f"{words}: action={answer.get('action')}, content={json.dumps(answer.get('content') or {})}")


async def _reconnection(_arguments: JsonObject, context: CallContext) -> Outcome:
    if context.caller.client_side is not None:
        await context.caller.client_side.hang_up()
    await asyncio.sleep(0.2)  # the client comes back meanwhile
    return text("Reconnection test completed")


async def _header(arguments: JsonObject, _context: CallContext) -> Outcome:
    return text(f"region={arguments.get('region')}")


async def _missing_capability(_arguments: JsonObject, context: CallContext) -> Outcome:
    side = context.caller.client_side
    if side is None or "sampling" not in side.capabilities:
        return refused({"sampling": {}})
    return text("The client declared sampling.")


async def _name(_arguments: JsonObject, context: CallContext) -> Outcome:
    answer = await ask(context.caller.client_side, "user_name", "What is your name?", name="string")
    return text(f"Hello, {answer.get('name', 'stranger')}!")


async def _capital(_arguments: JsonObject, context: CallContext) -> Outcome:
    request = sampling("What is the capital of France?", 100)
    answer = (await answers(context.caller.client_side, {"capital_question": request}))["capital_question"]
    return text(f"The model said: {_said(answer)}")


async def _roots(_arguments: JsonObject, context: CallContext) -> Outcome:
    answer = (await answers(context.caller.client_side, {"client_roots": roots()}))["client_roots"] or {}
    listed = answer.get("roots")
    return text(f"The client has {len(listed) if isinstance(listed, list) else 0} root(s).")


async def _confirm(_arguments: JsonObject, context: CallContext) -> Outcome:
    answer = await ask(context.caller.client_side, "confirm", "Please confirm", ok="boolean")
    return text("state-ok: confirmed" if answer.get("ok") else "state-ok: not confirmed")


async def _several(_arguments: JsonObject, context: CallContext) -> Outcome:
    requests: dict[str, JsonObject] = {
        "user_name": form("What is your name?", name="string"),
        "greeting": sampling("Generate a greeting", 50),
        "client_roots": roots(),
    }
    given = await answers(context.caller.client_side, requests)
    return text(f"{sum(answer is not None for answer in given.values())} inputs received.")


async def _rounds(_arguments: JsonObject, context: CallContext) -> Outcome:
    side = context.caller.client_side
    first = await ask(side, "step1", "Step 1: What is your name?", name="string")
    second = await ask(side, "step2", "Step 2: What is your favorite color?", color="string")
    return text(f"{first.get('name')} likes {second.get('color')}.")


async def _by_capability(_arguments: JsonObject, context: CallContext) -> Outcome:
    requests: dict[str, JsonObject] = {
        "sample": sampling("Say hello", 50),
        "ask": form("What is your name?", name="string"),
    }
    given = await answers(context.caller.client_side, requests)
    return text(f"{sum(answer is not None for answer in given.values())} inputs received.")


def _said(answer: JsonObject | None) -> str:
    content = answer.get("content") if answer else None
    first = content[0] if isinstance(content, list) and content else content
    return str(first.get("text", "")) if isinstance(first, dict) else "no response"


TOOLS: dict[str, _Tool] = {
    "test_simple_text": _simple_text,
    "test_image_content": _fixed(_PICTURE),
    "test_audio_content": _fixed({"type": "audio", "data": _AUDIO, "mimeType": "audio/wav"}),
    "test_embedded_resource": _fixed(
        _embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    ),
    "test_multiple_content_types": _fixed(
        {"type": "text", "text": "Multiple content types test:"},
        _PICTURE,
        _embedded("test://mixed-content-resource", "application/json", '{"test": "data", "value": 123}'),
    ),
    "test_tool_with_logging": _logging,
    "test_logging_tool": _logging,
    "test_tool_with_progress": _progress,
    "test_error_handling": _error,
    "test_sampling": _sampling,
    "test_elicitation": _elicitation,
    "test_elicitation_sep1034_defaults": _defaults,
    "test_elicitation_sep1330_enums": _choices,
    "test_streaming_elicitation": _name,
    "test_reconnection": _reconnection,
    "test_x_mcp_header": _header,
    "test_missing_capability": _missing_capability,
    "json_schema_2020_12_tool": _simple_text,
    "test_input_required_result_elicitation": _name,
    "test_input_required_result_sampling": _capital,
    "test_input_required_result_list_roots": _roots,
    "test_input_required_result_request_state": _confirm,
    "test_input_required_result_tampered_state": _confirm,
    "test_input_required_result_multiple_inputs": _several,
    "test_input_required_result_multi_round": _rounds,
    "test_input_required_result_capabilities": _by_capability,
    **LONG,
}

_TEXT: JsonObject = {"type": "string"}
_REGION: JsonObject = {"type": "string", "description": "Mirrored into a header", "x-mcp-header": "Region"}
_PROPERTIES: dict[str, JsonObject] = {
    "test_sampling": {"prompt": _TEXT},
    "test_elicitation": {"message": _TEXT},
    "test_x_mcp_header": {"region": _REGION},
    "greet": {"name": _TEXT},
    "slow_compute": {"seconds": {"type": "number"}, "label": _TEXT},
    "confirm_delete": {"filename": _TEXT},
}
_OPTIONAL = {"label", "region", "seconds", "filename", "name"}


def _spec(name: str) -> ToolSpec:
    properties = _PROPERTIES.get(name, {})
    schema: JsonObject = {
        "type": "object",
        "properties": properties,
        "required": [key for key in properties if key not in _OPTIONAL],
    }
    if name == "json_schema_2020_12_tool":
        schema = JSON_SCHEMA_2020_12
    about = f"Fixture {name} of the conformance suite."
    return ToolSpec(
        name,
        Source.UPSTREAM,
        about,
        schema,
        effect=Effect.READ,  # none of them changes anything
        server="conformance",
        upstream_name=name,
    )


SPECS: tuple[ToolSpec, ...] = tuple(
    _spec(name) for name in (*TOOLS, "test_trigger_tool_change", "test_trigger_prompt_change")
)
