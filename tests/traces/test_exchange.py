"""Runs for other programs and for training: masked, with consent, and in order after a round trip."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from ..skills.conftest import Home, home  # type: ignore[import-not-found]

__all__ = ["home"]
TOKEN = "ghp_" + "a1B2" * 9


def _lines(home: Home, count: int = 5) -> list[dict[str, object]]:
    return [
        {
            "src": "test",
            "traj": f"t{number}",
            "ok": number % 4 != 3,
            "goal": f"Do {number} with {TOKEN}",
            "user": [[0, f"Use {TOKEN}"], [4, "and again"]],
            "steps": [
                {"t": t, "tool": f"tool_{9 - t}", "args": {"password": "hunter2hunter2", "n": t}, "res": {"said": f"é\ud83d {TOKEN}"}, "err": t == 2}
                for t in (1, 2, 3, 5, 7)
            ],
        }
        for number in range(count)
    ]  # fmt: skip


@pytest.mark.requirement("N-36")
def test_only_runs_with_consent_are_training_data_and_no_secret_is_in_them(home: Home) -> None:
    (home.root / "in.jsonl").write_text("\n".join(json.dumps(line) for line in _lines(home)))
    assert home.said("traces", "import", "in.jsonl")["imported"] == 5
    out = home.root / "out.jsonl"
    assert home.said("traces", "export", "--training", "--out", str(out))["runs"] == 0 and out.read_text() == ""
    home.said("traces", "consent", "t0", "t1", "t2", "--yes")
    home.said("traces", "consent", "t2", "--no")
    assert home.said("traces", "export", "--training", "--out", str(out))["runs"] == 2
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    text = out.read_text()
    assert TOKEN not in text and "hunter2" not in text and "secret:" in text
    assert [(row["traj"], row["consent"]) for row in map(json.loads, text.splitlines())] == [("t0", True), ("t1", True)]
    home.said("traces", "export", "--status", "all", "--out", str(out))
    flags = {row["traj"]: row["consent"] for row in map(json.loads, out.read_text().splitlines())}
    assert flags == {"t0": True, "t1": True, "t2": False, "t3": None, "t4": None}
    assert home.said("traces", "show", "t2")["consent"]["given"] is False
    assert "no such runs" in home.said("traces", "consent", "nope", "--yes")["error"]["message"]


@pytest.mark.requirement("N-36")
def test_a_round_trip_keeps_the_order_of_steps_and_everything_else(home: Home, tmp_path: Path) -> None:
    (home.root / "in.jsonl").write_text("\n".join(json.dumps(line) for line in _lines(home, 3)))
    home.said("traces", "import", "in.jsonl")
    home.said("traces", "consent", "t1", "--yes")
    first = home.root / "first.jsonl"
    home.said("traces", "export", "--status", "all", "--out", str(first))
    rows = [json.loads(line) for line in first.read_text().splitlines()]
    assert [[step["t"] for step in row["steps"]] for row in rows] == [[1, 2, 3, 5, 7]] * 3
    assert [step["tool"] for step in rows[0]["steps"]] == ["tool_8", "tool_7", "tool_6", "tool_4", "tool_2"]
    assert [step["err"] for step in rows[0]["steps"]] == [False, True, False, False, False]
    other = Home(tmp_path / "other", tmp_path / "config2")
    (other.root / ".druse").mkdir(parents=True)
    assert other.said("traces", "import", str(first))["imported"] == 3
    second = tmp_path / "second.jsonl"
    other.said("traces", "export", "--status", "all", "--out", str(second))
    assert second.read_text() == first.read_text()
