"""`druse skills` and `druse volumes`: what a person does with skills."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from skills_ref.validator import validate as reference

from .conftest import Home  # type: ignore[import-not-found]


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()


async def names(home: Home, *flags: str) -> dict[str, str]:
    return {s["name"]: s["status"] for s in (await home.druse("skills", "list", *flags))["skills"]}


@pytest.mark.requirement("L-20", "L-21", "L-25", "L-29", "L-30", "L-09")
async def test_a_skill_is_made_promoted_and_merged_by_approval(home: Home) -> None:
    made = await home.druse("skills", "new", "my-skill", "--description", "Do my thing")
    assert made["status"] == "created" and reference(Path(made["path"]).parent) == []
    (commit, *_) = (await home.druse("volumes", "log", "user:alice"))["commits"]
    assert (commit["subject"], commit["author"]) == ("Create skill: My Skill", "alice")

    no_team = await home.druse("skills", "promote", "my-skill")
    assert "no team" in no_team["error"]["message"]
    assert (await home.druse("volumes", "use", "team:core"))["team"] == "core"
    asked = await home.druse("skills", "promote", "my-skill")
    assert asked["status"] == "pending"
    again = await home.druse("skills", "promote", "my-skill")
    assert again["approval_id"] == asked["approval_id"]
    (waiting,) = (await home.druse("volumes", "proposals", "team:core"))["proposals"]
    subject = "Promote 'my-skill' from user:alice - Reason: Useful for team"
    assert (waiting["branch"], waiting["subject"]) == ("pr/alice/my-skill", subject)
    team = home.volumes / "team" / "core"
    assert not (team / "skills" / "my-skill").exists()

    assert (await home.druse("approvals", "approve", asked["approval_id"], "--yes"))["status"] == "approved"
    (merged, *_) = (await home.druse("volumes", "log", "team:core"))["commits"]
    assert merged["subject"] == subject and merged["trailers"]["Approval"] == asked["approval_id"]
    assert merged["trailers"]["Origin"] == f"user:alice@{commit['id']}"
    assert git(team, "log", "--format=%s", "-1", "HEAD^2") == subject
    assert git(team, "status", "--porcelain") == ""
    assert (await home.druse("skills", "promote", "my-skill"))["status"] == "unchanged"

    (listed,) = [s for s in (await home.druse("skills", "list"))["skills"] if s["name"] == "my-skill"]
    assert (listed["origin"], listed["shadows"]) == ("user", ["team"])
    from_team = await home.druse("skills", "promote", "my-skill", "--from", "team:core", "--reason", "For all")
    await home.druse("approvals", "approve", from_team["approval_id"], "--yes")
    counts = {row["volume"]: row for row in (await home.druse("volumes", "list"))["volumes"]}
    assert {name: row["skills"] for name, row in counts.items()} == {"user:alice": 1, "team:core": 1, "system:main": 1}


@pytest.mark.requirement("L-07")
async def test_a_user_does_not_write_to_the_team_without_promotion(home: Home) -> None:
    await home.druse("volumes", "use", "team:core")
    answer = await home.druse("skills", "new", "mine", "--description", "d d", "--volume", "team:core")
    assert answer["error"]["kind"] == "not_allowed" and "team:core" in answer["error"]["message"]


@pytest.mark.requirement("L-32", "L-42")
async def test_a_dropped_file_is_listed_and_unapproved_where_approval_is_needed(home: Home) -> None:
    await home.druse("volumes", "use", "team:core")
    await home.druse("skills", "new", "first", "--description", "The first of mine")
    seed = "---\nname: Dropped Skill\ncategory: data\ndescription: Dropped by hand\nkeywords: [x]\n---\nBody\n"
    for volume in ("user/alice", "team/core"):
        (home.volumes / volume / "skills" / f"{volume[:4]}-dropped.md").write_text(seed.replace("Dropped", volume[:4]))
    (home.root / "skills" / "broken").mkdir(parents=True)
    (home.root / "skills" / "broken" / "SKILL.md").write_text("---\nname: broken\nmodel: x\ndescription: d\n---\n")
    listed = await names(home, "--all")
    assert listed["user-skill"] == "active" and listed["team-skill"] == "unapproved"
    (broken,) = [s for s in (await home.druse("skills", "list"))["skills"] if s["name"] == "broken"]
    assert broken["status"] == "invalid" and "SKILL.md:3: `model` is no field" in broken["problem"]
    checked = await home.druse("skills", "validate", "skills/broken")
    assert not checked["skills"][0]["valid"]


@pytest.mark.requirement("L-37", "L-40")
async def test_a_folder_of_agents_comes_in_as_drafts_once(home: Home, tmp_path: Path) -> None:
    agents = tmp_path / "agents"
    (agents / "skills" / "pdf").mkdir(parents=True)
    (agents / "reviewer.md").write_text("---\nname: Reviewer\ndescription: Reviews code\nmodel: x\n---\nYou review.\n")
    (agents / "skills" / "pdf" / "SKILL.md").write_text("---\nname: pdf\ndescription: Read PDF files\n---\nSee a.md\n")
    (agents / "skills" / "pdf" / "a.md").write_text("more")
    (agents / "bad.md").write_text("---\nname: &a [*a]\n---\n")
    (agents / "README.md").write_text("about")
    rows = {row["source"]: row for row in (await home.druse("skills", "import", str(agents)))["imported"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "README.md": "skipped",
        "bad.md": "skipped",
        "reviewer.md": "draft",
        "skills/pdf/SKILL.md": "draft",
        "skills/pdf/a.md": "skipped",
    }
    assert "reviewer" not in await names(home)
    again = {r["source"]: r["status"] for r in (await home.druse("skills", "import", str(agents)))["imported"]}
    assert again["reviewer.md"] == again["skills/pdf/SKILL.md"] == "unchanged"
    await home.druse("approvals", "approve", rows["reviewer.md"]["approval_id"], "--yes")
    assert (await names(home))["reviewer"] == "active"
    await home.druse("skills", "export", "reviewer", "--to", "claude")
    assert reference(home.root / ".claude" / "skills" / "reviewer") == []


@pytest.mark.requirement("L-30")
async def test_two_users_share_a_team_through_a_bare_repository(home: Home, tmp_path: Path) -> None:
    bare = tmp_path / "team.git"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(bare))
    bob = Home(tmp_path / "bob", tmp_path / "config-of-bob")
    bob.root.mkdir()
    bob.environment = {**bob.environment, "USER": "bob", "LOGNAME": "bob"}
    for person in (home, bob):
        await person.druse("volumes", "use", "team:core")
        await person.druse("volumes", "remote", "team:core", str(bare))

    async def promote(person: Home, text: str) -> None:
        (person.root / "body.md").write_text(text)
        user = "alice" if person is home else "bob"
        await person.druse("skills", "retire", "greet")
        await person.druse("skills", "new", "greet", "--description", "Say hello", "--file", "body.md")
        asked = await person.druse("skills", "promote", "greet", "--from", f"user:{user}")
        await person.druse("approvals", "approve", asked["approval_id"], "--yes")

    await promote(home, "Hello.\n")
    assert (await home.druse("volumes", "push", "team:core"))["status"] == "pushed"
    assert (await bob.druse("volumes", "pull", "team:core"))["status"] == "pulled"
    assert "Hello." in (await bob.druse("skills", "show", "team/greet"))["text"]
    await promote(bob, "Moin.\n")
    await promote(home, "Salve.\n")
    assert (await bob.druse("volumes", "push", "team:core"))["status"] == "pushed"
    refused = await home.druse("volumes", "push", "team:core")
    assert "other changes" in refused["error"]["message"]
    conflict = await home.druse("volumes", "pull", "team:core")
    assert conflict["status"] == "conflict" and "Moin." in conflict["diff"] and "Salve." in conflict["diff"]
    assert "Salve." in (await home.druse("skills", "show", "team/greet"))["text"]
    assert (await home.druse("volumes", "pull", "team:core", "--prefer", "theirs"))["status"] == "pulled"
    assert "Moin." in (await home.druse("skills", "show", "team/greet"))["text"]
    assert (await home.druse("volumes", "push", "team:core"))["status"] == "pushed"
    subjects = git(bare, "log", "--format=%s", "main")
    assert subjects.count("Promote 'greet' from user:alice") >= 2 and "from user:bob" in subjects


async def test_a_remote_that_names_a_program_is_refused(home: Home) -> None:
    await home.druse("volumes", "use", "team:core")
    for url in ("ext::sh -c touch% /tmp/x", "-u/x", "http://x/y", "file:///x\n/y"):
        assert "error" in await home.druse("volumes", "remote", "--", "team:core", url)
