"""Taking the steps of a plan back (seed id S-31).

A step that writes has a *known inverse* where the plan names one (`undo`, a call like any other), where it wrote a text
file of the workspace (what stood there before is kept), or where it is a command whose inverse is known. The rest
cannot be undone, and is listed before the plan runs. What only reads needs no undoing.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from druse.model import Invalid, Json, JsonObject
from druse.planner.plans import arguments_of, literal_of, resolve, steps_of
from druse.store import KeptInverse

KEPT_BYTES = 1024 * 1024  # of a file's text before a step wrote it
UNKNOWN = "unknown"  # what a step left of a file, where the process ended before that was noted
_FILES = ("Write", "Edit")
_COMMAND = "Bash"


@dataclass(frozen=True, slots=True)
class Inverse:
    """What takes a step back: a call, or why nothing does. `touched`, `after`: the file it wrote, as it left it."""

    tool: str = ""
    arguments: JsonObject | None = None
    why_not: str = ""
    touched: str = ""
    after: str = ""


def undo_listed(
    plan: JsonObject, *, reads: Callable[[str], bool], inverse_of: Callable[[Json], str], prefix: str = ""
) -> tuple[list[JsonObject], list[JsonObject]]:
    """The steps that can be undone and those that cannot, in order, without running anything.

    `reads`: whether a tool only reads; `inverse_of`: the command that takes a command back, empty where none is known.
    """
    can: list[JsonObject] = []
    cannot: list[JsonObject] = []
    for step in steps_of(plan):
        place = prefix + str(step["id"])
        inner = step.get("plan")
        if isinstance(inner, dict):
            more = undo_listed(inner, reads=reads, inverse_of=inverse_of, prefix=f"{place}.")
            can, cannot = can + more[0], cannot + more[1]
            continue
        tool, undo = str(step["call"]), step.get("undo")
        command = literal_of(arguments_of(step).get("command"))
        told: JsonObject = {"step": place, "tool": tool}
        if isinstance(undo, dict):
            can.append({**told, "by": str(undo["call"]), "known_from": "the plan"})
        elif reads(tool):
            continue
        elif tool in _FILES:
            can.append({**told, "by": "what stood in the file", "known_from": "a copy, if it is text without a secret"})
        elif tool == _COMMAND and isinstance(command, str) and inverse_of(command):
            can.append({**told, "by": inverse_of(command), "known_from": "the command"})
        elif tool == _COMMAND and not isinstance(command, str):
            cannot.append({**told, "why": "its command is known only when it runs"})
        else:
            cannot.append({**told, "why": f"no inverse of {tool} is known; a step names one as `undo`"})
    return can, cannot


def named_inverse(
    undo: Mapping[str, Json], *, inputs: Mapping[str, Json], results: Mapping[str, Json], item: Json
) -> Inverse:
    """The inverse that a step names, its references filled in; `results` holds the step's own as well."""
    given = undo.get("arguments")
    try:
        arguments = resolve(given if isinstance(given, dict) else {}, inputs=inputs, results=results, item=item)
    except Invalid as error:
        return Inverse(why_not=str(error))
    return Inverse(str(undo["call"]), arguments if isinstance(arguments, dict) else {})


def command_inverse(tool: str, arguments: JsonObject, inverse_of: Callable[[Json], str]) -> Inverse | None:
    """The inverse of a command line, where one is known."""
    text = inverse_of(arguments.get("command")) if tool == _COMMAND else ""
    return Inverse(_COMMAND, {"command": text}) if text else None


def file_inverse(tool: str, arguments: JsonObject, root: Path) -> Inverse | None:
    """Looked at before a step writes a file: what brings back what stands there now; None for any other step."""
    named = arguments.get("file_path")
    if tool not in _FILES or not isinstance(named, str):
        return None
    path = (root / Path(named).expanduser()).resolve()
    if not path.is_relative_to(root):
        return Inverse(why_not=f"{named} is outside of the workspace, so what stood there was not kept")
    try:
        if path.stat().st_size > KEPT_BYTES:
            return Inverse(why_not=f"{named} was longer than {KEPT_BYTES} bytes, so what stood there was not kept")
        return Inverse("Write", {"file_path": named, "content": path.read_bytes().decode("utf-8")}, touched=str(path))
    except FileNotFoundError:
        return Inverse(_COMMAND, {"command": f"rm -- {shlex.quote(named)}"}, touched=str(path))
    except (OSError, ValueError) as error:
        return Inverse(why_not=f"what stood in {named} could not be kept: {error}")


def taken_back(kept: KeptInverse) -> bool:
    """Whether a file stands as the step found it, although the step had changed it."""
    now, content = digest_of_file(kept.touched), kept.arguments.get("content")
    before = hashlib.sha256(content.encode()).hexdigest() if isinstance(content, str) else ""
    return now == before != kept.after


def digest_of_file(path: str) -> str:
    """The digest of a file's bytes; empty where there is none."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""
