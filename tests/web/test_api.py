"""The HTTP API of llmos-lite's table, through `druse serve --http`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from druse.cli import main
from druse.llm import ModelFailure, ask
from druse.settings import ModelProvider

from .conftest import House, Model, anthropic, bearer, openai  # type: ignore[import-not-found]

NEW = {
    "skill_id": "mend-bicycles",
    "name": "Mend bicycles",
    "category": "coding",
    "description": "Mends bicycles with few tools",
    "content": "First look at the chain.",
    "keywords": ["bicycle", "chain"],
}


@pytest.mark.requirement("L-20", "L-22", "L-24", "L-25", "L-23")
async def test_skills_evolution_traces_and_volumes_have_the_paths_and_shapes_of_the_seed(house: House) -> None:
    house.skill("greet-people", "Greets people by their name")
    async with house.serve() as http:
        skills = (await http.get("/skills", params={"user_id": "alice"})).json()
        assert skills["total"] == len(skills["skills"]) >= 2
        (greet,) = [one for one in skills["skills"] if one["skill_id"] == "greet-people"]
        assert set(greet) == {"skill_id", "name", "category", "description", "volume", "keywords"}
        assert greet["volume"] == "project"
        one = (await http.get("/skills/greet-people")).json()
        assert "Greets people by their name in detail." in one["content"]
        assert (await http.get("/skills/none-of-these")).status_code == 404

        waits = await http.post("/skills", json=NEW)
        assert (waits.status_code, waits.json()["status"]) == (202, "pending")
        assert (await http.get("/skills/mend-bicycles")).status_code == 404, "a draft is given to nobody"
        await house.druse("approvals", "approve", waits.json()["approval_id"], "--yes")
        mended = (await http.get("/skills/mend-bicycles")).json()
        assert (mended["volume"], mended["keywords"]) == ("user", ["bicycle", "chain"])
        assert "# Mend bicycles" in mended["content"]

        stats = (await http.get("/volumes/stats")).json()
        assert set(stats) == {"user", "team", "system"} and stats["user"]["skills"] == 1 and stats["team"] is None
        history = (await http.get("/volumes/history", params={"limit": 1})).json()
        assert (history["volume"], history["owner"], len(history["commits"])) == ("user", "alice", 1)
        assert history["commits"][0]["subject"] == "Approve skill: Mend bicycles"
        head = house.volumes / "user" / "alice" / ".git" / "refs" / "heads"
        assert history["commits"][0]["id"] in {one.read_text().strip() for one in head.iterdir() if one.is_file()}
        assert (await http.get("/traces")).json() == {"total": 0, "traces": [], "next_offset": None}

        # on demand; a second request joins the first
        both = await asyncio.gather(*(http.post("/evolve", json={"user_id": "alice"}) for _ in range(2)))
        for answer in both:
            assert answer.status_code == 200, answer.text
            told = answer.json()
            assert (told["status"], told["traces_analyzed"], told["skills_created"]) == ("completed", 0, 0)
        house.configure('[permissions]\ndeny = ["skills_evolve"]\n')
        assert (await http.post("/evolve", json={})).status_code == 403


@pytest.mark.requirement("L-21")
async def test_a_promotion_waits_for_a_person_and_ends_as_the_seeds_commit(house: House) -> None:
    await house.druse("volumes", "use", "team:crew")
    await house.druse("skills", "new", "my-skill", "--description", "Does my thing for others")
    async with house.serve() as http:
        asked = await http.post("/skills/promote", json={"skill_id": "my-skill", "reason": "Useful for team"})
        assert asked.status_code == 202 and asked.json()["volume"] == "team:crew"
        before = (await http.get("/volumes/history", params={"volume": "team"})).json()
        assert not [one for one in before["commits"] if one["subject"].startswith("Promote")]
        await house.druse("approvals", "approve", asked.json()["approval_id"], "--yes")
        after = (await http.get("/volumes/history", params={"volume": "team"})).json()
        assert after["owner"] == "crew"
        assert after["commits"][0]["subject"] == "Promote 'my-skill' from user:alice - Reason: Useful for team"
        again = await http.post("/skills/promote", json={"skill_id": "my-skill", "reason": "Useful for team"})
        assert again.status_code == 200 and again.json()["status"] == "unchanged" and again.json()["to"] == "team:crew"
        assert (await http.post("/skills/promote", json={"skill_id": "nobodys"})).status_code == 404


@pytest.mark.requirement("L-19")
async def test_chat_asks_the_model_with_the_skills_that_fit_and_saves_the_run(house: House, model: Model) -> None:
    house.skill("mend-bicycles", "Mends bicycles with few tools")
    async with house.serve() as http:
        house.model(model, "anthropic")
        await house.druse("policy", "approve", "--yes")
        model.script = anthropic("Oil the chain.")
        said = await http.post("/chat", json={"message": "How do I mend bicycles?", "user_id": "alice"})
        assert said.status_code == 200, said.text
        answer = said.json()
        assert answer["response"] == "Oil the chain." and answer["skills_used"][0] == "project/mend-bicycles"
        assert (answer["tokens_in"], answer["tokens_out"], answer["cut"]) == (11, 7, False)
        (asked,) = model.asked
        assert model.paths == ["/v1/messages"] and model.headers[0]["x-api-key"] == "key-of-the-model"
        assert "Mends bicycles with few tools in detail." in asked["system"]
        assert asked["messages"] == [{"role": "user", "content": "How do I mend bicycles?"}]

        trace = (await http.get(f"/traces/{answer['trace_id']}")).json()
        assert "How do I mend bicycles?" in trace["content"] and "Oil the chain." in trace["content"]
        assert "project/mend-bicycles" in trace["trace"]["skills"]
        (listed,) = (await http.get("/traces", params={"goal": "BICYCLES"})).json()["traces"]
        assert (listed["trace_id"], listed["status"]) == (answer["trace_id"], "unfinished"), "nobody said how it went"
        await house.druse("traces", "mark", answer["trace_id"], "--success")

        house.model(model, "openai")
        await house.druse("policy", "approve", "--yes")
        model.script = openai("Pump it up.")
        second = (await http.post("/chat", json={"message": "How do I mend bicycles?", "include_skills": False})).json()
        assert (second["response"], second["skills_used"], second["cut"]) == ("Pump it up.", [], True)
        assert second["trace_id"] != answer["trace_id"] and model.paths[1:] == ["/v1/chat/completions"]
        assert model.headers[1]["authorization"] == "Bearer key-of-the-model"
        assert model.asked[1]["messages"][-1] == {"role": "user", "content": "How do I mend bicycles?"}
    chain = await house.druse("audit", "show", "--limit", "50")
    asked_of = [entry for entry in chain["entries"] if entry["subject"] == "chat_ask"]
    assert [entry["action"] for entry in asked_of] == ["call.begin", "call.end"] * 2
    kept = (house.root / ".druse" / "druse.db").read_bytes().decode("latin-1")
    assert "key-of-the-model" not in json.dumps(chain) + kept


@pytest.mark.requirement("L-19")
async def test_chat_without_a_provider_answers_503_with_the_context_it_would_have_sent(
    house: House, model: Model
) -> None:
    house.skill("mend-bicycles", "Mends bicycles with few tools")
    async with house.serve() as http:
        for asked in range(2):
            said = await http.post("/chat", json={"message": "How do I mend bicycles?"})
            assert (said.status_code, said.json()["kind"]) == (503, "no_model")
            assert "Mends bicycles with few tools in detail." in said.json()["context"]
            assert said.json()["skills_used"][0] == "project/mend-bicycles"
            if not asked:
                house.model(model)  # an edit alone permits nothing: a person approves who is sent the context
        assert model.asked == []
        assert "a model is asked" in str((await house.druse("policy", "show"))["waiting"])
        assert "(anthropic)" in (await house.druse("policy", "approve", "--yes"))["model"]
        model.script = anthropic("Yes.")
        assert (await http.post("/chat", json={"message": "And now?"})).json()["response"] == "Yes."
        house.configure('[permissions]\ndeny = ["chat_ask"]\n')
        denied = await http.post("/chat", json={"message": "And now?"})
        assert denied.status_code == 403 and len(model.asked) == 1
        house.configure('[permissions]\nask = ["chat_ask"]\n')
        waits = await http.post("/chat", json={"message": "And now?"})
        assert waits.status_code == 202 and waits.json()["approval_id"] and len(model.asked) == 1


@pytest.mark.requirement("L-19")
async def test_a_model_that_fails_is_told_as_such_and_never_recorded_as_an_answer(house: House, model: Model) -> None:
    house.model(model)
    answers: list[tuple[int, Any, dict[str, str]]] = [
        (200, b"<html>", {}),
        (200, {"content": "none"}, {}),
        (401, {"error": "bad key: key-of-the-model"}, {}),
        (307, {}, {"location": "http://127.0.0.1:1/steal"}),
        (529, {"error": "overloaded"}, {"retry-after": "0"}),
        (200, anthropic("At last.")({})[1], {}),
    ]
    model.script = lambda body: answers.pop(0)
    async with house.serve() as http:
        for part in ("not in the shape", "not in the shape", "answered 401", "answered 307"):
            said = await http.post("/chat", json={"message": "hello"})
            assert said.status_code == 502 and part in said.json()["detail"], said.text
            assert "key-of-the-model" not in said.text, "an endpoint that sends the key back does not get it told"
        assert (await http.post("/chat", json={"message": "hello"})).json()["response"] == "At last."

        # what no text and no count can be is an answer all the same, and is kept
        text = b'{"model": "\\udfff", "content": [{"type": "text", "text": "half \\ud83d a letter"}]'
        answers += [
            (200, text + b', "usage": {"input_tokens": 1' + b"0" * 400 + b', "output_tokens": -1}}', {}),
            (200, text + b', "usage": [1]}', {}),
        ]
        for _ in range(2):
            said = await http.post("/chat", json={"message": "hello"})
            assert said.status_code == 200, said.text
            odd = said.json()
            assert (odd["response"], odd["tokens_in"], odd["tokens_out"]) == ("half \ufffd a letter", None, None)
            assert "half \ufffd a letter" in (await http.get(f"/traces/{odd['trace_id']}")).json()["content"]
        traces = (await http.get("/traces")).json()["traces"]
        assert {one["status"] for one in traces} == {"unfinished"} and len(traces) == 7
    assert len(model.asked) == 8
    kept = (house.root / ".druse" / "druse.db").read_bytes()
    assert b"key-of-the-model" not in kept


@pytest.mark.requirement("L-19")
async def test_a_model_that_drips_or_hangs_is_given_up_after_its_time() -> None:
    seconds = 1
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Something each tenth of a second, so that no single read is late; until the client leaves."""
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not reader.at_eof():
            writer.write(b" ")
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(0.1):
                    await reader.read()
        writer.close()
        left.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        provider = ModelProvider("openai", "m", base, "", timeout=seconds)
        async with asyncio.timeout(60):
            with pytest.raises(ModelFailure, match=f"it took longer than {seconds} s"):
                await ask(provider, "", "hello", {})
            await left.wait()


