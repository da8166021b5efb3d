"""Real clients as they are started in a terminal without a person, in a home of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clients.endpoint import Model


@dataclass
class Desk:
    """A home and a project for one client."""

    home: Path
    project: Path
    binaries: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a client started here finds: nothing of the account that runs the tests."""
        return {
            "PATH": f"{self.binaries}{os.pathsep}{os.environ['PATH']}",
            **{"HOME": str(self.home), "LANG": "C.UTF-8", "TERM": "xterm-256color", "NO_COLOR": "1", "CI": "1"},
        }

    def druse(self, *words: str) -> Any:
        """A person's command; its JSON answer."""
        done = subprocess.run(
            [sys.executable, "-m", "druse", *words, "--json"],
            cwd=self.project,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def runs(self, status: str) -> list[dict[str, Any]]:
        """Runs of a status with their steps, oldest first."""
        done = subprocess.run(
            [sys.executable, "-m", "druse", "traces", "export", "--status", status],
            cwd=self.project,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]


@dataclass(frozen=True)
class Client:
    """How one client is set up for the scripted model and started; `prefix` is before the names of Druse's tools."""

    name: str
    binary: str
    shell: Callable[[str], tuple[str, dict[str, Any]]]
    command: Callable[[str], list[str]]
    variables: Callable[[Model], Mapping[str, str]]
    prefix: str
    prepare: Callable[[Desk, Model], None] = lambda desk, model: None
    search: Callable[[list[str]], tuple[str, dict[str, Any]]] | None = None  # how it loads tools it keeps back
    lists_new_tools: bool = True  # in the session in which they came
    extra: Mapping[str, str] = field(default_factory=dict[str, str])
    finish: Sequence[str] = ()  # ends what it leaves running

    def run(self, desk: Desk, model: Model, prompt: str) -> subprocess.CompletedProcess[str]:
        """One session without a person; ended after two minutes."""
        environment = {**desk.environment, **self.extra, **self.variables(model)}

        def started(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                command,
                cwd=desk.project,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=150,
                check=False,
            )

        try:
            return started(self.command(prompt))
        finally:
            if self.finish:
                started(self.finish)


def _put(path: Path, text: str) -> None:
    """Write a client's own settings."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _codex(desk: Desk, model: Model) -> None:
    _put(
        desk.home / ".codex" / "config.toml",
        'model = "scripted"\nmodel_provider = "scripted"\n\n[model_providers.scripted]\nname = "scripted"\n'
        f'base_url = "{model.url}/v1"\nwire_api = "responses"\n',
    )


def _gemini(desk: Desk, model: Model) -> None:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
        "telemetry": {"enabled": False},
        "general": {"disableAutoUpdate": True},
    }
    _put(desk.home / ".gemini" / "settings.json", json.dumps(settings, indent=2))


def _opencode(desk: Desk, model: Model) -> None:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{model.url}/v1", "apiKey": "x"},
        "models": {"scripted": {"name": "scripted", "tool_call": True}},
    }
    settings = {"provider": {"scripted": provider}, "permission": {"*": "allow"}, "autoupdate": False}
    _put(desk.home / ".config" / "opencode" / "opencode.json", json.dumps(settings, indent=2))


def _cline(desk: Desk, model: Model) -> None:
    subprocess.run(
        ["cline", "auth", "-p", "openai", "-k", "x", "-m", "scripted", "-b", f"{model.url}/v1"],
        cwd=desk.project,
        env=desk.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=True,
    )


def _continue(desk: Desk, model: Model) -> None:
    _put(
        desk.home / ".continue" / "config.yaml",
        "name: Scripted\nversion: 0.0.1\nschema: v1\nmodels:\n  - name: scripted\n    provider: openai\n"
        f"    model: scripted\n    apiBase: {model.url}/v1\n    apiKey: x\n    roles: [chat]\n"
        "    capabilities: [tool_use] # else it offers no tools\n",
    )


CLIENTS = (
    Client(
        "claude-code",
        "claude",
        lambda line: ("Bash", {"command": line, "description": "Look"}),
        lambda prompt: ["claude", "-p", prompt, "--allowedTools", "Bash", "mcp__druse", "ToolSearch"],
        lambda model: {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "x"},
        "mcp__druse__",
        search=lambda names: ("ToolSearch", {"query": "select:" + ",".join(names), "max_results": 10}),
        extra={"DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"},
    ),
    Client(
        "codex",
        "codex",
        lambda line: ("exec_command", {"cmd": line}),
        lambda prompt: [
            *("codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"),
            *("--dangerously-bypass-hook-trust", prompt),
        ],
        lambda model: {},
        "mcp__druse/",
        prepare=_codex,
        lists_new_tools=False,
    ),
    Client(
        "gemini",
        "gemini",
        lambda line: ("run_shell_command", {"command": line}),
        lambda prompt: ["gemini", "-y", "-m", "gemini-2.5-flash", "-p", prompt],
        lambda model: {"GEMINI_API_KEY": "x", "GOOGLE_GEMINI_BASE_URL": model.url},
        "mcp_druse_",
        prepare=_gemini,
    ),
    Client(
        "opencode",
        "opencode",
        lambda line: ("bash", {"command": line, "description": "Look"}),
        lambda prompt: ["opencode", "run", "-m", "scripted/scripted", prompt],
        lambda model: {},
        "druse_",
        prepare=_opencode,
    ),
    Client(
        "copilot",
        "copilot",
        lambda line: ("bash", {"command": line, "description": "Look"}),
        lambda prompt: ["copilot", "-p", prompt, "--allow-all-tools", "--no-auto-update", "--disable-builtin-mcps"],
        lambda model: {"COPILOT_PROVIDER_BASE_URL": f"{model.url}/v1"},
        "druse-",
        extra={"COPILOT_OFFLINE": "true", "COPILOT_MODEL": "scripted", "COPILOT_PROVIDER_API_KEY": "x"},
    ),
    Client(
        "cline",
        "cline",
        lambda line: ("run_commands", {"commands": [line]}),
        lambda prompt: ["cline", prompt],
        lambda model: {},
        "druse__",
        prepare=_cline,
        lists_new_tools=False,
        finish=("cline", "hub", "stop"),
    ),
    Client(
        "continue",
        "cn",
        lambda line: ("Bash", {"command": line}),
        lambda prompt: ["cn", "--auto", "-p", prompt],
        lambda model: {},
        "",
        prepare=_continue,
        lists_new_tools=False,
        extra={"CONTINUE_TELEMETRY_ENABLED": "0"},
    ),
)
