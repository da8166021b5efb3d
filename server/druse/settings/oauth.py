"""`[oauth]` of config.toml: whose access tokens let their bearers in over HTTP, and in which role.

Druse is a resource server: it makes no tokens and keeps none, it checks those of the authorization servers named here.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

from druse.model import Invalid

ROLES = ("user", "team_admin", "system_admin")  # the later includes the earlier
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")  # scope-token of RFC 6749


@dataclass(frozen=True, slots=True)
class OAuth:
    """What a token must be to let its bearer in.

    `resource` is the address of the MCP endpoint as clients know it; empty stands for the address that is served.
    `audiences` are names of this server beside that one. `claim` says where a token lists what its bearer may do;
    empty stands for its scopes. `roles` maps each role to the values there that give it. `jwks` are addresses of an
    issuer's keys where they are not taken from its metadata. `layer` names the file it stands in.
    """

    issuers: tuple[str, ...]
    resource: str = ""
    audiences: tuple[str, ...] = ()
    claim: str = ""
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {role: (f"druse:{role}",) for role in ROLES})
    jwks: Mapping[str, str] = field(default_factory=dict[str, str])
    layer: str = field(default="", compare=False)

    def __str__(self) -> str:
        """What a person approves when it is put in force: all of it, values as JSON so that none passes for another."""
        roles = "; ".join(f"{role} {_shown(self.roles[role])}" for role in ROLES if self.roles.get(role))
        audiences = f" and {_shown(self.audiences)}" if self.audiences else ""
        keys = "".join(f"; keys of {issuer} at {address}" for issuer, address in sorted(self.jwks.items()))
        resource = self.resource or "the address served"
        return f"issuers {_shown(self.issuers)} for {resource}{audiences}; by {self.claim or 'scope'}: {roles}{keys}"


def _shown(values: tuple[str, ...]) -> str:
    return json.dumps(values, ensure_ascii=False)


def oauth_of(given: Mapping[str, Any], layer: str) -> OAuth:
    """Read the table. Raises Invalid; its `where` is the key that is wrong."""
    known = ("issuers", "resource", "audiences", "claim", "roles", "jwks")
    for key in given:
        if key not in known:
            raise _wrong(key, f"oauth.{key} is not a setting; known: {', '.join(known)}")
    issuers = _texts("issuers", given.get("issuers", []))
    if not issuers:
        raise _wrong("issuers", "oauth.issuers is missing: name the authorization servers whose tokens count")
    for issuer in issuers:
        _address("issuers", issuer)
    resource, claim = given.get("resource", ""), given.get("claim", "")
    if not isinstance(resource, str) or not isinstance(claim, str):
        key = "claim" if isinstance(resource, str) else "resource"
        raise _wrong(key, f"oauth.{key} must be a text")
    if resource and not _address("resource", resource).path.endswith("/mcp"):
        raise _wrong("resource", "oauth.resource must be the address of the MCP endpoint, which ends with /mcp")
    audiences = _texts("audiences", given.get("audiences", []))
    return OAuth(issuers, resource, audiences, claim, _roles(given, claim), _jwks(given, issuers), layer)


def _roles(given: Mapping[str, Any], claim: str) -> dict[str, tuple[str, ...]]:
    if "roles" not in given:
        return {role: (f"druse:{role}",) for role in ROLES}
    table = given["roles"]
    if not isinstance(table, dict) or not table:
        raise _wrong("roles", f"oauth.roles must be a table with the keys {', '.join(ROLES)}")
    read: dict[str, tuple[str, ...]] = {}
    for role, values in cast("dict[str, Any]", table).items():
        if role not in ROLES:
            raise _wrong(role, f"oauth.roles.{role} is no role; known: {', '.join(ROLES)}")
        read[role] = _texts(f"roles.{role}", values)
        for value in read[role]:
            if not claim and not _SCOPE.fullmatch(value):
                raise _wrong(role, f"oauth.roles.{role} holds {value!r}, which is no scope")
    if not any(read.values()):
        raise _wrong("roles", "oauth.roles gives nobody a role")
    return read


def _jwks(given: Mapping[str, Any], issuers: tuple[str, ...]) -> dict[str, str]:
    table = given.get("jwks", {})
    if not isinstance(table, dict):
        raise _wrong("jwks", "oauth.jwks must be a table of issuers and the addresses of their keys")
    for issuer, address in cast("dict[str, Any]", table).items():
        if issuer not in issuers:
            raise _wrong("jwks", f"oauth.jwks names {issuer!r}, which is not among oauth.issuers")
        _address("jwks", address if isinstance(address, str) else "", query=True)
    return cast("dict[str, str]", dict(cast("dict[str, Any]", table)))


def _texts(key: str, given: Any) -> tuple[str, ...]:
    listed: list[Any] = cast("list[Any]", given) if isinstance(given, list) else [given]
    if not all(isinstance(one, str) and one.strip() and one.isprintable() for one in listed):
        raise _wrong(key.rpartition(".")[2], f"oauth.{key} must be a text or a list of texts")
    return tuple(dict.fromkeys(map(str, listed)))


def _address(key: str, address: str, *, query: bool = False) -> SplitResult:
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise _wrong(key, f"oauth.{key} holds no address: {error}") from error
    plain = parts.username is None and parts.password is None and not parts.fragment and (query or not parts.query)
    if not (host and plain and address.isascii() and address.isprintable() and not re.search(r'[\s"\\<>]', address)):
        raise _wrong(key, f"oauth.{key} holds {json.dumps(address)}, expected https://HOST[:PORT][/PATH]")
    if not safe(address):
        raise _wrong(key, f"oauth.{key} holds {address}: tokens and keys go over https only, save on loopback")
    return parts


def safe(address: str) -> bool:
    """Whether what is fetched there is what its owner sent: over https, or on this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and on_loopback(address))


def on_loopback(address: str) -> bool:
    """Whether an address names this machine."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wrong(key: str, problem: str) -> Invalid:
    return Invalid(f"Cannot use [oauth]: {problem}.", where=key, problem=problem)
