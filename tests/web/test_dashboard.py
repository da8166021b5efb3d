"""The page's server: who may look, who may decide, and that its numbers are those of `druse status` (H-38, X-07)."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from druse.model import Caller, CallerKind
from druse.permissions import Policy, decide
from druse.permissions.policy import Layer

from .conftest import House, bearer  # type: ignore[import-not-found]
from .terminal import dashboard  # type: ignore[import-not-found]

SKILL = {"skill_id": "mend-bicycles", "description": "Mends bicycles with few tools", "content": "Look at the chain."}


async def proposed(house: House, *names: str) -> list[str]:
    """Skills that an agent proposed; the ids of what waits, in the order of the names."""
    texts = ("chains and wheels", "letters to the tax office", "soup of red lentils")
    async with house.serve() as http:
        ids: list[str] = []
        for name, text in zip(names, texts, strict=False):
            body = {"skill_id": name, "description": f"All about {text}", "content": f"How to go about {text}."}
            ids.append((await http.post("/skills", json=body)).json()["approval_id"])
    return ids


def parts(link: str) -> tuple[str, str]:
    base, _, given = link.partition("/#pass=")
    return base, given


@pytest.mark.requirement("X-07", "S-47", "H-38")
async def test_only_a_page_opened_by_a_link_of_the_terminal_decides(house: House) -> None:
    first, second, third = await proposed(house, "mend-bicycles", "write-letters", "cook-soup")
    async with dashboard(house.root, house.environment) as terminal:
        base, given = parts(await terminal.link())
        own = {"Origin": base}
        async with httpx.AsyncClient(base_url=base, timeout=120) as http:

            async def opened(link_pass: str, headers: dict[str, str] = own) -> httpx.Response:
                return await http.post("/api/session", json={"pass": link_pass}, headers=headers)

            async def attempt(key: str, approval: str, headers: dict[str, str], **more: Any) -> httpx.Response:
                asked = {"approve": True, "seen": (await seen(approval)), **more}
                return await http.post(f"/api/approvals/{approval}/decide", json=asked, headers=bearer(key) | headers)

            async def seen(approval: str) -> str:
                return str((await http.get(f"/api/approvals/{approval}", headers=bearer(look))).json()["subject_hash"])

            # the page itself holds nothing, and without a pass there is nothing to see
            for path in ("/", "/page.js", "/parts.js", "/page.css", "/graph.js", "/icon.svg"):
                page = await http.get(path)
                policy = page.headers["content-security-policy"]
                assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
                assert not re.search(
                    r"(src|href|url)\s*[=(]\s*[\"']?https?://", page.text.replace("http://www.w3.org", "")
                )
            for path in ("/api/overview", f"/api/approvals/{first}", "/api/audit", "/api/graph", "/api/events"):
                assert (await http.get(path)).status_code == 401
                assert (await http.get(path, headers=bearer(house.token))).status_code == 401
                assert (await http.get(path, headers=bearer(given))).status_code == 401, "a pass is no secret of a page"
                assert (await http.get(path, headers={"Host": "evil.example"})).status_code == 421

            # a request that no page of this server made exchanges nothing, and leaves the pass good
            for headers in ({}, {"Origin": "http://evil.example"}, own | {"Sec-Fetch-Site": "cross-site"}):
                assert (await opened(given, headers)).status_code == 403
            assert (await opened("x" * 43)).status_code == 403
            told = (await opened(given)).json()
            look, deciding = told["look"], told["decide"]
            assert (await opened(given)).status_code == 403, "a link works once"

            # what an agent can come by decides nothing: the token of the file, a key, the pass, the secret for looking
            key = (await house.druse("keys", "new", "boss", "--role", "system_admin"))["key"]
            for wrong in (house.token, key, given, look, "x"):
                assert (await attempt(wrong, first, own)).status_code == 403
            for headers in ({}, {"Origin": "http://evil.example"}, own | {"Sec-Fetch-Site": "same-site"}):
                assert (await attempt(deciding, first, headers)).status_code in (400, 403)
            assert (await attempt(deciding, first, own, approve="yes")).status_code == 400
            assert (await attempt(deciding, first, own, seen=await seen(second))).status_code == 409
            assert (await attempt(deciding, first, own, scope="session")).status_code == 409, "a skill is no call"
            assert len((await house.druse("approvals", "list"))["approvals"]) == 3

            yes = await attempt(deciding, first, own, note="looks right")
            assert yes.json() == {"id": first, "status": "approved"}, yes.text
            assert (await attempt(deciding, second, own, approve=False)).json()["status"] == "rejected"
            assert (await attempt(deciding, first, own)).status_code == 409, "decided once"
            await terminal.shows(f"{first} is approved")

            # Enter prints another link; the one before it, unused, is void; a page that is open stays open
            _, void = parts(await terminal.another())
            _, fresh = parts(await terminal.another())
            assert (await opened(void)).status_code == 403
            other = (await opened(fresh)).json()
            assert (await attempt(other["decide"], third, own)).json()["status"] == "approved"
            assert (await http.get("/api/overview", headers=bearer(look))).status_code == 200

            secrets = [given, fresh, void, look, deciding, other["decide"], key]
            kept = b"".join(path.read_bytes() for path in sorted(house.root.rglob("*")) if path.is_file())
            assert not [secret for secret in secrets if secret.encode() in kept], "on no disk"
    decided = {row["id"]: row for row in (await house.druse("approvals", "list", "--all"))["approvals"]}
    assert (decided[first]["decided_how"], decided[first]["status"]) == ("page", "approved")
    entries = (await house.druse("audit", "show", "--action", "approval.*", "--limit", "50"))["entries"]
    by_page = [entry for entry in entries if entry["payload"].get("how") == "page"]
    assert [entry["action"] for entry in by_page] == ["approval.approved", "approval.rejected", "approval.approved"]
    assert (await house.druse("skills", "show", "mend-bicycles"))["status"] == "active"


@pytest.mark.requirement("X-07", "S-47")
async def test_without_a_terminal_the_page_only_looks_and_agents_cannot_start_it(house: House, tmp_path: Path) -> None:
    (asked,) = await proposed(house, "mend-bicycles")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "druse", "dashboard", "--json"),
        cwd=house.root,
        env=house.environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(120):
            told = json.loads(await process.stdout.readline())
        assert told["decides"] is False
        base, given = parts(told["url"])
        async with httpx.AsyncClient(base_url=base, timeout=120) as http:
            opened = (await http.post("/api/session", json={"pass": given}, headers={"Origin": base})).json()
            assert opened["look"] and opened["decide"] == ""
            shown = (await http.get(f"/api/approvals/{asked}", headers=bearer(opened["look"]))).json()
            for key in ("x", opened["look"]):
                body = {"approve": True, "seen": shown["subject_hash"]}
                headers = bearer(key) | {"Origin": base}
                refused = await http.post(f"/api/approvals/{asked}/decide", json=body, headers=headers)
                assert refused.status_code == 403
    finally:
        process.terminate()
        await process.wait()
    agent = Caller(CallerKind.AGENT, session="s", client="attacker")
    policy = Policy((Layer.parse("project", {"allow": [("Bash", "t:1")]}),), workspace=tmp_path, home=tmp_path)
    for command in ("druse dashboard", "script -qc 'druse dashboard' /dev/null", "python3 -m druse dashboard --port 1"):
        assert str(decide(policy, "Bash", {"command": command}, caller=agent).verdict) == "deny"
    assert (await house.druse("approvals", "list"))["approvals"][0]["id"] == asked


@pytest.mark.requirement("H-38")
async def test_the_page_tells_what_changes_and_its_numbers_are_those_of_status(house: House) -> None:
    await proposed(house, "mend-bicycles")
    async with dashboard(house.root, house.environment) as terminal:
        base, given = parts(await terminal.link())
        async with httpx.AsyncClient(base_url=base, timeout=120) as http:
            look = (await http.post("/api/session", json={"pass": given}, headers={"Origin": base})).json()["look"]
            async with http.stream("GET", "/api/events", headers=bearer(look)) as stream, asyncio.timeout(120):
                assert stream.headers["content-type"].startswith("text/event-stream")
                lines = stream.aiter_lines()

                async def numbers() -> Any:
                    async for line in lines:
                        if line.startswith("data: "):
                            return json.loads(line.removeprefix("data: "))

                before = await numbers()
                assert (before["totals"]["pending"], len(before["approvals"])) == (1, 1)
                await house.druse("approvals", "reject", before["approvals"][0]["id"])
                after = await numbers()
                assert after["totals"]["pending"] == 0
            status = await house.druse("status")
            shared = ("workspace", "tools", "runs", "totals", "savings", "candidates", "approvals", "trust_level")
            assert {key: status[key] for key in shared} == {key: after[key] for key in shared}
            whole = (await http.get("/api/audit/verify", headers=bearer(look))).json()
            assert whole["ok"] is True and whole["entries"] > 0
            listed = (await http.get("/api/audit", headers=bearer(look))).json()["entries"]
            assert listed[0]["action"] == "approval.rejected"
            graph = (await http.get("/api/graph", headers=bearer(look))).json()
            assert {"nodes", "edges"} == set(graph)
            assert (await http.get("/api/tools/none", headers=bearer(look))).status_code == 404
