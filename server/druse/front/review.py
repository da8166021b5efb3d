"""What a person reads before deciding: permissions gained first, then what changes, then a dry run."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from druse.model import ToolVersion, visible

if TYPE_CHECKING:
    from druse.front.base import Base

__all__ = ["compared", "review_of", "reviewed", "text_of", "visible"]


async def reviewed(base: Base, approval_id: str) -> dict[str, Any]:
    """One request with everything a person compares. Raises NotFound."""
    approval = await base.approvals.get(approval_id)
    data = asdict(approval)
    if "manifest" in approval.details:
        serving = base.shelf.active.get(str(approval.details.get("name")))
        before = (
            {"source": serving.source, "manifest": serving.manifest, "version": serving.version} if serving else None
        )
        data.update(review_of(data, before))
    return data


# What a person approves of a manifest beside the code; the rest is evidence, shown on its own or in --json.
_MANIFEST = (
    "name",
    "description",
    "permissions",
    "commands",
    "input_schema",
    "output_schema",
    "upstream_schemas",
    "goals",
)


def review_of(approval: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    """An approval of kind `tool` with what is to be compared. `before`: source and manifest now in service."""
    details = approval["details"]
    manifest = details["manifest"]
    old = before or {"source": "", "manifest": {}, "version": None}
    had, has = _listed(old["manifest"], "permissions"), _listed(manifest, "permissions")
    return {
        "permissions_gained": sorted(has - had),
        "permissions_lost": sorted(had - has),
        "replaces": old["version"],
        "code_diff": _diff(old["source"].splitlines(), details["source"].splitlines(), "source"),
        "manifest_diff": _diff(_plain(old["manifest"]), _plain(manifest), "manifest"),
        "dry_run": details.get("dry_run"),
    }


def compared(before: ToolVersion, after: ToolVersion) -> dict[str, Any]:
    """What a version changed against an earlier one: lines of its source, and what it may call."""
    had, has = _listed(before.manifest, "permissions"), _listed(after.manifest, "permissions")
    lines = difflib.unified_diff(
        before.source.splitlines(), after.source.splitlines(), f"v{before.version}", f"v{after.version}", lineterm=""
    )
    return {"diff": list(lines), "permissions_gained": sorted(has - had), "permissions_lost": sorted(had - has)}


def text_of(data: dict[str, Any]) -> str:
    """An approval for a terminal. Nothing in it can move the cursor, hide text or change its direction."""
    lines = [f"{data['id']} ({data['kind']}, {data['status']}): {data['title']}"]
    if data["note"]:
        lines.append(f"Note: {data['note']}")
    body = _successor if data["kind"] == "successor" else {"tool": _tool, "call": _call}.get(data["kind"], _other)
    return visible("\n".join([*lines, *body(data)]))


def _call(data: dict[str, Any]) -> Iterable[str]:
    details: dict[str, Any] = data["details"]
    arguments: dict[str, Any] = details.get("arguments") or {}
    yield f"Tool: {details.get('tool')}"
    for name, value in sorted(arguments.items()):
        shown = value if isinstance(value, str) and "\n" not in value else json.dumps(value, ensure_ascii=False)
        yield f"  {name}: {shown}"
    if details.get("why"):
        yield f"Why it asks: {details['why']}"
    asked = data["requested_by"]
    answerable = f" for {asked['identity']}" if asked.get("identity") else ""
    yield f"Asked by: {asked.get('kind')} {asked.get('client')}{answerable}, session {asked.get('session')}"
    if details.get("how_to_allow"):
        yield f"A rule that allows such calls: {details['how_to_allow']} (approve with --always to add it)"


def _tool(data: dict[str, Any]) -> Iterable[str]:
    disagreements: list[dict[str, Any]] = data["details"]["manifest"].get("disagreements") or []
    for row in disagreements:
        yield ("DISAGREEMENT: " if row["set_aside"] else "Left out: ") + row["told"]
        if "tool" in row:
            yield f"  as things were in that run, the tool {row['tool']}: {row['detail'] or 'to its end'}"
    yield f"Permissions gained: {', '.join(data['permissions_gained']) or 'none'}"
    if data["permissions_lost"]:
        yield f"Permissions given up: {', '.join(data['permissions_lost'])}"
    yield from commands_text(data["details"]["manifest"])
    replaces = data["replaces"]
    yield f"\nThe code, against v{replaces} in service:" if replaces else "\nThe code, all of it new:"
    yield from data["code_diff"] or ["(equal)"]
    yield "\nWhat it is listed by:"
    yield from data["manifest_diff"] or ["(equal)"]
    yield "\nProof: each run left out once, and reproduced by what the others teach"
    proof: list[dict[str, Any]] = data["details"]["manifest"].get("verification") or []
    for row in proof:
        yield f"  run {row['run']}: {row['result']} ({row['calls']} calls)"
    yield from _dry_run(data["dry_run"])


def commands_text(manifest: dict[str, Any]) -> Iterable[str]:
    """The commands a tool can run, with the rule that covers each and what takes it back."""
    commands: list[dict[str, Any]] = manifest.get("commands") or []
    if commands:
        yield "\nCommands it runs (approving it allows these, with these values only):"
    for row in commands:
        yield f"  line {row['line']}: {row['command']}"
        yield f"    a rule that covers it outside of the tool: {row['rule'] or 'none, ' + row.get('no_rule', '')}"
        yield f"    taken back by hand with: {row['undo'] or 'nothing known'}"


def _successor(data: dict[str, Any]) -> Iterable[str]:
    verdict: dict[str, Any] = data["details"]["verdict"]
    if "manifest" in data["details"]:
        yield from _tool(data)
    else:
        for key in ("gains", "losses", "settings", "candidates", "no_longer_asked"):
            yield f"{key.replace('_', ' ')}: {json.dumps(verdict['changes'].get(key), ensure_ascii=False)}"
        yield f"\n{verdict['changes']['diff']}"
    cost: dict[str, Any] = verdict["cost"]
    yield f"\nVerdict: {verdict['verdict']}, {cost['runs']} recorded runs, {cost['wall_seconds']} s in a child process"


def _dry_run(dry: dict[str, Any] | None) -> Iterable[str]:
    if not dry:
        return
    given = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in dry["arguments"].items())
    yield f"\nDry run on the recorded results of {dry['run']}: with {given or 'no arguments'} it calls"
    for call in dry["calls"]:
        shown = ", ".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in call["arguments"].items())
        yield f"  {call['tool']}({shown})"
        if call.get("undo"):
            yield f"    taken back by hand with: {call['undo']}"
    if dry["ended"] != "ok":
        yield f"  and ends: {dry['ended']}"


def _other(data: dict[str, Any]) -> Iterable[str]:
    yield json.dumps(data["details"], indent=2, ensure_ascii=False)


def _listed(manifest: dict[str, Any], key: str) -> set[str]:
    listed = manifest.get(key)
    return set(map(str, listed)) if isinstance(listed, list) else set[str]()  # pyright: ignore[reportUnknownArgumentType]


def _plain(manifest: dict[str, Any]) -> list[str]:
    kept = {key: manifest[key] for key in _MANIFEST if key in manifest}
    return json.dumps(kept, indent=2, ensure_ascii=False).splitlines() if kept else []


def _diff(before: list[str], after: list[str], what: str) -> list[str]:
    if not before:
        return [f"+{line}" for line in after]
    return list(difflib.unified_diff(before, after, f"{what} in service", f"{what} proposed", lineterm=""))
