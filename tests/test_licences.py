"""The licence check that scripts/check runs, and with it .ci/run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "check_licences.py"
SPDX = "SPDX-" + "License-Identifier"  # in parts: this file carries no notice itself
OWNED = "Copyright " + "(c)"


def checked(root: Path) -> subprocess.CompletedProcess[str]:
    script = root / "scripts" / SCRIPT.name
    return subprocess.run([sys.executable, str(script)], cwd=root, capture_output=True, text=True, check=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts")
    (tmp_path / "LICENSE").write_text(f"{OWNED} whoever wrote the text of the licence\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nlicense = "Apache-2.0"\ndependencies = ["click>=8"]\n')
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def add(repository: Path, name: str, text: str) -> None:
    (repository / name).write_text(text)
    subprocess.run(["git", "add", "-A"], cwd=repository, check=True)


@pytest.mark.requirement("N-03")
def test_a_file_under_another_licence_is_named_with_its_line(repository: Path) -> None:
    add(repository, "own.py", f"# {SPDX}: Apache-2.0\n")
    assert checked(repository).returncode == 0
    add(repository, "foreign.py", f"x = 1\n# {SPDX}: GPL-3.0-only\n")
    found = checked(repository)
    assert found.returncode == 1 and "foreign.py:2" in found.stdout
    add(repository, "foreign.py", f"# {OWNED} Somebody Else\n")
    assert "foreign.py:1" in checked(repository).stdout


@pytest.mark.requirement("N-03")
def test_ci_checks_licences_and_they_fit() -> None:
    assert "scripts/check_licences.py" in (ROOT / "scripts" / "check").read_text(encoding="utf-8")
    assert "scripts/check" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    found = checked(ROOT)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.requirement("N-03")
@pytest.mark.parametrize(
    ("declared", "accepted"),
    [
        ("MIT", True),
        ("BSD-3-Clause AND MIT", True),
        ("GPL-3.0-only OR Apache-2.0", True),
        ("MIT AND GPL-3.0-only", False),
        ("GNU Lesser General Public License", False),
        ("", False),
    ],
)
def test_of_alternatives_one_must_fit_and_of_a_conjunction_all(
    declared: str, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import check_licences  # type: ignore[import-not-found]

    assert check_licences.fits(declared) is accepted
