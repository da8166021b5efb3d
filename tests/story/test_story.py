"""The main job, end to end: stdio clients, a real shop server, the CLI in a second process."""

from __future__ import annotations

import json
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client

from .conftest import Project  # type: ignore[import-not-found]

CUSTOMERS = [
    ("Amelia", "Wilson", "75215"),
    ("Yusuf", "Garcia", "20080"),
    ("Harper", "Kovacs", "94145"),
    ("Ivan", "Hernandez", "92133"),
    ("Emma", "Ito", "19022"),
]


async def call(client: Client, name: str, /, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(name, arguments)
    text, payload = result.content[0].text, dict(result.structured_content or {})  # type: ignore[union-attr]
    # Clients show a model either the text or the structured content: both are complete.
    assert payload == {"result": text} or json.loads(text) == payload
    return payload


async def tool(client: Client, name: str, /, **arguments: Any) -> Any:
    return (await call(client, "run_tool", name=f"shop__{name}", arguments=arguments))["parsed_content"]


async def by_hand(client: Client, first: str, last: str, postcode: str) -> dict[str, Any]:
    opened = await call(client, "dispatch_goal", goal=f"Cancel the pending orders of {first} {last}, zip {postcode}")
    user = await tool(client, "find_user_id_by_name_zip", first_name=first, last_name=last, zip=postcode)
    for order_id in (await tool(client, "get_user_details", user_id=user))["orders"]:
        if (await tool(client, "get_order_details", order_id=order_id))["status"] == "pending":
            await tool(client, "cancel_pending_order", order_id=order_id, reason="no longer needed")
    return await call(client, "report_outcome", run_id=opened["run_id"], success=True)


@pytest.mark.requirement(
    *("H-01", "H-02", "H-03", "H-05", "H-07", "H-12", "H-15", "H-21", "H-22", "H-27", "H-29", "H-34", "H-35"),
    *("H-36", "N-16", "N-19", "H-08", "S-47"),
)
async def test_repeated_work_becomes_a_tool_that_a_person_approved(project: Project) -> None:
    changed = anyio.Event()

    async def heard(message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            changed.set()

    async with project.client(on_message=heard) as client:
        notices = []
        for number, customer in enumerate(CUSTOMERS):
            if number == 4:
                assert (await project.druse("candidates"))["candidates"] == []
            notices.append((await by_hand(client, *customer)).get("notice"))
        assert notices[:4] == [None] * 4 and "Candidate for crystallization!" in notices[4]

        (candidate,) = (await project.druse("candidates"))["candidates"]
        assert (candidate["usage_count"], candidate["success_count"]) == (5, 5)
        report = await project.druse("crystallize", candidate["signature"])
        assert report["status"] == "proposed", report
        assert [row["result"] for row in report["verification"]] == ["right"] * 5
        assert report["permissions"] == sorted(report["permissions"]) and len(report["permissions"]) == 4
        name = report["tool"]
        assert not (project.root / "tools" / "generated" / name).exists()
        assert name not in [t.name for t in (await client.list_tools()).tools]

        pending = await project.druse("approvals", "approve", report["approval_id"])
        assert pending["status"] == "pending"  # no terminal, no --yes: never approved by itself
        done = await project.druse("approvals", "approve", report["approval_id"], "--yes")
        assert done["status"] == "approved"
        with anyio.fail_after(120):
            await changed.wait()
        assert name in [t.name for t in (await client.list_tools()).tools]

        answer = await call(client, name, first_name="Fatima", last_name="Muller", zip="60644")
        assert len(answer["result"]) == 4
        user = await tool(client, "get_user_details", user_id="fatima_muller_6713")
        states = [(await tool(client, "get_order_details", order_id=order))["status"] for order in user["orders"]]
        assert "pending" not in states

        spoken = await call(
            client, "dispatch_goal", goal="Please cancel every pending order of Chen Johnson, zip 77004"
        )
        assert spoken["mode"] == "CRYSTALLIZED" and spoken["status"] == "done"
        assert spoken["arguments"] == {"first_name": "Chen", "last_name": "Johnson", "zip": "77004"}

        odd = await call(
            client, "run_tool", name=name, arguments={"first_name": "Yusuf", "last_name": "Khan", "zip": "78242"}
        )
        assert odd["status"] == "diverged" and "empty" in odd["reason"]
        assert [step["tool"] for step in odd["done"]] == ["shop__find_user_id_by_name_zip", "shop__get_user_details"]
        assert [step["tool"] for step in odd["remaining"]] == ["shop__get_order_details", "shop__cancel_pending_order"]

        source = project.root / "tools" / "generated" / name / "v1.py"
        good = source.read_text()
        source.write_text("def run(:\n")
        still = await call(
            client, "run_tool", name=name, arguments={"first_name": "Mei", "last_name": "Nobody", "zip": "1"}
        )
        assert still["status"] == "diverged"
        assert (await project.druse("audit", "verify"))["ok"]
        source.write_text(good)
        await project.druse("tools", "retire", name)
        with anyio.fail_after(120):
            while name in [t.name for t in (await client.list_tools()).tools]:
                await anyio.lowlevel.checkpoint()
        with anyio.fail_after(120):  # the list is told first, the router right after
            while "retired at v1" not in (await call(client, "run_tool", name=name, arguments={}))["message"]:
                await anyio.lowlevel.checkpoint()
        (again,) = (await project.druse("candidates"))["candidates"]
        assert "is retired" in again["withdrawn"]
        await project.druse("tools", "rollback", name, "1")

    async with project.client() as client:
        assert name in [t.name for t in (await client.list_tools()).tools]


@pytest.mark.requirement("N-19")
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_both_protocol_eras_see_the_same_surface(project: Project, mode: str) -> None:
    async with project.client(mode=mode) as client:
        names = [t.name for t in (await client.list_tools()).tools]
        assert names == [
            *("dispatch_goal", "find_tools", "run_tool", "run_code", "propose_tool", "load_skill", "report_outcome"),
        ]
        found = await call(client, "find_tools", query="find a user by name and zip", limit=3)
        assert "shop__find_user_id_by_name_zip" in [hit.get("name") for hit in found["results"]]
        skill = await client.call_tool("load_skill", {"name": "using-druse"})
        assert "dispatch_goal" in skill.content[0].text  # type: ignore[union-attr]


@pytest.mark.requirement("H-17")
async def test_wrong_arguments_are_named_before_anything_runs(project: Project) -> None:
    async with project.client() as client:
        wrong = await call(client, "run_tool", name="shop__get_user_details", arguments={"user_id": 5})
        assert wrong["status"] == "invalid" and "`user_id` is 5, expected string" in wrong["message"]
        missing = await call(client, "run_tool", name="shop__get_user_details", arguments={})
        assert "`user_id` is missing" in missing["message"]
        unknown = await call(client, "run_tool", name="shop__get_user_detail", arguments={})
        assert "shop__get_user_details" in unknown["message"]
        surface = await call(client, "find_tools", query=7)
        assert "`query` is 7" in surface["message"]


async def test_what_no_rule_allows_waits_for_a_person_and_then_goes_through_once(project: Project) -> None:
    project.configure(config='[permissions]\ndeny = ["shop__reset_state"]\n')
    async with project.client() as client:
        asked = {"name": "shop__get_user_details", "arguments": {"user_id": "yusuf_khan_2015"}}
        first = await call(client, "run_tool", **asked)
        again = await call(client, "run_tool", **asked)
        assert first["status"] == "pending" and first["approval_id"] == again["approval_id"]
        denied = await call(client, "run_tool", name="shop__reset_state", arguments={})
        assert denied["status"] == "denied" and "config.toml:2" in denied["message"]
        await project.druse("approvals", "approve", first["approval_id"], "--yes")
        assert (await call(client, "run_tool", **asked))["ok"] is True
        assert (await call(client, "run_tool", **asked))["status"] == "pending"


async def test_an_agent_cannot_decide_or_rewrite_what_druse_decides_by(project: Project) -> None:
    project.configure(config='[permissions]\nallow = ["Bash", "Write", "Edit(./**)"]\n')
    async with project.client() as client:
        for name, arguments in (
            ("Write", {"file_path": ".druse/config.toml", "content": "x"}),
            ("Write", {"file_path": "tools/generated/x/v1.py", "content": "x"}),
            ("Bash", {"command": "druse approvals approve abc --yes"}),
        ):
            answer = await call(client, "run_tool", name=name, arguments=arguments)
            assert answer["status"] == "denied", answer
        answer = await call(client, "run_tool", name="Bash", arguments={"command": "echo x > .druse/config.toml"})
        assert answer["status"] == "pending"


async def test_run_code_calls_tools_and_only_its_result_comes_back(project: Project) -> None:
    async with project.client() as client:
        code = (
            "u = call('shop__find_user_id_by_name_zip', first_name='Yusuf', last_name='Khan', zip='78242')\n"
            "print('found')\n"
            "call('shop__get_user_details', user_id=u['parsed_content'])['parsed_content']['email']"
        )
        answer = await call(client, "run_code", code=code)
        assert answer == {"result": "yusuf.khan4494@example.com", "calls": 2, "printed": "found\n"}
        bad = await call(client, "run_code", code="import os")
        assert bad["status"] == "error" and "os is not available here" in bad["message"]


@pytest.mark.requirement("H-20")
async def test_a_proposed_tool_needs_two_runs_that_it_reproduces(project: Project) -> None:
    async with project.client() as client:
        code = '"""Email of a user."""\ndef run(call, *, user_id: str) -> str:\n    return call("shop__get_user_details", user_id=user_id)["parsed_content"]["email"]\n'
        runs = []
        for user in ("yusuf_khan_2015", "fatima_muller_6713"):
            opened = await call(client, "dispatch_goal", goal=f"email of {user}")
            await tool(client, "get_user_details", user_id=user)
            await call(client, "report_outcome", run_id=opened["run_id"], success=True)
            runs.append(opened["run_id"])
        without = await call(client, "propose_tool", name="email_of", code=code)
        assert "no evidence" in without["message"]
        wrong = await call(
            client, "propose_tool", name="email_of", code=code.replace("user_id=user_id", 'user_id="x"'), run_ids=runs
        )
        assert wrong["kind"] == "refused" and "expected" in wrong["message"]
        good = await call(client, "propose_tool", name="email_of", code=code, run_ids=runs)
        assert good["status"] == "pending" or good["status"] == "proposed", good


@pytest.mark.requirement("H-41")
async def test_secrets_never_reach_the_disk(project: Project) -> None:
    project.configure(config='[permissions]\nallow = ["Bash(echo:*)"]\n')
    token = "ghp_" + "a1B2" * 9
    async with project.client() as client:
        await call(client, "run_tool", name="Bash", arguments={"command": f"echo {token}"})
        await call(client, "dispatch_goal", goal=f"use the token {token}")
    for path in (project.root / ".druse").rglob("*"):
        if path.is_file():
            assert token.encode() not in path.read_bytes(), path


async def test_work_without_a_goal_is_recorded_and_reported_all_the_same(project: Project) -> None:
    async with project.client() as client:
        nothing = await call(client, "report_outcome", success=True)
        assert "no run is open" in nothing["message"]
        await tool(client, "get_user_details", user_id="yusuf_khan_2015")
        assert (await call(client, "report_outcome", success=True))["status"] == "success"
        await tool(client, "get_user_details", user_id="fatima_muller_6713")
    last, first = (await project.druse("traces", "list"))["runs"]
    assert (first["status"], last["status"]) == ("success", "unfinished")


async def test_the_listing_is_small(project: Project) -> None:
    async with project.client() as client:
        listed = (await client.list_tools()).tools
    size = sum(len(json.dumps(entry.model_dump(mode="json", by_alias=True, exclude_none=True))) for entry in listed)
    assert size / 4 < 2000
    assert all(len(entry.name) <= 40 for entry in listed)


@pytest.mark.requirement("H-19")
async def test_files_are_read_and_written_inside_the_workspace_only(project: Project) -> None:
    project.configure(config='[permissions]\nallow = ["Write", "Edit"]\n')
    outside = project.root.parent / "outside.txt"
    outside.write_text("secret")
    (project.root / "link.txt").symlink_to(outside)
    async with project.client() as client:

        async def run(name: str, **arguments: Any) -> dict[str, Any]:
            return await call(client, "run_tool", name=name, arguments=arguments)

        made = await run("Write", file_path="a/b.txt", content="one two")
        assert made["created"] is True
        assert (await run("Edit", file_path="a/b.txt", old_string="two", new_string="three"))["replaced"] == 1
        assert (await run("FileEdit", file_path="a/b.txt", old_string="x", new_string="y"))["status"] == "error"
        assert (await run("Read", file_path="a/b.txt"))["result"] == "one three"
        assert (await run("Glob", pattern="**/*.txt"))["files"] == ["a/b.txt"]
        assert (await run("Grep", pattern="th.ee"))["matches"][0]["line"] == 1
        for path in ("link.txt", "../outside.txt", str(outside), "a/../../outside.txt"):
            assert (await run("Read", file_path=path))["status"] == "pending", path
            assert (await run("Write", file_path=path, content="x"))["status"] == "pending", path
    assert outside.read_text() == "secret"


@pytest.mark.requirement("H-07", "H-20")
async def test_a_client_of_the_modern_era_hears_of_a_new_tool_on_its_listen_stream(project: Project) -> None:
    code = (
        '"""Email of a user."""\n\n\ndef run(call, *, user_id: str) -> str:\n'
        '    return call("shop__get_user_details", user_id=user_id)["parsed_content"]["email"]\n'
    )
    async with project.client(mode="auto") as client, client.listen(tools_list_changed=True) as events:
        assert client.protocol_version == "2026-07-28"
        runs = []
        for user in ("yusuf_khan_2015", "fatima_muller_6713"):
            opened = await call(client, "dispatch_goal", goal=f"email of {user}")
            await tool(client, "get_user_details", user_id=user)
            await call(client, "report_outcome", run_id=opened["run_id"], success=True)
            runs.append(opened["run_id"])
        proposed = await call(client, "propose_tool", name="email_of", code=code, run_ids=runs)
        await project.druse("approvals", "approve", proposed["approval_id"], "--yes")
        with anyio.fail_after(120):
            await anext(aiter(events))
        assert "email_of" in [entry.name for entry in (await client.list_tools()).tools]
        answer = await call(client, "email_of", user_id="yusuf_khan_2015")
        assert answer == {"result": "yusuf.khan4494@example.com"}
        (project.root / "tools" / "generated" / "email_of" / "v1.json").unlink()
        with anyio.fail_after(120):
            await anext(aiter(events))
        assert "email_of" not in [entry.name for entry in (await client.list_tools()).tools]
        assert "files removed" in (await call(client, "run_tool", name="email_of", arguments={}))["message"]


@pytest.mark.requirement("N-01")
def test_everything_works_without_a_network(project: Project) -> None:
    import os
    import shutil
    import subprocess
    import sys

    unshare = shutil.which("unshare")
    probe = subprocess.run([unshare or "false", "-rn", "true"], check=False, capture_output=True)
    if unshare is None or probe.returncode:
        pytest.skip("this machine gives no network namespace to a user")
    done = subprocess.run(
        [
            *(unshare, "-rn", sys.executable, "-m", "druse", "run", "shop__get_user_details"),
            *("--args-json", '{"user_id": "yusuf_khan_2015"}', "--json"),
        ],
        cwd=project.root,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_CONFIG_HOME": str(project.root / "none")},
    )
    assert json.loads(done.stdout)["ok"] is True, done.stderr
