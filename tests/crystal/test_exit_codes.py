"""A command that answers by its exit code, from recorded calls of the local shell to a tool that a person approved."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from druse.front.application import Application, open_application
from druse.front.base import person
from druse.model import Caller, CallerKind, OutcomeStatus
from druse.settings import Workspace

AGENT = Caller(CallerKind.AGENT, session="s", connection="c")
NAMES = ("parser", "lexer", "writer", "reader", "printer")


async def work(application: Application, name: str) -> None:
    goal: Any = {"goal": f"Publish the changed {name}"}
    opened = await application.serve_call("dispatch_goal", goal, AGENT, None)
    assert isinstance(opened.data, dict)
    differs = await application.call("Bash", {"command": f"diff -q old/{name}.txt new/{name}.txt"}, AGENT)
    assert differs.status is OutcomeStatus.ERROR
    assert (await application.call("Bash", {"command": f"cp new/{name}.txt old/{name}.txt"}, AGENT)).ok
    report: Any = {"run_id": opened.data["run_id"], "success": True}
    await application.serve_call("report_outcome", report, AGENT, None)


@pytest.mark.skipif(shutil.which("diff") is None, reason="this machine has no diff")
@pytest.mark.requirement("H-10")
async def test_a_tool_goes_on_after_the_exit_code_of_its_runs_and_stops_at_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    root = tmp_path / "project"
    for folder in ("old", "new", ".druse"):
        (root / folder).mkdir(parents=True)
    for name in (*NAMES, "scanner", "same"):
        (root / "old" / f"{name}.txt").write_text("old")
        (root / "new" / f"{name}.txt").write_text("old" if name == "same" else "new")
    (root / ".druse" / "config.toml").write_text('[permissions]\nallow = ["Bash"]\n')
    async with open_application(Workspace.find(root)) as application:
        for name in NAMES:
            await work(application, name)
        (candidate,) = await application.candidates()
        made = await application.making.crystallize(candidate.signature, person())
        assert made.status == "proposed", made.message
        assert made.version is not None and 'require(diff["exit_code"] == 1' in made.version.source
        await application.base.decide(made.approval_id, approve=True, how="test")
        await application.base.shelf.reload()
        await application.tools_changed()
        tool = made.version.name
        done = await application.call(tool, {"name": "scanner"}, AGENT)
        assert done.ok, done
        assert (root / "old" / "scanner.txt").read_text() == "new"
        for name, code in (("same", 0), ("missing", 2)):
            stopped: Any = await application.call(tool, {"name": name}, AGENT)
            assert stopped.status is OutcomeStatus.DIVERGED
            assert "diff ended with exit code 1 in every run" in stopped.data["reason"]
            assert [part["result"]["exit_code"] for part in stopped.data["done"]] == [code]
            assert [part["tool"] for part in stopped.data["remaining"]] == ["Bash"]
