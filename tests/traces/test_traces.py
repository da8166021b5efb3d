"""Secret handles and goal shapes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from druse.traces import SecretHandles, is_secret_key, shape_of

HANDLES = SecretHandles(b"k" * 32)
TOKENS = [
    "ghp_" + "a1B2" * 9,
    "sk-proj-" + "aB3d" * 8,
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk",
    "xoxb-123456789012-abcdefghijkl",
    "-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----",
]


@pytest.mark.requirement("H-41")
@pytest.mark.parametrize("token", TOKENS)
def test_a_token_is_masked_wherever_it_stands(token: str) -> None:
    values: list[Any] = [token, f"use {token} now", [token], {"note": {"deep": token}}]
    for value in values:
        assert token not in json.dumps(HANDLES.mask(value))


@pytest.mark.parametrize(
    "text",
    [
        "curl -H 'Authorization: Bearer abcdef1234567890' x",
        "postgres://user:hunter2secret@host/db",
        "export API_KEY=abcd1234efgh",
        "mysql --password=hunter2secret",
        'password: "hunter2secret"',
    ],
)
def test_secrets_inside_commands_are_masked(text: str) -> None:
    masked = HANDLES.mask_text(text)
    assert "secret://" in masked
    assert not any(part in masked for part in ("hunter2secret", "abcdef1234567890", "abcd1234efgh"))


@given(st.text(min_size=1), st.text(min_size=1))
def test_handles_preserve_equality_and_difference(left: str, right: str) -> None:
    one, two = HANDLES.mask({"password": left}), HANDLES.mask({"password": right})
    assert (one == two) is (left == right)
    assert HANDLES.mask(one) == one  # masking twice changes nothing


@given(
    st.dictionaries(
        st.sampled_from(["name", "zip", "id", "page"]), st.integers() | st.sampled_from(["a", "Oslo", "#W1"])
    )
)
def test_ordinary_data_stays_as_it_is(value: dict[str, Any]) -> None:
    assert HANDLES.mask(value) == value


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        *(("password", True), ("api_key", True), ("apiKey", True), ("authToken", True), ("Authorization", True)),
        *(
            ("next_page_token", False),
            ("max_tokens", False),
            ("author", False),
            ("name", False),
            ("token_count", False),
        ),
    ],
)
def test_secret_keys_are_known_by_their_name(key: str, secret: bool) -> None:
    assert is_secret_key(key) is secret


@pytest.mark.requirement("H-30")
@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("Create file report_1.md", "create  file report_2.md!", True),
        ("Refund order #W123", "refund order #W999.", True),
        ("Mail ann@x.io on 2026-01-02", "mail bob@y.org on 2027-11-30", True),
        ('Say "hello"', 'say "good bye, friend"', True),
        ("Create file report_1.md", "Delete file report_1.md", False),
        ("Zip 10001", "zip 94145", True),
    ],
)
def test_goals_share_a_shape_when_only_their_values_differ(one: str, two: str, same: bool) -> None:
    assert (shape_of(one) == shape_of(two)) is same
