"""Other servers of a client, moved behind Druse: out of the client's file, into the mcp.json that Druse reads.

What a client writes in its own way is translated; what only the client can provide (a login, an input it asks for)
stays where it is, with the reason. A secret that stands in the file goes into a file of its own that only this account
may read, and mcp.json names it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from druse.editors.clients import NAME, Client, Scope
from druse.editors.documents import Change, decoded, found_at, read
from druse.editors.files import bytes_of
from druse.editors.installing import Edit, server_file
from druse.editors.machine import Machine
from druse.model import Json, JsonObject

__all__ = ["Takeover", "take_over"]

_REFERENCE = re.compile(
    r"\$\{env:([A-Za-z_]\w*)\}|\{env:([A-Za-z_]\w*)\}|\$\{([A-Za-z_]\w*)(:-[^}]*)?\}|\$([A-Za-z_]\w*)"
)
_UNKNOWN = re.compile(
    r"\$\{(?:input|workspaceFolder|workspaceFolderBasename|config|command|file)\b[^}]*\}|\{file:[^}]*\}"
)
_DROPPED = frozenset(  # what speaks to the client alone
    (
        *(
            "type",
            "name",
            "description",
            "enabled",
            "disabled",
            "autoApprove",
            "alwaysAllow",
            "tools",
            "trust",
            "source",
        ),
        *("timeout", "includeTools", "excludeTools", "startup_timeout_sec", "startup_timeout_ms", "tool_timeout_sec"),
        *(
            "required",
            "default_tools_approval_mode",
            "display_name",
            "bundled",
            "available_tools",
            "gallery",
            "version",
        ),
        *("enabled_tools", "disabled_tools", "dev", "schema"),
    )
)
_KNOWN = frozenset(
    (
        *("command", "cmd", "args", "env", "envs", "environment", "env_keys", "env_vars", "cwd"),
        *("url", "httpUrl", "serverUrl", "uri", "headers", "http_headers", "bearer_token_env_var", "env_http_headers"),
    )
)


@dataclass(slots=True)
class Takeover:
    """What is to be done: `edits` of our own files, `takes` in the client's; `moved` and `left` (with reasons)."""

    edits: list[Edit] = field(default_factory=list["Edit"])
    takes: list[Change] = field(default_factory=list["Change"])
    moved: list[str] = field(default_factory=list[str])
    left: dict[str, str] = field(default_factory=dict[str, str])


class _Stays(Exception):
    """The reason why a server stays with its client."""


def take_over(client: Client, machine: Machine, scope: Scope, root: Path) -> Takeover:
    """Plan the move of all other servers in the client's file. Raises Invalid where a file cannot be read."""
    done = Takeover()
    path = server_file(client, machine, scope, root)
    found = found_at(_data(path, client.form), client.at)
    folder = machine.config_home / "druse"
    target = root / "mcp.json" if scope == "project" else folder / "mcp.json"
    there: Any = found_at(_data(target, "json"), ("mcpServers",)) or {}
    values = _Values(_data(folder / "secrets.json", "json"))
    puts: list[Change] = []
    for name, raw, index in _servers(found, listed=client.listed):
        try:
            _as_json(raw)
            entry = _translated(client.name, name, raw, values)
            if name in there and there[name] != entry:
                raise _Stays(f"{target} has another server of that name")
        except _Stays as reason:
            done.left[name] = str(reason)
            continue
        puts.append(Change("put", ("mcpServers", name), entry))
        at = client.at if index is not None else (*client.at, name)
        done.takes.append(Change("take", at, raw, index=index))
        done.moved.append(name)
    project = "" if scope == "user" else str(root)
    if values.used:
        kept = tuple(Change("put", (name,), value) for name, value in values.used.items())
        done.edits.append(
            Edit(client.name, folder / "secrets.json", "json", "user", "", kept, private=True, secret=True)
        )
    if puts:
        done.edits.append(Edit(client.name, target, "json", scope, project, tuple(puts), private=scope == "user"))
    return done


