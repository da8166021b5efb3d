"""The terminal tells the numbers of the page, and nothing that others wrote does more there than be read (H-38)."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from druse.cli import main
from druse.front.base import Base
from druse.model import Caller, CallerKind, OutcomeStatus, VersionStatus

from .test_versions import kept, looking  # type: ignore[import-not-found]

NASTY = "\x1b[2J\u202eevil\u202c <script>alert(1)</script>\n" + "long " * 100


async def lived_in(base: Base) -> None:
    """A tool that ran, work that recurs under a nasty goal, and requests that wait."""
    await kept(base, 1, VersionStatus.ACTIVE, "def run(call):\n    return 1\n", "Read")
    for status, saved in ((OutcomeStatus.OK, 1200), (OutcomeStatus.DIVERGED, 30), (OutcomeStatus.FAILED, 4)):
        await base.store.tools.count_use("tidy_up", 1, status, now=1e9, wall_ms=5.0, steps_saved=saved)
    agent = Caller(CallerKind.AGENT, session="s", client="client")
    for number in range(6):
        run_id = await base.recorder.open(NASTY, agent, mode="LEARNER")
        await base.recorder.end(run_id, str(number))
    for number in range(12):
        await base.approvals.request("call", f"sha256:{number}", f"{number} {NASTY}", {"tool": "x"}, agent)


@pytest.mark.requirement("H-38")
async def test_status_in_the_terminal_tells_the_numbers_of_the_page(tmp_path: Path) -> None:
    root = tmp_path / "project"

    def status(*flags: str) -> str:
        with contextlib.chdir(root):
            done = CliRunner(env={"XDG_CONFIG_HOME": str(tmp_path / "config")}).invoke(main, ["status", *flags])
        assert done.exit_code == 0, done.output
        return done.stdout

    async with looking(root) as (base, http):
        await lived_in(base)
        page = (await http.get("/api/overview")).json()
        text = await asyncio.to_thread(status)
    totals = page["totals"]
    told = {
        "tool_runs": r"([\d,]+) runs, ",
        "tool_failures": r"([\d,]+) failed, ",
        "divergences": r"([\d,]+) stopped at a guard",
        "round_trips_saved": r"([\d,]+) round trips saved",
        "runs": r"Runs: ([\d,]+)",
    }
    found = {name: int(re.findall(shape, text)[0].replace(",", "")) for name, shape in told.items()}
    assert found == {name: totals[name] for name in told}
    assert found == {"tool_runs": 3, "tool_failures": 1, "divergences": 1, "round_trips_saved": 1234, "runs": 6}
    assert (totals["tools"], "Learned tools: tidy_up v1" in text) == (1, True)
    # each day of the page stands in the terminal
    for day in page["savings"]:
        assert f"{day['day'][5:]} {day['round_trips_saved']:,}" in text
    # what waits is listed up to ten, and counted beyond
    assert (totals["pending"], text.count("Waits for you:")) == (12, 10)
    assert "and 2 more wait for you: druse approvals list" in text
    # what an agent wrote is one short line that shows what is in it
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", text)
    assert "\\u001b[2J\\u202eevil" in text
    assert all(len(line) < 130 for line in text.splitlines() if line.startswith("Waits for you:"))
