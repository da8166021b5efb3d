"""The quick check of arguments says yes only where the full one does."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from druse.routing.arguments import Fields

NAMES = st.sampled_from(["a", "b", "c"])
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "null"])
VALUES: st.SearchStrategy[Any] = st.sampled_from(["", "1", 0, 1, 1.0, 1.5, True, False, None, [], [1], {}, {"a": 1}])
PARTS: st.SearchStrategy[Any] = st.one_of(
    st.fixed_dictionaries({"type": TYPES}, optional={"description": st.just("said"), "default": VALUES}),
    st.sampled_from([{}, {"type": ["string", "null"]}, {"enum": ["1"]}, {"type": "integer", "minimum": 1}, True]),
)
SCHEMAS = st.fixed_dictionaries(
    {"type": st.just("object")},
    optional={
        "properties": st.dictionaries(NAMES, PARTS),
        "required": st.lists(NAMES, unique=True),
        "additionalProperties": st.sampled_from([True, False, {"type": "string"}]),
        "minProperties": st.just(1),
        "title": st.just("A title"),
    },
)


@given(SCHEMAS, st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), VALUES))
def test_what_the_quick_check_accepts_fits_the_schema(schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    fields = Fields.of(schema)
    if fields is not None and fields.surely_hold(arguments):
        assert Draft202012Validator(schema).is_valid(arguments)


def test_an_ordinary_call_needs_no_full_check() -> None:
    fields = Fields.of({"type": "object", "properties": {"n": {"type": "integer", "title": "N"}}, "required": ["n"]})
    assert fields is not None
    assert fields.surely_hold({"n": 1})
    assert not fields.surely_hold({})
    assert not fields.surely_hold({"n": True})
