"""One contract for every volume, and what only a git repository can show."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from druse.model import Invalid, NotAllowed, NotFound
from druse.skills import Actor, Conflict, GitVolume, MemoryVolume, Message, Role, Volume, VolumeKind, VolumeRef

ALICE = Actor(Role.USER, "alice", "Alice", "alice@example.org")
CRON = Actor(Role.TEAM, "core", "Team job")
SYSTEM = Actor(Role.SYSTEM, "main", "System job")
TEXT = "---\nname: greet\ndescription: Say hello.\n---\nHello.\n"

Make = Callable[[str], Volume]


@pytest.fixture(params=["git", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    def opened(name: str) -> Volume:
        ref = VolumeRef.parse(name)
        return GitVolume.open(tmp_path / "volumes", ref) if request.param == "git" else MemoryVolume(ref)

    return opened


@pytest.mark.requirement("L-02", "L-03", "L-04", "L-43", "L-29")
def test_a_skill_is_saved_as_one_commit_and_read_back_now_and_at_a_revision(make: Make) -> None:
    volume = make("user:alice")
    before = len(volume.get_git_log(50, ALICE))
    first = volume.write_skill("greet", TEXT, Message("Create skill: Greet", trailers=(("Run", "run-1"),)), ALICE)
    second = volume.write_skill("greet", TEXT + "More.\n", Message("Edit skill: Greet"), ALICE)
    assert volume.read_skill("greet", ALICE) == TEXT + "More.\n"
    assert volume.read_skill("greet", ALICE, revision=first) == TEXT
    newest, older = volume.get_git_log(2, ALICE)
    assert (newest.id, newest.subject) == (second, "Edit skill: Greet")
    assert (older.subject, older.author, older.email) == ("Create skill: Greet", "Alice", "alice@example.org")
    assert dict(older.trailers) == {"Run": "run-1"}
    assert len(volume.get_git_log(50, ALICE)) == before + 2
    volume.write_skill("brief", TEXT.replace("greet", "brief"), Message("Create skill: Brief"), ALICE)
    assert [skill.id for skill in volume.list_skills(ALICE)] == ["brief", "greet"]
    assert volume.skill_files("greet", ALICE) == {"SKILL.md": (TEXT + "More.\n").encode()}


@pytest.mark.requirement("L-17")
def test_the_same_text_again_is_no_commit(make: Make) -> None:
    volume = make("user:alice")
    volume.write_skill("greet", TEXT, Message("Create skill: Greet"), ALICE)
    count = len(volume.get_git_log(50, ALICE))
    assert volume.write_skill("greet", TEXT, Message("Create skill: Greet"), ALICE) == ""
    assert len(volume.get_git_log(50, ALICE)) == count


@pytest.mark.requirement("L-03")
def test_an_unknown_skill_names_the_nearest(make: Make) -> None:
    volume = make("user:alice")
    volume.write_skill("greet", TEXT, Message("Create skill: Greet"), ALICE)
    with pytest.raises(NotFound) as error:
        volume.read_skill("great", ALICE)
    assert error.value.nearest == ("greet",)
    with pytest.raises(NotFound):
        volume.read_skill("greet", ALICE, revision="0" * 40)


ACCESS = {
    ("user", "user"): "rw",
    ("user", "team"): "r",
    ("user", "system"): "rw",
    ("team", "user"): "r",
    ("team", "team"): "rw",
    ("team", "system"): "rw",
    ("system", "user"): "r",
    ("system", "team"): "r",
    ("system", "system"): "rw",
}


@pytest.mark.requirement("L-07", "L-34")
@pytest.mark.parametrize(("kind", "role"), list(ACCESS))
def test_every_cell_of_the_matrix_holds_whoever_opened_the_volume_before(make: Make, kind: str, role: str) -> None:
    """The original cached one flag by name, so that the first caller's rights became everybody's."""
    volume = make(f"{kind}:alice")
    actor = Actor(Role(role), "alice", f"the {role}")
    for other in Role:
        volume.list_skills(Actor(other, "alice", "before"))
    assert volume.list_skills(actor) == []
    if ACCESS[kind, role] == "rw":
        assert volume.write_skill("greet", TEXT, Message("Create skill: Greet"), actor)
        return
    for write in (
        lambda: volume.write_skill("greet", TEXT, Message("x"), actor),
        lambda: volume.write_file("memory/notes.md", b"x", Message("x"), actor),
        lambda: volume.commit_changes(Message("x"), actor, ["skills/greet/SKILL.md"]),
        lambda: volume.merge("pr/bob/greet", Message("x"), actor),
    ):
        with pytest.raises(NotAllowed) as error:
            write()
        assert f"the {role}" in str(error.value) and f"{kind}:alice" in str(error.value)
        assert "needs the role" in str(error.value)
    assert volume.list_skills(actor) == []


@pytest.mark.requirement("L-07")
def test_a_user_does_not_read_another_users_volume(make: Make) -> None:
    with pytest.raises(NotAllowed, match="the user alice itself"):
        make("user:alice").list_skills(Actor(Role.USER, "bob", "Bob"))


@pytest.mark.requirement("L-21", "L-30")
def test_a_proposal_is_served_only_after_it_was_merged(make: Make) -> None:
    team = make("team:core")
    subject = "Promote 'greet' from user:alice - Reason: Useful for team"
    team.propose("pr/alice/greet", "greet", {"SKILL.md": TEXT.encode()}, Message(subject), ALICE)
    assert team.list_skills(ALICE) == []
    (waiting,) = team.proposals(ALICE)
    assert (waiting.skill_id, waiting.subject, waiting.author) == ("greet", subject, "Alice")
    assert "Hello." in waiting.diff
    with pytest.raises(NotAllowed):
        team.merge("pr/alice/greet", Message(subject), ALICE)
    team.merge("pr/alice/greet", Message(subject, trailers=(("Approval", "a-1"),)), CRON)
    assert team.read_skill("greet", ALICE) == TEXT and team.proposals(ALICE) == []
    assert team.get_git_log(1, ALICE)[0].subject == subject


@pytest.mark.requirement("L-21")
def test_a_proposal_whose_text_changed_meanwhile_shows_both_sides(make: Make) -> None:
    team = make("team:core")
    team.write_skill("greet", TEXT, Message("Create skill: Greet"), CRON)
    team.propose("pr/alice/greet", "greet", {"SKILL.md": TEXT.replace("Hello", "Salve").encode()}, Message("p"), ALICE)
    team.write_skill("greet", TEXT.replace("Hello", "Moin"), Message("Edit skill: Greet"), CRON)
    with pytest.raises(Conflict) as error:
        team.merge("pr/alice/greet", Message("p"), CRON)
    assert "Salve" in error.value.diff and "Moin" in error.value.diff
    assert "Moin" in team.read_skill("greet", ALICE)
    team.discard("pr/alice/greet", ALICE)
    assert team.proposals(ALICE) == []


def test_a_writer_who_read_an_older_text_is_told(make: Make) -> None:
    volume = make("user:alice")
    volume.write_skill("greet", TEXT, Message("Create skill: Greet"), ALICE)
    volume.write_skill("greet", TEXT + "One.\n", Message("Edit"), ALICE)
    with pytest.raises(Conflict) as error:
        volume.write_skill("greet", TEXT + "Two.\n", Message("Edit"), ALICE, expected=TEXT)
    assert "One." in error.value.diff and "Two." in error.value.diff


@pytest.mark.requirement("L-01")
@pytest.mark.parametrize(
    "name", ["../escape", "user:../../escape", "user:", "user:-x", "user:A", "user:a/b", "x:a", "user:" + "a" * 65]
)
def test_an_id_that_could_leave_the_root_is_refused(make: Make, name: str) -> None:
    with pytest.raises(Invalid):
        make(name)


@pytest.mark.parametrize("name", ["con", "nul", "com1", "lpt9"])
def test_what_windows_could_not_pull_is_not_written(make: Make, name: str) -> None:
    volume = make("user:alice")
    with pytest.raises(Invalid, match="takes"):
        volume.write_skill(name, TEXT, Message("Device"), ALICE)
    with pytest.raises(Invalid, match="takes"):
        volume.write_file(f"skills/greet/{name}.txt", b"x", Message("Device"), ALICE)
    with pytest.raises(Invalid, match="takes"):
        volume.propose(f"pr/alice/{name}", name, {"SKILL.md": b"x"}, Message("Device"), ALICE)


@pytest.mark.parametrize(
    "path", ["../x", "skills/../../x", "/etc/passwd", "skills/.git/x", "metadata.json", "skills/a\0b"]
)
def test_a_path_that_could_leave_the_volume_is_refused(make: Make, path: str) -> None:
    with pytest.raises(Invalid):
        make("user:alice").write_file(path, b"x", Message("x"), ALICE)


def test_names_and_sizes_are_bounded(make: Make) -> None:
    volume = make("user:alice")
    for name in ("../x", "A", "a--b", "-a", "a" * 65, "a b", ""):
        with pytest.raises(Invalid):
            volume.write_skill(name, TEXT, Message("x"), ALICE)
    with pytest.raises(Invalid, match="larger"):
        volume.write_skill("big", "x" * 300_000, Message("x"), ALICE)
    assert volume.list_skills(ALICE) == []


# what only git shows


@pytest.fixture
def volume(tmp_path: Path) -> GitVolume:
    return GitVolume.open(tmp_path / "volumes", VolumeRef(VolumeKind.USER, "alice"))


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.requirement("L-01", "L-02", "L-05")
def test_a_volume_is_an_ordinary_repository_with_one_file_a_commit(volume: GitVolume, tmp_path: Path) -> None:
    assert volume.root == tmp_path / "volumes" / "user" / "alice"
    assert {path.name for path in volume.root.iterdir()} == {".git", "skills", "traces", "memory", "metadata.json"}
    (volume.root / "skills" / "draft.txt").write_text("an editor's unfinished file")
    volume.write_skill("greet", TEXT, Message("Create skill: Greet", "Why.", (("Run", "run-7"),)), ALICE)
    assert git(volume.root, "show", "--format=%an <%ae>%n%s%n%(trailers)", "--name-only", "HEAD").split("\n") == [
        *("Alice <alice@example.org>", "Create skill: Greet", "Run: run-7", "", "", "skills/greet/SKILL.md")
    ]
    assert git(volume.root, "status", "--porcelain", "-uall") == "?? skills/draft.txt"
    assert git(volume.root, "fsck", "--strict") == ""


@pytest.mark.requirement("L-06")
def test_subjects_with_bars_and_line_ends_do_not_break_the_log(volume: GitVolume) -> None:
    volume.write_skill("greet", TEXT, Message("a | b\x00 \n c | d", "body | with\n\nparagraphs"), ALICE)
    assert volume.get_git_log(1, ALICE)[0].subject == "a | b c | d"
    assert len(volume.get_git_log(1, ALICE)) == 1 and volume.get_git_log(0, ALICE) == []


@pytest.mark.requirement("L-02")
def test_what_an_editor_left_uncommitted_is_in_the_history_before_it_is_replaced(volume: GitVolume) -> None:
    volume.write_skill("greet", TEXT, Message("Create skill: Greet"), ALICE)
    path = volume.root / "skills" / "greet" / "SKILL.md"
    path.write_text(TEXT + "By hand.\n")
    assert not volume.list_skills(ALICE)[0].committed
    volume.write_skill("greet", TEXT + "By Druse.\n", Message("Edit skill: Greet"), ALICE)
    assert [c.subject for c in volume.get_git_log(3, ALICE)] == [
        *("Edit skill: Greet", "Keep edited greet", "Create skill: Greet")
    ]
    assert "By hand." in volume.read_skill("greet", ALICE, revision="HEAD~1")
    assert volume.list_skills(ALICE)[0].committed


WRITER = """
import sys
from pathlib import Path
from druse.skills import Actor, GitVolume, Message, Role, VolumeRef
name = sys.argv[2]
volume = GitVolume.open(Path(sys.argv[1]), VolumeRef.parse("team:core"))
actor = Actor(Role.TEAM, "core", name)
for number in range(6):
    skill = f"{name}-{number}"
    volume.write_skill(skill, f"---\\nname: {skill}\\ndescription: d\\n---\\n", Message(f"Create skill: {skill}"), actor)
