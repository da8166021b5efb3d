"""Work that several members of a team do becomes a proposal for the team, and no private text gets there."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from druse.model import Caller, CallerKind, Step
from druse.skills import Remote, VolumeRef, Volumes, run_team_evolution
from druse.skills.desk import PROMOTION
from druse.store import Store

from .test_evolution import World

TEAM = VolumeRef.parse("team:core")
JOB = Caller(CallerKind.JOB, session="job", client="job team-evolution")
SECRET = "zanzibarmarker"


@asynccontextmanager
async def member(root: Path, name: str) -> AsyncGenerator[World]:
    """A member with a workspace and volumes of its own; the members of a team share a remote."""
    (root / name).mkdir()
    bare = root / "bare.git"
    if not bare.exists():
        await asyncio.to_thread(subprocess.run, ["git", "init", "-q", "--bare", "-b", "main", str(bare)], check=True)
    async with Store.open(root / name / "druse.db") as store:
        world = World(store, root / name)
        world.volumes._account = name  # pyright: ignore[reportPrivateUsage]
        world.volumes.join(TEAM)
        Remote(world.volumes.open(TEAM)).set_remote(world.volumes.maintainer(TEAM, "x"), str(bare))
        yield world
        await world.audit.close()


async def work(world: World, times: int, *, ok: int = 99, extra: str = SECRET) -> None:
    for number in range(times):
        steps = (
            Step("git__status", {"path": f"/home/{extra}/{number}"}, {"text": extra}),
            Step("shop__deploy", {"service": f"{extra}-{number}", "region": "eu"}, {"ok": extra}),
            Step(f"private__{extra}", {extra: 1}, {extra: extra}),
        )
        goal = f"Deploy the web service for {extra} at '/srv/{extra}' as \"{extra} {number}\""
        await world.run(goal, *steps, ok=number < ok, note=f"{extra} went well")


def everything(volume: Path) -> bytes:
    """Every object of a repository, and what lies beside it."""
    listed = subprocess.run(
        ["git", "cat-file", "--batch-all-objects", "--batch", "--unordered"],
        cwd=volume,
        capture_output=True,
        check=True,
    ).stdout
    beside = b"".join(path.read_bytes() for path in volume.rglob("*") if path.is_file() and ".git" not in path.parts)
    refs = subprocess.run(["git", "for-each-ref"], cwd=volume, capture_output=True, check=True).stdout
    return listed + beside + refs


@pytest.mark.requirement("L-27")
async def test_five_occurrences_by_two_members_are_proposed_and_private_text_never_enters_the_volume(
    tmp_path: Path,
) -> None:
    async with member(tmp_path, "alice") as alice, member(tmp_path, "bob") as bob:
        await work(alice, 3)
        await work(bob, 1, extra="quaggamarker")
        first = await run_team_evolution(alice.desk, alice.store, JOB)
        assert first["proposed"] == [] and first["in_common"] == 0
        assert (await run_team_evolution(bob.desk, bob.store, JOB))["proposed"] == []  # four of two
        await work(bob, 1, extra="quaggamarker")
        report: Any = await run_team_evolution(bob.desk, bob.store, JOB)
        assert report["members"] == ["alice", "bob"] and len(report["proposed"]) == 1, report
        again = await run_team_evolution(alice.desk, alice.store, JOB)
        assert again["proposed"] == []  # it waits already
        volume = bob.volumes.open(TEAM)
        (proposal,) = volume.proposals(bob.volumes.me())
        assert proposal.skill_id == "deploy-web-service"
        text = volume.files_at(proposal.commit, proposal.skill_id, bob.volumes.me())["SKILL.md"].decode()
        assert "1. `git__status` with `path`" in text and "2. `shop__deploy` with `region`, `service`" in text
        assert "private__" not in text and "5 runs of 2 members, 5 of them successes" in text
        for folder in (tmp_path / "bare.git", *(w.volumes.root / "team" / "core" for w in (alice, bob))):
            held = everything(folder).lower()
            for marker in (SECRET, "quaggamarker", "/srv", "went well"):
                assert marker.encode() not in held, (folder, marker)
        approval = next(a for a in await bob.approvals.list() if a.kind == PROMOTION)
        person = Caller(CallerKind.PERSON, client="bob (cli)")
        await bob.approvals.decide(approval.id, person, approve=True, how="test")
        assert [s.name for s in bob.library.all() if s.origin == "team"] == [proposal.skill_id]


@pytest.mark.requirement("L-27")
async def test_one_member_alone_or_work_that_mostly_fails_is_not_proposed(tmp_path: Path) -> None:
    async with member(tmp_path, "alice") as alice, member(tmp_path, "bob") as bob:
        await work(alice, 9)
        assert (await run_team_evolution(alice.desk, alice.store, JOB))["proposed"] == []
        await work(bob, 6, ok=1)
        assert (await run_team_evolution(bob.desk, bob.store, JOB))["proposed"] == []  # 10 of 15


@pytest.mark.requirement("L-27")
async def test_members_on_two_machines_meet_over_the_teams_remote_and_broken_files_of_others_harm_nobody(
    tmp_path: Path,
) -> None:
    async with member(tmp_path, "alice") as alice, member(tmp_path, "bob") as bob:
        await work(alice, 4)
        assert (await run_team_evolution(alice.desk, alice.store, JOB))["push"] == "pushed"
        traces = bob.volumes.root / "team" / "core" / "traces"
        (traces / "mallory.json").write_text('{"work": [{"words": ["x"], "tools": 7, "runs": -5}]}')
        (traces / "deep.json").write_text("[" * 100_000)
        (traces / "link.json").symlink_to("/etc/passwd")
        await work(bob, 2)
        report = await run_team_evolution(bob.desk, bob.store, JOB)
        assert report["pull"] == "pulled" and report["push"] == "pushed" and len(report["proposed"]) == 1  # type: ignore[arg-type]
        (tmp_path / "bare.git").rename(tmp_path / "away.git")  # the remote cannot be reached: the work here goes on
        report = await run_team_evolution(bob.desk, bob.store, JOB)
        assert "git fetch failed" in str(report["pull"]) and report["team"] == "core"


async def test_without_a_team_nothing_is_shared(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "druse.db") as store:
        world = World(store, tmp_path)
        assert "belong to no team" in str((await run_team_evolution(world.desk, store, JOB))["why"])
        assert isinstance(world.volumes, Volumes) and not world.volumes.exists(TEAM)
        await world.audit.close()
