"""`config.toml`: the project's file over the user's. A mistake stops the start, with file and line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

from druse.model import Invalid
from druse.permissions import Layer, Policy
from druse.settings.modelprovider import ModelProvider, model_of
from druse.settings.oauth import OAuth, oauth_of
from druse.settings.people import People, narrower, people_of
from druse.settings.textfile import text_of
from druse.settings.workspace import Workspace

_LISTS = ("allow", "ask", "deny")
_PEOPLE = ("agents", "domains", "approvals")


@dataclass(frozen=True, slots=True)
class SelfProgramming:
    """The seed's own block, with its defaults (seed id S-36)."""

    enabled: bool = True
    trust_level: int = 0
    max_synthesis_per_session: int = 10
    max_plan_depth: int = 5


@dataclass(frozen=True, slots=True)
class Knobs:
    """`[settings]`: what a user may want to change. Times in seconds."""

    memory: bool = True  # keep memories of what was recorded, and give them to agents
    crystallization: bool = True  # make tools and skills of what was recorded, and serve them
    parallel_reads: int = 10
    pinned_tools: int = 15
    idle_seconds: int = 1800
    daemon_idle_seconds: int = 120  # how long the daemon stays after its last client left
    call_timeout: int = 120
    connect_timeout: int = 20
    candidate_runs: int = 5
    candidate_success: float = 0.95
    propose_seconds: int = 3600  # how often the best candidates are proposed as tools by themselves; 0 = never
    archive_days: int = 90  # runs that ended so long ago are compressed; 0 = never
    elicit: bool = False  # ask the client for approval of calls that only read; governs as far as a person approved it
    elicit_writes: bool = False  # with elicit: of calls that change something, too
    elicit_seconds: int = 120  # how long an answer is waited for
    skill_embeddings: bool = False  # find skills by meaning as well as by words
    minilm: bool = False  # find tools with the transformer of `druse[minilm]`, too
    task_seconds: int = 10  # after which a call still at work is answered with a task, where the client takes one
    unconfined_effects: bool = False  # let code write where the sandbox is language and limits only (tier T0)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything configured for one workspace. `problems` is why the policy is the most restrictive one, if it is."""

    policy: Policy
    self_programming: SelfProgramming = field(default_factory=SelfProgramming)
    knobs: Knobs = field(default_factory=Knobs)
    model: ModelProvider | None = None
    people: People = field(default_factory=People)
    oauth: OAuth | None = None


def load_config(workspace: Workspace) -> Config:
    """Read the user's and the project's file. Raises Invalid naming file and line for anything not understood."""
    layers: list[Layer] = []
    blocks: dict[str, dict[str, Any]] = {"self_programming": {}, "settings": {}}
    model: ModelProvider | None = None
    people = People()
    oauth: OAuth | None = None
    for name, path in (("user", workspace.user_config), ("project", workspace.config)):
        text = _read(path)
        if text is None:
            continue
        parsed = _parse(path, text)
        _known(path, text, parsed, {"permissions", "model", "oauth", *_PEOPLE, *blocks}, "")
        if "model" in parsed:
            model = _model(name, path, text, _table(path, text, parsed, "model"))
        if "oauth" in parsed:
            oauth = _oauth(name, path, text, _table(path, text, parsed, "oauth"))
        people = _people(path, text, parsed, people)
        layers.append(_layer(name, path, text, parsed.get("permissions", {})))
        for block, merged in blocks.items():
            given: dict[str, Any] = _table(path, text, parsed, block)
            _narrow_trust(merged, given)
            merged.update(given)
            _check_block(path, text, block, given)
    return Config(
        Policy(tuple(layers), workspace=workspace.root, home=Path.home()),
        SelfProgramming(**blocks["self_programming"]),
        Knobs(**blocks["settings"]),
        model,
        people,
        oauth,
    )


def _people(path: Path, text: str, parsed: Mapping[str, Any], outer: People) -> People:
    """A project narrows what its user says of agents and approvals; the reviewers of both files decide."""
    try:
        given = people_of(parsed)
    except Invalid as error:
        raise _wrong(path, _line_of(text, error.where), error.problem) from error
    return replace(narrower(outer, given), reviewers={**given.reviewers, **outer.reviewers})


def _model(layer: str, path: Path, text: str, given: dict[str, Any]) -> ModelProvider:
    if layer != "user":
        problem = "[model] belongs in your own config.toml: a project does not choose who reads your context"
        raise _wrong(path, _line_of(text, "[model]"), problem)
    try:
        return model_of(given)
    except Invalid as error:
        raise _wrong(path, _line_of(text, error.where or "[model]"), error.problem) from error


