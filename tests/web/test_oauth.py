"""Access tokens of an authorization server, through `druse serve --http`: who is let in, as whom, and in which role."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import httpx2
import jwt
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

import doors
from druse.cli import main
from druse.settings import OAuth, Workspace, load_config
from druse.web.accesstokens import AccessTokens, TokenRefused
from druse.web.issuers import (
    AGAIN_SECONDS,
    FRESH_SECONDS,
    KEPT_SECONDS,
    LARGEST,
    RETRY_SECONDS,
    IssuerKeys,
    KeysMissing,
)

from .conftest import House, bearer  # type: ignore[import-not-found]
from .issuer import Issuer, encoded, forged, serving  # type: ignore[import-not-found]
from .test_api import NEW  # type: ignore[import-not-found]

SERVER = doors.plain_server("""
TOOLS = [{"name": n, "inputSchema": {"type": "object"}} for n in ("look", "change")]
def answer(name, arguments):
    return "done " + name
""")
HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"elicitation": {}},
    "clientInfo": {"name": "c", "version": "1"},
}


@pytest.fixture
async def issuer() -> AsyncGenerator[Issuer]:
    async with serving() as made:
        made.key()
        yield made


def configured(house: House, issuer: Issuer, more: str = "") -> None:
    (house.root / "server.py").write_text(SERVER)
    shop = {"command": "python3", "args": ["server.py"]}
    (house.root / "mcp.json").write_text(json.dumps({"mcpServers": {"shop": shop}}))
    house.configure(f'[permissions]\nallow = ["shop__look"]\n[oauth]\nissuers = ["{issuer.base}"]\n{more}')


@asynccontextmanager
async def opened(house: House, issuer: Issuer) -> AsyncGenerator[tuple[httpx.AsyncClient, str]]:
    """The running server, and the address that tokens are for."""
    async with doors.over_http(house.root, house.environment) as (address, _):
        issuer.resource = f"{address}/mcp"
        async with httpx.AsyncClient(base_url=address, timeout=60) as http:
            yield http, issuer.resource


def told(answer: httpx.Response) -> dict[str, str]:
    """The parts of a challenge."""
    scheme, _, parts = answer.headers["www-authenticate"].partition(" ")
    assert scheme == "Bearer"
    found = re.findall(r'([a-z_]+)="([^"]*)"(?:, |$)', parts)
    assert ", ".join(f'{name}="{value}"' for name, value in found) == parts
    return dict(found)


class Kept:
    """What the client keeps of its registration and its token."""

    tokens: OAuthToken | None = None
    known: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.known

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.known = client_info


def provider(resource: str, kept: Kept) -> OAuthClientProvider:
    """The SDK's client, with a browser that follows the redirect."""
    seen: list[str] = []

    async def show(address: str) -> None:
        async with httpx2.AsyncClient() as browser:
            seen.append((await browser.get(address)).headers["location"])

    async def back() -> AuthorizationCodeResult:
        given = parse_qs(urlsplit(seen[-1]).query)
        return AuthorizationCodeResult(code=given["code"][0], state=given["state"][0])

    redirect = [AnyUrl("http://127.0.0.1:8976/callback")]
    return OAuthClientProvider(resource, OAuthClientMetadata(redirect_uris=redirect), kept, show, back)


