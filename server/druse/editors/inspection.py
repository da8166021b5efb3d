"""What could keep a client from starting Druse, as far as its files and its own program show."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from druse.editors.clients import NAME, Client, Scope
from druse.editors.documents import Format, decoded, found_at, read
from druse.editors.files import bytes_of
from druse.editors.handshake import command_of
from druse.editors.hooks import has_hooks, hook_file
from druse.editors.installing import entry_in
from druse.editors.machine import Machine
from druse.model import Invalid, Json, JsonObject

__all__ = ["Finding", "inspect", "secrets_by_value"]

_HOOK_TYPES = frozenset(("command", "prompt", "agent", "http", "mcp_tool"))
_MODES = frozenset(("default", "acceptEdits", "plan", "auto", "dontAsk", "bypassPermissions", "delegate"))
_ASK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `status`: ok, warning (works, but look at it), problem (does not work)."""

    check: str
    status: str
    detail: str
    do: str = ""


def inspect(client: Client, machine: Machine, root: Path, behind: Sequence[str], *, ask: bool) -> list[Finding]:
    """Look at one client; nothing is found where it has no Druse. `behind`: the names of the servers behind Druse.

    `ask` lets the client's own program say whether it can connect.
    """
    found: list[Finding] = []
    places: list[tuple[Scope, Path]] = [("user", path) for path in client.user(machine)]
    if client.project is not None:
        places.append(("project", client.project(root)))
    holding: list[Path] = []
    for scope, path in places:
        try:
            entry = entry_in(client, path)
        except Invalid as error:
            found.append(Finding(client.name, "problem", str(error), f"{client.title} cannot read it either."))
            continue
        if entry is None:
            continue
        holding.append(path)
        found += _entry(client, path, entry)
        found += _beside(client, path, behind)
        if scope == "project" and client.name == "claude-code":
            found += _approval_in_claude(machine, root)
        if scope == "project" and client.name == "codex":
            found += _trust_of_project(machine, root)
    if len(holding) > 1 and client.name != "cline":
        both = " and ".join(map(str, holding))
        do = f'Take one out, for example "druse uninstall {client.name} --scope project".'
        found.append(Finding(client.name, "warning", f"Druse stands in {both}", do))
    if holding and has_hooks(client):
        found += _hooks(client, machine, root)
    if client.name == "claude-code":
        found += _claude_settings(machine, root)
    if holding and ask and client.name == "claude-code":
        found += _asked_of_claude(machine, root)
    return found


def secrets_by_value(servers: Json) -> Iterator[str]:
    """The places of secrets that stand in a map of servers themselves; never the secrets."""
    from druse.traces import is_secret_key

    for name, entry in servers.items() if isinstance(servers, dict) else ():
        for block in ("env", "envs", "environment", "headers", "http_headers"):
            values = found_at(entry, (block,))
            for key, value in values.items() if isinstance(values, dict) else ():
                if isinstance(value, str) and value and is_secret_key(key) and not _refers(value):
                    yield f"{name}: {block}.{key}"


def _refers(value: str) -> bool:
    return "${" in value or "{env:" in value or value.startswith("$")


def _entry(client: Client, path: Path, entry: Any) -> Iterator[Finding]:
    again = f'Run "druse install {client.name}" again.'
    words = command_of(entry)
    if entry.get("disabled") is True or entry.get("enabled") is False:
        yield Finding(client.name, "warning", f"Druse is turned off in {path}", f"Turn it on in {client.title}.")
    program = Path(words[0]) if words else Path()
    if not program.is_absolute():
        told = f"{path} starts {words[0]!r}, which programs with windows do not find"
        yield Finding(client.name, "warning", told, again)
    elif not os.access(program, os.X_OK):
        yield Finding(client.name, "problem", f"{path} starts {program}, which is not there any more", again)
    elif missing := next((word for word in words[1:] if word.endswith("shim.py") and not Path(word).is_file()), None):
        yield Finding(client.name, "problem", f"{path} starts {missing}, which is not there any more", again)
    elif words[0] != sys.executable:
        yield Finding(client.name, "ok", f"{path} starts Druse with another Python: {program}")
    else:
        yield Finding(client.name, "ok", f"{path} starts this Druse")
    if "--workspace" in words and not words[-1].startswith("${") and not Path(words[-1]).is_dir():
        yield Finding(client.name, "problem", f"{path} names the folder {words[-1]}, which is not there", again)


def _beside(client: Client, path: Path, behind: Sequence[str]) -> Iterator[Finding]:
    servers = found_at(_data(path, client.form), client.at)
    if isinstance(servers, list):
        named: JsonObject = {str(item.get("name")): item for item in servers if isinstance(item, dict)}
        servers = named
    for place in secrets_by_value(servers):
        do = f'Name a variable instead, or move the server: "druse install {client.name} --import-servers".'
        yield Finding(client.name, "warning", f"{path} holds a secret by value, {place}", do)
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o044:
            yield Finding(client.name, "warning", f"{path} can be read by others", f"chmod 600 {path}")
    twice = sorted(set(behind) & set(servers if isinstance(servers, dict) else ()) - {NAME})
    if twice:
        told = f"{', '.join(twice)} can be reached without Druse as well, unrecorded and without its rules"
        yield Finding(client.name, "warning", told, f'Run "druse install {client.name} --import-servers".')