def _as_json(raw: JsonObject) -> None:
    """Raises _Stays for what a receipt could not give back: dates, bytes, numbers that are none."""
    try:
        json.dumps(raw, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise _Stays("it holds a value that JSON cannot say") from error


def _data(path: Path, form: Any) -> Json:
    return read(decoded(bytes_of(path) or b"", str(path)), form, str(path))


def _servers(found: Json, *, listed: bool) -> list[tuple[str, JsonObject, int | None]]:
    if listed:
        items = enumerate(found) if isinstance(found, list) else ()
        named = [(item.get("name"), item, number) for number, item in items if isinstance(item, dict)]
        return [(name, item, number) for name, item, number in named if isinstance(name, str) and name != NAME]
    pairs = found.items() if isinstance(found, dict) else ()
    return [(name, item, None) for name, item in pairs if isinstance(item, dict) and name != NAME]


class _Values:
    """Secrets that stood in the client's file, under names that mcp.json can use."""

    def __init__(self, kept: Json) -> None:
        self._kept: JsonObject = kept if isinstance(kept, dict) else {}
        self.used: dict[str, str] = {}

    def reference(self, server: str, key: str, value: str) -> str:
        """A reference to the value, which is kept under a name made of the server's and the key's."""
        start = re.sub(r"\W+", "_", server).upper().strip("_")
        name = re.sub(r"\W+", "_", key).upper().strip("_")
        name = name if name.startswith(start) else f"{start}_{name}"
        if not re.match(r"[A-Z_]", name):
            name = f"_{name}"
        number, base = 1, name
        while self._taken(name, value):
            number += 1
            name = f"{base}_{number}"
        self.used[name] = value
        return f"${{{name}}}"

    def _taken(self, name: str, value: str) -> bool:
        there = self.used.get(name, self._kept.get(name))
        return there is not None and there != value


def _translated(client: str, name: str, raw: JsonObject, values: _Values) -> JsonObject:
    """The server as mcp.json writes it. Raises _Stays."""
    if raw.get("disabled") is True or raw.get("enabled") is False:
        raise _Stays("it is turned off")
    if raw.get("type") in ("builtin", "platform", "frontend", "inline_python"):
        raise _Stays("it is a part of the client")
    unknown = sorted(set(raw) - _DROPPED - _KNOWN)
    if unknown:
        raise _Stays(f"it uses {', '.join(unknown)}, which only {client} understands")
    url = next((raw[key] for key in ("httpUrl", "serverUrl", "url", "uri") if key in raw), None)
    if url is not None:
        return _remote(client, name, raw, url, values)
    command: Json = raw.get("command", raw.get("cmd"))
    arguments: Json = raw.get("args", [])
    if isinstance(command, list) and command:
        command, arguments = command[0], [*command[1:], *(arguments if isinstance(arguments, list) else [])]
    if not isinstance(command, str) or not isinstance(arguments, list):
        raise _Stays("it has neither a command nor a URL")
    made: JsonObject = {"command": _text(client, command)}
    if arguments:
        made["args"] = _arguments(client, name, arguments, values)
    env: JsonObject = {}
    for key in ("env", "envs", "environment"):
        env |= _pairs(client, name, raw.get(key), values)
    for key in ("env_keys", "env_vars"):
        listed = raw.get(key) or []
        env |= {str(variable): f"${{{variable}}}" for variable in (listed if isinstance(listed, list) else [])}
    if env:
        made["env"] = env
    if isinstance(raw.get("cwd"), str) and raw["cwd"]:
        made["cwd"] = _text(client, raw["cwd"])
    return made


def _remote(client: str, name: str, raw: JsonObject, url: Json, values: _Values) -> JsonObject:
    if raw.get("type") == "sse" or raw.get("transport") == "sse" or (client == "gemini" and "httpUrl" not in raw):
        raise _Stays("it speaks SSE, which Druse does not")
    headers = _pairs(client, name, raw.get("headers"), values) | _pairs(client, name, raw.get("http_headers"), values)
    if variable := raw.get("bearer_token_env_var"):
        headers["Authorization"] = f"Bearer ${{{variable}}}"
    named = raw.get("env_http_headers")
    headers |= {key: f"${{{value}}}" for key, value in (named.items() if isinstance(named, dict) else ())}
    local = isinstance(url, str) and re.match(r"https?://(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?:[:/]|$)", url)
    if not headers and not local:
        raise _Stays("it may want a login, which only the client has")
    made: JsonObject = {"type": "http", "url": _secretless(name, "url", _text(client, url), values)}
    if headers:
        made["headers"] = headers
    return made


def _text(client: str, value: Json) -> str:
    """A text with references to the environment as mcp.json writes them. Raises _Stays."""
    if not isinstance(value, str):
        raise _Stays(f"it holds {value!r} where a text is expected")
    if unknown := _UNKNOWN.search(value):
        raise _Stays(f"it uses {unknown[0]}, which only the client knows")

    def reference(match: re.Match[str]) -> str:
        env, braced, plain, default, bare = match.groups()
        if bare and client != "gemini":
            return match[0]  # a dollar sign that means itself
        if braced and client != "opencode":
            return match[0]
        return f"${{{env or braced or plain or bare}{default or ''}}}"

    return _REFERENCE.sub(reference, value.replace("${userHome}", "${HOME}"))


def _pairs(client: str, server: str, given: Json, values: _Values) -> JsonObject:
    from druse.traces import is_secret_key

    made: JsonObject = {}
    for key, raw in given.items() if isinstance(given, dict) else ():
        text = _text(client, str(raw) if isinstance(raw, int | float) and not isinstance(raw, bool) else raw)
        scheme, space, rest = text.partition(" ")
        if "${" in text or not text:
            made[key] = text
        elif space and scheme.lower() in ("bearer", "basic", "token") and rest.strip():
            made[key] = f"{scheme} {values.reference(server, key, rest)}"
        elif is_secret_key(key):
            made[key] = values.reference(server, key, text)
        else:
            made[key] = _secretless(server, key, text, values)
    return made


def _arguments(client: str, server: str, given: list[Json], values: _Values) -> list[Json]:
    from druse.traces import is_secret_key

    made: list[Json] = []
    flag = ""
    for raw in given:
        text = _text(client, str(raw) if isinstance(raw, int | float) and not isinstance(raw, bool) else raw)
        name, equals, value = text.partition("=")
        if flag and "${" not in text and not text.startswith("-"):
            made.append(values.reference(server, flag, text))
        elif text.startswith("-") and equals and value and "${" not in value and is_secret_key(name.strip("-")):
            made.append(f"{name}={values.reference(server, name, value)}")
        else:
            made.append(_secretless(server, "argument", text, values))
        flag = text.strip("-") if text.startswith("-") and not equals and is_secret_key(text.strip("-")) else ""
    return made


def _secretless(server: str, key: str, text: str, values: _Values) -> str:
    """The text, or a reference to it if it looks like a secret or holds one."""
    from druse.traces import SecretHandles

    if "${" in text or SecretHandles(b"only to see whether anything is masked").mask_text(text) == text:
        return text
    return values.reference(server, key, text)