@pytest.mark.requirement("L-35", "X-07")
async def test_the_sdks_client_finds_its_way_from_our_401_to_a_call(house: House, issuer: Issuer) -> None:
    configured(house, issuer)
    async with opened(house, issuer) as (http, resource):
        kept = Kept()
        for mode in ("legacy", "2026-07-28"):
            async with (
                httpx2.AsyncClient(auth=provider(resource, kept), timeout=60) as signed,
                Client(streamable_http_client(resource, http_client=signed), mode=mode) as client,  # type: ignore[arg-type]
            ):
                done = await client.call_tool("run_tool", {"name": "shop__look", "arguments": {}})
                assert done.content[0].text == "done look"  # type: ignore[union-attr]
        assert kept.tokens is not None
        (grant,) = issuer.grants  # the second client came with the token of the first
        assert grant["resource"] == resource, "the token was asked for our server alone"
        assert jwt.decode(kept.tokens.access_token, options={"verify_signature": False})["scope"] == "druse:user"
        local = await http.get("/skills", headers=bearer(house.token))
        assert local.status_code == 200, "the workspace's own token goes on to work"
    chain = (await house.druse("audit", "show", "--limit", "50"))["entries"]
    calls = [entry for entry in chain if entry["action"] == "call.begin" and entry["subject"] == "shop__look"]
    name = issuer.base.removeprefix("http://")
    assert [entry["identity"] for entry in calls] == [f"alice ({name}) as user"] * 2
    stored = b"".join(path.read_bytes() for path in (house.root / ".druse").rglob("*") if path.is_file())
    assert kept.tokens.access_token.encode() not in stored and b"the-client" not in stored


