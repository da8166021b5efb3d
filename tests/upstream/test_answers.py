"""What a server answers: taken off the wire as the SDK's models give it, or left to them."""

from __future__ import annotations

from typing import Any

import mcp_types as types
import pytest

from druse.upstream.answers import Answer

TEXT = {"type": "text", "text": "one"}
PLAIN: list[dict[str, Any]] = [
    {"content": []},
    {"content": [TEXT]},
    {"content": [TEXT, TEXT], "isError": True},
    {"content": [TEXT], "structuredContent": {"a": [1, None, {"b": "ü"}]}},
    {"content": [TEXT], "structuredContent": {}, "isError": False, "resultType": "complete", "_meta": {"x": 1}},
    {"content": [TEXT], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"},
]
OTHER: list[Any] = [
    None,
    [],
    {},
    {"content": None},
    {"content": {"type": "text"}},
    {"content": [{"type": "text"}]},
    {"content": [{"type": "text", "text": 1}]},
    {"content": [{"type": "image", "data": "", "mimeType": "image/png"}]},
    {"content": [{**TEXT, "annotations": {"priority": 1}}]},
    {"content": ["text"]},
    {"content": [], "isError": "yes"},
    {"content": [], "structuredContent": [1]},
    {"content": [], "structuredContent": None},
    {"content": [], "resultType": "input_required"},
    {"content": [], "_meta": 1},
    {"content": [], "more": 1},
]


@pytest.mark.parametrize("result", PLAIN)
def test_a_plain_answer_is_what_the_models_of_the_sdk_make_of_it(result: dict[str, Any]) -> None:
    plain = Answer.plain(result)
    assert plain is not None
    assert plain == Answer.of(types.CallToolResult.model_validate(result, by_name=False))


@pytest.mark.parametrize("result", OTHER)
def test_any_other_answer_is_left_to_the_models_of_the_sdk(result: Any) -> None:
    assert Answer.plain(result) is None