@pytest.mark.requirement("L-35", "L-07")
async def test_three_roles_come_to_the_volumes_as_their_actors(house: House) -> None:
    await house.druse("volumes", "use", "user:bob")
    await house.druse("volumes", "use", "user:alice")
    await house.druse("volumes", "use", "team:other")
    await house.druse("volumes", "use", "team:crew")
    keys = {role: (await house.druse("keys", "new", f"key of {role}", "--role", role))["key"] for role in ROLES}
    async with house.serve() as http:

        async def write(role: str, volume: str) -> int:
            body = {**NEW, "volume": volume, "content": f"By {role} into {volume}."}
            return (await http.post("/skills", json=body, headers=bearer(keys[role]))).status_code

        async def read(role: str, **owner: str) -> int:
            return (await http.get("/volumes/history", params=owner, headers=bearer(keys[role]))).status_code

        volumes = ("user:alice", "user:bob", "team:crew", "team:other", "system:main")
        written = {role: [await write(role, volume) for volume in volumes] for role in ROLES}
        assert written == {
            "user": [403, 403, 403, 403, 403],  # its own by a proposal, which a person approves
            "team_admin": [403, 403, 201, 403, 403],
            "system_admin": [201, 201, 201, 201, 201],
        }
        owners = ({"user_id": "alice"}, {"user_id": "bob"}, {"volume": "team"}, {"volume": "system"})
        looked = {role: [await read(role, **owner) for owner in owners] for role in ROLES}
        assert looked == {
            "user": [200, 403, 200, 200],
            "team_admin": [200, 200, 200, 200],
            "system_admin": [200, 200, 200, 200],
        }
        for role in ROLES:  # no role decides what waits for a person
            waits = await http.post(
                "/skills", json={**NEW, "skill_id": f"of-{role.split('_')[0]}"}, headers=bearer(keys[role])
            )
            assert waits.status_code in (202, 409), waits.text
        short = (await house.druse("keys", "new", "for a moment", "--days", "0.00000001"))["key"]
        assert (await http.get("/skills", headers=bearer(short))).status_code == 401, "its days are over"
        for token, status in ((keys["user"], 406), (house.token, 406), (short, 401), ("druse_x", 401)):
            mcp = await http.post("/mcp", json={}, headers=bearer(token) | {"Accept": "text/plain"})
            assert mcp.status_code == status, "a key lets in to MCP as well"
        (key,) = [one for one in (await house.druse("keys", "list"))["keys"] if one["role"] == "team_admin"]
        assert key["team"] == "crew" and key["last_used_at"] and "key" not in key
        await house.druse("keys", "revoke", key["id"])
        assert await read("team_admin") == 401
    stored = (house.root / ".druse" / "druse.db").read_bytes()
    assert not [key for key in keys.values() if key.encode() in stored]
    authors = [one["author"] for one in (await house.druse("volumes", "log", "team:crew"))["commits"]]
    assert {"key of team_admin", "key of system_admin"} <= set(authors)


