"""What an agent is given of memory and skills: prompt, resource, capability and command."""

from __future__ import annotations

from typing import Any

import pytest

from ..skills.conftest import Home  # type: ignore[import-not-found]

SKILL = "---\nname: {name}\ndescription: {about}\n---\n# {name}\n\n{body}\n"


@pytest.mark.requirement("N-40", "L-13", "L-19", "N-26", "N-25")
async def test_the_context_holds_markers_and_fitting_skills_within_its_budget(home: Home) -> None:
    for name, about in (("report-writing", "Write the weekly report"), ("db-care", "Look after the database")):
        (home.root / "skills" / name).mkdir(parents=True)
        text = SKILL.format(name=name, about=about, body="Do it step by step. " * 20)
        (home.root / "skills" / name / "SKILL.md").write_text(text)
    async with home.client() as client:

        async def call(tool: str, **arguments: Any) -> dict[str, Any]:
            answer = await client.call_tool("run_tool", {"name": tool, "arguments": arguments})
            return dict(answer.structured_content or {})

        opened = await client.call_tool(
            "dispatch_goal", {"goal": "Write the report. Decision: use SQLite for state, not Redis."}
        )
        run_id = (opened.structured_content or {})["run_id"]
        await client.call_tool("report_outcome", {"run_id": run_id, "success": True})
        # The job at the end of a run may have been first; that there is one is shown below.
        assert (await home.druse("memory", "promote"))["memories"] in (0, 1)

        prompt = await client.get_prompt("context", {"query": "weekly report"})
        text = prompt.messages[0].content.text  # type: ignore[union-attr]
        assert text.startswith("[MEMORY MARKER] Decision: use SQLite for state, not Redis. Source: ")
        assert "## Skill: report-writing" in text and "db-care" not in text
        for uri in ("druse://context?query=weekly%20report", "druse://context"):
            first, second = [(await client.read_resource(uri)).contents[0].text for _ in range(2)]  # type: ignore[union-attr]
            assert first == second and (first == text or uri == "druse://context")
        given = await call("context.for_query", query="weekly report")
        assert given["context"] == text and given["skills_used"][0] == "project/report-writing"
        for tokens in (50, 60, 100, 150, 300):
            small = await call("context.for_query", query="weekly report", tokens=tokens)
            assert len(small["context"]) <= tokens * 4 and small["tokens"] <= tokens
        found = await call("memory.search", query='"redis" NEAR state')
        assert found["memories"][0]["memory_type"] == "decision"
        assert (await call("memory.search", query="report", events=True))["events"][0]["run_id"] == run_id
        assert given["trace_id"] != run_id

    (row,) = [s for s in (await home.druse("skills", "list"))["skills"] if s["name"] == "report-writing"]
    assert row["used"] >= 1
    assert (await home.druse("memory", "list"))["memories"][0]["sources"][0]["run_id"] == run_id
