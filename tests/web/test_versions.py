"""What the page tells of a tool's versions: the source of each, and what it changed against the one before (H-38)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from druse.front.base import Base, open_base
from druse.model import Caller, CallerKind, ToolVersion, VersionStatus
from druse.settings import Workspace
from druse.store import VersionRecord
from druse.web.dashboard import Dashboard
from druse.web.guard import hosts_of
from druse.web.passes import Passes

from .conftest import bearer  # type: ignore[import-not-found]

HERE = "http://127.0.0.1:8766"


async def kept(base: Base, number: int, status: VersionStatus, source: str, *permissions: str) -> ToolVersion:
    """A version of `tidy_up` as it is found on disk and in the store."""
    version = ToolVersion("tidy_up", number, source, {"description": "Tidies up", "permissions": [*permissions]})
    base.shelf.files.write(version)
    record = VersionRecord("tidy_up", number, status, version.approval_hash, "x(a)", 1.0, 1.0, "", 5, 5)
    async with base.store.database.transaction() as transaction:
        await base.store.tools.add(transaction, record)
    return version


@asynccontextmanager
async def looking(root: Path, *, deciding: bool = False) -> AsyncGenerator[tuple[Base, httpx.AsyncClient]]:
    """The page's server over a fresh project, asked by a page that was let in."""
    (root / ".druse").mkdir(parents=True)
    async with open_base(Workspace(root, root.parent / "config" / "druse" / "config.toml")) as base:
        passes = Passes(deciding=deciding)
        page: Any = Dashboard(base, passes, hosts_of("127.0.0.1", 8766) or frozenset(), told=lambda line: None)
        opened = passes.exchange(passes.issue())
        assert opened is not None
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(page),
            base_url=HERE,
            headers=bearer(opened.decide if deciding else opened.look) | {"Origin": HERE},
        ) as http:
            yield base, http


@pytest.mark.requirement("H-38")
async def test_every_version_that_was_in_service_is_shown_with_what_it_changed(tmp_path: Path) -> None:
    async with looking(tmp_path / "project") as (base, http):
        first = "def run(call):\n    x = 1\n    return -- x\n"
        second = "def run(call):\n    call('Bash', command='rm -r x')\n    return ++ x\n"
        await kept(base, 1, VersionStatus.SUPERSEDED, first, "Read")
        await kept(base, 2, VersionStatus.REJECTED, "never in service", "Bash")
        await kept(base, 3, VersionStatus.ACTIVE, second, "Bash(rm:*)")
        await base.shelf.reload()

        told = (await http.get("/api/tools/tidy_up")).json()
        assert (told["version"], told["before"], told["status"], told["problem"]) == (3, 1, "active", "")
        assert (told["permissions_gained"], told["permissions_lost"]) == (["Bash(rm:*)"], ["Read"])
        assert told["diff"][3:] == [" def run(call):", *(f"-{line}" for line in first.splitlines()[1:])] + [
            f"+{line}" for line in second.splitlines()[1:]
        ]
        old = (await http.get("/api/tools/tidy_up", params={"version": "1"})).json()
        assert (old["version"], old["before"], old["source"]) == (1, None, first)
        for wrong in ("2", "4", "999999999"):
            assert (await http.get("/api/tools/tidy_up", params={"version": wrong})).status_code == 404, wrong
        for odd in ("", "-1", "1e3", "../1", "x"):  # no number: the one in service
            assert (await http.get("/api/tools/tidy_up", params={"version": odd})).json()["version"] == 3
        for name in ("none", "..%2f..%2fkeys", "%00", "x" * 300):
            assert (await http.get(f"/api/tools/{name}")).status_code == 404
        for method, path, status in (
            ("GET", "/no", 404),
            ("GET", "/api/tools/tidy_up/", 404),
            ("PUT", "/page.js", 405),
        ):
            odd = await http.request(method, path)
            assert (odd.status_code, set(odd.json())) == (status, {"detail"})
            assert "default-src 'none'" in odd.headers["content-security-policy"]

        # an edited file is shown as what it is, and one that is gone does not hide the version in service
        base.shelf.files.source_path(ToolVersion("tidy_up", 1, "", {})).write_text("def run(call):\n    evil()\n")
        edited = (await http.get("/api/tools/tidy_up", params={"version": "1"})).json()
        assert edited["problem"] == "The files of tidy_up v1 are not what was approved."
        base.shelf.files.source_path(ToolVersion("tidy_up", 1, "", {})).unlink()
        assert (await http.get("/api/tools/tidy_up", params={"version": "1"})).status_code == 409
        alone = (await http.get("/api/tools/tidy_up")).json()
        assert (alone["source"], alone["before"]) == (second, None) and "Cannot load tidy_up v1" in alone["problem"]


@pytest.mark.requirement("H-38", "X-07")
async def test_one_of_several_decisions_at_once_holds_and_a_note_of_any_letters_is_kept(tmp_path: Path) -> None:
    async with looking(tmp_path / "project", deciding=True) as (base, http):
        agent = Caller(CallerKind.AGENT, session="s", client="c")
        asked = await base.approvals.request("call", "sha256:1", "x()", {"tool": "x", "arguments": {}}, agent)
        decide = f"/api/approvals/{asked.id}/decide"
        sent = '{"approve": %s, "seen": "sha256:1", "note": "half \\ud83d of\\u0000 it"}'
        both = [sent % ("true" if number % 2 else "false") for number in range(6)]
        kind = {"Content-Type": "application/json"}
        answers = await asyncio.gather(*(http.post(decide, content=body, headers=kind) for body in both))
        assert sorted(answer.status_code for answer in answers) == [200, *[409] * 5]
        (done,) = [answer.json()["status"] for answer in answers if answer.status_code == 200]
        kept_one = await base.approvals.get(asked.id)
        assert (kept_one.status, kept_one.note) == (done, "half ? of\0 it")
        assert (await base.audit.verify()).as_dict()["ok"] is True