@pytest.mark.requirement("L-35", "X-07")
async def test_a_token_counts_only_if_an_issuer_of_ours_signed_it_for_us_and_for_now(
    house: House, issuer: Issuer
) -> None:
    configured(house, issuer)
    good = issuer.shown[-1]["kid"]
    rsa = issuer.key("RS256")
    public = issuer.private[rsa].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    short, encrypting = issuer.key("RS-short"), issuer.key(use="enc")
    now = int(time.time())
    async with opened(house, issuer) as (http, resource), serving() as other:
        other.key()
        other.resource = resource

        def shared(algorithm: str, secret: bytes) -> str:
            unsigned = forged({"alg": algorithm, "kid": rsa, "typ": "JWT"}, issuer.claims()).rpartition(".")[0]
            return f"{unsigned}.{encoded(hmac.new(secret, unsigned.encode(), hashlib.sha256).digest())}"

        stolen = issuer.token(good).split(".")
        refused = {
            "another audience": issuer.token(good, aud="https://other.example/mcp"),
            "a longer audience": issuer.token(good, aud=resource + "/more"),
            "the host alone": issuer.token(good, aud=resource.removesuffix("/mcp")),
            "no audience": issuer.token(good, aud=None),
            "another issuer": issuer.token(good, iss="https://other.example"),
            "the issuer with a slash": issuer.token(good, iss=issuer.base + "/"),
            "another issuer's key in our issuer's name": other.token(iss=issuer.base),
            "another issuer, itself": other.token(),
            "no issuer": issuer.token(good, iss=None),
            "expired": issuer.token(good, exp=now - 3600),
            "no end": issuer.token(good, exp=None),
            "an end without measure": forged({"alg": "ES256", "kid": good}, {**issuer.claims(), "exp": float("inf")}),
            "not yet": issuer.token(good, nbf=now + 3600),
            "made in the future": issuer.token(good, iat=now + 3600),
            "nobody": issuer.token(good, sub=None),
            "no algorithm": forged({"alg": "none", "kid": good}, issuer.claims()),
            "no algorithm, oddly": forged({"alg": "NoNe", "kid": good}, issuer.claims()),
            "a shared secret that is our issuer's public key": shared("HS256", pem),
            "a shared secret that is its modulus": shared("HS256", str(issuer.shown[1]["n"]).encode()),
            "an algorithm that the key is not for": issuer.token(rsa, "RS512"),
            "a key too short": issuer.token(short, "RS256"),
            "a key that is not for signatures": issuer.token(encrypting),
            "another's claims": ".".join(
                [stolen[0], encoded(json.dumps(issuer.claims(sub="root")).encode()), stolen[2]]
            ),
            "no signature": ".".join([*stolen[:2], ""]),
            "a key in its own header": other.token(iss=issuer.base, header={"jwk": other.shown[-1], "kid": good}),
            "a key at an address of its own": other.token(iss=issuer.base, header={"jku": other.base + "/keys"}),
            "something critical": issuer.token(good, header={"crit": ["x"], "x": 1}),
            "a proof of its client": issuer.token(good, header={"typ": "dpop+jwt"}),
            "bound to a key of its client": issuer.token(good, cnf={"jkt": "x"}),
            "scopes that are a number": issuer.token(good, scope=5),
            "scopes that are a table": issuer.token(good, scope={"druse:user": True}),
            "scopes with something else among them": issuer.token(good, scope=["druse:user", 5]),
            "scopes with a quote": issuer.token(good, scope='druse:user "x"'),
            "opaque": "a" * 40,
            "dots": "..",
            "no JSON": "YQ.YQ.YQ",
            "huge": "a." + "b" * 20_000 + ".c",
            "half a key of ours": "druse_x",
        }
        for what, token in refused.items():
            answer = await http.post("/mcp", json={}, headers=bearer(token))
            assert answer.status_code == 401, what
            parts = told(answer)
            assert parts["error"] == "invalid_token" and parts["scope"] == "druse:user", what
            assert (await http.get("/skills", headers=bearer(token))).status_code == 401, what
        for headers, query in (
            ({}, {}),
            ({"authorization": "Basic YTpi"}, {}),
            ({}, {"access_token": issuer.token(good)}),
        ):
            answer = await http.post("/mcp", json={}, headers=headers, params=query)
            assert answer.status_code == 401 and "error" not in told(answer)
        found = urlsplit(told(answer)["resource_metadata"])
        assert found.path == "/.well-known/oauth-protected-resource/mcp"
        metadata = (await http.get(found.path)).json()
        preflight = await http.options(found.path, headers={"origin": "https://page.example"})
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, "*")
        assert (await http.post(found.path)).status_code == 405
        assert (metadata["resource"], metadata["authorization_servers"]) == (resource, [issuer.base])
        assert metadata["scopes_supported"] == ["druse:user"] and metadata["bearer_methods_supported"] == ["header"]
        assert (await http.get("/.well-known/oauth-protected-resource/other")).status_code in (401, 404)
        now = int(time.time())
        accepted = {
            "clocks that differ": issuer.token(good, exp=now - 5, iat=now + 5),
            "as it should be": issuer.token(good),
            "among other audiences": issuer.token(good, aud=["https://other.example", resource]),
            "with a slash": issuer.token(good, aud=resource + "/"),
            "another key pair": issuer.token(rsa, "RS256"),
            "Microsoft's claim": issuer.token(good, scope=None, scp="other druse:user"),
            "Okta's": issuer.token(good, scope=None, scp=["druse:user"]),
        }
        for what, token in accepted.items():
            answer = await http.get("/skills", headers=bearer(token))
            assert answer.status_code == 200, (what, answer.text)
        assert issuer.paths.count("/keys") < 10, "tokens made up by the dozen had the keys looked at once more"
        # what governs is the file, as far as a person approved it
        house.configure('[permissions]\nallow = ["shop__look"]\n')
        assert (await http.get("/skills", headers=bearer(issuer.token(good)))).status_code == 401
        assert (await http.get(found.path)).status_code in (401, 404)
        configured(house, other)
        assert (await http.get("/skills", headers=bearer(other.token()))).status_code == 401, "nobody approved it"
        await house.druse("policy", "approve", "--yes")
        assert (await http.get("/skills", headers=bearer(other.token()))).status_code == 200
        assert (await http.get("/skills", headers=bearer(issuer.token(good)))).status_code == 401


