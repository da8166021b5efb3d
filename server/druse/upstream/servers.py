"""`mcp.json`: which servers there are. The standard `mcpServers` shape, stdio and streamable HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from druse.model import Invalid, Json, JsonObject, NotFound
from druse.settings import Workspace
from druse.settings.oauth import safe
from druse.settings.textfile import text_of

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_KNOWN = {
    *("command", "args", "env", "cwd", "type", "url", "headers", "disabled", "timeout", "transport", "description"),
    "oauth",
    *("alwaysAllow", "autoApprove", "envFile", "note"),
}


_OAUTH = {
    *("clientId", "clientSecret", "privateKeyFile", "algorithm", "scope", "issuer", "grant", "assertionFile"),
    *("idTokenFile", "idpTokenEndpoint", "idpClientId", "idpClientSecret"),
}
_FILES = ("privateKeyFile", "assertionFile", "idTokenFile")
_PROOFS = ("clientSecret", "privateKeyFile", "assertionFile")
GRANTS = ("authorization_code", "client_credentials", "jwt_bearer", "identity_assertion")


@dataclass(frozen=True, slots=True)
class ServerEntry:
    """One server. `problem` says why it cannot be used; then the rest may be empty."""

    name: str
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: Path | None = None
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    timeout: float | None = None  # seconds a call may take
    oauth: Mapping[str, str] = field(default_factory=dict[str, str])  # a client that is registered already
    problem: str = ""


def server_named(workspace: Workspace, environment: Mapping[str, str], name: str, *, what: str) -> ServerEntry:
    """The server of that name; `what` is it wanted for, as in "log in at". Raises Invalid, NotFound."""
    entries = {entry.name: entry for entry in servers_of(workspace, environment)}
    if name not in entries:
        there = ", ".join(sorted(entries)) or "none"
        raise NotFound(f"Cannot {what} {name!r}: mcp.json has no server of that name. There are: {there}.")
    return entries[name]


def servers_of(workspace: Workspace, environment: Mapping[str, str]) -> tuple[ServerEntry, ...]:
    """The enabled servers of a project, and those of its user that the project has no entry for. Raises Invalid.

    Variables that the user keeps for servers (secrets.json) come before those of the environment.
    """
    values = {**environment, **_kept_values(workspace.user_values)}
    own = read_servers(workspace.servers, values)
    users = read_servers(workspace.user_servers, values, folder=workspace.root)
    named: set[str] = set(_entries(workspace.servers)) if users else set()
    return (*own, *(entry for entry in users if entry.name not in named))


def read_servers(path: Path, environment: Mapping[str, str], *, folder: Path | None = None) -> tuple[ServerEntry, ...]:
    """The enabled servers of a file; none where there is no file. Raises Invalid where it is not JSON of that shape.

    A mistake in one entry makes that entry's `problem`; the other servers stay usable. They are started in `folder`,
    else in that of the file.
    """
    return tuple(
        _entry(name, raw, folder or path.parent, environment)
        for name, raw in _entries(path).items()
        if not (isinstance(raw, dict) and raw.get("disabled") is True)
    )


def _kept_values(path: Path) -> dict[str, str]:
    try:
        loaded: Json = json.loads(text_of(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Invalid(f"Cannot read {path}: {error}. Correct the file or remove it.", where=str(path)) from error
    if not isinstance(loaded, dict):
        raise Invalid(f"Cannot read {path}: it is no object of names and texts. Correct it.", where=str(path))
    return {name: value for name, value in loaded.items() if isinstance(value, str)}


def _entries(path: Path) -> JsonObject:
    """The servers of a file as they are written."""
    try:
        text = text_of(path)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"Cannot read {path}: {error}. Correct the file.", where=str(path), problem=str(error)) from error
    try:
        loaded: Json = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise Invalid(
            f"Cannot read {path}:{line}: it is not JSON ({error}). Correct that line.",
            where=f"{path}:{line}",
            problem=str(error),
        ) from error
    servers = loaded.get("mcpServers", loaded.get("servers")) if isinstance(loaded, dict) else None
    if not isinstance(servers, dict):
        raise Invalid(
            f'Cannot read {path}: it has no "mcpServers" object. Write {{"mcpServers": {{"name": {{...}}}}}}.',
            where=str(path),
            problem="no mcpServers",
        )
    return servers


def _entry(name: str, raw: Json, folder: Path, environment: Mapping[str, str]) -> ServerEntry:
    try:
        return _checked(name, raw, folder, environment)
    except ValueError as error:
        return ServerEntry(name, problem=str(error))


def _checked(name: str, raw: Json, folder: Path, environment: Mapping[str, str]) -> ServerEntry:
    if not isinstance(raw, dict):
        raise ValueError("its entry is not an object")
    unknown = sorted(set(raw) - _KNOWN)
    if unknown:
        raise ValueError(f"it has fields that are not known: {', '.join(unknown)}")
    timeout = raw.get("timeout")
    if timeout is not None and (not isinstance(timeout, int | float) or isinstance(timeout, bool) or timeout <= 0):
        raise ValueError("`timeout` must be a positive number of seconds")
    headers = _texts(raw.get("headers", {}), "headers", environment)
    env = _texts(raw.get("env", {}), "env", environment)
    if "url" in raw:
        url = _expanded(raw["url"], "url", environment)
        if not re.match(r"https?://", url):
            raise ValueError("`url` must begin with http:// or https://")
        if raw.get("type", raw.get("transport", "http")) not in ("http", "streamable-http", "streamableHttp"):
            raise ValueError(f"its type {raw.get('type')!r} is not supported; use streamable HTTP (`type: http`)")
        oauth = _oauth(raw.get("oauth", {}), folder, environment)
        return ServerEntry(name, url=url, headers=headers, timeout=timeout, oauth=oauth)
    if "command" not in raw:
        raise ValueError("it has neither `command` nor `url`")
    arguments = raw.get("args", [])
    if not isinstance(arguments, list):
        raise ValueError("`args` must be a list")
    cwd = raw.get("cwd")
    return ServerEntry(
        name,
        command=_expanded(raw["command"], "command", environment),
        args=tuple(_expanded(item, "args", environment) for item in arguments),
        env=env,
        cwd=folder / _expanded(cwd, "cwd", environment) if cwd is not None else folder,
        timeout=timeout,
    )


def _oauth(raw: Json, folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """`clientId` with what proves it: `clientSecret`, `privateKeyFile` and `algorithm`, or `assertionFile`."""
    given = _texts(raw, "oauth", environment)
    unknown = sorted(set(given) - _OAUTH)
    if unknown:
        raise ValueError(f"its `oauth` has fields that are not known: {', '.join(unknown)}")
    if given and not given.get("clientId"):
        raise ValueError("its `oauth` needs `clientId`")
    if given.get("grant", GRANTS[0]) not in GRANTS:
        raise ValueError(f"`oauth.grant` must be {' or '.join(GRANTS)}")
    if given.get("grant") == "identity_assertion":
        _managed(given)
    else:
        _proved(given)
    if "assertionFile" in given and "issuer" not in given:
        raise ValueError("`oauth.assertionFile` needs `issuer`, the only server that may be sent what is in the file")
    for name in _FILES:
        if name in given:
            given[name] = str(folder / given[name])
    return given


def _proved(given: Mapping[str, str]) -> None:
    proofs, grant = [name for name in _PROOFS if name in given], given.get("grant")
    if len(proofs) > 1:
        raise ValueError(f"its `oauth` has both `{proofs[0]}` and `{proofs[1]}`; leave one out")
    if grant == "client_credentials" and not proofs:
        raise ValueError("`oauth.grant` client_credentials needs `clientSecret`, `privateKeyFile` or `assertionFile`")
    if grant == "jwt_bearer" and proofs != ["assertionFile"]:
        raise ValueError("`oauth.grant` jwt_bearer needs `assertionFile`, and nothing else that proves the client")
    strange = sorted(name for name in given if name.startswith("id"))
    if strange:
        raise ValueError(f"`oauth.{strange[0]}` is for `grant` identity_assertion only")


def _managed(given: Mapping[str, str]) -> None:
    missing = [name for name in ("clientSecret", "issuer") if name not in given]
    exchange = ("idTokenFile", "idpTokenEndpoint", "idpClientId")
    if "assertionFile" not in given:
        missing += [name for name in exchange if name not in given]
    elif any(name in given for name in exchange):
        raise ValueError("its `oauth` has both `assertionFile` and what to exchange for one; leave one out")
    if missing:
        raise ValueError(f"`oauth.grant` identity_assertion needs `{missing[0]}`")
    if "privateKeyFile" in given:
        raise ValueError("`oauth.grant` identity_assertion takes `clientSecret`, not `privateKeyFile`")
    if "idpTokenEndpoint" in given and not safe(given["idpTokenEndpoint"]):
        raise ValueError("`oauth.idpTokenEndpoint` must begin with https://, save on loopback")


def _texts(raw: Json, where: str, environment: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(raw, dict):
        raise ValueError(f"`{where}` must be an object of texts")
    return {key: _expanded(value, f"{where}.{key}", environment) for key, value in raw.items()}


def _expanded(raw: Json, where: str, environment: Mapping[str, str]) -> str:
    if not isinstance(raw, str):
        raise ValueError(f"`{where}` must be a text")

    def value(match: re.Match[str]) -> str:
        found = environment.get(match[1], cast("str | None", match[2]))
        if found is None:
            raise ValueError(f"`{where}` needs the environment variable {match[1]}, which is not set")
        return found

    return _VARIABLE.sub(value, raw)
