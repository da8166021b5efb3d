"""Skills of servers behind Druse: listed without fetching, fetched with checks, and drafts until a person approves."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import warm

from .conftest import Home  # type: ignore[import-not-found]

SKILL = "---\nname: pdf-forms\ndescription: Fill forms\nallowed-tools: Bash\n---\n\n# Forms\n\nFill them.\n"
MORE = "How forms work.\n"
ROOT = "skill://acme/pdf-forms/"
FRONT = {"name": "pdf-forms", "description": "Fill forms", "allowed-tools": "Bash"}

# Offers what `offer.json` says, answers reads from it, and writes down each read.
SERVER = """
import json, pathlib, sys
here = pathlib.Path(sys.argv[1])
for line in sys.stdin:
    m = json.loads(line)
    if "id" not in m:
        continue
    offer = json.loads((here / "offer.json").read_text())
    if m["method"] == "initialize":
        r = {"protocolVersion": "2025-11-25", "serverInfo": {"name": "a", "version": "1"}}
        r["capabilities"] = {"tools": {}, "resources": {}, "extensions": {"io.modelcontextprotocol/skills": {}}}
    elif m["method"] == "tools/list":
        r = {"tools": []}
    elif m["method"] == "skills/list":
        r = {"skills": offer["skills"]}
    elif m["method"] == "resources/read":
        uri = m["params"]["uri"]
        with (here / "reads").open("a") as reads:
            reads.write(uri + "\\n")
        r = {"contents": [{"uri": uri, "text": offer["files"][uri]}]}
    else:
        print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "error": {"code": -32601, "message": "no"}}), flush=True)
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": r}), flush=True)
"""


def part(uri: str, text: str) -> dict[str, Any]:
    body = text.encode()
    return {"uri": uri, "digest": "sha256:" + hashlib.sha256(body).hexdigest(), "size": len(body)}


def entry(root: str = ROOT, **listed: Any) -> dict[str, Any]:
    resources = [part(root + "SKILL.md", SKILL), part(root + "references/more.md", MORE)]
    return {"uri": root + "SKILL.md", "frontmatter": FRONT, "resources": resources, **listed}


def files(root: str = ROOT, *, skill: str = SKILL, more: str = MORE) -> dict[str, str]:
    return {root + "SKILL.md": skill, root + "references/more.md": more}


def offer(home: Home, skills: list[Any] | None = None, served: dict[str, str] | None = None) -> Path:
    """A server that lists these skills and serves these files. The folder it works in."""
    here = home.root / "acme"
    here.mkdir(exist_ok=True)
    offered = {"skills": skills or [entry()], "files": served or files()}
    (here / "offer.json").write_text(json.dumps(offered))
    (here / "server.py").write_text(SERVER)
    server = {"command": sys.executable, "args": [str(here / "server.py"), str(here)]}
    (home.root / "mcp.json").write_text(json.dumps({"mcpServers": {"acme": server}}))
    return here


def taken(home: Home, *flags: str) -> Any:
    (row,) = home.said("skills", "import", "--server", "acme", *flags)["imported"]
    return row


def test_a_servers_skill_is_a_draft_until_a_person_approves_it(home: Home) -> None:
    here = offer(home)
    assert (taken(home, "--list"))["status"] == "offered"
    assert not (here / "reads").exists()

    row = taken(home)
    assert (row["status"], row["skill"]) == ("draft", "pdf-forms")
    assert (here / "reads").read_text().split() == [ROOT + "SKILL.md", ROOT + "references/more.md"]
    (listed,) = [s for s in (home.said("skills", "list", "--all"))["skills"] if s["name"] == "pdf-forms"]
    assert listed["status"] == "draft"
    shown = home.said("approvals", "show", row["approval_id"])
    assert "references/more.md (16 bytes)" in json.dumps(shown)

    home.said("approvals", "approve", row["approval_id"], "--yes")
    folder = home.volumes / "user" / "alice" / "skills" / "pdf-forms"
    assert (folder / "references" / "more.md").read_text() == MORE
    text = (folder / "SKILL.md").read_text()
    assert "Fill them." in text and "allowed-tools" not in text
    assert (taken(home))["status"] == "unchanged"


BAD: list[tuple[dict[str, Any], dict[str, str], str]] = [
    ({}, {"skill": SKILL.replace("Fill them.", "Send them.")}, "another digest"),
    ({}, {"skill": SKILL + "More.\n"}, "bytes, the server listed"),
    ({"frontmatter": {**FRONT, "description": "Another"}}, {}, "not what the server listed: description"),
    ({}, {"more": "How forms fail.\n"}, "references/more.md is not what the server listed"),
    ({"resources": "dynamic"}, {}, "does not list its files"),
    ({"resources": [part(ROOT + "x/SKILL.md", SKILL)]}, {}, "not inside the skill"),
    ({"resources": [part("skill://acme/bad-6/../../SKILL.md", SKILL)]}, {}, "not inside the skill"),
    ({"resources": [part("skill://acme/bad-7/%2e%2e/SKILL.md", SKILL)]}, {}, "not inside the skill"),
    ({"resources": [part("skill://acme/bad-8/more.md", MORE)]}, {}, "does not list its SKILL.md"),
]


def test_what_is_not_as_listed_is_not_taken(home: Home) -> None:
    roots = [f"skill://acme/bad-{number}/" for number in range(len(BAD))]
    served = {
        uri: text
        for root, (_, change, _) in zip(roots, BAD, strict=True)
        for uri, text in files(root, **change).items()
    }
    offer(home, [entry(root, **listed) for root, (listed, _, _) in zip(roots, BAD, strict=True)], served)
    rows = home.said("skills", "import", "--server", "acme")["imported"]
    for row, (_, _, problem) in zip(rows, BAD, strict=True):
        assert row["status"] == "skipped" and problem in row["reason"], row
    assert not list((home.volumes / "user" / "alice" / "skills").glob("*/SKILL.md"))


def test_a_server_does_not_replace_a_skill_of_another_origin(home: Home) -> None:
    home.said("skills", "new", "pdf-forms", "--description", "My own")
    offer(home)
    row = taken(home)
    assert row["status"] == "skipped" and "another origin" in row["reason"]
    (mine,) = [s for s in (home.said("skills", "list"))["skills"] if s["name"] == "pdf-forms"]
    assert mine["description"] == "My own"


def test_another_druse_is_a_server_of_skills(home: Home, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / ".druse").mkdir(parents=True)
    (other / "skills" / "greet").mkdir(parents=True)
    (other / "skills" / "greet" / "SKILL.md").write_text("---\nname: greet\ndescription: Greets\n---\n\nSay hello.\n")
    python, *words = warm.command()
    server = {"command": python, "args": [*words, "serve", "--no-daemon", "--workspace", str(other)]}
    (home.root / "mcp.json").write_text(json.dumps({"mcpServers": {"acme": server}}))
    assert (taken(home, "--only", "greet"))["status"] == "draft"
    unknown = home.said("skills", "import", "--server", "acme", "--only", "nothing")
    assert "offers no skill nothing" in unknown["error"]["message"]


def test_a_server_without_skills_says_so(home: Home) -> None:
    here = offer(home)
    (here / "server.py").write_text(SERVER.replace("skills/list", "nothing/list"))
    refused = home.said("skills", "import", "--server", "acme")
    assert "refused skills/list" in refused["error"]["message"]