"""


@pytest.mark.requirement("L-02")
def test_two_processes_that_write_at_once_both_land(tmp_path: Path) -> None:
    run = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name]) for name in ("left", "right")]
    assert [process.wait(50) for process in run] == [0, 0]
    volume = GitVolume.open(tmp_path, VolumeRef.parse("team:core"))
    assert len(volume.list_skills(ALICE)) == 12 and all(skill.committed for skill in volume.list_skills(ALICE))
    assert len(volume.get_git_log(50, ALICE)) == 13
    assert git(volume.root, "status", "--porcelain") == ""


def test_links_and_devices_are_never_followed(volume: GitVolume, tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("---\nname: secret\ndescription: d\n---\n")
    (volume.root / "skills" / "linked").mkdir()
    (volume.root / "skills" / "linked" / "SKILL.md").symlink_to(secret)
    (volume.root / "skills" / "flat.md").symlink_to(secret)
    os.mkfifo(volume.root / "skills" / "pipe.md")
    (volume.root / "skills" / "away").symlink_to(tmp_path)
    listed = {skill.id: skill.problem for skill in volume.list_skills(ALICE)}
    assert set(listed) == {"linked", "flat", "pipe"} and all(listed.values())
    with pytest.raises(Invalid):
        volume.read_skill("linked", ALICE)
    with pytest.raises(Invalid):
        volume.write_skill("away", TEXT, Message("x"), ALICE)


def test_hooks_of_a_volume_do_not_run(volume: GitVolume, tmp_path: Path) -> None:
    hook = volume.root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
    hook.chmod(0o755)
    assert volume.write_skill("greet", TEXT, Message("Create skill: Greet"), ALICE)
    assert not (tmp_path / "ran").exists()


@pytest.mark.requirement("L-01")
def test_without_git_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Invalid, match="git is not installed"):
        GitVolume.open(tmp_path, VolumeRef.parse("user:alice"))
