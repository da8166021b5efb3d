"""Who comes over HTTP, in which role (seed id L-35).

The token in `.druse/keys/http.token` is a user's. Further keys are made by a person with `druse keys new`; they are
shown once, and only a digest of each is kept. Access tokens of OAuth are made elsewhere (see `druse.web.accesstokens`).
None of them is a person's word: nobody decides an approval with one.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from druse.front.guests import Guest
from druse.governance import HTTP_API, AuditChain
from druse.model import Caller, CallerKind, Invalid, NotFound
from druse.skills import Actor, Role, Volumes
from druse.store import HttpKey, Store

_PREFIX = "druse_"
_SYSTEM = "main"


class HttpRole(StrEnum):
    """What a key may do, in the seed's words."""

    USER = "user"
    TEAM_ADMIN = "team_admin"
    SYSTEM_ADMIN = "system_admin"


@dataclass(frozen=True, slots=True)
class Visitor:
    """The bearer of a token."""

    name: str
    role: HttpRole
    team: str = ""
    key_id: str = ""
    identity: str = ""  # who is answerable; empty for clients of this account
    client: str = ""  # the program that an access token was made for
    by_token: bool = False  # with an access token of OAuth: another one may give more
    until: float | None = None  # when the token or key ends, in seconds since the epoch

    def guest(self) -> Guest:
        """As MCP sees it."""
        return Guest(self.identity, str(self.role) if self.identity else "", self.client, self.until)

    def caller(self, session: str) -> Caller:
        """As the router and the audit chain see it: an agent, whatever its role."""
        return Caller(
            CallerKind.AGENT,
            session=session,
            connection=HTTP_API,
            client=f"{self.name} ({self.role}) over HTTP",
            identity=self.identity,
            role=str(self.role) if self.identity else "",
        )

    def actor(self, volumes: Volumes) -> Actor:
        """As the volumes see it (seed id L-07)."""
        if self.role is HttpRole.SYSTEM_ADMIN:
            return Actor(Role.SYSTEM, _SYSTEM, self.name)
        if self.role is HttpRole.TEAM_ADMIN:
            return Actor(Role.TEAM, self.team, self.name)
        return volumes.me(as_agent=self.name)


class Keyring:
    """The keys of one workspace. `token` is that of the file, which every local client may read."""

    def __init__(self, store: Store, token: str, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._token = token
        self._clock = clock

    async def visitor(self, token: str) -> Visitor | None:
        """Whose token it is; None for nobody's."""
        if self._token and hmac.compare_digest(token.encode(), self._token.encode()):
            return Visitor("local client", HttpRole.USER)
        if not token.startswith(_PREFIX):
            return None
        key = await self._store.http_keys.of(_digest(token), now=self._clock())
        if key is None:
            return None
        if (key.last_used_at or 0.0) < self._clock() - 60:
            await self._store.http_keys.used(key.id, now=self._clock())
        identity = f"key {key.id} ({key.name})"
        return Visitor(key.name, HttpRole(key.role), key.team, key.id, identity=identity, until=key.expires_at)


async def make_key(
    store: Store,
    audit: AuditChain,
    person: Caller,
    name: str,
    role: HttpRole,
    *,
    team: str,
    now: float,
    days: float | None,
) -> tuple[HttpKey, str]:
    """A new key and its secret, which is nowhere else. Raises Invalid for a name nobody can read."""
    if not name.strip() or len(name) > 64 or not name.isprintable():
        raise Invalid("Cannot make a key: its name is 1 to 64 printable letters. Choose another.", where="name")
    if role is HttpRole.TEAM_ADMIN and not team:
        raise Invalid(
            'Cannot make a key for a team: you belong to none. Join one with "druse volumes use team:NAME".',
            where="role",
        )
    secret = _PREFIX + secrets.token_urlsafe(32)
    ends = None if days is None else now + days * 86400
    own = team if role is HttpRole.TEAM_ADMIN else ""
    key = HttpKey(f"k-{secrets.token_hex(4)}", name.strip(), str(role), own, now, ends)
    async with store.database.transaction(durable=True) as transaction:
        await store.http_keys.add(transaction, key, _digest(secret))
        await audit.append(transaction, "key.made", key.id, person, {"name": key.name, "role": key.role})
    return key, secret


async def revoke_key(store: Store, audit: AuditChain, person: Caller, key_id: str, *, now: float) -> None:
    """Take a key out of force; the next request with it is refused. Raises NotFound."""
    async with store.database.transaction(durable=True) as transaction:
        if not await store.http_keys.revoke(transaction, key_id, now=now):
            raise NotFound(f'Cannot revoke {key_id!r}: no key in force has that id. See "druse keys list".')
        await audit.append(transaction, "key.revoked", key_id, person, {})


def _digest(secret: str) -> str:
    # A plain hash is enough: the secret is 256 random bits.
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()