def _hooks(client: Client, machine: Machine, root: Path) -> Iterator[Finding]:
    for scope in ("user", "project"):
        path = hook_file(client, machine, scope, root)
        text = (bytes_of(path) or b"").decode("utf-8", "replace")
        if "druse" not in text or ("hook.py" not in text and "druse hook" not in text):
            continue
        recorder = Path(__file__).resolve().parents[1] / "hook.py"
        if str(recorder) not in text.replace("\\\\", "\\"):
            do = f'Run "druse install {client.name} --hooks" again.'
            yield Finding(client.name, "warning", f"the hooks in {path} start another Druse", do)
        elif client.name == "codex":
            yield from _trust_of_hooks(machine, path)
        else:
            yield Finding(client.name, "ok", f"hooks in {path} record what {client.title} does")


def _trust_of_hooks(machine: Machine, path: Path) -> Iterator[Finding]:
    config = _data(machine.folder("CODEX_HOME", ".codex") / "config.toml", "toml")
    if found_at(config, ("features", "hooks")) is False:
        yield Finding("codex", "problem", "Codex has its hooks turned off", "Remove hooks = false under [features].")
        return
    states = found_at(config, ("hooks", "state"))
    trusted = [
        key
        for key, state in (states.items() if isinstance(states, dict) else ())
        if str(path) in key and found_at(state, ("trusted_hash",))
    ]
    if trusted:
        yield Finding("codex", "ok", f"hooks in {path}, {len(trusted)} of that file trusted once")
    else:
        told = f"the hooks in {path} do not run: Codex was not told to trust them"
        yield Finding("codex", "warning", told, "Start codex, open /hooks and trust those of Druse.")


def _trust_of_project(machine: Machine, root: Path) -> Iterator[Finding]:
    config = _data(machine.folder("CODEX_HOME", ".codex") / "config.toml", "toml")
    if found_at(config, ("projects", str(root), "trust_level")) != "trusted":
        told = "Codex reads .codex/config.toml of this project only if it trusts the project"
        yield Finding("codex", "warning", told, "Start codex here and say that you trust it, or use --scope user.")


def _approval_in_claude(machine: Machine, root: Path) -> Iterator[Finding]:
    settings = [_data(path, "json") for path in _settings_of_claude(machine, root)]
    state = found_at(_data(machine.folder("CLAUDE_CONFIG_DIR") / ".claude.json", "json"), ("projects", str(root)))

    def listed(key: str) -> bool:
        return any(NAME in (found_at(part, (key,)) or ()) for part in (*settings, state))  # type: ignore[operator]

    if listed("disabledMcpjsonServers"):
        do = "Take it out of disabledMcpjsonServers, or use --scope user."
        yield Finding("claude-code", "problem", "Druse in .mcp.json was refused in this project", do)
    elif not listed("enabledMcpjsonServers") and not any(
        found_at(part, ("enableAllProjectMcpServers",)) is True for part in settings
    ):
        told = "Claude Code starts the server of .mcp.json only after you approved it here"
        yield Finding(
            "claude-code", "warning", told, "Start claude in this folder and approve it, or use --scope user."
        )


def _settings_of_claude(machine: Machine, root: Path) -> list[Path]:
    user = machine.folder("CLAUDE_CONFIG_DIR", ".claude") / "settings.json"
    return [user, root / ".claude" / "settings.json", root / ".claude" / "settings.local.json"]


def _claude_settings(machine: Machine, root: Path) -> Iterator[Finding]:
    """Values for which Claude Code ignores a whole settings file, with all its rules and hooks."""
    for path in _settings_of_claude(machine, root):
        try:
            settings = read(decoded(bytes_of(path) or b"", str(path)), "json", str(path))
        except Invalid as error:
            yield Finding("claude-code", "problem", f"Claude Code ignores {path}: {error}", "Correct it.")
            continue
        mode = found_at(settings, ("permissions", "defaultMode"))
        if mode is not None and mode not in _MODES:
            told = f"Claude Code may ignore all of {path}: permissions.defaultMode is {mode!r}"
            yield Finding("claude-code", "warning", told, f"Known modes: {', '.join(sorted(_MODES))}.")
        hooks = found_at(settings, ("hooks",))
        for event, groups in hooks.items() if isinstance(hooks, dict) else ():
            for group in groups if isinstance(groups, list) else []:
                inner = found_at(group, ("hooks",))
                for hook in inner if isinstance(inner, list) else []:
                    kind = found_at(hook, ("type",))
                    if kind not in _HOOK_TYPES:
                        told = f"Claude Code may ignore all of {path}: a hook of {event} has the type {kind!r}"
                        yield Finding("claude-code", "warning", told, 'Use "command", or see claude doctor.')


def _asked_of_claude(machine: Machine, root: Path) -> Iterator[Finding]:
    program = machine.program("claude")
    if program is None:
        return
    try:
        done = subprocess.run(
            [program, "mcp", "get", NAME],
            cwd=root,
            env=dict(machine.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ASK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("claude-code", "warning", f"claude mcp get druse: {error}", "Run it by hand.")
        return
    said = done.stdout + done.stderr
    line = next((line.strip() for line in said.splitlines() if "Status:" in line), said.strip()[:200])
    if "Connected" in line:
        yield Finding("claude-code", "ok", f"Claude Code itself says: {line}")
    elif "Pending" in line:
        yield Finding("claude-code", "warning", f"Claude Code itself says: {line}", "Start claude here and approve it.")
    else:
        yield Finding("claude-code", "problem", f"Claude Code itself says: {line}", "Run claude mcp get druse by hand.")


def _data(path: Path, form: Format) -> Json:
    try:
        return read(decoded(bytes_of(path) or b"", str(path)), form, str(path))
    except Invalid:
        return {}  # said where the file itself is looked at
