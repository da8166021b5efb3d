"""The clients: which files each one reads, and how it writes a server into them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from druse.editors.machine import Machine
from druse.model import JsonObject, NotFound

__all__ = ["CLIENTS", "NAME", "Client", "Scope", "client_named"]

NAME = "druse"  # of our entry in every client; short, because clients put it before each tool's name

Scope = Literal["user", "project"]
Form = Literal["json", "toml", "yaml"]

_CLINE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Client:
    """One client. `at` is where its file holds servers; `listed` if they are a list with names inside."""

    name: str
    title: str
    user: Callable[[Machine], Sequence[Path]]  # the files of the account, the usual one first
    project: Callable[[Path], Path] | None  # the file in a project
    at: tuple[str, ...]
    entry: Callable[[Sequence[str], Sequence[str]], JsonObject]  # (command with arguments, variables to hand on)
    form: Form = "json"
    listed: bool = False
    programs: tuple[str, ...] = ()  # what shows that it is installed, beside its files
    signs: Callable[[Machine], Sequence[Path]] = lambda machine: ()
    in_project: bool = True  # whether it starts servers in the project's folder, or tells it
    variable: str = ""  # what the account's file may say for the project's folder, where it does not start there
    restart: str = "Restart it, or reload its servers."
    fresh: JsonObject | None = None  # what a new file needs beside the servers
    add: Callable[[Scope, Sequence[str], JsonObject], Sequence[str]] | None = None  # arguments of its own `mcp add`

    def found(self, machine: Machine) -> bool:
        """Whether it is installed here, as far as its program or its files show."""
        return any(machine.program(name) for name in self.programs) or any(
            path.exists() for path in (*self.user(machine), *self.signs(machine))
        )


def client_named(name: str) -> Client:
    """The client of that name. Raises NotFound."""
    if name in CLIENTS:
        return CLIENTS[name]
    import difflib

    near = difflib.get_close_matches(name, CLIENTS, 3)
    raise NotFound(f"There is no client {name!r}. Known: {', '.join(CLIENTS)}.", nearest=near)


def _plain(command: Sequence[str], variables: Sequence[str]) -> JsonObject:
    del variables
    return {"command": command[0], "args": list(command[1:])}


def _typed(kind: str) -> Callable[[Sequence[str], Sequence[str]], JsonObject]:
    return lambda command, variables: {"type": kind, **_plain(command, variables)}


def _with_env(reference: str) -> Callable[[Sequence[str], Sequence[str]], JsonObject]:
    """For clients that hand on named variables alone; `reference` is how they write one."""

    def entry(command: Sequence[str], variables: Sequence[str]) -> JsonObject:
        made = _plain(command, variables)
        if variables:
            made["env"] = {name: reference.replace("NAME", name) for name in variables}
        return made

    return entry


def _copilot(command: Sequence[str], variables: Sequence[str]) -> JsonObject:
    return {"type": "local", **_plain(command, variables), "tools": ["*"]}


def _codex(command: Sequence[str], variables: Sequence[str]) -> JsonObject:
    made = _plain(command, variables)
    if variables:
        made["env_vars"] = list(variables)
    return made


def _opencode(command: Sequence[str], variables: Sequence[str]) -> JsonObject:
    del variables
    return {"type": "local", "command": list(command), "enabled": True}


def _zed(command: Sequence[str], variables: Sequence[str]) -> JsonObject:
    return {"source": "custom", **_plain(command, variables), "env": {}}


def _goose(command: Sequence[str], variables: Sequence[str]) -> JsonObject:
    made: JsonObject = {"name": NAME, "type": "stdio", "enabled": True, "cmd": command[0], "args": list(command[1:])}
    made |= {"envs": {}, "timeout": 300}
    if variables:
        made["env_keys"] = list(variables)
    return made


def _continue(command: Sequence[str], variables: Sequence[str]) -> JsonObject:
    made: JsonObject = {"name": NAME, **_plain(command, variables)}
    return made


def _cline(command: Sequence[str], variables: Sequence[str]) -> JsonObject:
    # Without a limit of its own a server has 3 s to answer the handshake, less than a first start takes on a busy
    # machine; then the session goes on without its tools.
    return {**_plain(command, variables), "timeout": _CLINE_SECONDS}


def _claude_folder(machine: Machine) -> Path:
    return machine.folder("CLAUDE_CONFIG_DIR")  # without it the file lies in the home folder itself


def _claude_user(machine: Machine) -> list[Path]:
    return [_claude_folder(machine) / ".claude.json"]


def _code_user(machine: Machine) -> Path:
    return machine.app_data("Code") / "User"


def _opencode_user(machine: Machine) -> list[Path]:
    folder = machine.config_home / "opencode"
    return sorted((folder / "opencode.json", folder / "opencode.jsonc"), key=lambda path: not path.exists())


def _cline_user(machine: Machine) -> list[Path]:
    name = "cline_mcp_settings.json"
    extension = _code_user(machine) / "globalStorage" / "saoudrizwan.claude-dev" / "settings"
    terminal = machine.folder("CLINE_DIR", ".cline") / "data" / "settings"
    return sorted((terminal / name, extension / name), key=lambda path: not path.parent.parent.exists())


def _goose_user(machine: Machine) -> list[Path]:
    folder = machine.app_data("Block") / "goose" if machine.system == "win32" else machine.config_home / "goose"
    return [folder / "config" / "config.yaml" if machine.system == "win32" else folder / "config.yaml"]


def _zed_user(machine: Machine) -> list[Path]:
    folder = machine.app_data("Zed") if machine.system == "win32" else machine.config_home / "zed"
    return [folder / "settings.json"]


def _opencode_project(root: Path) -> Path:
    commented = root / "opencode.jsonc"
    return commented if commented.exists() else root / "opencode.json"


CLIENTS: dict[str, Client] = {
    client.name: client
    for client in (
        Client(
            "claude-code",
            "Claude Code",
            _claude_user,
            lambda root: root / ".mcp.json",
            ("mcpServers",),
            _typed("stdio"),
            programs=("claude",),
            signs=lambda machine: (machine.folder("CLAUDE_CONFIG_DIR", ".claude"),),
            restart="Start a new session; a server of a project is asked for once, see /mcp.",
            add=lambda scope, command, entry: ["claude", "mcp", "add-json", "--scope", scope, NAME, _json(entry)],
        ),
        Client(
            "claude-desktop",
            "Claude Desktop",
            lambda machine: [machine.app_data("Claude") / "claude_desktop_config.json"],
            None,
            ("mcpServers",),
            _plain,
            signs=lambda machine: (machine.app_data("Claude"),),
            in_project=False,
            restart="Quit it wholly and start it again.",
        ),
        Client(
            "cursor",
            "Cursor",
            lambda machine: [machine.home / ".cursor" / "mcp.json"],
            lambda root: root / ".cursor" / "mcp.json",
            ("mcpServers",),
            _with_env("${env:NAME}"),
            programs=("cursor", "cursor-agent"),
            signs=lambda machine: (machine.home / ".cursor",),
            variable="${workspaceFolder}",  # it starts servers of the account in the home folder
            restart="Turn the server on in Settings, MCP.",
        ),
        Client(
            "vscode",
            "VS Code",
            lambda machine: [_code_user(machine) / "mcp.json"],
            lambda root: root / ".vscode" / "mcp.json",
            ("servers",),
            _typed("stdio"),
            programs=("code",),
            signs=lambda machine: (_code_user(machine),),
            variable="${workspaceFolder}",  # likewise
            restart="Start the server when VS Code asks whether you trust it (MCP: List Servers).",
        ),
        Client(
            "copilot",
            "Copilot CLI",
            lambda machine: [machine.folder("COPILOT_HOME", ".copilot") / "mcp-config.json"],
            lambda root: root / ".github" / "mcp.json",
            ("mcpServers",),
            _copilot,
            programs=("copilot",),
            signs=lambda machine: (machine.folder("COPILOT_HOME", ".copilot"),),
            restart="Start a new session.",
        ),
        Client(
            "codex",
            "Codex",
            lambda machine: [machine.folder("CODEX_HOME", ".codex") / "config.toml"],
            lambda root: root / ".codex" / "config.toml",
            ("mcp_servers",),
            _codex,
            form="toml",
            programs=("codex",),
            signs=lambda machine: (machine.folder("CODEX_HOME", ".codex"),),
            restart="Start a new session; a project's file is read only in a trusted project.",
            add=lambda scope, command, entry: ["codex", "mcp", "add", NAME, "--", *command],
        ),
        Client(
            "gemini",
            "Gemini CLI",
            lambda machine: [machine.home / ".gemini" / "settings.json"],
            lambda root: root / ".gemini" / "settings.json",
            ("mcpServers",),
            _with_env("$NAME"),
            programs=("gemini",),
            signs=lambda machine: (machine.home / ".gemini",),
            restart="Start a new session.",
        ),
        Client(
            "opencode",
            "opencode",
            _opencode_user,
            _opencode_project,
            ("mcp",),
            _opencode,
            programs=("opencode",),
            signs=lambda machine: (machine.config_home / "opencode",),
            restart="Start a new session.",
        ),
        Client(
            "windsurf",
            "Windsurf",
            lambda machine: [machine.home / ".codeium" / "windsurf" / "mcp_config.json"],
            None,
            ("mcpServers",),
            _with_env("${env:NAME}"),
            programs=("windsurf",),
            signs=lambda machine: (machine.home / ".codeium" / "windsurf",),
            in_project=False,
            restart="Refresh the servers in Cascade's settings.",
        ),
        Client(
            "zed",
            "Zed",
            _zed_user,
            lambda root: root / ".zed" / "settings.json",
            ("context_servers",),
            _zed,
            programs=("zed", "zeditor"),
            signs=lambda machine: (_zed_user(machine)[0].parent,),
            restart="Nothing: Zed reads its settings again by itself.",
        ),
        Client(
            "goose",
            "goose",
            _goose_user,
            lambda root: root / ".goose" / "config.yaml",
            ("extensions",),
            _goose,
            form="yaml",
            programs=("goose",),
            signs=lambda machine: (_goose_user(machine)[0].parent,),
            restart="Start a new session.",
        ),
        Client(
            "cline",
            "Cline",
            _cline_user,
            None,
            ("mcpServers",),
            _cline,
            programs=("cline",),
            signs=lambda machine: [path.parent.parent for path in _cline_user(machine)],
            in_project=False,
            restart="Refresh the servers in Cline's MCP settings, or start a new session.",
        ),
        Client(
            "continue",
            "Continue",
            lambda machine: [machine.home / ".continue" / "config.yaml"],
            lambda root: root / ".continue" / "mcpServers" / "druse.yaml",
            ("mcpServers",),
            _continue,
            form="yaml",
            listed=True,
            programs=("cn",),
            signs=lambda machine: (machine.home / ".continue",),
            restart="Reload the window, or start a new session.",
            fresh={"name": "Druse", "version": "0.0.1", "schema": "v1"},
        ),
    )
}


def _json(value: JsonObject) -> str:
    import json

    return json.dumps(value)
