"""Checkpoints beside other work: whole or not there, and going back to one loses nothing that it does not keep."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import pytest

import doors
from druse.front.application import Application, open_application
from druse.front.base import Base, open_base, person
from druse.model import Caller, CallerKind, Run
from druse.settings import Workspace
from druse.store import Execution, RunRecord, StoredPlan, checkpoints

AGENT = Caller(CallerKind.AGENT, session="s", connection="c", client="client 1")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    found = Workspace.find(tmp_path)
    found.state.mkdir()
    found.config.write_text('[permissions]\nallow = ["Read(./**)"]\n')
    (tmp_path / "a.txt").write_text("hello")
    return found


def said(workspace: Workspace, *words: str) -> Any:
    return doors.said(workspace.root, {**os.environ, "XDG_CONFIG_HOME": str(workspace.root / "none")}, *words)


async def commanded(workspace: Workspace, *words: str) -> Any:
    return await asyncio.to_thread(said, workspace, *words)


@asynccontextmanager
async def at(workspace: Workspace) -> AsyncGenerator[Application]:
    async with open_application(workspace) as application:
        yield application


async def opened(base: Base, name: str) -> None:
    async with base.store.database.transaction() as transaction:
        await base.store.runs.open(transaction, RunRecord(Run(name, goal=name, opened_at=1.0)), owner="pid 0")


def names_in(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {str(row[0]) for row in connection.execute("SELECT id FROM run")}


async def test_what_others_write_while_somebody_goes_back_is_kept_in_the_copy_or_stays(workspace: Workspace) -> None:
    async with open_base(workspace) as base, open_base(workspace) as other:
        await opened(base, "run-old")
        saved = workspace.state / "checkpoints" / "old.db"
        await checkpoints.save(base.store.database, saved)
        acknowledged, enough = set[str](), asyncio.Event()

        async def busy() -> None:
            while True:
                name = f"run-{len(acknowledged)}"
                await opened(other, name)
                acknowledged.add(name)
                if len(acknowledged) >= 20:
                    enough.set()

        async def note(transaction: object, counts: dict[str, int]) -> None:
            assert counts["run"] == 1

        with anyio.fail_after(120):
            working = asyncio.create_task(busy())
            for number in range(3):
                await enough.wait()
                enough.clear()
                before = saved.with_name(f"before{number}.db")
                await checkpoints.restore(base.store.database, saved, before=before, note=note)
            working.cancel()
            await asyncio.wait({working})
        kept = names_in(workspace.database).union(*(names_in(path) for path in saved.parent.glob("before*.db")))
        assert acknowledged <= kept
        assert "run-old" in names_in(workspace.database)


async def test_going_back_brings_memory_back_and_leaves_what_was_carried_out(workspace: Workspace) -> None:
    async with open_base(workspace) as base:
        kept = await base.notebook.add("decision", "Ports are chosen by the system.", source="ada")
        await base.store.plans.keep(StoredPlan("h1", {"steps": []}, "", 1.0, "x"))
    assert (await commanded(workspace, "checkpoint", "save", "early"))["checkpoint"] == "early"
    async with open_base(workspace) as base:
        await base.notebook.forget(kept.id)
        await base.notebook.add("decision", "Another one.", source="ada")
        await base.store.plans.keep(StoredPlan("h2", {"steps": []}, "", 1.0, "x"))
        await base.store.plans.begin(Execution("exec-1", "h2", {}, "done", "s", "", 2.0))
    back = await commanded(workspace, "checkpoint", "restore", "early", "--yes")
    assert back["rows"]["project_memory"] == 1, back
    async with open_base(workspace) as base:
        (memory,) = await base.notebook.list()
        assert memory.content == "Ports are chosen by the system."
        assert await base.store.plans.execution("exec-1") is not None
        assert {plan.hash for plan in await base.store.plans.all()} == {"h1", "h2"}


async def test_a_session_that_works_on_while_somebody_goes_back_goes_on_in_a_new_run(workspace: Workspace) -> None:
    await commanded(workspace, "checkpoint", "save", "empty")
    async with at(workspace) as application:

        async def read() -> str:
            done = await application.call("Read", {"file_path": "a.txt"}, AGENT)
            assert done.ok, done
            return await application.base.recorder.run_of(AGENT)

        first = await read()
        await commanded(workspace, "checkpoint", "restore", "empty", "--yes")
        await read()  # it had begun in a run that is no more
        second = await read()
        assert second != first
        record = await application.base.store.runs.get(second)
        assert record is not None and len(record.run.steps) == 1
        await application.base.audit.verify()


FULL = """
import asyncio, resource, signal, sys
from pathlib import Path
from druse.model import DruseError
from druse.store import Store, checkpoints
async def main():
    async with Store.open(Path(sys.argv[1])) as store:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, resource.RLIM_INFINITY))
        try:
            await checkpoints.save(store.database, Path(sys.argv[2]))
        except DruseError as error:
            print(type(error).__name__, error)
asyncio.run(main())
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of files are set as on POSIX")
def test_on_a_full_disk_no_half_checkpoint_is_kept(workspace: Workspace) -> None:
    said(workspace, "status")
    target = workspace.state / "checkpoints" / "full.db"
    command = [sys.executable, "-c", FULL, str(workspace.database), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("StoreFull Cannot save checkpoint full"), (done.stdout, done.stderr)
    assert list(target.parent.iterdir()) == []
    assert said(workspace, "checkpoint", "save", "full")["checkpoint"] == "full"


def test_what_a_killed_process_left_is_no_checkpoint_and_a_damaged_one_is_refused(workspace: Workspace) -> None:
    said(workspace, "checkpoint", "save", "good")
    folder = workspace.state / "checkpoints"
    left = folder / ".cut.db.1.partial"
    left.write_bytes(b"half")
    (folder / "empty.db").touch()  # as earlier releases left it
    whole = (folder / "good.db").read_bytes()
    (folder / "torn.db").write_bytes(whole[: len(whole) // 2])
    (folder / "noise.db").write_bytes(b"no database at all" * 100)
    assert "cut" not in {one["checkpoint"] for one in said(workspace, "checkpoint", "list")["checkpoints"]}
    for name in ("empty", "torn", "noise"):
        refused = said(workspace, "checkpoint", "restore", name, "--yes")["error"]["message"]
        assert "it is not whole" in refused, refused
    assert not list(folder.glob("*-before-*"))
    os.utime(left, (1.0, 1.0))
    said(workspace, "checkpoint", "save", "next")
    assert not left.exists()
    assert "there is one of that name" in said(workspace, "checkpoint", "save", "next")["error"]["message"]


async def test_two_that_save_under_one_name_at_once_are_one_checkpoint_and_one_refusal(workspace: Workspace) -> None:
    async with open_base(workspace) as base, open_base(workspace) as other:
        target = workspace.state / "checkpoints" / "same.db"
        both = (checkpoints.save(one.store.database, target) for one in (base, other))
        done = await asyncio.gather(*both, return_exceptions=True)
        assert sorted(type(one).__name__ for one in done) == ["Invalid", "NoneType"], done
        await base.audit.record("checkpoint.saved", "same", person(), {})
    assert [path.name for path in target.parent.iterdir()] == ["same.db"]
