"""`druse import`: past work becomes runs. The files in `transcripts` were written by the real clients, then scrubbed."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from druse.cli import main
from tests.past.hooking import bash, command, hook, prompt, runs_of

FILES = Path(__file__).with_name("transcripts")
SECRET = "sk-proj-" + "aB3d" * 8
COMMANDS = ["git status --short", "echo token=secret", "ls /nowhere"]
EDITS = ["Read", "Edit", "Write"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / ".druse").mkdir(parents=True)
    return root


def text_of(name: str, project: Path) -> str:
    return (FILES / name).read_text().replace("/home/user/project", str(project))


def home_of(client: str, project: Path) -> dict[str, str]:
    """A home with one session of a client, where that client keeps it; its environment."""
    home = project.parent / "home"
    places = {
        "claude-code": ".claude/projects/-home-user-project/s.jsonl",
        "codex": ".codex/sessions/2026/11/21/rollout-x.jsonl",
        "gemini": ".gemini/tmp/project/chats/session-x.jsonl",
        "opencode": ".local/share/opencode/opencode.db",
        "copilot": ".copilot/session-state/x/events.jsonl",
        "cline": ".cline/data/sessions/x/x.messages.json",
    }
    path = home / places[client]
    path.parent.mkdir(parents=True, exist_ok=True)
    if client == "opencode":
        database = sqlite3.connect(path)
        database.executescript(text_of("opencode.sql", project))
        database.close()
    elif client == "cline":
        path.write_text(text_of("cline.messages.json", project))
        path.with_name("x.json").write_text(text_of("cline.json", project))
    else:
        path.write_text(text_of(f"{client}.jsonl", project))
    if client == "gemini":
        (path.parent.parent / ".project_root").write_text(str(project))
    names = ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "GEMINI_CLI_HOME", "XDG_DATA_HOME", "COPILOT_HOME", "CLINE_DIR")
    return {"HOME": str(home), **dict.fromkeys(names, "")}


def load(project: Path, client: str, *more: str, env: dict[str, str] | None = None) -> Any:
    return command(project, "import", "--from", client, *more, env=env or {})


@pytest.mark.requirement("H-41")
@pytest.mark.parametrize("client", ["claude-code", "codex", "gemini", "opencode", "copilot", "cline"])
def test_a_session_of_a_real_client_becomes_one_run_and_a_second_time_nothing(client: str, project: Path) -> None:
    env = home_of(client, project)
    calls = len(COMMANDS) + (0 if client in ("codex", "cline") else len(EDITS))
    assert (found := load(project, client, "--dry-run", env=env))["calls"] == calls, found
    assert command(project, "traces", "list")["runs"] == []
    done = load(project, client, env=env)
    assert (done["calls"], done["known"], done["runs"]) == (calls, 0, 1)
    (run,) = runs_of(project, "unfinished")
    assert (run["goal"], run["src"]) == ("Set the value in src/parser.py to 2", client)
    shell, edits = run["steps"][: len(COMMANDS)], run["steps"][len(COMMANDS) :]
    assert [step["tool"] for step in shell] == ["Bash"] * 3
    assert [step["args"]["command"].partition("://")[0] for step in shell] == COMMANDS
    assert [step["err"] for step in shell] == [False, False, True]
    assert shell[2]["res"]["exit_code"] == 2
    if edits:
        assert [step["tool"] for step in edits] == EDITS
        assert edits[0]["args"] == {"file_path": "src/parser.py"}
        assert edits[0]["res"].strip() == "value = 1"
        changed = {"file_path": "src/parser.py", "old_string": "value = 1", "new_string": "value = 2"}
        assert (edits[1]["args"], edits[1]["res"]) == (changed, {"file_path": "src/parser.py", "replaced": 1})
        assert edits[2]["args"] == {"file_path": "notes.md", "content": "# Notes\n"}
        assert edits[2]["res"] == {"file_path": "notes.md", "created": True}
    again = load(project, client, env=env)
    assert (again["calls"], again["known"], again["runs"]) == (0, calls, 0)
    for file in (project / ".druse").rglob("*"):
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes(), file


@pytest.mark.requirement("H-34")
def test_an_imported_run_is_a_success_only_by_a_word(project: Path) -> None:
    env = home_of("claude-code", project)
    load(project, "claude-code", env=env)
    assert runs_of(project, "success") == []
    load(project, "claude-code", "--ended-well", env=env)
    (run,) = runs_of(project, "success")
    assert len(run["steps"]) == 6
    assert command(project, "audit", "verify")["ok"] is True


def test_what_the_hooks_told_is_not_imported_again_and_a_session_that_went_on_is_added_to(project: Path) -> None:
    session = "13144b9c-3137-4152-97ca-f36af970beb7"
    lines = text_of("claude-code.jsonl", project).splitlines()
    told = [json.loads(line) for line in lines]
    session = next(line["sessionId"] for line in told if "sessionId" in line)
    key = next(line["promptId"] for line in told if "promptId" in line)
    uses = [line["message"]["content"][0] for line in told if line["type"] == "assistant"]
    hook(project, prompt("Set the value in src/parser.py to 2", session=session, key=key))
    hook(project, bash("git status --short", session=session, key=uses[0]["id"]))
    path = project.parent / "session.jsonl"
    path.write_text("\n".join(lines[: len(lines) // 2]))
    first = load(project, "claude-code", str(path))
    assert first["known"] == 1
    path.write_text("\n".join(lines))
    second = load(project, "claude-code", str(path))
    assert (first["calls"] + second["calls"], second["runs"]) == (5, 0)
    (run,) = runs_of(project, "unfinished") + runs_of(project, "open")
    assert sorted(step["tool"] for step in run["steps"]) == ["Bash", "Bash", "Bash", "Edit", "Read", "Write"]
    # A client that goes on in a new file copies what was there before.
    copied = project.parent / "resumed.jsonl"
    copied.write_text("\n".join(lines).replace(session, "another"))
    assert load(project, "claude-code", str(copied))["calls"] <= 1  # what the hook told has no time of the transcript


def test_calls_that_a_hook_told_without_ids_are_not_imported_again(project: Path) -> None:
    env = home_of("gemini", project)
    head = json.loads(text_of("gemini.jsonl", project).splitlines()[0])
    for number in range(2):  # one more than the transcript has
        event = {"hook_event_name": "AfterTool", "session_id": head["sessionId"], "tool_name": "run_shell_command"}
        answer = {"llmContent": "Output: (empty)\nProcess Group PGID: 1"}
        hook(
            project,
            {**event, "tool_input": {"command": "git status --short"}, "tool_response": answer, "n": number},
            client="gemini",
        )
    assert load(project, "gemini", env=env)["calls"] == 5
    steps = [step for status in ("open", "unfinished") for run in runs_of(project, status) for step in run["steps"]]
    assert [step["args"].get("command") for step in steps].count("git status --short") == 2
    assert load(project, "gemini", env=env)["calls"] == 0


def test_a_session_that_goes_on_after_its_run_was_packed_away_gets_a_run_of_its_own(project: Path) -> None:
    lines = text_of("claude-code.jsonl", project).splitlines()
    path = project.parent / "session.jsonl"
    path.write_text("\n".join(lines[: len(lines) // 2]))
    first = load(project, "claude-code", str(path))
    (run,) = command(project, "traces", "list")["runs"]
    database = sqlite3.connect(project / ".druse" / "druse.db")
    database.execute("INSERT INTO archive VALUES ('d', x'00')")
    database.execute("INSERT INTO run_archive VALUES (?, 'd', 1)", (run["id"],))
    database.commit()
    path.write_text("\n".join(lines))
    assert first["calls"] + load(project, "claude-code", str(path))["calls"] == 6
    assert len(command(project, "traces", "list")["runs"]) == 2
    held = database.execute("SELECT count(*) FROM step WHERE run_id = ?", (run["id"],)).fetchone()
    assert held == (first["calls"],)
    database.close()


def test_only_the_wanted_project_and_time_are_imported_and_the_rest_is_counted(project: Path) -> None:
    env = home_of("codex", project)
    other = project.parent / "other"
    other.mkdir()
    elsewhere = load(project, "codex", "--project", str(other), env=env)
    assert (elsewhere["calls"], elsewhere["skipped"]) == (0, {"a call in another project": 3})
    assert load(project, "codex", "--since", "2026-11-22", env=env)["skipped"] == {"a call before --since": 3}
    assert load(project, "codex", "--since", "2026-11-20", env=env)["calls"] == 3


@pytest.mark.parametrize("client", ["claude-code", "codex", "gemini", "opencode", "copilot", "cline"])
def test_links_that_lead_nowhere_and_folders_named_like_transcripts_do_not_stop_an_import(
    client: str, project: Path
) -> None:
    env = home_of(client, project)
    (kept,) = [path for path in (project.parent / "home").rglob("*") if path.is_file() and _is_transcript(path)]
    for number, make in enumerate((Path.mkdir, lambda path: path.symlink_to("/nowhere/at/all"))):
        name = kept.name.replace("x", f"x{number}", 1) if "x" in kept.name.partition(".")[0] else f"{number}{kept.name}"
        folder = kept.parent if client not in ("copilot", "cline") else kept.parent.with_name(f"x{number}")
        folder.mkdir(exist_ok=True)
        make(folder / (name if folder == kept.parent else kept.name.replace("x.", f"x{number}.", 1)))
    assert load(project, client, env=env)["calls"] > 0
    assert load(project, client, env=env)["calls"] == 0


def _is_transcript(path: Path) -> bool:
    return path.name.endswith((".jsonl", ".db", ".messages.json"))


def test_the_work_of_a_project_that_was_moved_is_imported_by_the_folder_it_was_in(project: Path) -> None:
    env = home_of("codex", project)
    moved = project.parent / "moved"
    project.rename(moved)
    assert load(moved, "codex", env=env)["calls"] == 0
    assert load(moved, "codex", "--project", str(project), env=env)["calls"] == 3


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_other_encodings_are_read(encoding: str, project: Path) -> None:
    path = project.parent / "session.jsonl"
    path.write_bytes(text_of("claude-code.jsonl", project).encode(encoding))
    assert load(project, "claude-code", str(path))["calls"] == 6


def test_what_cannot_be_read_is_left_out_and_counted_by_its_reason(project: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("druse.past.reading.lines_of.__kwdefaults__", {"longest": 100_000})
    lines = text_of("claude-code.jsonl", project).splitlines()
    calls = [line for line in lines if '"tool_use"' in line]
    odd = [
        *('{"type": "assistant", "mess', "[1, 2]", '"text"', "\0\0\0", "", "[" * 50_000, "x" * 250_000),
        *('{"type": "brand-new-kind", "timestamp": 7}', '{"type": "user", "timestamp": "yesterday"}'),
        *('{"type": "user"}', '{"type": "assistant", "message": 7, "timestamp": "2026-01-01T00:00:00Z"}'),
        calls[0].replace('"id": "toolu_', '"id": "never_answered_').replace('"id":"toolu_', '"id":"never_answered_'),
        '{"type": "user", "timestamp": "2026-01-01T00:00:00Z", "message": {"content": [{"type": "tool_result"}]}}',
    ]
    path = project.parent / "session.jsonl"
    path.write_bytes("\n".join([*odd, *lines]).encode() + b"\n\xff\xfe\xfa\n" + b'{"type": "user", "cut')
    done = load(project, "claude-code", str(path))
    assert done["calls"] == 6
    assert done["skipped"] == {
        "a broken line": 5,
        "a call without an answer": 1,
        "a line that is no JSON object": 2,
        "a line that is too long": 1,
        "a line without a time": 2,
        "an answer to no call": 1,
        "line type brand-new-kind": 1,
    }


@pytest.mark.parametrize("client", ["codex", "gemini", "opencode", "copilot", "cline"])
def test_rubbish_is_no_reason_to_fail(client: str, project: Path) -> None:
    path = project.parent / ("x.db" if client == "opencode" else "x.jsonl")
    path.write_bytes(
        b'{"type": "user", "payload": [], "data": 7, "messages": {"a": 1}}\n[\n\x00\xff{}\n{"messages": [7]}'
    )
    done = load(project, client, str(path))
    assert (done["calls"], done["files"]) == (0, 1)


def test_calls_of_druse_in_a_transcript_of_another_machine_are_told_as_what_they_did(project: Path) -> None:
    def line(kind: str, number: int, content: Any) -> str:
        at = f"2026-11-20T10:00:{number:02d}Z"
        message = {"role": kind, "content": content}
        head = {"type": kind, "timestamp": at, "cwd": str(project), "sessionId": "s"}
        return json.dumps({**head, "message": message, "promptId": "p"})

    def call(number: int, name: str, given: Any, answer: Any) -> list[str]:
        use = {"type": "tool_use", "id": f"t{number}", "name": f"mcp__druse__{name}", "input": given}
        result = {"type": "tool_result", "tool_use_id": f"t{number}", "content": json.dumps(answer)}
        return [line("assistant", number, [use]), line("user", number, [result])]

    lines = [
        line("user", 0, "Please do it"),
        *call(1, "dispatch_goal", {"goal": "Refund order 7"}, {"run_id": "run-of-another-machine"}),
        *call(2, "find_tools", {"query": "refund"}, {"results": []}),
        *call(3, "run_tool", {"name": "shop__refund", "arguments": {"order": 7}}, {"refunded": True}),
        *call(4, "report_outcome", {"success": True}, {"run_id": "run-of-another-machine"}),
    ]
    path = project.parent / "session.jsonl"
    path.write_text("\n".join(lines))
    load(project, "claude-code", str(path))
    (run,) = runs_of(project, "success")
    assert run["goal"] == "Refund order 7"
    assert [(step["tool"], step["args"], step["res"]) for step in run["steps"]] == [
        ("shop__refund", {"order": 7}, {"refunded": True})
    ]


def test_runs_in_the_neutral_format_are_imported_with_how_they_went(project: Path) -> None:
    path = project.parent / "runs.jsonl"
    run = {"traj": "r1", "goal": f"Use {SECRET}", "ok": 1, "user": [[0, f"Use {SECRET}"]]}
    run["steps"] = [{"tool": "x__y", "args": {"password": "hunter2"}, "res": 7}]
    path.write_text("\n".join([json.dumps(run), "{", '{"steps": 7}', json.dumps({**run, "traj": None, "ok": None})]))
    done = load(project, "jsonl", str(path))
    assert (done["runs"], done["skipped"]) == (2, {"a line that tells no run": 2})
    assert load(project, "jsonl", str(path))["runs"] == 0
    (kept,) = runs_of(project, "success")
    assert SECRET not in json.dumps(kept) and "hunter2" not in json.dumps(kept)


def test_a_wrong_command_says_what_to_do(project: Path) -> None:
    runner = CliRunner(env={"XDG_CONFIG_HOME": str(project / "none")})
    for arguments, said in (
        (["--from", "jsonl"], "Name one: druse import --from jsonl FILE"),
        (["--from", "codex", "--since", "soon"], "Write 30d, 12h, 2w, or a date"),
    ):
        done = runner.invoke(main, ["import", *arguments])
        assert done.exit_code == 1 and said in done.output + done.stderr


@pytest.mark.requirement("H-12")
def test_commands_told_by_hooks_become_a_candidate_of_command_templates(project: Path) -> None:
    for number, module in enumerate(("parser", "lexer", "writer", "reader", "printer")):
        name = f"s{number}"
        hook(project, prompt(f"Commit the work on module {module}", session=name, key=name))
        hook(project, bash(f"git add src/{module}.py", session=name))
        hook(project, bash(f"git commit -q -m {module}", session=name, out=""))
        hook(project, {"hook_event_name": "Stop", "session_id": name})
    for run in command(project, "traces", "list")["runs"]:
        command(project, "traces", "mark", run["id"], "--success")
    (candidate,) = command(project, "candidates")["candidates"]
    assert candidate["usage_count"] == 5
    report = command(project, "crystallize", candidate["signature"])
    assert report["status"] == "proposed", report
    assert [row["command"] for row in report["commands"]] == ["git add src/<name>.py", "git commit -q -m <name>"]
