"""FOLLOWER, MIXED and LEARNER through an MCP client; stdio and HTTP alike."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

import doors

from .conftest import Project  # type: ignore[import-not-found]

USERS = [("Yusuf", "Khan", "78242"), ("Amelia", "Wilson", "75215"), ("Harper", "Kovacs", "94145")]
USERS += [("Ivan", "Hernandez", "92133"), ("Emma", "Ito", "19022")]


async def call(client: Client, name: str, /, **arguments: Any) -> dict[str, Any]:
    return dict((await client.call_tool(name, arguments)).structured_content or {})


async def look_up(client: Client, first: str, last: str, postcode: str) -> dict[str, Any]:
    opened = await call(client, "dispatch_goal", goal=f"Look up the profile of {first} {last} in {postcode}")
    found = await call(
        client,
        "run_tool",
        name="shop__find_user_id_by_name_zip",
        arguments={"first_name": first, "last_name": last, "zip": postcode},
    )
    user_id = found["parsed_content"]
    await call(client, "run_tool", name="shop__get_user_details", arguments={"user_id": user_id})
    await call(client, "report_outcome", run_id=opened["run_id"], success=True)
    return opened


@pytest.mark.requirement("H-25", "H-27")
async def test_reading_work_done_often_enough_is_replayed_with_other_values(project: Project) -> None:
    async with project.client() as client:
        modes = [(await look_up(client, *user))["mode"] for user in USERS]
        assert modes[0] == "LEARNER" and "FOLLOWER" not in modes
        answer = await call(client, "dispatch_goal", goal="Look up the profile of Fatima Muller in 60644")
        assert (answer["mode"], answer["status"]) == ("FOLLOWER", "done")
        assert [step["tool"] for step in answer["done"]] == ["shop__find_user_id_by_name_zip", "shop__get_user_details"]
        missing = await call(client, "dispatch_goal", goal="Look up the profile of Nobody Here in 00000")
        assert missing["status"] == "diverged" and "not found" in missing["reason"].lower()
    runs = (await project.druse("traces", "list"))["runs"]
    assert [run["mode"] for run in runs[:2]] == ["FOLLOWER", "FOLLOWER"]


@pytest.mark.requirement("H-26")
async def test_work_that_cannot_be_replayed_comes_back_as_a_guide(project: Project) -> None:
    async with project.client() as client:
        for number, user in enumerate(("yusuf_khan_2015", "fatima_muller_6713", "emma_ito_4529")):
            opened = await call(client, "dispatch_goal", goal="Note something about a customer")
            await call(client, "run_tool", name="shop__get_user_details", arguments={"user_id": user})
            summary = f"{'abc'[number]} free text nobody can foresee {number * 7}"
            await call(client, "run_tool", name="shop__transfer_to_human_agents", arguments={"summary": summary})
            await call(client, "report_outcome", run_id=opened["run_id"], success=True)
        answer = await call(client, "dispatch_goal", goal="note something about a customer")
        assert answer["mode"] == "MIXED"
        assert [step["tool"] for step in answer["guide"]["steps"]] == [
            "shop__get_user_details",
            "shop__transfer_to_human_agents",
        ]


@pytest.mark.requirement("H-23", "H-29")
async def test_a_dry_run_says_what_happens_and_opens_no_run(project: Project) -> None:
    async with project.client() as client:
        answer = await call(client, "dispatch_goal", goal="something new", dry_run=True)
        assert (answer["mode"], answer["dry_run"]) == ("LEARNER", True) and "run_id" not in answer
    assert (await project.druse("traces", "list"))["runs"] == []


@pytest.mark.requirement("N-06")
async def test_stdio_and_http_give_the_same_answers(project: Project) -> None:
    async def session(client: Client) -> list[Any]:
        names = [tool.name for tool in (await client.list_tools()).tools]
        good = await call(client, "run_tool", name="shop__get_user_details", arguments={"user_id": "yusuf_khan_2015"})
        bad = await call(client, "run_tool", name="shop__get_user_details", arguments={"user_id": 5})
        return [names, good["parsed_content"], bad]

    async with project.client() as client:
        over_stdio = await session(client)
    async with doors.over_http(project.root, project.environment) as (address, token):
        url = f"{address}/mcp"
        async with httpx2.AsyncClient() as http:
            assert (await http.post(url, json={})).status_code == 401
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            over_http = await session(client)
    assert over_http == over_stdio
