"""Shared by the tests of installers."""

from __future__ import annotations

from pathlib import Path

import pytest

from editors.account import Account


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)
