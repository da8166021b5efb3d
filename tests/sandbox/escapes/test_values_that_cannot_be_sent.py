"""Way out: a value that breaks the pipe, so that a run ends as "killed" and nobody learns why."""

from __future__ import annotations

from typing import Any

import pytest

from druse.model import Json, JsonObject
from druse.runtime import SandboxHost

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def echo(tool: str, arguments: JsonObject) -> Json:
    return arguments


REFUSED = [
    ("{'orders': [1, 10 ** 500]}", "result['orders'][1]: an integer of more than 400 digits"),
    ("[0, '\\ud800']", "result[1]: a text holds half of a surrogate pair"),
    ("{'a': {'\\ud800': 1}}", "half of a surrogate pair"),
    ("{'x': float('nan')}", "result['x']: nan is no number of JSON"),
    ("[float('inf')]", "result[0]: inf is no number"),
    ("[b'x']", "result[0]: bytes is not plain data; decode it"),
    ("map(str, [1])", "map is not plain data; write list(...)"),
    ("{(1, 2): 3}", "tuple cannot be a key"),
    ("{1: 'a', '1': 'b'}", "two keys are both '1'"),
    ("{True: 'a', 'true': 'b'}", "two keys are both 'true'"),
    ("[len]", "result[0]: builtin_function_or_method is not plain data"),
    ("'x' * 2000000", "bytes are over the limit"),
]


@pytest.mark.parametrize(("value", "message"), REFUSED)
async def test_a_result_that_cannot_be_sent_says_where_and_why(host: SandboxHost, value: str, message: str) -> None:
    result = await host.run(f"result = {value}", {}, mode="script")

    assert result.status == "error" and result.error is not None and result.error.kind == "result", result
    assert message in result.error.message


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("{1: 'a', None: 'b', True: 'c'}", {"1": "c", "null": "b"}),
        ("{2.5: 'a', False: 'c'}", {"2.5": "a", "false": "c"}),
        ("range(3)", [0, 1, 2]),
        ("10 ** 399 % 7", 10**399 % 7),
        ("'\\u00e9\\U0001f600'", "é😀"),
    ],
)
async def test_what_json_can_carry_arrives(host: SandboxHost, value: str, sent: Any) -> None:
    assert (await host.run(f"result = {value}", {}, mode="script")).value == sent


@pytest.mark.parametrize(
    "source",
    [
        "print('a\\ud800')\nresult = 1",
        "progress(1, 2, '\\ud800')\nresult = 1",
        "try:\n    call('x', a='\\ud800')\nexcept TypeError as e:\n    result = 1 if 'surrogate' in str(e) else 2",
        "try:\n    call('x', a=[1, 10 ** 500])\nexcept TypeError as e:\n    result = 1 if \"['a'][1]\" in str(e) else 2",
        "try:\n    call('\\ud800')\nexcept ValueError:\n    result = 1",
        "try:\n    call('x', a='y' * 5000000)\nexcept ValueError as e:\n    result = 1 if 'limit' in str(e) else 2",
        "try:\n    progress(10 ** 350)\nexcept ValueError:\n    result = 1",
    ],
)
async def test_what_cannot_be_sent_on_the_way_is_an_ordinary_error(host: SandboxHost, source: str) -> None:
    assert (await host.run(source, {}, mode="script", call=echo)).value == 1


async def test_an_error_text_with_half_a_pair_arrives_written_out(host: SandboxHost) -> None:
    result = await host.run("raise ValueError('a\\ud800')", {}, mode="script")

    assert result.error is not None and result.error.message == "a\\ud800"


@pytest.mark.parametrize(
    "reply",
    ["x" * 17_000_000, float("nan"), "\x00" * 3_000_000, [[[]]] * 9 + [10**5000]],
    ids=["large", "nan", "escaped", "digits"],
)
async def test_a_reply_that_cannot_be_taken_is_a_tool_error(host: SandboxHost, reply: Any) -> None:
    async def large(tool: str, arguments: JsonObject) -> Json:
        return reply if tool == "large" else 7

    source = "try:\n    call('large')\nexcept ToolError as e:\n    r = [e.kind, str(e)[:30], call('small')]\nr"
    result = await host.run(source, {}, mode="script", call=large)

    assert result.value == ["result", "the reply of large cannot be t", 7], result


async def test_replies_that_are_too_large_together_are_a_tool_error(host: SandboxHost) -> None:
    async def large(tool: str, arguments: JsonObject) -> Json:
        return "x" * 5_000_000

    source = "try:\n    call_all([('a', {})] * 5)\nexcept ToolError as e:\n    r = e.kind\nr"

    assert (await host.run(source, {}, mode="script", call=large)).value == "result"


async def test_a_reply_of_several_megabytes_arrives(host: SandboxHost) -> None:
    async def large(tool: str, arguments: JsonObject) -> Json:
        return "x" * 8_000_000

    assert (await host.run("len(call('a'))", {}, mode="script", call=large)).value == 8_000_000


async def test_a_name_that_is_no_utf8_can_be_handled(host: SandboxHost) -> None:
    async def files(tool: str, arguments: JsonObject) -> Json:
        return {"files": ["a\udcff.txt"]}

    source = "[f.encode('utf-8', 'replace').decode() for f in call('Glob')['files']]"

    assert (await host.run(source, {}, mode="script", call=files)).value == ["a?.txt"]


async def test_arguments_of_a_run_that_cannot_be_sent_are_told(host: SandboxHost) -> None:
    result = await host.run("1", {"a": "x" * 17_000_000}, mode="script")

    assert result.status == "error" and result.error is not None and "arguments" in result.error.message


async def test_a_source_with_half_a_pair_is_refused(host: SandboxHost) -> None:
    assert (await host.run("x = '\ud800'", {}, mode="script")).status == "rejected"
