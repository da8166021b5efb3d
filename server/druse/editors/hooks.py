"""Entries that make a client tell `druse hook` what it did, in the file and the shape of each client.

Only events and fields that the client's own documentation or a recorded session shows are written: one unknown value
can make a client ignore its whole file.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from druse.editors.clients import Client, Form, Scope
from druse.editors.documents import Change
from druse.editors.installing import Edit
from druse.editors.machine import Machine, hook_command
from druse.model import Json

__all__ = ["has_hooks", "hook_edit", "hook_file"]

_SECONDS = 5  # a recorder that takes longer is ended by the client


@dataclass(frozen=True, slots=True)
class _Hooks:
    user: Callable[[Machine], Path]
    project: Callable[[Path], Path]
    events: tuple[str, ...]
    entry: Callable[[str, str], Json]  # (event, command line)
    version: bool = False  # the file says "version": 1
    note: str = ""


def _claude(event: str, command: str) -> Json:
    inner: Json = {"type": "command", "command": command, "timeout": _SECONDS}
    return {"matcher": "*", "hooks": [inner]} if "Tool" in event else {"hooks": [inner]}


def _codex(event: str, command: str) -> Json:
    del event
    return {"hooks": [{"type": "command", "command": command}]}


def _gemini(event: str, command: str) -> Json:
    inner: Json = {"name": "druse", "type": "command", "command": command, "timeout": _SECONDS * 1000}
    return {"matcher": "*", "hooks": [inner]} if "Tool" in event else {"hooks": [inner]}


def _cursor(event: str, command: str) -> Json:
    del event
    return {"command": command}


def _copilot(event: str, command: str) -> Json:
    del event
    return {"type": "command", "bash": command, "powershell": command, "timeoutSec": _SECONDS}


def _codex_file(folder: Path) -> Path:
    """Codex wants the hooks of one folder in one file: in hooks.json where there is one."""
    separate = folder / "hooks.json"
    return separate if separate.exists() else folder / "config.toml"


_HOOKS: dict[str, _Hooks] = {
    "claude-code": _Hooks(
        lambda machine: machine.folder("CLAUDE_CONFIG_DIR", ".claude") / "settings.json",
        lambda root: root / ".claude" / "settings.local.json",  # this machine's path is nobody else's
        ("UserPromptSubmit", "PostToolUse", "PostToolUseFailure", "Stop", "SessionEnd"),
        _claude,
    ),
    "codex": _Hooks(
        lambda machine: _codex_file(machine.folder("CODEX_HOME", ".codex")),
        lambda root: _codex_file(root / ".codex"),
        ("UserPromptSubmit", "PostToolUse", "Stop"),
        _codex,
        note="Codex runs hooks only after you trust them once: start codex and review them when it asks.",
    ),
    "gemini": _Hooks(
        lambda machine: machine.home / ".gemini" / "settings.json",
        lambda root: root / ".gemini" / "settings.json",
        ("BeforeAgent", "AfterTool", "AfterAgent", "SessionEnd"),
        _gemini,
    ),
    "cursor": _Hooks(
        lambda machine: machine.home / ".cursor" / "hooks.json",
        lambda root: root / ".cursor" / "hooks.json",
        ("beforeSubmitPrompt", "postToolUse", "postToolUseFailure", "stop", "sessionEnd"),
        _cursor,
        version=True,
    ),
    "copilot": _Hooks(
        lambda machine: machine.folder("COPILOT_HOME", ".copilot") / "hooks" / "druse.json",
        lambda root: root / ".github" / "hooks" / "druse.json",
        ("userPromptSubmitted", "postToolUse", "sessionEnd"),
        _copilot,
        version=True,
    ),
}


def has_hooks(client: Client) -> bool:
    """Whether the client can tell of its own tools."""
    return client.name in _HOOKS


def hook_file(client: Client, machine: Machine, scope: Scope, root: Path) -> Path:
    """Where the client's hooks stand."""
    hooks = _HOOKS[client.name]
    return hooks.user(machine) if scope == "user" else hooks.project(root)


def hook_edit(client: Client, machine: Machine, scope: Scope, root: Path) -> tuple[Edit, str]:
    """The edit that makes the client record, and what its user has to know."""
    hooks = _HOOKS[client.name]
    changes = [Change("put", ("version",), 1)] if hooks.version else []
    for event in hooks.events:
        words = hook_command(client.name, event, system=machine.system)
        line = subprocess.list2cmdline(words) if machine.system == "win32" else shlex.join(words)
        changes.append(Change("append", ("hooks", event), hooks.entry(event, line)))
    path = hook_file(client, machine, scope, root)
    project = "" if scope == "user" else str(root)
    form: Form = "toml" if path.suffix == ".toml" else "json"
    return Edit(client.name, path, form, scope, project, tuple(changes), private=scope == "user"), hooks.note
