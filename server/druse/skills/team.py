"""Evolution of a team (seed id L-27): work that several members do becomes the proposal of a skill for all of them.

Each member puts what recurs in its own runs into the team's volume as `traces/MEMBER.json`: counts, and the hashes of
words of goals without their values, of tool names and of argument names. No text of a run is among it. A word is known
to the others only where they have it themselves, so a proposal can hold nothing but what at least two members share:
words of the goal, the tools all of them call in this order, the names of the arguments. Values are never part of it.
Whoever has the volume can try words of a dictionary against the hashes; numbers, paths, quoted texts and ids are not
there to be tried.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from druse.model import Caller, DruseError, Json, JsonObject
from druse.skills.access import VolumeKind, VolumeRef
from druse.skills.desk import SkillDesk
from druse.skills.document import SkillDocument, slug_of
from druse.skills.evolution import MIN_SUCCESS_RATE, common_tools, likeness_of, pattern_words, patterns, subsequence
from druse.skills.remote import Remote
from druse.skills.volume import Message
from druse.store import Store

MIN_OCCURRENCES = 5
MIN_MEMBERS = 2
_ALIKE = 0.6
_SHARED = 300  # kinds of work of one member
_RUNS = 10  # of one kind, from which the common calls are taken
_MAX_FILE = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of work of one member, in hashes."""

    member: str
    words: frozenset[str]
    tools: tuple[str, ...]
    arguments: Mapping[str, tuple[str, ...]]  # tool -> names of its arguments
    runs: int
    successes: int


class Vocabulary:
    """The words that this member knows: the way back from hashes it has itself."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def hide(self, word: str) -> str:
        """The hash of a word, remembered."""
        digest = hashlib.sha256(f"druse team {word}".encode()).hexdigest()[:24]
        self._known.setdefault(digest, word)
        return digest

    def words(self) -> list[str]:
        """All of them, in the order in which they came up."""
        return list(self._known.values())

    def show(self, digest: str) -> str | None:
        """The word, if this member has it."""
        return self._known.get(digest)


async def run_team_evolution(desk: SkillDesk, store: Store, caller: Caller) -> JsonObject:
    """Share this member's kinds of work with its team and propose what several members have in common."""
    team = desk.volumes.identity.team
    if not team:
        return {"team": "", "why": 'you belong to no team: "druse volumes use team:NAME"'}
    ref = VolumeRef(VolumeKind.TEAM, team)
    report: JsonObject = {"team": team}
    volume = desk.volumes.open(ref)
    actor = desk.volumes.maintainer(ref, "Druse team evolution")
    remote = Remote(volume) if "origin" in volume.git.text("remote").split() else None
    if remote is not None:
        report["pull"] = await asyncio.to_thread(_tried, lambda: remote.pull(actor)["status"])
    vocabulary = Vocabulary()
    member = desk.volumes.identity.user
    mine = await _own(store, member, vocabulary)
    subject = Message(f"Share what recurs in the work of {member}")
    await asyncio.to_thread(volume.write_file, f"traces/{member}.json", _written(mine), subject, actor)
    others = _of_others(volume.root / "traces", member)
    proposed: list[Json] = []
    waiting = volume.git.text("for-each-ref", "--format=%(refname)", "refs/remotes/origin/pr/").splitlines()
    known = {skill.name for skill in desk.library.every()} | {p.skill_id for p in volume.proposals(actor)}
    known |= {ref_name.rpartition("/")[2] for ref_name in waiting}
    groups = _groups(mine, others)
    for group in groups:
        document = _document(group, vocabulary)
        if document is None or document.name in known:
            continue
        written = await desk.propose_for(ref, document, caller, reason=_reason(group))
        known.add(document.name)
        proposed.append({"skill": document.name, "approval_id": written.approval_id, "status": written.status})
    if remote is not None:
        report["push"] = await asyncio.to_thread(_tried, lambda: remote.push(actor)["status"])
    members = sorted({member, *(work.member for work in others)})
    return {**report, "members": [*members], "shared": len(mine), "in_common": len(groups), "proposed": proposed}


async def _own(store: Store, member: str, vocabulary: Vocabulary) -> list[Work]:
    _, found = await patterns(store, min_count=1, min_rate=0.0)
    work: list[Work] = []
    for pattern in found[:_SHARED]:
        said = pattern_words(pattern.shape)
        words = frozenset(vocabulary.hide(word) for word in pattern.shape.split() if word in said)
        loaded = [await store.runs.get(run_id) for run_id in pattern.runs[-_RUNS:]]
        steps = [[step for step in record.run.steps if not step.failed] for record in loaded if record is not None]
        tools = common_tools(steps)
        arguments: dict[str, tuple[str, ...]] = {}
        for tool in dict.fromkeys(tools):
            calls = [set(step.arguments) for run in steps for step in run if step.tool == tool]
            names = set(calls[0])
            for call in calls[1:]:
                names &= call
            arguments[vocabulary.hide(tool)] = tuple(vocabulary.hide(name) for name in sorted(names))
        hidden = tuple(vocabulary.hide(tool) for tool in tools)
        work.append(Work(member, words, hidden, arguments, len(pattern.runs), pattern.successes))
    return work


