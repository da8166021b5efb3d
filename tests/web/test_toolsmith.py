"""A configured model writes a tool; its code passes the same gate as all others (H-10)."""

from __future__ import annotations

from typing import Any

import pytest

from capabilities.desk import Desk, run_tool, surface

from .conftest import Model, here  # type: ignore[import-not-found]

REACHES_OUT = '"""Greets."""\nimport os\n\n\ndef run(call, *, email: str) -> dict:\n    return {}\n'
BY_HEART = (
    '"""Greets."""\n\n\ndef run(call, *, email: str) -> dict:\n    user = call("desk__get_user", email=email)\n'
    '    names = {"U1": "1U", "U2": "2U", "U3": "3U"}\n'
    '    return call("desk__add_note", text=names.get(user["id"], "?"))\n'
)
RIGHT = (
    '"""Notes the id of a user backwards."""\n\n\ndef run(call, *, email: str) -> dict:\n'
    '    user = call("desk__get_user", email=email)\n    backwards = "".join(reversed(user["id"]))\n'
    '    return call("desk__add_note", text=backwards)\n'
)


def says(*sources: str) -> Any:
    left = [f"Here it is:\n```python\n{source}```\n" for source in sources]

    def answer(body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        return 200, {"content": [{"type": "text", "text": left.pop(0)}], "stop_reason": "end_turn"}, {}

    return answer


@pytest.mark.requirement("H-10")
async def test_what_a_model_writes_passes_the_same_gate_on_runs_it_was_not_shown(desk: Desk, model: Model) -> None:
    async with desk.client() as client:
        for number in range(1, 6):
            opened = await surface(client, "dispatch_goal", goal=f"Note u{number}@x.io backwards")
            await run_tool(client, "desk__get_user", email=f"u{number}@x.io")
            await run_tool(client, "desk__add_note", text=f"{number}U")
            await surface(client, "report_outcome", run_id=opened["run_id"], success=True)

    async def person(*arguments: str) -> Any:
        return await here(desk.root, desk.environment, *arguments)

    (candidate,) = (await person("candidates"))["candidates"]
    written = ("crystallize", candidate["signature"], "--toolsmith", "--name", "note_backwards")
    assert "no model is in force" in (await person(*written))["error"]["message"]
    own = desk.root / "none" / "druse"
    own.mkdir(parents=True)
    base = f"http://127.0.0.1:{model.port}"
    (own / "config.toml").write_text(f'[model]\napi = "anthropic"\nmodel = "m"\nbase_url = "{base}"\nkey_env = ""\n')
    await person("policy", "approve", "--yes")

    model.script = says(REACHES_OUT, BY_HEART)
    refused = await desk.druse(*written)
    assert (refused["status"], refused["stage"]) == ("refused", "replay"), refused
    shown, again = (str(body["messages"][0]["content"]) for body in model.asked)
    assert "u3@x.io" in shown and "u4@x.io" not in shown and "u5@x.io" not in shown
    assert "It was refused: stage " in again and "import os" in again

    model.script = says(RIGHT)
    made = await desk.druse(*written)
    assert (made["status"], made["tool"]) == ("proposed", "note_backwards"), made
    assert not (desk.root / "tools" / "generated" / "note_backwards").exists(), "a person decides"
    await person("approvals", "approve", made["approval_id"], "--yes")
    asked = (await person("audit", "show", "--action", "model.asked"))["entries"]
    assert len(asked) == 3 and {entry["actor"] for entry in asked} == {"person"}
    assert (await person("tools", "show", "note_backwards"))["manifest"]["made_by"] == "model m"
    async with desk.client() as client:
        await run_tool(client, "note_backwards", email="u9@x.io")
    assert desk.notes[-1] == "9U"
