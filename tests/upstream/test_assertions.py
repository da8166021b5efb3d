"""Signing in with a JWT that somebody else made, at a server that wants exactly that."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx2
import pytest

from druse.model import UpstreamFailure
from druse.upstream import ServerEntry
from druse.upstream.login import authorization, tokens_of

BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
BASIC = "Basic " + base64.b64encode(b"me:secret").decode()


class Place:
    """A server, its authorization server and a company's identity provider, at one address; what came is kept."""

    def __init__(self) -> None:
        self.base = ""
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.refuses = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request on one connection."""
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = (await reader.readexactly(int(headers.get("content-length", 0)))).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        path = first.split()[1]
        self.asked.append((path, form, headers))
        status, told = self._answer(path, headers)
        content = json.dumps(told).encode()
        more = f'www-authenticate: Bearer resource_metadata="{self.base}/.well-known/oauth-protected-resource/mcp"\r\n'
        length = f"content-type: application/json\r\ncontent-length: {len(content)}\r\nconnection: close\r\n"
        writer.write(f"HTTP/1.1 {status} X\r\n{length}{more}\r\n".encode() + content)
        await writer.drain()
        writer.close()

    def _answer(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if path == self.refuses:
            return 400, {"error": "invalid_grant", "access_token": "a.b.c"}
        if path == "/mcp":
            return (200 if headers.get("authorization") == "Bearer the-token" else 401), {}
        if path.startswith("/.well-known/oauth-protected-resource"):
            return 200, {"resource": f"{self.base}/mcp", "authorization_servers": [self.base]}
        if path == "/.well-known/oauth-authorization-server":
            known = {"issuer": self.base, "token_endpoint": f"{self.base}/token", "response_types_supported": ["code"]}
            return 200, {**known, "authorization_endpoint": f"{self.base}/authorize"}
        if path == "/idp":
            kind = "urn:ietf:params:oauth:token-type:id-jag"
            return 200, {"access_token": "made.for.us", "issued_token_type": kind, "token_type": "N_A"}
        if path == "/token":
            return 200, {"access_token": "the-token", "token_type": "Bearer", "expires_in": 600}
        return 404, {}

    def came_to(self, path: str) -> tuple[dict[str, str], dict[str, str]]:
        """The one request to a path."""
        (one,) = [(form, headers) for asked, form, headers in self.asked if asked == path]
        return one

    async def call(self, folder: Path, **oauth: str) -> int:
        """Ask the server something, as a server of mcp.json with this `oauth`; the status."""
        given = {"clientId": "me", "issuer": self.base, **oauth}
        entry = ServerEntry("s", url=f"{self.base}/mcp", oauth=given)
        async with httpx2.AsyncClient(auth=authorization(entry, tokens_of(entry, folder))) as http:
            return (await http.post(entry.url)).status_code


@pytest.fixture
async def place() -> AsyncGenerator[Place]:
    made = Place()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()


async def test_a_workload_comes_with_the_jwt_of_its_platform_as_the_grant_itself(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "workload.jwt"
    file.write_text("a.b.c\n")
    assert await place.call(tmp_path, grant="jwt_bearer", assertionFile=str(file), scope="x") == 200
    form, headers = place.came_to("/token")
    assert form == {
        **{"grant_type": BEARER, "assertion": "a.b.c", "client_id": "me"},
        **{"resource": f"{place.base}/mcp", "scope": "x"},
    }
    assert "authorization" not in headers


async def test_the_jwt_of_a_file_proves_a_client_and_is_read_anew(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "workload.jwt"
    for number in range(2):
        file.write_text(f"a.b.c{number}")
        assert await place.call(tmp_path / str(number), assertionFile=str(file)) == 200
    forms = [form for path, form, _ in place.asked if path == "/token"]
    assert [form["client_assertion"] for form in forms] == ["a.b.c0", "a.b.c1"]
    assert {form["grant_type"] for form in forms} == {"client_credentials"}


async def test_a_companys_identity_provider_gives_the_assertion_for_an_identity_token(
    place: Place, tmp_path: Path
) -> None:
    file = tmp_path / "id.jwt"
    file.write_text("who.i.am")
    idp = {"idTokenFile": str(file), "idpTokenEndpoint": f"{place.base}/idp", "idpClientId": "idp-me"}
    managed = {"grant": "identity_assertion", "clientSecret": "secret", **idp}
    assert await place.call(tmp_path, **managed) == 200
    exchanged, _ = place.came_to("/idp")
    assert (exchanged["subject_token"], exchanged["audience"]) == ("who.i.am", place.base)
    assert (exchanged["resource"], exchanged["client_id"]) == (f"{place.base}/mcp", "idp-me")
    form, headers = place.came_to("/token")
    assert (form["grant_type"], form["assertion"], headers["authorization"]) == (BEARER, "made.for.us", BASIC)
    assert not [path for path, _, _ in place.asked if "protected-resource" in path], (
        "the server is not asked whom to trust"
    )
    place.refuses = "/idp"
    with pytest.raises(UpstreamFailure, match="identity provider answered 400 invalid_grant"):
        await place.call(tmp_path / "other", **managed)


@pytest.mark.parametrize(("content", "problem"), [(None, "No such file"), ("", "holds no JWT"), ("a.b c", "no JWT")])
async def test_a_file_without_a_jwt_is_named_and_nothing_is_sent(
    place: Place, tmp_path: Path, content: str | None, problem: str
) -> None:
    file = tmp_path / "workload.jwt"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UpstreamFailure, match=problem):
        await place.call(tmp_path, grant="jwt_bearer", assertionFile=str(file))
    assert not [path for path, _, _ in place.asked if path == "/token"]


async def test_what_is_in_the_file_goes_to_the_issuer_alone(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "workload.jwt"
    file.write_text("a.b.c")
    with pytest.raises(Exception, match="issuer"):
        await place.call(tmp_path, grant="jwt_bearer", assertionFile=str(file), issuer="https://other.example")
    assert not [form for _, form, _ in place.asked if form]
