"""Skills from and to other tools: folders of agents, rules and skills in, `.claude/skills` and `.agents/skills` out.

What comes in gets valid front matter; keys that are not of the form are kept under `metadata` as `foreign.KEY`. It
lands as a draft, and coming in twice changes nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from druse.model import Invalid
from druse.skills.document import FIELDS, MAX_DESCRIPTION, MAX_TEXT, SkillDocument, fields_of, parse, render, slug_of
from druse.skills.filetree import read_file, read_folder

MAX_IMPORT = 500  # files of one import
_SUFFIXES = (".md", ".mdc")
_SKIPPED_NAMES = frozenset({"readme.md", "changelog.md", "license.md", "contributing.md"})
TARGETS = {"claude": Path(".claude/skills"), "agents": Path(".agents/skills")}


@dataclass(frozen=True, slots=True)
class Incoming:
    """One file that can become a skill, or the reason why not."""

    source: str
    document: SkillDocument | None
    files: tuple[tuple[str, bytes], ...] = ()  # what lay beside its SKILL.md
    skipped: str = ""


def adapt(text: str, *, fallback: str, where: str = "skill") -> SkillDocument:
    """A skill of any Markdown with or without front matter. Raises Invalid where no description can be made."""
    given, body = fields_of(text, where)
    metadata: dict[str, str] = {}
    own = given.pop("metadata", None)
    if isinstance(own, dict):
        metadata.update({k: _text(v) for k, v in cast("dict[str, Any]", own).items()})
    for seed in ("category", "keywords"):
        if seed in given:
            metadata[f"druse.{seed}"] = _text(given.pop(seed))
    tools = given.pop("allowed-tools", None) or given.pop("tools", None)
    name = slug_of(_text(given.pop("name", "")) or fallback)
    description = " ".join(_text(given.pop("description", "") or _first_words(body)).split())
    description = re.sub(r"<[^>]*>", " ", description).strip()[:MAX_DESCRIPTION]
    if not description:
        raise Invalid(f"Cannot make a skill of {where}: it has no description and no text.", where=where)
    kept = {key: _text(given.pop(key)) for key in ("license", "compatibility") if key in given}
    metadata.update({f"foreign.{slug_of(key)}": _text(value) for key, value in given.items() if key not in FIELDS})
    document = SkillDocument(
        name=name,
        description=description,
        body=body,
        license=kept.get("license", ""),
        compatibility=kept.get("compatibility", ""),
        allowed_tools=" ".join(re.split(r"[,\s]+", _text(tools).strip())) if tools else "",
        metadata=metadata,
    )
    render(document)
    return document


def incoming(folder: Path) -> list[Incoming]:
    """What a folder of skills, agents or rules holds. Raises Invalid where it is no folder or holds too much."""
    if not folder.is_dir():
        raise Invalid(f"Cannot import {folder}: it is no folder.", where=str(folder))
    found: list[Incoming] = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file() or path.suffix not in _SUFFIXES or _hidden(relative):
            continue
        if len(found) >= MAX_IMPORT:
            raise Invalid(f"Cannot import {folder}: it holds more than {MAX_IMPORT} texts.", where=str(folder))
        found.append(_incoming(path, relative, folder))
    return found


def check_path_of(path: Path) -> list[dict[str, object]]:
    """Each skill at a path (a SKILL.md, a skill's folder, or a folder of them) with what is wrong with it."""
    if path.is_dir():
        inside = path / "SKILL.md"
        found = [inside] if inside.exists() else sorted(path.glob("*/SKILL.md"))
        if not found:
            return [{"skill": str(path), "valid": False, "problem": "there is no SKILL.md", "strict": False}]
        return [row for part in found for row in check_path_of(part)]
    row: dict[str, object] = {"skill": str(path), "valid": False, "problem": "", "strict": False}
    try:
        text = (read_file(path, MAX_TEXT) or b"").decode("utf-8")
        document = parse(text, where=str(path), folder=path.resolve().parent.name if path.name == "SKILL.md" else "")
        return [{**row, "valid": True, "strict": document.strict}]
    except Invalid as error:
        return [{**row, "problem": f"{error.where}: {error.problem}" if error.problem else str(error)}]
    except UnicodeDecodeError as error:
        return [{**row, "problem": f"{path}:1: it is not UTF-8 at byte {error.start}"}]


def _incoming(path: Path, relative: str, folder: Path) -> Incoming:
    if path.name.lower() in _SKIPPED_NAMES:
        return Incoming(relative, None, skipped="it describes the folder")
    owner = path.parent if path.parent != folder else None
    if path.name != "SKILL.md" and any((part / "SKILL.md").is_file() for part in [path.parent, path.parent.parent]):
        return Incoming(relative, None, skipped="it belongs to the skill beside it")
    fallback = owner.name if path.name == "SKILL.md" and owner else path.stem
    try:
        body = (read_file(path, 256 * 1024) or b"").decode("utf-8")
        document = adapt(body, fallback=fallback, where=relative)
        beside = read_folder(path.parent) if path.name == "SKILL.md" and owner else {}
    except Invalid as error:
        return Incoming(relative, None, skipped=error.problem or str(error))
    except UnicodeDecodeError:
        return Incoming(relative, None, skipped="it is not UTF-8")
    beside.pop("SKILL.md", None)
    return Incoming(relative, document, tuple(sorted(beside.items())))


def export(files: dict[str, bytes], target: Path, *, replace: bool) -> list[str]:
    """Write a skill's folder; the paths that changed. Raises Invalid where other text stands there already."""
    changed: list[str] = []
    if target.is_symlink() or target.parent.is_symlink():
        raise Invalid(f"Cannot export to {target}: a link stands in the way.", where=str(target))
    for name, body in sorted(files.items()):
        path = target / name
        there = read_file(path, 4 * 1024 * 1024) if path.exists() else None
        if there == body:
            continue
        if there is not None and not replace:
            raise Invalid(f"Cannot export to {path}: another text stands there. Use --replace to overwrite it.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        changed.append(str(path))
    return changed


def _hidden(relative: str) -> bool:
    return any(part in (".git", "node_modules", ".venv") for part in relative.split("/"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _first_words(body: str) -> str:
    for line in body.splitlines():
        words = line.strip().lstrip("#>*- ").strip()
        if len(words) > 15:
            return words
    return next((line.strip("# ") for line in body.splitlines() if line.strip("# ")), "")