@pytest.mark.requirement("L-35", "L-07", "X-07")
async def test_scopes_give_roles_and_two_bearers_are_two_callers(house: House, issuer: Issuer) -> None:
    configured(house, issuer)
    await house.druse("volumes", "use", "team:crew")
    async with opened(house, issuer) as (http, _):

        def of(sub: str, scope: str = "druse:user") -> dict[str, str]:
            return bearer(issuer.token(sub=sub, scope=scope)) | {"accept": "application/json, text/event-stream"}

        none = await http.post("/mcp", json={}, headers=of("alice", "openid other"))
        assert none.status_code == 403 and told(none)["scope"] == "druse:user"
        assert told(none)["error"] == "insufficient_scope"

        async def write(scope: str, volume: str) -> httpx.Response:
            return await http.post("/skills", json={**NEW, "volume": volume}, headers=of("alice", scope))

        for scope, volume, needed in (
            ("druse:user", "team:crew", "druse:team_admin"),
            ("druse:user", "system:main", "druse:system_admin"),
            ("druse:team_admin", "system:main", "druse:system_admin"),
        ):
            answer = await write(scope, volume)
            assert answer.status_code == 403 and told(answer)["error"] == "insufficient_scope"
            assert told(answer)["scope"] == needed and told(answer)["resource_metadata"]
        assert (await write("druse:user druse:team_admin", "team:crew")).status_code == 201
        assert (await write("druse:system_admin", "system:main")).status_code == 201

        async def session(headers: dict[str, str]) -> dict[str, str]:
            hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO}
            begun = await http.post("/mcp", json=hello, headers=headers)
            assert begun.status_code == 200
            return {"mcp-session-id": begun.headers["mcp-session-id"]}

        async def change(headers: dict[str, str], number: int = 1) -> str:
            params = {"name": "shop__change", "arguments": {}, "_meta": {"sessionId": "the-same"}}
            asked = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
            answer = await http.post("/mcp", json=asked, headers=headers)
            assert answer.status_code == 200, answer.text
            return answer.text

        alice, bob = of("alice"), of("bob")
        hers, his = await session(alice), await session(bob)
        listing = {"jsonrpc": "2.0", "id": 5, "method": "tools/list"}
        for headers in (bob, bearer(house.token), bearer(issuer.token(sub="alice", client_id="another"))):
            taken = await http.post("/mcp", json=listing, headers=alice | headers | hers)
            assert taken.status_code == 404, "a session is its owner's"
        renewed = await http.post("/mcp", json=listing, headers=of("alice") | hers)
        assert renewed.status_code == 200, "an access token is renewed, its bearer stays"
        assert "pending" in await change(alice | hers)  # her client, which could be asked, is not
        (waiting,) = (await house.druse("approvals", "list"))["approvals"]
        await house.druse("approvals", "approve", waiting["id"], "--yes")
        assert "pending" in await change(bob | his), "what was approved for one is not approved for another"
        assert "done change" in await change(alice | hers, 2)
        # the number of an event of hers gives him nothing
        lines = (await http.post("/mcp", json=listing, headers=alice | hers)).text.splitlines()
        event = next(line for line in lines if line.startswith("id:")).partition(":")[2].strip()
        old = str(int(event) - 1)
        async with http.stream("GET", "/mcp", headers=bob | his | {"last-event-id": old}) as stream:
            assert stream.status_code == 200
            assert [part async for part in stream.aiter_bytes()] == []
    chain = (await house.druse("audit", "show", "--limit", "100"))["entries"]
    who = {entry["identity"].split(" ")[0] for entry in chain if entry["subject"] == "shop__change"}
    assert who == {"alice", "bob"}
    sessions = {entry["session"] for entry in chain if entry["subject"] == "shop__change"}
    assert len(sessions) == 2 and all(one.endswith("/the-same") for one in sessions)


