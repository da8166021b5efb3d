from __future__ import annotations

from typing import Any

import pytest

from druse.front.review import review_of, text_of, visible


def approval(kind: str, details: dict[str, Any]) -> dict[str, Any]:
    asked = {"kind": "agent", "client": "claude-code", "session": "s1"}
    return {
        "id": "ab12",
        "kind": kind,
        "status": "pending",
        "title": "New tool cancel v2",
        "note": "",
        "details": details,
        "requested_by": asked,
    }


@pytest.mark.requirement("S-34")
def test_permissions_gained_come_first_then_the_diffs_then_a_dry_run() -> None:
    before = {
        "version": 1,
        "source": "def run(call):\n    return 1\n",
        "manifest": {"permissions": ["shop__get", "shop__old"], "description": "one"},
    }
    after = approval(
        "tool",
        {
            "source": "def run(call):\n    return 2\n",
            "manifest": {
                "permissions": ["shop__get", "shop__pay"],
                "description": "two",
                "verification": [{"run": "run-1", "calls": 2, "result": "right"}],
            },
            "dry_run": {
                "run": "run-2",
                "arguments": {"name": "Ada"},
                "calls": [{"tool": "shop__pay", "arguments": {"amount": 5}}],
                "ended": "ok",
            },
        },
    )
    text = text_of(after | review_of(after, before))
    order = [
        "Permissions gained: shop__pay\n",
        "Permissions given up: shop__old\n",
        "v1 in service",
        "-    return 1\n+    return 2",
        '-  "description": "one"',
        "run run-1: right (2 calls)",
        'with name="Ada" it calls',
        "shop__pay(amount=5)",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_a_new_tool_gains_all_its_permissions_and_is_shown_whole() -> None:
    made = approval("tool", {"source": "x = 1\n", "manifest": {"permissions": ["b", "a"]}})
    text = text_of(made | review_of(made, None))
    assert "Permissions gained: a, b\n" in text
    assert "all of it new:\n+x = 1" in text


def test_a_call_is_shown_with_every_argument_and_the_rule_that_allows_it() -> None:
    text = text_of(
        approval(
            "call",
            {
                "tool": "Bash",
                "arguments": {"command": "git push", "timeout": 5},
                "why": "no rule allows it",
                "how_to_allow": "Bash(git push)",
            },
        )
    )
    for part in ("Tool: Bash", "command: git push", "timeout: 5", "no rule allows it", "Bash(git push)", "session s1"):
        assert part in text


@pytest.mark.parametrize(
    "hidden", ["\x1b[2J", "\r", "\x9b1A", "\u202e", "\u2066", "\u200b", "\u2028", "\x00", "\ud800"]
)
def test_nothing_an_agent_writes_can_hide_or_reorder_what_a_person_reads(hidden: str) -> None:
    shown = text_of(approval("call", {"tool": "Bash", "arguments": {"command": f"rm -rf /{hidden}ls"}}))
    assert hidden not in shown
    assert f"\\u{ord(hidden[0]):04x}" in shown
    assert visible("plain\ttext, naïve ✓\n") == "plain\ttext, naïve ✓\n"
