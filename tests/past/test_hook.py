"""`druse hook`: what a client did is written down; the client notices nothing of it."""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.past.hooking import HOOK, bash, command, failure, hook, prompt, runs_of, stop

SECRET = "sk-proj-" + "aB3d" * 8


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / ".druse").mkdir(parents=True)
    return tmp_path / "project"


def spooled(root: Path) -> str:
    folder = root / ".druse" / "spool"
    return "".join(path.read_text() for path in sorted(folder.glob("*.jsonl"))) if folder.exists() else ""


def silent(done: Any) -> bool:
    return (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.requirement("N-08", "H-41")
def test_what_a_client_did_becomes_a_run_failures_included(project: Path) -> None:
    events = [
        prompt("Commit the parser"),
        bash("git add src/parser.py"),
        failure("git commit -m x", "Exit code 1\nnothing to commit"),
        bash("git status", out="clean\n"),
        stop(),
    ]
    for event in events:
        assert silent(hook(project, event))
    (shown,) = runs_of(project, "unfinished")
    assert shown["goal"] == "Commit the parser"
    assert [(step["tool"], step["args"], step["err"]) for step in shown["steps"]] == [
        ("Bash", {"command": "git add src/parser.py"}, False),
        ("Bash", {"command": "git commit -m x"}, True),
        ("Bash", {"command": "git status"}, False),
    ]
    assert shown["steps"][1]["res"]["exit_code"] == 1
    assert shown["steps"][2]["res"] == {"stdout": "clean\n", "stderr": "", "exit_code": 0}
    assert spooled(project) == ""


@pytest.mark.requirement("N-08")
def test_a_hook_is_silent_and_ends_well_whatever_it_is_given(project: Path) -> None:
    for payload in (
        *(b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe\x00", b"{}", b"[" * 100_000, b'{"hook_event_name": 7}'),
        b'{"hook_event_name": "PostToolUse", "tool_name": {"a": 1}, "tool_input": 7, "session_id": []}',
        b'{"hook_event_name": "PostToolUse", "tool_name": "\\ud800", "session_id": "\\ud800", "tool_input": {}}',
        b'\xef\xbb\xbf{"hook_event_name": "Stop"}',
    ):
        assert silent(hook(project, payload)), payload
    for name in ("", "../x", "a" * 100, "-h x"):
        assert silent(hook(project, stop(), client=name))


@pytest.mark.requirement("N-08")
def test_what_cannot_be_read_does_not_keep_the_rest_from_being_read(project: Path) -> None:
    for payload in (
        b"{",
        b'{"hook_event_name": "PostToolUse", "tool_name": "\\ud800", "session_id": "\\ud800", "tool_input": {}}',
        b'{"hook_event_name": "PostToolUse", "tool_name": {"a": 1}, "tool_input": 7, "session_id": []}',
        {"hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_input": {"command": ["a", 7]}},
        {"hook_event_name": "PostToolUse", "tool_name": "Read", "tool_input": {"file_path": 7}, "duration_ms": "x"},
    ):
        assert silent(hook(project, payload))
    with (project / ".druse" / "spool" / "open.jsonl").open("ab") as file:
        file.write(b'\n{"client": "x", "at": 1, "eve')
    assert silent(hook(project, bash("git status", session="after")))
    commands = [run["steps"][0]["args"] for run in runs_of(project, "open")]
    assert {"command": "git status"} in commands


@pytest.mark.requirement("N-08")
def test_a_hook_costs_the_client_nothing_where_nothing_can_be_written(tmp_path: Path) -> None:
    root = tmp_path / "p"
    root.mkdir()
    (root / ".druse").write_text("a file stands in the way")
    assert silent(hook(root, bash("git status")))
    full = tmp_path / "full"
    (full / ".druse" / "keys").mkdir(parents=True)
    (full / ".druse" / "spool").mkdir()
    (full / ".druse" / "spool" / "open.jsonl").symlink_to("/dev/full")
    assert silent(hook(full, bash("git status")))
    assert silent(hook(tmp_path / "p", {**bash("x"), "cwd": "/nowhere/at/all"}))
    limited = f"ulimit -f 0; exec {sys.executable} -I -S {HOOK} claude-code"  # no file may grow: a full disk
    new = tmp_path / "new"
    new.mkdir()
    done = subprocess.run(
        ["bash", "-c", limited], input=json.dumps(bash("x")).encode(), cwd=new, capture_output=True, check=False
    )
    assert silent(done)


@pytest.mark.requirement("N-08")
def test_a_hook_takes_less_than_fifty_milliseconds_of_processor_time(project: Path) -> None:
    """Processor time, as the wall clock of a busy machine says more of its other work; the best of some."""
    took: list[float] = []
    for _ in range(8):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert silent(hook(project, bash("git status", out="x" * 20_000)))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took) < 0.05


@pytest.mark.requirement("N-08")
def test_of_a_call_too_large_to_look_through_the_rest_is_kept_and_what_is_left_out_is_told(project: Path) -> None:
    assert silent(hook(project, bash("cat huge", out=f"token={SECRET}\n" * 100_000)))
    assert silent(hook(project, b'"' + b"x" * (33 * 1024 * 1024) + b'"'))
    assert SECRET not in spooled(project)
    (run,) = runs_of(project, "open")
    assert run["steps"][0]["args"] == {"command": "cat huge"}
    assert "left_out" in json.dumps(run["steps"][0]["res"])
    notices = command(project, "status")["notices"]
    assert any("left out: the client's event was no JSON" in notice for notice in notices), notices


def test_a_hook_whose_input_never_ends_ends_by_itself(project: Path) -> None:
    reading, writing = os.pipe()
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-I", "-S", str(HOOK), "codex"], stdin=reading, cwd=project, check=False)
    os.close(reading)
    os.close(writing)
    assert done.returncode == 0
    assert time.monotonic() - begun < 100  # a machine shared by many starts it late


@pytest.mark.requirement("H-41")
def test_no_secret_is_written_not_even_for_a_moment(project: Path) -> None:
    nested = json.dumps({"password": "xy", "pin": 1234, "note": f"use {SECRET}"})
    for event in (
        prompt(f"Log in with {SECRET}"),
        bash(f"curl -H 'Authorization: Bearer {SECRET}' https://u:hunter22@x.io", out="API_KEY=hunter2345\n"),
        bash("env", out=nested),
        {**bash("x"), "tool_name": "mcp__shop__login", "tool_response": nested, "tool_input": {"password": "xy"}},
        {**bash("y"), "tool_response": {"content": [{"type": "text", "text": nested}]}},
        failure("y", f"denied for {SECRET}"),
    ):
        assert silent(hook(project, event))
    written = spooled(project)
    assert written.count('"client"') == 6
    for secret in (SECRET, "hunter22", "hunter2345", '"xy"', "1234,"):
        assert secret not in written
    modes = {path.name: path.stat().st_mode & 0o777 for path in (project / ".druse" / "spool").iterdir()}
    assert modes == {"open.jsonl": 0o600}


@pytest.mark.requirement("H-41")
def test_a_secret_has_the_same_handle_in_a_hook_and_in_the_server(project: Path) -> None:
    hook(project, bash(f"deploy --token {SECRET}"))
    hook(project, {**bash("z"), "tool_name": "mcp__shop__login", "tool_input": {"api_key": SECRET}})
    (run,) = runs_of(project, "open")
    one, two = run["steps"]
    assert two["tool"] == "shop__login"
    assert one["args"]["command"] == f"deploy --token {two['args']['api_key']}"


@pytest.mark.requirement("H-41")
def test_a_large_result_is_kept_once_by_its_hash(project: Path) -> None:
    text = "".join(f"line {number}\n" for number in range(50_000))
    for number in range(3):
        hook(project, bash(f"cat {number}.txt", out=text))
    (run,) = runs_of(project, "open")
    assert [step["res"]["stdout"] for step in run["steps"]] == [text] * 3
    database = sqlite3.connect(project / ".druse" / "druse.db")
    assert database.execute("SELECT count(*) FROM blob").fetchone() == (1,)
    database.close()


@pytest.mark.requirement("N-08", "H-41")
def test_order_holds_under_five_writers_and_a_locked_database(project: Path) -> None:
    """Five clients at once, while something else keeps the database locked for five seconds."""
    command(project, "traces", "list")
    database = sqlite3.connect(project / ".druse" / "druse.db", isolation_level=None, check_same_thread=False)
    database.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(5.0, lambda: database.execute("COMMIT"))
    release.start()
    took: list[float] = []

    def client(name: str) -> None:
        for number in range(8):
            begun = time.monotonic()
            assert silent(hook(project, bash(f"step {number}", session=name, key=f"k{number}")))
            took.append(time.monotonic() - begun)

    reader = subprocess.Popen(
        [sys.executable, "-m", "druse", "traces", "list", "--json"],
        cwd=project,
        stdout=subprocess.PIPE,
    )
    threads = [threading.Thread(target=client, args=(f"client-{number}",)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took.sort()
    print(f"hooks under five writers: median {took[20] * 1000:.0f} ms, largest {took[-1] * 1000:.0f} ms")
    release.join()
    database.close()
    assert reader.wait(120) == 0
    assert reader.stdout is not None
    reader.stdout.close()
    runs = runs_of(project, "open")
    assert len(runs) == 5
    for run in runs:
        assert [step["args"]["command"] for step in run["steps"]] == [f"step {number}" for number in range(8)]


@pytest.mark.requirement("N-08")
def test_a_reader_that_dies_half_way_costs_no_event_and_doubles_none(project: Path) -> None:
    for number in range(3):
        hook(project, {**bash(f"step {number}"), "tool_use_id": ""})
    runs_of(project, "open")
    folder = project / ".druse" / "spool"
    hook(project, {**bash("step 3"), "tool_use_id": ""})
    # It had sealed the file and committed what it read, and died before it could remove the file.
    sealed = folder / "00000000000000000001-1.jsonl"
    (folder / "open.jsonl").rename(sealed)
    database = sqlite3.connect(project / ".druse" / "druse.db")
    database.execute("INSERT INTO spool_file VALUES (?, ?)", (sealed.name, sealed.stat().st_size))
    database.commit()
    hook(project, {**bash("step 4"), "tool_use_id": ""})
    (shown,) = runs_of(project, "open")
    assert [step["args"]["command"] for step in shown["steps"]] == ["step 0", "step 1", "step 2", "step 4"]
    assert database.execute("SELECT count(*) FROM spool_file").fetchone() == (0,)
    database.close()


def test_the_state_folder_that_a_hook_makes_is_ignored_by_git(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "sub").mkdir()
    assert silent(hook(tmp_path / "sub", bash("git status")))
    assert (tmp_path / ".druse" / "spool" / "open.jsonl").exists()
    told = subprocess.run(
        ["git", "status", "--short", "-uall"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert told.stdout == "?? .druse/.gitignore\n"


def test_a_link_in_a_cloned_project_leads_a_hook_nowhere(tmp_path: Path) -> None:
    (tmp_path / "project" / ".druse").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "project" / ".druse" / "spool").symlink_to(tmp_path / "elsewhere")
    assert silent(hook(tmp_path / "project", bash("git status")))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_command_itself_works_as_a_hook_and_has_help(project: Path) -> None:
    words = [sys.executable, "-m", "druse", "hook"]
    event = json.dumps({"cwd": str(project), **bash("git status")}).encode()
    done = subprocess.run([*words, "claude-code"], input=event, cwd=project, capture_output=True, check=False)
    assert silent(done)
    assert "git status" in spooled(project)
    told = subprocess.run([*words, "--help"], cwd=project, capture_output=True, text=True, check=True)
    assert "always" in told.stdout or "exit code 0" in told.stdout
    assert subprocess.run(words, cwd=project, stdin=subprocess.DEVNULL, check=False).returncode == 0