class Clock:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.requirement("L-35")
async def test_keys_are_looked_at_again_for_a_new_one_but_seldom(issuer: Issuer) -> None:
    clock, resource = Clock(), "https://druse.example/mcp"
    tokens = AccessTokens(OAuth((issuer.base,)), resource, clock=clock)
    issuer.resource = resource

    def looks() -> int:
        return issuer.paths.count("/keys")

    first = issuer.token()
    assert {one.name for one in await asyncio.gather(*(tokens.bearer(first) for _ in range(20)))}
    assert looks() == 1, "whoever comes at the same time waits for the same look"
    old = issuer.shown.pop()
    issuer.key("EdDSA")
    second = issuer.token(algorithm="EdDSA")
    await asyncio.gather(*(tokens.bearer(second) for _ in range(20)))
    assert looks() == 2, "a key that is not known has them looked at again"
    for number in range(200):
        with pytest.raises(TokenRefused, match="does not show"):
            await tokens.bearer(issuer.token(algorithm="EdDSA", header={"kid": f"made-up-{number}"}))
    assert looks() == 2
    with pytest.raises(TokenRefused):
        await tokens.bearer(first)  # its key is shown no more
    clock.now += AGAIN_SECONDS
    issuer.shown.append(old)
    assert (await tokens.bearer(first)).subject == "alice" and looks() == 3
    # without the name of a key: where there is one that fits
    assert await tokens.bearer(issuer.token(str(old["kid"]), header={"kid": None}))
    issuer.answers["/keys"] = (500, b"", {})
    clock.now += FRESH_SECONDS
    assert await tokens.bearer(first), "a server that is away for a while stops nobody"
    assert await tokens.bearer(first) and looks() == 4
    clock.now += KEPT_SECONDS
    with pytest.raises(KeysMissing, match="answered 500"):
        await tokens.bearer(first)
    del issuer.answers["/keys"]
    with pytest.raises(KeysMissing):
        await tokens.bearer(first)  # not at once again
    clock.now += RETRY_SECONDS
    assert await tokens.bearer(first)


@pytest.mark.requirement("L-35", "X-07")
async def test_keys_come_from_where_they_are_said_to_be_within_limits(issuer: Issuer) -> None:
    named = "/.well-known/oauth-authorization-server"
    good = issuer.metadata()

    async def problem(path: str, status: int, body: Any, headers: dict[str, str] | None = None) -> str:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        issuer.answers = {path: (status, content, headers or {})}
        with pytest.raises(KeysMissing) as raised:
            await IssuerKeys(issuer.base, "", clock=Clock()).fitting(lambda key: True)
        return str(raised.value)

    elsewhere = {"location": issuer.base + "/elsewhere"}
    issuer.answers["/elsewhere"] = (200, json.dumps({"keys": issuer.shown}).encode(), {})
    assert "answered 302" in await problem("/keys", 302, b"", elsewhere)
    assert "/elsewhere" not in issuer.paths, "a redirect is not followed"
    assert "more than" in await problem("/keys", 200, b" " * (LARGEST + 1))
    assert "no JSON" in await problem("/keys", 200, b"<html>")
    assert "no JSON" in await problem("/keys", 200, b"[]")
    assert "KeysMissing" not in await problem("/keys", 200, b"[" * 100_000)
    assert "list of keys" in await problem("/keys", 200, {"keys": {}})
    assert "list of keys" in await problem("/keys", 200, {"keys": [{}] * 1000})
    assert "compressed" in await problem("/keys", 200, b"x", {"content-encoding": "gzip"})
    assert "answered 404" in await problem(named, 404, b"")
    assert "another issuer" in await problem(named, 200, {**good, "issuer": issuer.base + "/"})
    for address in ("http://keys.example/jwks", "ftp://keys.example", 5, None):
        assert "not safe" in await problem(named, 200, {**good, "jwks_uri": address})
    issuer.answers, issuer.silent = {}, {"/keys"}
    keys = IssuerKeys(issuer.base, "", clock=Clock(), seconds=0.2)
    with pytest.raises(KeysMissing, match=r"within 0\.2 seconds"):
        await keys.fitting(lambda key: True)
    with pytest.raises(KeysMissing):
        await IssuerKeys("http://127.0.0.1:1", "", clock=Clock()).fitting(lambda key: True)
    issuer.silent = set()
    direct = IssuerKeys("https://issuer.example", f"{issuer.base}/keys", clock=Clock())
    assert len(await direct.fitting(lambda key: key.get("kid") == issuer.shown[0]["kid"])) == 1


