"""Druse's client side under the official suite: `conformance_client.py URL`, with the scenario in the environment.

What the scenario wants called is called through `Upstreams`, as it is for an agent; `User` plays the user's own client,
which answers questions.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import httpx2
import jwt
from mcp.client.auth import AuthorizationCodeResult

from druse.model import CallContext, Caller, CallerKind, DruseError
from druse.skills import fetch, list_offered
from druse.upstream import ServerEntry, Upstreams
from druse.upstream.login import authorization, tokens_of

METADATA = "https://conformance-test.local/client-metadata.json"  # the suite's own, for client id metadata documents


class User:
    """Accepts every form with its defaults, and with `confirmed`."""

    capabilities: dict[str, Any] = {"elicitation": {"form": {}}}  # noqa: RUF012 - a constant

    async def ask(self, requests: Mapping[str, Any], *, seconds: float) -> dict[str, Any]:
        """The defaults of each form."""
        answers: dict[str, Any] = {}
        for key, request in requests.items():
            properties = request["params"]["requestedSchema"].get("properties", {})
            content = {name: field["default"] for name, field in properties.items() if "default" in field}
            if "confirmed" in properties:
                content["confirmed"] = True
            answers[key] = {"action": "accept", "content": content}
        return answers

    async def log(self, level: str, data: Any) -> None:
        """Not wanted."""

    async def go_on_alone(self, message: str = "") -> None:
        """Not wanted."""

    async def hang_up(self) -> None:
        """Not wanted."""


class Browser:
    """Signs in at once: the suite's authorization server redirects without asking."""

    def __init__(self) -> None:
        self._back: dict[str, list[str]] = {}

    async def show(self, address: str) -> None:
        """Go there and keep what comes back."""
        async with httpx2.AsyncClient() as http:
            response = await http.get(address, follow_redirects=False)
        self._back = parse_qs(urlparse(response.headers["location"]).query)

    async def wait(self) -> AuthorizationCodeResult:
        """What came back."""
        state, issuer = (self._back.get(name, [None])[0] for name in ("state", "iss"))
        return AuthorizationCodeResult(code=self._back["code"][0], state=state, iss=issuer)


def least(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The least arguments that a schema takes."""
    plain = {"string": "x", "integer": 0, "number": 0, "boolean": False, "object": {}, "array": []}
    properties = schema.get("properties", {})
    return {name: plain.get(properties.get(name, {}).get("type"), "x") for name in schema.get("required", [])}


def wanted(scenario: str, tools: Mapping[str, Any], context: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The calls of a scenario."""
    if scenario == "http-custom-headers":
        return [(call["name"], call.get("arguments") or {}) for call in context.get("toolCalls", [])]
    if scenario == "json-schema-2020-12-preservation":
        return [("json_schema_echo", {"schema": dict(tools["json_schema_2020_12_tool"].input_schema)})]
    if scenario == "sep-2322-client-request-state":
        names = ("echo_state", "unrelated", "no_state", "no_result_type")
        return [(f"test_mrtr_{name}", {}) for name in names]
    if "add_numbers" in tools:
        return [("add_numbers", {"a": 5, "b": 3})]
    listed = [(name, least(spec.input_schema)) for name, spec in tools.items()]
    return listed[:1] if scenario.startswith("auth/") else listed


def registered(url: str, context: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """The `oauth` of an entry for the client that a scenario has registered."""
    scenario = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
    if not context.get("client_id"):
        return {}
    oauth = {"clientId": context["client_id"]}
    if context.get("private_key_pem"):
        (folder / "key.pem").write_text(context["private_key_pem"])
        return {**oauth, "privateKeyFile": str(folder / "key.pem"), "algorithm": context["signing_algorithm"]}
    if context.get("valid_jwt"):  # its audience is the server that it is for, which a user writes down
        (folder / "assertion.jwt").write_text(context["valid_jwt"])
        issuer = jwt.decode(context["valid_jwt"], options={"verify_signature": False})["aud"]
        return {**oauth, "grant": "jwt_bearer", "assertionFile": str(folder / "assertion.jwt"), "issuer": issuer}
    if context.get("idp_id_token"):
        (folder / "id.jwt").write_text(context["idp_id_token"])
        metadata = httpx2.get(url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")).json()
        return {
            **{**oauth, "clientSecret": context["client_secret"], "grant": "identity_assertion"},
            **{"issuer": metadata["authorization_servers"][0], "idTokenFile": str(folder / "id.jwt")},
            **{"idpTokenEndpoint": context["idp_token_endpoint"], "idpClientId": context["idp_client_id"]},
        }
    grant = "client_credentials" if scenario.startswith("auth/client-credentials") else "authorization_code"
    return {**oauth, "clientSecret": context["client_secret"], "grant": grant}


async def skills(upstreams: Upstreams, *, fetching: bool) -> None:
    """List the server's skills, and take each as `druse skills import --server` does."""
    ask = partial(upstreams.request, "suite")
    for skill in await list_offered(ask):
        print(skill.name, skill.problem)
        if fetching:
            print((await fetch(ask, "suite", skill)).skipped or "taken")


async def main(url: str) -> None:
    """Connect, list, call."""
    scenario = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
    context: dict[str, Any] = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    browser, caller = Browser(), Caller(CallerKind.AGENT, "suite", "suite", "suite", client_side=User())
    with tempfile.TemporaryDirectory() as folder:
        entry = ServerEntry("suite", url=url, oauth=registered(url, context, Path(folder)))
        tokens = tokens_of(entry, Path(folder))

        def sign(entry: ServerEntry) -> Any:
            return authorization(entry, tokens, browser.show, browser.wait, metadata_url=METADATA)

        async with Upstreams.open([entry], logs=Path(folder), environment={}, sign=sign) as upstreams:
            problems = await upstreams.connect()
            if problems:
                sys.exit("\n".join(problems.values()))
            if scenario.startswith("sep-2640-client-"):
                await skills(upstreams, fetching=scenario != "sep-2640-client-no-prefetch")
            tools = {spec.upstream_name: spec for spec in upstreams.specs()}
            for name, arguments in wanted(scenario, tools, context):
                if name not in tools:
                    continue
                try:
                    outcome = await upstreams.call(tools[name], arguments, CallContext(caller))
                    print(name, outcome.status, outcome.data)
                except DruseError as error:
                    print(name, error)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
