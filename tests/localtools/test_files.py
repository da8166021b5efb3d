"""Files and searches of the workspace: what they reach, and what no link, FIFO or pattern makes them do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from druse.localtools import LocalTools
from druse.localtools.beneath import files_beneath, open_folder
from druse.localtools.files import MAX_READ, read_text, write_text
from druse.localtools.globs import path_filter
from druse.localtools.search import glob_files, grep_files
from druse.model import CallContext, Caller, CallerKind, Decision, Invalid, JsonObject, Outcome, ToolSpec
from druse.permissions import Policy, decide
from druse.routing import Registry, Router


class NoConsent:
    """Nobody is there to be asked."""

    async def granted(self, subject_hash: str, caller: Caller) -> bool:
        return False

    async def ask(self, subject_hash: str, title: str, details: JsonObject, caller: Caller) -> str:
        return "a1"


class Journal:
    """Runs `between` where a real journal writes to the disk: after the decision, before the effect."""

    def __init__(self, between: Callable[[], None]) -> None:
        self.between = between

    async def begin(self, call: object, decision: Decision) -> str:
        self.between()
        return "e1"

    async def refuse(self, call: object, outcome: Outcome) -> None: ...

    async def finish(self, call: object, cause: str, outcome: Outcome, step: object) -> None: ...


async def called(
    workspace: Path, tool: str, arguments: JsonObject, between: Callable[[], None] = lambda: None, **rules: list[str]
) -> Outcome:
    """One call through the one router; `between` happens between decision and effect."""
    policy = Policy.from_lists(
        {"allow": ["Read", "Edit", "Write"], **rules}, workspace=workspace, home=workspace / "home"
    )

    def decided(spec: ToolSpec, given: JsonObject, caller: Caller) -> Decision:
        return decide(policy, spec.name, given, spec=spec, caller=caller)

    router = Router(
        Registry([LocalTools(workspace, decide=decided)]),
        decide=decided,
        consent=NoConsent(),
        journal=Journal(between),
        clock=time.time,
    )
    return await router.call(tool, arguments, Caller(CallerKind.AGENT))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = Path(os.path.realpath(tmp_path)) / "ws"
    (root / "src" / "deep").mkdir(parents=True)
    (root / "src" / "a.py").write_text("alpha = 1\nbeta = 2\n")
    (root / "src" / "deep" / "b.py").write_text("beta = 3\n")
    (root / "notes.md").write_text("beta\n")
    outside = root.parent / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "a.py").write_text("beta = 'secret'\n")
    (outside / "deep" / "b.py").write_text("beta = 'secret'\n")
    return root


def exchanged(workspace: Path) -> Callable[[], None]:
    """Put a link to the outside where the folder src was."""

    def exchange() -> None:
        (workspace / "src").rename(workspace / "was")
        (workspace / "src").symlink_to(workspace.parent / "outside")

    return exchange


@pytest.mark.requirement("H-19")
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("Read", {"file_path": "src/a.py"}),
        ("Write", {"file_path": "src/a.py", "content": "x"}),
        ("Write", {"file_path": "src/new/c.py", "content": "x"}),
        ("Edit", {"file_path": "src/a.py", "old_string": "beta", "new_string": "x"}),
        ("Grep", {"pattern": "beta", "path": "src"}),
        ("Glob", {"pattern": "**/*.py", "path": "src"}),
    ],
)
async def test_a_link_put_in_the_path_after_the_decision_is_not_followed(
    workspace: Path, tool: str, arguments: JsonObject
) -> None:
    before = await called(workspace, tool, arguments)
    assert before.ok, before
    if tool == "Edit":
        write_text(workspace / "src" / "a.py", "beta")

    outcome = await called(workspace, tool, arguments, exchanged(workspace))

    assert not outcome.ok and "secret" not in str(outcome)
    assert "a link stands" in outcome.message or "Too many levels" in outcome.message or "Not a dir" in outcome.message
    assert (workspace.parent / "outside" / "a.py").read_text() == "beta = 'secret'\n"
    assert not (workspace.parent / "outside" / "new").exists()


@pytest.mark.requirement("H-19")
async def test_a_search_does_not_go_through_links_below_its_root(workspace: Path) -> None:
    (workspace / "link").symlink_to(workspace.parent / "outside")
    (workspace / "src" / "file.py").symlink_to(workspace.parent / "outside" / "a.py")

    assert sorted(m["file"] for m in grep_files("be[t]a", workspace).matches) == [
        "notes.md",
        "src/a.py",
        "src/deep/b.py",
    ]
    assert sorted(glob_files("**/*.py", workspace).files) == ["src/a.py", "src/deep/b.py"]


@pytest.mark.parametrize("walk", [False, True])
def test_a_folder_is_reached_beneath_its_root_only(workspace: Path, walk: bool) -> None:
    (workspace / "link").symlink_to("src")
    root = os.open(workspace, os.O_RDONLY)
    try:
        os.close(open_folder(root, "src/deep", walk=walk))
        for relative in ("link", "link/deep", "src/../src", "..", "src/a.py", "none", "src\0"):
            with pytest.raises((OSError, ValueError)):
                open_folder(root, relative, walk=walk)
    finally:
        os.close(root)


def test_a_folder_exchanged_for_a_link_during_a_walk_is_left_out(workspace: Path) -> None:
    root = os.open(workspace, os.O_RDONLY)
    seen: list[str] = []
    try:
        for file in files_beneath(root, without=frozenset(), until=time.monotonic() + 300):
            seen.append(file.relative)
            if file.relative == "notes.md":
                exchanged(workspace)()
    finally:
        os.close(root)

    assert seen == ["notes.md"]


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "link"])
def test_what_is_no_regular_file_is_refused_at_once(workspace: Path, kind: str) -> None:
    path = workspace / "odd"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("notes.md")

    for attempt in (lambda: read_text(path), lambda: write_text(path, "x")):
        with pytest.raises(Invalid, match=r"no regular file|a link stands|Too many levels"):
            attempt()
    assert "odd" not in [m["file"] for m in grep_files("x", workspace).matches]


def test_a_file_with_two_names_is_not_written(workspace: Path) -> None:
    os.link(workspace / "notes.md", workspace / "second.md")

    with pytest.raises(Invalid, match="hard links"):
        write_text(workspace / "notes.md", "x")


def test_sizes_are_bounded_and_a_write_keeps_the_mode(workspace: Path) -> None:
    with (workspace / "big").open("wb") as file:
        file.truncate(MAX_READ + 1)
    with pytest.raises(Invalid, match="larger than"):
        read_text(workspace / "big")
    (workspace / "notes.md").chmod(0o777)

    assert write_text(workspace / "notes.md", "y") is False
    assert write_text(workspace / "n" / "e" / "w.md", "y") is True
    assert (workspace / "notes.md").stat().st_mode & 0o777 == 0o777
    assert sorted(path.name for path in workspace.iterdir()) == ["big", "n", "notes.md", "src"]


@pytest.mark.parametrize("pattern", ["(a+)+$", "(?:a|a)*b", "(a|aa)+c", r"(\w+\s?)*!"])
def test_a_catastrophic_pattern_ends_with_an_error_and_the_host_goes_on(workspace: Path, pattern: str) -> None:
    (workspace / "bomb.txt").write_text("a" * 60 + "\n" + "a" * 60 + "?\n")
    started = time.monotonic()

    with pytest.raises(Invalid, match="too long"):
        grep_files(pattern, workspace, seconds=1.0)

    assert time.monotonic() - started < 60  # to its end it takes years


def test_a_pattern_is_a_regular_expression_and_a_wrong_one_is_explained(workspace: Path) -> None:
    assert grep_files(r"^BETA = \d$", workspace, ignore_case=True, glob="*.py").matches == [
        {"file": "src/a.py", "line": 2, "text": "beta = 2"},
        {"file": "src/deep/b.py", "line": 1, "text": "beta = 3"},
    ]
    assert grep_files("beta", workspace / "src" / "a.py").matches == [{"file": "a.py", "line": 2, "text": "beta = 2"}]
    assert [m["file"] for m in grep_files("BETA", workspace, ignore_case=True, glob="src/*.py").matches] == ["src/a.py"]
    with pytest.raises(Invalid, match="unterminated"):
        grep_files("(beta", workspace)
    with pytest.raises(Invalid, match="that is there"):
        grep_files("beta", workspace / "none")


GLOBS = [
    ("**/*.py", ["a.py", "x/a.py", "x/y/a.py"], ["a.pyc", "a.py/b"]),
    ("*.py", ["a.py"], ["x/a.py"]),
    ("src/**", ["src/a", "src/x/y"], ["src", "lib/src/a"]),
    ("src/**/b.py", ["src/b.py", "src/x/y/b.py"], ["b.py", "src/ab.py"]),
    ("**", ["a", "x/y"], []),
    ("**.py", ["a.py", "x/a.py"], ["a.txt"]),
    ("./a?.md", ["ab.md"], ["a.md", "x/ab.md"]),
    ("[ab].md", ["a.md"], ["c.md"]),
    ("/etc/*", [], ["etc/passwd", "/etc/passwd"]),
    ("", [], ["a"]),
]


@pytest.mark.parametrize(("pattern", "fitting", "others"), GLOBS)
def test_globs_mean_what_people_expect(pattern: str, fitting: list[str], others: list[str]) -> None:
    fits = path_filter(pattern)

    assert [path for path in (*fitting, *others) if fits(path)] == fitting


def test_no_glob_is_catastrophic() -> None:
    started = time.process_time()
    for pattern in ("**/" * 300 + "b", "*a" * 400 + "b", "**/*a" * 150 + "b"):
        assert not path_filter(pattern)("a" * 250 + "/" + "a/" * 500 + "c")

    assert time.process_time() - started < 2


async def test_the_tools_answer_as_before(workspace: Path) -> None:
    tools = LocalTools(workspace)
    context = CallContext(Caller(CallerKind.AGENT))
    specs = {spec.name: spec for spec in tools.specs()}

    glob = await tools.call(specs["Glob"], {"pattern": "*.md"}, context)
    grep = await tools.call(specs["Grep"], {"pattern": "^beta$"}, context)

    assert glob.data == {"files": ["notes.md"]}
    assert grep.data == {"matches": [{"file": "notes.md", "line": 1, "text": "beta"}]}


@pytest.mark.parametrize("kind", ["deny", "ask"])
@pytest.mark.parametrize("pattern", ["TOKEN", "TO[K]EN"])
async def test_a_search_does_not_tell_of_files_that_a_rule_keeps_back(workspace: Path, kind: str, pattern: str) -> None:
    """Else a search of the folder above is the way around every rule on a file."""
    (workspace / "src" / ".env").write_text("TOKEN=1\n")
    (workspace / "src" / "ok.txt").write_text("TOKEN\n")
    deny, ask = (["Read(.env)"], []) if kind == "deny" else ([], ["Read(**/.env)"])

    wide = await called(workspace, "Grep", {"pattern": pattern}, deny=deny, ask=ask)
    names = await called(workspace, "Glob", {"pattern": "src/[.o]*"}, deny=deny, ask=ask)
    exact = await called(workspace, "Grep", {"pattern": pattern, "path": "src/.env"}, deny=deny, ask=ask)

    assert wide.data == {"matches": [{"file": "src/ok.txt", "line": 1, "text": "TOKEN"}]}
    assert names.data == {"files": ["src/ok.txt"]}
    assert not exact.ok


async def test_a_search_inside_a_folder_of_credentials_leaves_them_out(workspace: Path) -> None:
    (workspace / "home" / ".ssh").mkdir(parents=True)
    (workspace / "home" / ".ssh" / "id_ed25519").write_text("KEY\n")
    found = await called(workspace, "Grep", {"pattern": "KEY"})

    assert found.data == {"matches": []}