def _oauth(layer: str, path: Path, text: str, given: dict[str, Any]) -> OAuth:
    """The project's table stands in place of the user's: each workspace that is served has an address of its own."""
    try:
        return oauth_of(given, layer)
    except Invalid as error:
        where = error.where if error.where in text else "[oauth"
        raise _wrong(path, _line_of(text, where), error.problem) from error


def _narrow_trust(merged: Mapping[str, Any], given: dict[str, Any]) -> None:
    """A project narrows what its user allows, never widens it."""
    outer, inner = merged.get("trust_level"), given.get("trust_level")
    if isinstance(outer, int) and isinstance(inner, int):
        given["trust_level"] = min(outer, inner)


def _read(path: Path) -> str | None:
    try:
        return text_of(path)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(
            f"Cannot read {path}: {error}. Correct the file or remove it; without it nothing is allowed unasked.",
            where=str(path),
            problem=str(error),
        ) from error


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise _wrong(path, int(line[1]) if line else 1, f"it is not TOML: {error}") from error
    except RecursionError as error:
        raise _wrong(path, 1, "its lists are nested too deeply") from error


def _layer(name: str, path: Path, text: str, permissions: Any) -> Layer:
    if not isinstance(permissions, dict):
        raise _wrong(path, _line_of(text, "permissions"), "[permissions] must be a table")
    table = cast("dict[str, Any]", permissions)
    _known(path, text, table, set(_LISTS), "permissions.")
    rules: dict[str, list[tuple[str, str]]] = {}
    for kind in _LISTS:
        listed = table.get(kind, [])
        if not isinstance(listed, list):
            raise _wrong(path, _line_of(text, kind), f"permissions.{kind} must be a list of rules")
        rules[kind] = []
        for rule in cast("list[Any]", listed):
            line = _line_of(text, rule, after=kind) if isinstance(rule, str) else _line_of(text, kind)
            if not isinstance(rule, str):
                raise _wrong(path, line, f"permissions.{kind} holds {rule!r}, which is not a text")
            rules[kind].append((rule, f"{path}:{line}"))
    return Layer.parse(name, rules)


def _table(path: Path, text: str, parsed: Mapping[str, Any], block: str) -> dict[str, Any]:
    table = parsed.get(block, {})
    if not isinstance(table, dict):
        raise _wrong(path, _line_of(text, block), f"[{block}] must be a table")
    return dict(cast("dict[str, Any]", table))


_RANGES = {
    "trust_level": (0, 4),
    "max_synthesis_per_session": (0, 10_000),
    "max_plan_depth": (1, 100),
    "parallel_reads": (1, 1000),
    "pinned_tools": (0, 100),
    "idle_seconds": (1, 10_000_000),
    "daemon_idle_seconds": (0, 10_000_000),
    "call_timeout": (1, 100_000),
    "connect_timeout": (1, 3600),
    "candidate_runs": (2, 10_000),
    "candidate_success": (0, 1),
    "propose_seconds": (0, 10_000_000),
    "archive_days": (0, 100_000),
    "elicit_seconds": (1, 3600),
    "task_seconds": (1, 100_000),
}


def _check_block(path: Path, text: str, block: str, given: Mapping[str, Any]) -> None:
    shape = SelfProgramming() if block == "self_programming" else Knobs()
    known = {item.name: getattr(shape, item.name) for item in fields(shape)}
    _known(path, text, given, set(known), f"{block}.")
    for key, value in given.items():
        expected = cast("type[Any]", type(known[key]))
        fits = isinstance(value, expected) or (expected is float and isinstance(value, int))
        if not fits or (isinstance(value, bool) and expected is not bool):
            raise _wrong(path, _line_of(text, key), f"{block}.{key} is {value!r}, expected {expected.__name__}")
        low, high = _RANGES.get(key, (None, None))
        if low is not None and high is not None and not low <= value <= high:
            raise _wrong(path, _line_of(text, key), f"{block}.{key} is {value}, expected {low} to {high}")


def _known(path: Path, text: str, table: Mapping[str, Any], known: set[str], prefix: str) -> None:
    for key in table:
        if key not in known:
            raise _wrong(
                path, _line_of(text, key), f"{prefix}{key} is not a setting; known: {', '.join(sorted(known))}"
            )


def _line_of(text: str, needle: str, *, after: str = "") -> int:
    """The line where a key or a rule stands. Rules are sought after the line of their list's key."""
    lines = text.splitlines()
    start = 0
    if after:
        start = next((i for i, line in enumerate(lines) if re.match(rf"\s*{after}\s*=", line)), 0)
    for number, line in enumerate(lines[start:], start + 1):
        if needle in line:
            return number
    return start + 1


def _wrong(path: Path, line: int, problem: str) -> Invalid:
    return Invalid(
        f"Cannot start with {path}:{line}: {problem}. Correct that line.", where=f"{path}:{line}", problem=problem
    )