@pytest.mark.requirement("L-35", "X-07")
async def test_a_task_is_whose_call_it_is_and_only_an_administrators_client_decides(
    house: House, issuer: Issuer
) -> None:
    more = 'resource = "https://druse.example/mcp"\n[settings]\nelicit = true\nelicit_writes = true\n'
    configured(house, issuer, more)
    async with opened(house, issuer) as (http, _):
        issuer.resource = "https://druse.example/mcp"
        behind = {"host": "druse.example", "origin": "https://druse.example"}  # a proxy that ends TLS
        for where, status in (("/skills", 200), ("/mcp", 400)):
            for headers in ({}, behind):
                answer = await http.get(where, headers=bearer(issuer.token()) | headers)
                assert answer.status_code == status, (where, headers, answer.text)
            for headers in ({"host": "evil.example"}, {"origin": "https://evil.example"}, {"host": "x.druse.example"}):
                assert (await http.get(where, headers=bearer(issuer.token()) | headers)).status_code in (403, 421)
        unknown = told(await http.get("/mcp", headers=behind))["resource_metadata"]
        assert unknown == "https://druse.example/.well-known/oauth-protected-resource/mcp"

        async def ask(sub: str, method: str, name: str, capabilities: Any, /, **params: Any) -> dict[str, Any]:
            headers = bearer(issuer.token(sub=sub, scope=f"druse:{'system_admin' if sub == 'root' else 'user'}"))
            headers |= {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2026-07-28"}
            meta = {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "speaker", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": capabilities,
            }
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
            answer = await http.post("/mcp", json=body, headers=headers | {"mcp-method": method, "mcp-name": name})
            text = next((line[5:] for line in answer.text.splitlines() if line.startswith("data:")), answer.text)
            read = json.loads(text)
            return read.get("result") or read["error"]

        form = {"elicitation": {"form": {}}}
        call = {"name": "run_tool", "arguments": {"name": "shop__change", "arguments": {}}}
        asked = await ask("root", "tools/call", "run_tool", form, **call)
        assert asked["resultType"] == "input_required", "the client of a system_admin is asked"
        said = await ask("alice", "tools/call", "run_tool", form, **call)
        assert "druse approvals" in said["content"][0]["text"], "that of a user is not"
        tasks = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
        begun = await ask("alice", "tools/call", "run_tool", tasks, **call)
        one = begun["taskId"]
        assert (await ask("alice", "tasks/get", one, tasks, taskId=one))["status"] == "working"
        for method in ("tasks/get", "tasks/cancel"):
            refused = await ask("bob", method, one, tasks, taskId=one)
            assert "no such task" in refused["message"]
        assert (await ask("bob", "tasks/update", one, tasks, taskId=one, inputResponses={}))["code"] == -32602
        await ask("alice", "tasks/cancel", one, tasks, taskId=one)


def test_a_server_for_others_must_be_told_its_address(house: House) -> None:
    house.configure('[oauth]\nissuers = ["https://login.example"]\n')
    with contextlib.chdir(house.root):
        done = CliRunner().invoke(main, ["serve", "--http", "0.0.0.0:0"], env=house.environment)
    assert done.exit_code == 1 and "Name it as oauth.resource in config.toml" in done.output, done.output


async def test_doctor_says_whether_the_issuers_show_their_keys(house: House, issuer: Issuer) -> None:
    configured(house, issuer)
    async with serving() as broken:
        broken.answers["/keys"] = (500, b"", {})
        text = (house.root / ".druse" / "config.toml").read_text()
        house.configure(text.replace("issuers = [", f'issuers = ["{broken.base}", '))
        findings = (await house.druse("doctor", "--no-start"))["findings"]
    bad, good = (finding for finding in findings if finding["check"] == "oauth")
    assert (good["status"], bad["status"]) == ("ok", "problem")
    assert "shows 1 keys" in good["detail"] and "answered 500" in bad["detail"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('issuers = ["https://a.example"]', ""),
        ('issuers = "https://a.example/tenant"\nresource = "https://d.example/x/mcp"', ""),
        ('issuers = ["http://127.0.0.1:9"]\nclaim = "groups"\nroles = {user = "all staff"}', ""),
        ('issuers = ["https://a.example"]\njwks = {"https://a.example" = "https://a.example/k?v=1"}', ""),
        ("", "oauth.issuers is missing"),
        ('issuers = ["http://a.example"]', "https only"),
        ('issuers = ["a.example"]', "expected https://"),
        ('issuers = ["https://u:p@a.example"]', "expected https://"),
        ('issuers = ["https://a.example/#x"]', "expected https://"),
        ('issuers = ["https://a.example/\\" x"]', "expected https://"),
        ("issuers = [5]", "a text or a list of texts"),
        ('issuers = ["https://a.example"]\nresource = "https://d.example/"', "ends with /mcp"),
        ('issuers = ["https://a.example"]\nresource = 5', "must be a text"),
        ('issuers = ["https://a.example"]\nroles = {admin = "x"}', "is no role"),
        ('issuers = ["https://a.example"]\nroles = {user = "two words"}', "is no scope"),
        ('issuers = ["https://a.example"]\nroles = {user = []}', "gives nobody a role"),
        ('issuers = ["https://a.example"]\njwks = {"https://b.example" = "https://b.example"}', "not among"),
        ('issuers = ["https://a.example"]\nsecret = "x"', "is not a setting"),
    ],
)
def test_what_the_settings_cannot_mean_is_said_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / ".druse").mkdir()
    (tmp_path / ".druse" / "config.toml").write_text(f"[oauth]\n{text}\n")
    try:
        config = load_config(Workspace(tmp_path, tmp_path / "none.toml"))
    except Exception as error:
        assert problem and problem in str(error) and "config.toml:" in str(error)
    else:
        assert not problem and config.oauth is not None


