"""An authorization server on loopback: it shows its keys, changes them, registers clients and signs what it is told."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import time
import warnings
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import jwt.algorithms
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ALGORITHMS: dict[str, Any] = jwt.algorithms.get_default_algorithms()


def encoded(data: bytes) -> str:
    """Base64 as JWTs have it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(header: Mapping[str, Any], claims: Mapping[str, Any], signature: bytes = b"") -> str:
    """A token of parts that no library would put together."""
    parts = (encoded(json.dumps(part).encode()) for part in (header, claims))
    return ".".join([*parts, encoded(signature)])


class Issuer:
    """One server. `paths` counts what it was asked for; `answers` holds answers in place of its own."""

    def __init__(self) -> None:
        self.base = ""
        self.resource = ""  # what its tokens are for, unless a client says it
        self.paths: list[str] = []
        self.answers: dict[str, tuple[int, bytes, dict[str, str]]] = {}
        self.silent: set[str] = set()  # paths that never get an answer
        self.private: dict[str, Any] = {}
        self.shown: list[dict[str, Any]] = []
        self.codes: dict[str, dict[str, str]] = {}
        self.grants: list[dict[str, str]] = []  # what clients exchanged for tokens
        self.subject = "alice"

    def key(self, algorithm: str = "ES256", **more: Any) -> str:
        """A new key, shown from now on; its id."""
        made: dict[str, Any] = {
            "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "RS256": lambda: rsa.generate_private_key(65537, 2048),
            "RS-short": lambda: rsa.generate_private_key(65537, 1024),
            "EdDSA": ed25519.Ed25519PrivateKey.generate,
        }
        name = {"RS-short": "RS256"}.get(algorithm, algorithm)
        kid, private = secrets.token_hex(4), made[algorithm]()
        public = json.loads(ALGORITHMS[name].to_jwk(private.public_key()))
        self.private[kid] = private
        self.shown.append({**public, "kid": kid, "use": "sig", "alg": name, **more})
        return kid

    def claims(self, **changed: Any) -> dict[str, Any]:
        """What a good token says; None takes a claim out."""
        now = int(time.time())
        held = {
            "iss": self.base,
            "sub": self.subject,
            "aud": self.resource,
            "exp": now + 600,
            "iat": now,
            "client_id": "the-client",
            "scope": "druse:user",
        }
        return {name: value for name, value in {**held, **changed}.items() if value is not None}

    def token(
        self, kid: str = "", algorithm: str = "ES256", header: Mapping[str, Any] | None = None, **claims: Any
    ) -> str:
        """A token signed with the newest key, or one of that id."""
        name = kid or str(self.shown[-1]["kid"])
        told = {"kid": name, "typ": "at+jwt", **(header or {})}
        plain = {key: value for key, value in told.items() if value is not None}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", jwt.warnings.InsecureKeyLengthWarning)  # what it signs with is up to a test
            return jwt.encode(self.claims(**claims), self.private[name], algorithm, plain)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request on one connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            target = urlsplit(first.split()[1])
            self.paths.append(target.path)
            if target.path in self.silent:
                await reader.read()  # until the other side gives up
                return
            status, content, more = self.answers.get(target.path) or self._answer(target.path, target.query, body)
            told = "".join(f"{name}: {value}\r\n" for name, value in more.items())
            length = f"content-length: {len(content)}\r\nconnection: close\r\n"
            writer.write(f"HTTP/1.1 {status} X\r\n{length}{told}\r\n".encode() + content)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    def _answer(self, path: str, query: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        plain = {"content-type": "application/json"}
        if path == "/.well-known/oauth-authorization-server":
            return 200, json.dumps(self.metadata()).encode(), plain
        if path == "/keys":
            return 200, json.dumps({"keys": self.shown}).encode(), plain
        if path == "/register":
            known = {**json.loads(body), "client_id": "the-client", "token_endpoint_auth_method": "none"}
            return 201, json.dumps(known).encode(), plain
        if path == "/authorize":
            asked = {name: values[0] for name, values in parse_qs(query).items()}
            code = secrets.token_hex(8)
            self.codes[code] = asked
            where = f"{asked['redirect_uri']}?code={code}&state={asked['state']}"
            return 302, b"", {"location": where}
        if path == "/token":
            form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            asked = self.codes.pop(form["code"])
            assert encoded(hashlib.sha256(form["code_verifier"].encode()).digest()) == asked["code_challenge"]
            self.grants.append(form)
            token = self.token(aud=form["resource"], scope=asked.get("scope"))
            made = {"access_token": token, "token_type": "Bearer", "expires_in": 600, "scope": asked.get("scope", "")}
            return 200, json.dumps(made).encode(), plain
        return 404, b"{}", plain

    def metadata(self) -> dict[str, Any]:
        """What it says of itself."""
        return {
            "issuer": self.base,
            "jwks_uri": f"{self.base}/keys",
            "authorization_endpoint": f"{self.base}/authorize",
            "token_endpoint": f"{self.base}/token",
            "registration_endpoint": f"{self.base}/register",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
        }


@asynccontextmanager
async def serving() -> AsyncGenerator[Issuer]:
    """One that is reached until the block ends."""
    issuer = Issuer()
    server = await asyncio.start_server(issuer.serve, "127.0.0.1", 0)
    issuer.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield issuer
    finally:
        server.close()