def _written(work: Sequence[Work]) -> bytes:
    rows: list[JsonObject] = [
        {
            "words": [*sorted(one.words)],
            "tools": [*one.tools],
            "arguments": {tool: [*names] for tool, names in one.arguments.items()},
            "runs": one.runs,
            "successes": one.successes,
        }
        for one in work
    ]
    rows.sort(key=lambda row: json.dumps(row, sort_keys=True))
    return (json.dumps({"format": 1, "work": rows}, indent=1, sort_keys=True) + "\n").encode()


def _of_others(folder: Any, member: str) -> list[Work]:
    """What other members shared; a file that cannot be understood counts as none."""
    from druse.skills.filetree import read_file

    found: list[Work] = []
    for path in sorted(folder.glob("*.json")):
        if path.stem == member:
            continue
        try:
            loaded: Any = json.loads(read_file(path, _MAX_FILE) or b"{}")
            for row in cast("list[Any]", loaded["work"])[:_SHARED]:
                found.append(_work(path.stem, row))
        except (DruseError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return found


def _work(member: str, row: Any) -> Work:
    arguments = {str(tool): _hashes(names) for tool, names in cast("dict[Any, Any]", row["arguments"]).items()}
    runs, successes = int(row["runs"]), int(row["successes"])
    if not 0 <= successes <= runs <= 1_000_000:
        raise ValueError("counts")
    return Work(member, frozenset(_hashes(row["words"])), _hashes(row["tools"]), arguments, runs, successes)


def _hashes(values: Any) -> tuple[str, ...]:
    listed = [str(value) for value in cast("list[Any]", values)[:200]]
    if any(len(value) != 24 for value in listed):
        raise ValueError("no hash")
    return tuple(listed)


def _groups(mine: Iterable[Work], others: Sequence[Work]) -> list[list[Work]]:
    """Kinds of work that enough members do often enough, each beginning with this member's own."""
    found: list[list[Work]] = []
    for own in mine:
        group = [own, *(other for other in others if likeness_of(own.words, other.words) >= _ALIKE)]
        runs, successes = sum(w.runs for w in group), sum(w.successes for w in group)
        enough = runs >= MIN_OCCURRENCES and len({w.member for w in group}) >= MIN_MEMBERS
        if enough and round(successes / runs, 4) >= MIN_SUCCESS_RATE:
            found.append(group)
    return found


def _document(group: Sequence[Work], vocabulary: Vocabulary) -> SkillDocument | None:
    """A skill of what at least two members share; None where that says nothing."""
    members_of: dict[str, set[str]] = {}
    for work in group:
        for word in work.words:
            members_of.setdefault(word, set()).add(work.member)
    counted = Counter({word: len(members) for word, members in members_of.items() if len(members) >= MIN_MEMBERS})
    words = [word for word in vocabulary.words() if vocabulary.hide(word) in counted and len(word) > 2]
    tools = list(group[0].tools)
    arguments = {tool: set(names) for tool, names in group[0].arguments.items()}
    for work in group[1:]:
        tools = subsequence(tools, work.tools)
        for tool in arguments:
            arguments[tool] &= set(work.arguments.get(tool, ()))
    if not words or not tools:
        return None
    members, runs, good = len({w.member for w in group}), sum(w.runs for w in group), sum(w.successes for w in group)
    name = slug_of("-".join(words[:6]))
    lines = [f"\n# {name.replace('-', ' ').capitalize()}\n", "## When to Use\n", f"Work on: {', '.join(words)}.\n"]
    lines += ["## Approach\n", "All members who did this called, in this order:\n"]
    for number, tool in enumerate(tools, 1):
        names = sorted(filter(None, (vocabulary.show(one) for one in arguments.get(tool, ()))))
        lines.append(
            f"{number}. `{vocabulary.show(tool)}`" + (f" with {', '.join(f'`{n}`' for n in names)}" if names else "")
        )
    lines += ["\n## Sources\n", f"{runs} runs of {members} members, {good} of them successes.", ""]
    description = f"How this team does work on {' '.join(words)[:300]}. Made from {runs} runs of {members} members."
    document = SkillDocument(name, description.replace("<", "(").replace(">", ")"), "\n".join(lines))
    return document.with_own(keywords=" ".join(words)[:500], origin="team-evolution")


def _reason(group: Sequence[Work]) -> str:
    return f"{sum(w.runs for w in group)} runs of {len({w.member for w in group})} members"


def _tried(action: Any) -> str:
    try:
        return str(action())
    except DruseError as error:  # the remote is away, or has something else: what is here is done all the same
        return str(error)[:300]