@pytest.mark.requirement("L-35")
async def test_roles_come_from_any_claim_and_names_are_nobody_elses(issuer: Issuer) -> None:
    issuer.resource = "https://druse.example/mcp"
    roles = {"user": ("all staff",), "team_admin": ("leads",), "system_admin": ("root",)}

    known: dict[str, AccessTokens] = {}

    async def of(claim: str, **claims: Any) -> Any:
        settings = OAuth((issuer.base,), claim=claim, roles=roles)
        tokens = known.setdefault(claim, AccessTokens(settings, issuer.resource))
        return await tokens.bearer(issuer.token(**claims))

    assert (await of("groups", groups=["all staff", "leads"])).role == "team_admin"
    assert (await of("groups", groups="all staff")).role == "user"
    assert (await of("realm.roles", realm={"roles": ["root"]})).role == "system_admin"
    assert (await of("https://x.example/roles", **{"https://x.example/roles": ["root"]})).role == "system_admin"
    for claims in ({}, {"groups": []}, {"groups": "staff"}, {"scope": "root"}):
        assert (await of("groups", **claims)).role == ""
    subjects = ["alice", "Alice", "al ice", "al_ice", "alice\n", "al\u202eice", "a" * 65, "a" * 66, "<a@b.c>", "ü"]
    names = [(await of("groups", sub=subject)).name for subject in subjects]
    assert len(set(names)) == len(subjects) and all(name.isascii() and name.isprintable() for name in names)
    assert not [name for name in names if "<" in name or len(name) > 160]
