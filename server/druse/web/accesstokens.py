"""Access tokens of OAuth: signed JWTs of the issuers that `[oauth]` names (RFC 9068), checked and never kept.

A token counts if an issuer of ours signed it with a key pair, for this server and this time. What is said of one that
does not is a fixed text: neither the token nor what stands in it goes into a log.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import jwt

from druse.settings import OAuth
from druse.settings.oauth import ROLES
from druse.web.issuers import IssuerKeys, Key

LEEWAY_SECONDS = 30  # by which clocks may differ
_LONGEST = 16 * 1024  # characters of a token
_MOST_VALUES = 2000  # scopes or groups in a token
# Key pairs only: with a shared secret whoever can check a token can make one.
_ALGORITHMS = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    **{"ES256": ("EC", "P-256"), "ES384": ("EC", "P-384"), "ES512": ("EC", "P-521"), "EdDSA": ("OKP", "Ed25519")},
}
_PUBLIC = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y"), "OKP": ("kty", "crv", "x")}
# Other kinds of JWT of the same issuer, as what a client proves itself with, are not meant for us.
_TYPES = ("", "jwt", "at+jwt", "application/at+jwt")
_SCOPES = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@|+/=-]{0,63}")
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (jwt.ExpiredSignatureError, "The token has expired."),
    (jwt.ImmatureSignatureError, "The token is not good yet."),
    (jwt.InvalidAudienceError, "The token is for another server."),
    (jwt.InvalidIssuerError, "The token is of another issuer."),
    (jwt.MissingRequiredClaimError, "The token lacks one of exp, iss, aud and sub."),
    (jwt.InvalidSignatureError, "The token is not signed by its issuer."),
)
_MALFORMED = "The token cannot be read."


class TokenRefused(Exception):
    """A token that does not count; the text says why and holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a token speaks of. `name` tells everybody else apart from them, and is safe to show; `role` may be empty."""

    name: str
    role: str
    issuer: str
    subject: str
    client: str
    until: float  # seconds since the epoch


class AccessTokens:
    """Checks tokens by one setting. `resource`: the address of this server's MCP endpoint. `clock` in seconds."""

    def __init__(self, settings: OAuth, resource: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self._audiences = [resource, resource + "/", *settings.audiences]
        self._keys = {one: IssuerKeys(one, settings.jwks.get(one, ""), clock=clock) for one in settings.issuers}
        self._checker = jwt.PyJWT({"enforce_minimum_key_length": True, "require": ["exp", "iss", "aud", "sub"]})

    async def bearer(self, token: str) -> Bearer:
        """Whom a token speaks of. Raises TokenRefused, and KeysMissing where nobody can say."""
        if len(token) > _LONGEST:
            raise TokenRefused(_MALFORMED)
        algorithm, kid, issuer = _told(token)
        keys = self._keys.get(issuer)
        if keys is None:
            raise TokenRefused("The token is of another issuer.")
        found = await keys.fitting(lambda key: _fits(key, algorithm, kid))
        if not found or (kid is None and len(found) > 1):
            raise TokenRefused("The token is signed with a key that its issuer does not show.")
        claims = self._checked(token, issuer, algorithm, found)
        if claims.get("cnf") is not None:
            raise TokenRefused("The token is bound to a key of its client, which is not proved here.")
        subject, client = str(claims["sub"]), claims.get("client_id") or claims.get("azp")
        if not subject:
            raise TokenRefused(_MALFORMED)
        told, until = client if isinstance(client, str) else "", float(claims["exp"]) + LEEWAY_SECONDS
        return Bearer(_name(issuer, subject), self._role(claims), issuer, subject, told, until)

    def _checked(self, token: str, issuer: str, algorithm: str, keys: list[Key]) -> dict[str, Any]:
        refused = TokenRefused(_MALFORMED)
        for key in keys[:4]:
            try:
                public = {name: key[name] for name in _PUBLIC[str(key["kty"])]}
                return self._checker.decode(
                    token,
                    jwt.PyJWK.from_dict(public, algorithm),
                    algorithms=[algorithm],
                    issuer=issuer,
                    audience=self._audiences,
                    leeway=LEEWAY_SECONDS,
                )
            except (jwt.PyJWTError, KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
                refused = TokenRefused(next((text for kind, text in _REASONS if isinstance(error, kind)), _MALFORMED))
        raise refused

    def _role(self, claims: dict[str, Any]) -> str:
        """The highest role that the token gives; empty for none."""
        held = set(self._values(claims))
        return next((role for role in reversed(ROLES) if held & set(self.settings.roles.get(role, ()))), "")

    def _values(self, claims: dict[str, Any]) -> Iterable[str]:
        name = self.settings.claim
        given = _claim(claims, name) if name else claims.get("scope", claims.get("scp"))
        if given is None:
            return ()
        if isinstance(given, str):
            if not name and not _SCOPES.fullmatch(given):
                raise TokenRefused("The scopes of the token cannot be read.")
            return given.split(" ") if not name else (given, *given.split())
        listed: list[Any] = cast("list[Any]", given) if isinstance(given, list) else [None]
        if len(listed) > _MOST_VALUES or not all(isinstance(one, str) for one in listed):
            raise TokenRefused("The scopes of the token cannot be read.")
        return listed


def looks_like_one(token: str) -> bool:
    """Whether a bearer token is a JWT at all."""
    return token.count(".") == 2


def _told(token: str) -> tuple[str, str | None, str]:
    """What a token says of itself, unproved: algorithm, key and issuer. Raises TokenRefused."""
    try:
        header = jwt.get_unverified_header(token)
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise TokenRefused(_MALFORMED) from error
    algorithm, kid, issuer = header.get("alg"), header.get("kid"), claims.get("iss")
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
        raise TokenRefused("The token is not signed with a key pair.")
    if "crit" in header or "b64" in header or str(header.get("typ", "")).lower() not in _TYPES:
        raise TokenRefused("This kind of token does not let anybody in.")
    if not isinstance(issuer, str) or not isinstance(kid, str | None):
        raise TokenRefused(_MALFORMED)
    return algorithm, kid, issuer


def _fits(key: Key, algorithm: str, kid: str | None) -> bool:
    kind, curve = _ALGORITHMS[algorithm]
    operations = key.get("key_ops")
    return (
        (kid is None or key.get("kid") == kid)
        and key.get("kty") == kind
        and (curve is None or key.get("crv") == curve)
        and key.get("alg") in (None, algorithm)
        and key.get("use") in (None, "sig")
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
    )


def _claim(claims: dict[str, Any], name: str) -> Any:
    """The claim of a name, else what stands at the end of a path such as realm_access.roles."""
    if name in claims:
        return claims[name]
    at: Any = claims
    for part in name.split("."):
        at = cast("dict[str, Any]", at).get(part) if isinstance(at, dict) else None
    return at


def _name(issuer: str, subject: str) -> str:
    """Nobody else's: subjects are unique for their issuer only, and what cannot stand in a line is told by its hash."""
    shown = subject
    if not _PLAIN.fullmatch(subject):
        cut = re.sub(r"[^A-Za-z0-9._@|+/=-]", "_", subject)[:40]
        shown = f"{cut}~{hashlib.sha256(subject.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
    return f"{shown} ({issuer.partition('://')[2].rstrip('/')})"
