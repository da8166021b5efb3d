"""Features switch on one by one, each of use by itself (seed id N-44): recording, then memory, then crystallization.

Three small demonstrations over the same work: an agent reads files for a goal that recurs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from druse.front.application import Application, open_application
from druse.model import Caller, CallerKind
from druse.settings import Workspace

AGENT = Caller(CallerKind.AGENT, session="s", connection="c", client="tester 1")
DECISION = "Decision: use tabs for indentation, not spaces."


@asynccontextmanager
async def druse(root: Path, settings: str) -> AsyncGenerator[Application]:
    """A project with these settings."""
    workspace = Workspace.find(root, environment={"XDG_CONFIG_HOME": str(root / "none")})
    workspace.state.mkdir(exist_ok=True)
    workspace.config.write_text(f'[permissions]\nallow = ["Read", "Glob"]\n[settings]\n{settings}\n')
    for name in "abcdef":
        (root / f"{name}.txt").write_text(f"text of {name}")
    async with open_application(workspace) as application:
        yield application


async def ask(application: Application, called: str, /, **arguments: Any) -> dict[str, Any]:
    outcome = await application.serve_call(called, arguments, AGENT, None)
    return dict(outcome.structured or {}) | {"message": outcome.message, "status": str(outcome.status)}


async def work(application: Application) -> list[dict[str, Any]]:
    """Five times the same work; what reporting each of them answered."""
    answers: list[dict[str, Any]] = []
    for name in "abcde":
        opened = await ask(application, "dispatch_goal", goal=f"Read the file {name}.txt\n{DECISION}")
        await ask(application, "run_tool", name="Glob", arguments={"pattern": f"{name}.*"})
        await ask(application, "run_tool", name="Read", arguments={"file_path": f"{name}.txt"})
        answers.append(await ask(application, "report_outcome", run_id=opened["run_id"], success=True))
    return answers


def named(application: Application) -> set[str]:
    return {spec.alias or spec.name for spec in application.registry.specs()}


@pytest.mark.requirement("N-44")
async def test_recording_alone_keeps_runs_that_a_person_can_look_at_and_nothing_else(tmp_path: Path) -> None:
    async with druse(tmp_path, "memory = false\ncrystallization = false") as application:
        answers = await work(application)
        assert not any("notice" in answer for answer in answers)
        records = await application.base.store.runs.list()
        assert len(records) == 5
        record = await application.base.store.runs.get(records[0].run.id)
        assert record is not None and [step.tool for step in record.run.steps] == ["Glob", "Read"]
        assert [e.kind for e in await application.base.notebook.events("text of c")][:1] == [
            "step"
        ]  # they are searched
        assert not {"historian", "dreamer", "evolution", "commits"} & set(application.scheduler.jobs)
        assert "memory.search" not in named(application)
        assert await application.base.notebook.markers("indentation") == []
        source = "def run(call, *, n: int) -> int:\n    return n\n"
        refused = await ask(application, "propose_tool", name="one_more", code=source, run_ids=[])
        assert "crystallization is switched off" in refused["message"]


@pytest.mark.requirement("N-44")
async def test_with_memory_what_was_decided_is_remembered_and_given_to_agents(tmp_path: Path) -> None:
    async with druse(tmp_path, "memory = true\ncrystallization = false") as application:
        answers = await work(application)
        assert not any("notice" in answer for answer in answers)
        done = await application.scheduler.run_now("historian")
        assert done.status == "done", done.report
        (marker,) = await application.base.notebook.markers("indentation")
        assert marker["content"].startswith("[MEMORY MARKER] Decision: use tabs for indentation, not spaces. Source: ")
        found = await ask(application, "run_tool", name="memory.search", arguments={"query": "tabs"})
        assert found["memories"][0]["memory_type"] == "decision"
        assert "evolution" not in application.scheduler.jobs
        source = "def run(call, *, n: int) -> int:\n    return n\n"
        assert "switched off" in (await ask(application, "propose_tool", name="one_more", code=source))["message"]


@pytest.mark.requirement("N-44")
async def test_with_crystallization_work_that_recurs_becomes_a_candidate_and_a_proposal(tmp_path: Path) -> None:
    async with druse(tmp_path, "") as application:
        answers = await work(application)
        assert "Candidate for crystallization!" in answers[4]["notice"]
        (candidate,) = await application.candidates()
        report = await application.making.crystallize(candidate.signature, AGENT)
        assert report.status == "proposed", report.message
        assert {"historian", "evolution"} <= set(application.scheduler.jobs)
        await application.base.decide(report.approval_id, approve=True, how="test")
        await application.base.shelf.reload()
        assert len(application.base.shelf.active) == 1
    async with druse(tmp_path, "crystallization = false") as application:  # and off again: the tool is not served
        assert application.base.shelf.active == {}
        assert len(await application.base.store.runs.list()) == 5
