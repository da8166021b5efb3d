"""What the tests of hooks and transcripts share: a hook run as a client runs it, and commands in this process."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner

import druse
from druse.cli import main

HOOK = Path(druse.__file__).parent / "hook.py"


def hook(root: Path, payload: dict[str, Any] | bytes, *, client: str = "claude-code", **options: Any) -> Any:
    """Run a hook in a project; how it ended."""
    data = payload if isinstance(payload, bytes) else json.dumps({"cwd": str(root), **payload}).encode()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLAUDE")}
    return subprocess.run(
        [sys.executable, "-I", "-S", str(HOOK), client],
        input=data,
        capture_output=True,
        cwd=root,
        env={**environment, **options.pop("env", {})},
        check=False,
        **options,
    )


def prompt(text: str, *, session: str = "s1", key: str = "p1") -> dict[str, Any]:
    return {"hook_event_name": "UserPromptSubmit", "session_id": session, "prompt_id": key, "prompt": text}


def bash(command: str, *, out: str = "", session: str = "s1", key: str = "", **more: Any) -> dict[str, Any]:
    return {
        "hook_event_name": "PostToolUse",
        "session_id": session,
        "tool_name": "Bash",
        "tool_input": {"command": command, "description": "Do it"},
        "tool_response": {"stdout": out, "stderr": "", "interrupted": False, "isImage": False},
        "tool_use_id": key or f"toolu_{command}",
        "duration_ms": 2,
        **more,
    }


def failure(command: str, error: str, *, session: str = "s1", key: str = "") -> dict[str, Any]:
    event = bash(command, session=session, key=key)
    del event["tool_response"]
    return {**event, "hook_event_name": "PostToolUseFailure", "error": error, "is_interrupt": False}


def stop(*, session: str = "s1") -> dict[str, Any]:
    return {"hook_event_name": "Stop", "session_id": session}


def command(root: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Any:
    """A person's command, in this process; its JSON answer, or its lines of JSON."""
    runner = CliRunner(env={"XDG_CONFIG_HOME": str(root / "none"), **(env or {})})
    lines = arguments[:2] == ("traces", "export")
    with contextlib.chdir(root):
        done = runner.invoke(main, [*arguments, *([] if lines else ["--json"])], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()] if lines else json.loads(done.stdout)


def runs_of(root: Path, status: str) -> list[dict[str, Any]]:
    """All runs of a status, with their steps, oldest first."""
    return command(root, "traces", "export", "--status", status)