BODIES: dict[str, Any] = {
    "/chat": {"message": "x"},
    "/skills": NEW,
    "/skills/promote": {"skill_id": "x"},
    "/tools": {"name": "x", "code": "x"},
}
ROLES = ("user", "team_admin", "system_admin")


@pytest.mark.requirement("L-35", "X-07")
async def test_a_request_without_a_token_of_another_origin_or_host_is_refused(house: House) -> None:
    async with house.serve() as http:
        port = http.base_url.port
        for path in ("/skills", "/traces", "/volumes/stats", "/skills/x", "/traces/x", "/volumes/history"):
            assert (await http.get(path, headers={"Authorization": ""})).status_code == 401
            assert (await http.get(path, headers=bearer("druse_" + "x" * 43))).status_code == 401
            assert (
                await http.get(path, headers=bearer(house.token) | {"Host": f"evil.example:{port}"})
            ).status_code == 421
            assert (await http.get(path, headers={"Origin": "http://evil.example"})).status_code == 403
            assert (await http.get(path, headers={"Origin": "null"})).status_code == 403
        assert (await http.get("/volumes/history", headers={"Origin": f"http://127.0.0.1:{port}"})).status_code == 200
        # the one decision function: every operation there is, found in the document, is stopped by a rule on its name
        paths = (await http.get("/openapi.json")).json()["paths"]
        operations = [(verb, path) for path, verbs in paths.items() for verb in verbs]
        names = [told["x-druse-tool"] for verbs in paths.values() for told in verbs.values()]
        assert len(operations) >= 10
        for kind in ("deny", "ask"):
            house.configure(f"[permissions]\n{kind} = {json.dumps(names)}\n")
            for verb, path in operations:
                body = BODIES.get(path, {})
                where = path.replace("{", "").replace("}", "")
                answer = await (http.get(where) if verb == "get" else http.post(where, json=body))
                expected = {403} if kind == "deny" or verb == "get" or path in ("/evolve", "/tools") else {202, 503}
                if path == "/skills/promote":
                    expected |= {409}  # this user has no team
                assert answer.status_code in expected, (kind, verb, path, answer.text)
        house.configure("[permissions]\n")
        for asked in ({"user_id": "bob"}, {"team_id": "other"}):
            assert (await http.post("/evolve", json=asked)).status_code == 403
        assert (await http.get("/approvals")).status_code == 404
        broken: list[tuple[int, httpx.Response]] = [
            (400, await http.post("/chat", content=b"{", headers={"content-type": "application/json"})),
            (415, await http.post("/chat", content=b"{}")),
            (413, await http.post("/chat", json={"message": "x" * 3_000_000})),
            (422, await http.post("/chat", json={"message": 5})),
            (422, await http.post("/chat", json={"message": "x", "role": "system"})),
            (
                422,
                await http.post(
                    "/chat", content=b'{"message": "\\ud800"}', headers={"content-type": "application/json"}
                ),
            ),
            (422, await http.get("/traces", params={"limit": "many"})),
            (405, await http.delete("/skills")),
        ]
        for status, answer in broken:
            assert answer.status_code == status, answer.text
            assert set(answer.json()) == {"detail", "kind"}


def test_an_address_that_is_taken_is_told_and_ends_the_command(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, contextlib.chdir(house.root):
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = CliRunner().invoke(main, ["serve", "--http", address], env=house.environment)
    assert done.exit_code == 1
    assert f"Cannot serve on {address}: Address already in use. Name another HOST:PORT." in done.output
