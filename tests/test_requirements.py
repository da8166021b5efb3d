"""Requirement ids and tests agree, both ways."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _listed() -> dict[str, list[str]]:
    rows = (line.split() for line in (ROOT / "docs" / "requirements.txt").read_text().splitlines())
    return {row[0]: row[1:] for row in rows if row and not row[0].startswith("#")}


def _claimed() -> dict[str, set[str]]:
    claimed: dict[str, set[str]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        for marker in re.finditer(r"mark\.requirement\((.*?)\)\n", path.read_text(), re.DOTALL):
            for name in re.findall(r'"([HNLSX]-\d+)"', marker[1]):
                claimed.setdefault(name, set()).add(path.name)
    return claimed


def test_every_id_a_test_names_is_a_requirement() -> None:
    assert set(_claimed()) <= set(_listed())


def test_every_requirement_called_proved_has_a_test() -> None:
    proved = {name for name, words in _listed().items() if "proved" in words}
    assert proved and proved <= set(_claimed())
