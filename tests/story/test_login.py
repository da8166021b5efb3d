"""A server that wants OAuth: what an agent hears, how a person signs in, and that it works from then on."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import stat
import sys
from pathlib import Path

import httpx2
import pytest

import warm
from druse.upstream import ServerEntry, read_servers
from druse.upstream.login import authorization, tokens_of

from .conftest import Project  # type: ignore[import-not-found]

SERVER = Path(__file__).parent / "oauth_server.py"
MANAGED = {
    **{"clientId": "c", "clientSecret": "s", "issuer": "https://a.test", "grant": "identity_assertion"},
    **{"idTokenFile": "i", "idpTokenEndpoint": "https://idp.test/token", "idpClientId": "d"},
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.requirement("N-19")
async def test_a_server_that_wants_oauth_says_which_command_signs_in_and_works_after_it(project: Project) -> None:
    port = free_port()
    project.configure(
        servers={"paid": {"url": f"http://127.0.0.1:{port}/mcp"}}, config='[permissions]\nallow = ["paid__*"]\n'
    )
    server = await asyncio.create_subprocess_exec(sys.executable, str(SERVER), str(port))
    call = {"name": "paid__secret", "arguments": {}}
    try:
        async with httpx2.AsyncClient() as http, asyncio.timeout(120):
            while True:
                try:
                    assert (await http.post(f"http://127.0.0.1:{port}/mcp", json={})).status_code == 401
                    break
                except httpx2.ConnectError:
                    await asyncio.sleep(0.05)
        async with project.client() as client:
            refused = await client.call_tool("run_tool", call)
            assert "druse login paid" in refused.content[0].text  # type: ignore[union-attr]
            login = await asyncio.create_subprocess_exec(
                *(*warm.command(), "login", "paid", "--no-browser", "--json"),
                cwd=project.root,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "XDG_CONFIG_HOME": str(project.root / "none")},
            )
            assert login.stderr is not None
            async with asyncio.timeout(120):
                while not (found := re.search(rb"http://\S+/authorize\S+", await login.stderr.readline())):
                    pass
            async with httpx2.AsyncClient(follow_redirects=True) as browser:
                page = await browser.get(found[0].decode())
            assert page.status_code == 200 and "You can close this page" in page.text
            out, _ = await login.communicate()
            assert json.loads(out)["logged_in"] is True and json.loads(out)["tools"] == 1
            (kept,) = (project.root / ".druse" / "keys" / "oauth").iterdir()
            assert stat.S_IMODE(kept.stat().st_mode) == 0o600
            async with asyncio.timeout(120):
                while True:  # it waits a moment before it tries a server again that failed
                    done = await client.call_tool("run_tool", call)
                    if not done.is_error:
                        break
            assert done.content[0].text == "for your eyes only"  # type: ignore[union-attr]
        forgotten = await project.druse("login", "paid", "--forget")
        assert forgotten["logged_in"] is False and not kept.exists()
        nearest = await project.druse("login", "pad")
        assert "There are: paid" in nearest["error"]["message"]
    finally:
        server.terminate()
        await server.wait()


@pytest.mark.parametrize(
    ("oauth", "problem"),
    [
        ({"clientId": "c", "clientSecret": "${SECRET}"}, ""),
        ({"clientId": "c", "privateKeyFile": "key.pem", "algorithm": "RS256"}, ""),
        ({"clientSecret": "s"}, "needs `clientId`"),
        ({"clientId": "c", "clientSecret": "${UNSET}"}, "UNSET, which is not set"),
        ({"clientId": "c", "clientSecret": "s", "privateKeyFile": "k"}, "leave one out"),
        ({"clientId": "c", "grant": "client_credentials"}, "needs `clientSecret`, `privateKeyFile` or"),
        ({"clientId": "c", "grant": "password"}, "must be authorization_code or client_credentials or jwt_bearer or"),
        ({"clientId": "c", "assertionFile": "a", "issuer": "https://a.test"}, ""),
        ({"clientId": "c", "assertionFile": "a"}, "needs `issuer`"),
        ({"clientId": "c", "assertionFile": "a", "clientSecret": "s", "issuer": "https://a.test"}, "leave one out"),
        ({"clientId": "c", "grant": "jwt_bearer", "clientSecret": "s"}, "needs `assertionFile`"),
        ({"clientId": "c", "clientSecret": "s", "idTokenFile": "i"}, "for `grant` identity_assertion only"),
        (MANAGED, ""),
        ({**MANAGED, "assertionFile": "a"}, "leave one out"),
        ({**MANAGED, "idpTokenEndpoint": "http://idp.test/token"}, "must begin with https://"),
        ({name: MANAGED[name] for name in MANAGED if name != "issuer"}, "needs `issuer`"),
        ({name: MANAGED[name] for name in MANAGED if name != "idTokenFile"}, "needs `idTokenFile`"),
        ({"clientId": "c", "secret": "s"}, "fields that are not known: secret"),
    ],
)
def test_a_registered_client_in_mcp_json_is_checked(tmp_path: Path, oauth: dict[str, str], problem: str) -> None:
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"s": {"url": "https://x.test/mcp", "oauth": oauth}}}))
    (entry,) = read_servers(tmp_path / "mcp.json", {"SECRET": "s"})
    assert problem in entry.problem and bool(problem) == bool(entry.problem)


def test_tokens_of_one_server_are_not_those_of_another_address_or_client(tmp_path: Path) -> None:
    entries = [
        ServerEntry("s", url="https://x.test/mcp"),
        ServerEntry("s", url="https://y.test/mcp"),
        ServerEntry("t", url="https://x.test/mcp"),
        ServerEntry("s", url="https://x.test/mcp", oauth={"clientId": "c"}),
    ]
    files = [tokens_of(entry, tmp_path).file for entry in entries]
    assert len(set(files)) == 4 and all(":" not in file.name for file in files)


def test_an_authorization_header_of_the_entry_is_left_alone(tmp_path: Path) -> None:
    entry = ServerEntry("s", url="https://x.test/mcp", headers={"authorization": "Bearer x"})
    assert authorization(entry, tokens_of(entry, tmp_path)) is None
