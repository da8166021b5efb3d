"""Permission rules of Claude Code, read as rules of Druse and written back.

Both speak of `Bash(git:*)` and `Read(./src/**)`; a rule on edits is `Edit(*.md)` there and `FileEdit(*.md)` here. What
has no effect there, means more here, or cannot be said on the other side is left out, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from druse.editors.clients import NAME
from druse.editors.documents import decoded, found_at, read
from druse.editors.files import bytes_of
from druse.editors.machine import Machine
from druse.model import Invalid, Json

__all__ = ["Kind", "Proposal", "exported", "proposed"]

Kind = Literal["allow", "ask", "deny"]
KINDS: tuple[Kind, ...] = ("allow", "ask", "deny")
_RULE = re.compile(r"([A-Za-z0-9_*.-]+)(?:\((.*)\))?", re.DOTALL)
_SAME = frozenset(("Bash", "Read", "WebFetch"))


@dataclass(slots=True)
class Proposal:
    """Rules by kind, and what was left out: the rule with where it stood, and why."""

    rules: dict[Kind, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    left: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def add(self, kind: Kind, rule: str) -> None:
        """Add a rule once."""
        if rule not in self.rules[kind]:
            self.rules[kind].append(rule)

    def __bool__(self) -> bool:
        return any(self.rules.values())


def proposed(machine: Machine, root: Path) -> Proposal:
    """What the rules of Claude Code in a project are as rules of Druse. A file that cannot be read is left out."""
    found = Proposal()
    folder = machine.folder("CLAUDE_CONFIG_DIR", ".claude")
    files = (folder / "settings.json", root / ".claude" / "settings.json", root / ".claude" / "settings.local.json")
    for path in files:
        try:
            settings = read(decoded(bytes_of(path) or b"", str(path)), "json", str(path))
        except Invalid as error:
            found.left.append((str(path), str(error)))
            continue
        for kind in KINDS:
            listed = found_at(settings, ("permissions", kind))
            for text in listed if isinstance(listed, list) else []:
                _propose(found, kind, text, path, root, of_user=path.parent == folder)
    return found


def exported(rules: Mapping[Kind, Iterable[str]]) -> Proposal:
    """Rules of Druse as Claude Code writes them."""
    made = Proposal()
    for kind, texts in rules.items():
        for text in texts:
            try:
                made.add(kind, _for_claude(kind, text))
            except ValueError as reason:
                made.left.append((f"{kind} {text}", str(reason)))
    return made


def _propose(found: Proposal, kind: Kind, text: Json, path: Path, root: Path, *, of_user: bool) -> None:
    from druse.permissions import parse_rule

    if not isinstance(text, str):
        return
    try:
        rule = _for_druse(kind, text.strip(), of_user=of_user)
        parse_rule(rule, str(path), root, Path.home(), allows=kind == "allow")
    except ValueError as reason:
        found.left.append((f"{kind} {text} ({path})", str(reason)))
    else:
        found.add(kind, rule)


def _for_druse(kind: Kind, text: str, *, of_user: bool) -> str:
    match = _RULE.fullmatch(text)
    if match is None:
        raise ValueError("it is not `Tool` or `Tool(pattern)`")
    tool, inner = match[1], match[2]
    if of_user and inner and inner.startswith("/") and not inner.startswith("//") and tool in ("Read", "Edit"):
        raise ValueError("in a user's settings it speaks of the settings' own folder, here of the project's")
    if tool == "Bash" and kind == "allow" and (inner is None or inner.strip() in ("*", ":*", "")):
        raise ValueError("it allows every command; name the programs")
    if tool in _SAME:
        return text
    if tool == "Edit":
        if inner is None and kind == "allow":
            raise ValueError("here it allows writing new files as well; add FileEdit if that is meant")
        return f"FileEdit({inner})" if inner is not None else "FileEdit"
    if tool in ("Write", "MultiEdit", "NotebookEdit", "Grep", "Glob", "LS", "FileEdit", "FileWrite", "FileRead"):
        if inner is None and not tool.startswith("File"):
            return tool
        raise ValueError("it has no effect in Claude Code")
    if tool.startswith("mcp__"):
        return _server_rule(kind, text, tool, inner)
    raise ValueError("it speaks of a tool that only Claude Code has")


def _server_rule(kind: Kind, text: str, tool: str, inner: str | None) -> str:
    server, _, name = tool.removeprefix("mcp__").partition("__")
    if inner is not None and kind == "allow":
        raise ValueError("it has no effect in Claude Code")
    if "*" in server:
        if kind == "allow":
            raise ValueError("it has no effect in Claude Code")
        return text
    if server == NAME:
        raise ValueError("it speaks of Druse itself, which decides each call behind it")
    return f"{server}__{name or '*'}"


def _for_claude(kind: Kind, text: str) -> str:
    match = _RULE.fullmatch(text.strip())
    if match is None:
        raise ValueError("it is not `Tool` or `Tool(pattern)`")
    tool, inner = match[1], match[2]
    tool = {"FileEdit": "Edit", "FileWrite": "Write", "FileRead": "Read"}.get(tool, tool)
    if inner is not None and inner.strip() == "readonly":
        raise ValueError("Claude Code has no such condition")
    if tool in _SAME or tool == "Edit":
        return tool if inner is None else f"{tool}({inner})"
    if tool in ("Write", "MultiEdit", "NotebookEdit", "Grep", "Glob", "LS", "NotebookRead"):
        if inner is None:
            return tool
        if kind == "allow":
            raise ValueError(f"Claude Code knows no pattern for {tool}; an allow of Edit or Read covers more")
        return f"{'Read' if tool in ('Grep', 'Glob', 'LS', 'NotebookRead') else 'Edit'}({inner})"
    server, separator, name = tool.removeprefix("mcp__").partition("__")
    if inner is not None:
        raise ValueError("Claude Code has no conditions on arguments of a server's tool")
    if not separator or "*" in server or not name:
        raise ValueError("it speaks of no tool that Claude Code has")
    return f"mcp__{server}__{name}"
