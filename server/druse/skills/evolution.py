"""Evolution: work that recurs, and that no tool does, becomes the draft of a skill (seed ids L-14 to L-18).

Runs are grouped by the shape of their goal (values taken out). A pattern needs `min_pattern_count` runs and
`min_success_rate`. The draft holds what the runs have in common: steps, what varied, and what went wrong. No model is
asked. It waits for a person like any other draft, and the same runs never make it twice.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from druse.model import Caller, Invalid, Json, JsonObject, RunStatus, Step, VersionStatus
from druse.skills.access import Actor
from druse.skills.desk import MAX_DRAFT, SkillDesk
from druse.skills.document import SkillDocument, slug_of, without_hidden
from druse.skills.volume import Message
from druse.store import RunRecord, Store

MIN_PATTERN_COUNT = 3
MIN_SUCCESS_RATE = 0.7
_READ = 5000  # newest runs looked at
_SHOWN = 20  # runs a draft is made from
_ALIKE = 0.6  # share of words of two goals of one kind of work
_EMPTY = frozenset("a an and the to of for in on with please my our new some this that it slot".split())


@dataclass(frozen=True, slots=True)
class Pattern:
    """Work that recurs. Two counts, never a rounded ratio."""

    shape: str
    goal: str
    runs: tuple[str, ...]
    successes: int

    @property
    def success_rate(self) -> float:
        """Successes per run."""
        return self.successes / len(self.runs) if self.runs else 0.0


@dataclass(slots=True)
class Evolved:
    """The seed's statistics of one run."""

    traces_analyzed: int = 0
    patterns_detected: int = 0
    skills_created: int = 0
    skills_edited: int = 0
    skipped: list[str] = field(default_factory=list[str])
    created: list[str] = field(default_factory=list[str])
    approvals: list[str] = field(default_factory=list[str])

    def as_dict(self) -> JsonObject:
        """For answers and job reports."""
        data: JsonObject = asdict(self)
        return data


async def patterns(
    store: Store, *, min_count: int = MIN_PATTERN_COUNT, min_rate: float = MIN_SUCCESS_RATE
) -> tuple[int, list[Pattern]]:
    """How many runs were looked at, and the patterns in them that no tool does, most frequent first."""
    records = [r for r in await store.runs.list(limit=_READ) if r.run.status in (RunStatus.SUCCESS, RunStatus.FAILURE)]
    versions = await store.tools.all()
    done = {v.workflow for v in versions if v.status in (VersionStatus.ACTIVE, VersionStatus.PROPOSED)}
    groups: list[tuple[frozenset[str], list[RunRecord]]] = []
    for record in sorted(records, key=lambda r: (r.run.opened_at, r.run.id)):
        words = pattern_words(record.shape)
        if not words or (record.workflow and record.workflow in done):
            continue
        home = next((members for held, members in groups if likeness_of(held, words) >= _ALIKE), None)
        if home is None:
            groups.append((words, [record]))
        else:
            home.append(record)
    found: list[Pattern] = []
    for _, members in groups:
        successes = sum(r.run.status is RunStatus.SUCCESS for r in members)
        shape = Counter(r.shape for r in members).most_common(1)[0][0]
        pattern = Pattern(shape, members[-1].run.goal, tuple(r.run.id for r in members), successes)
        # In tenths of a per mille, so that 7 of 10 is not just under 0.7.
        if len(members) >= min_count and round(pattern.success_rate, 4) >= min_rate:
            found.append(pattern)
    return len(records), sorted(found, key=lambda p: (-len(p.runs), p.shape))


async def run_user_evolution(
    desk: SkillDesk,
    store: Store,
    actor: Actor,
    caller: Caller,
    *,
    min_count: int = MIN_PATTERN_COUNT,
    min_rate: float = MIN_SUCCESS_RATE,
) -> Evolved:
    """Find patterns and make drafts of them. Running it again over the same runs makes nothing."""
    done = Evolved()
    done.traces_analyzed, found = await patterns(store, min_count=min_count, min_rate=min_rate)
    done.patterns_detected = len(found)
    known = {skill.name for skill in desk.library.every()}
    for pattern in found:
        name = skill_name(pattern.shape)
        if name in known:
            done.skipped.append(f"{name}: there is a skill of that name")
            continue
        document = await draft_of(store, pattern, name)
        message = Message(
            f"Evolution: Create skill {name} from {len(pattern.runs)} traces", "\n".join(pattern.runs[:200])
        )
        try:
            written = await desk.draft(document, actor, caller, message=message, evidence=pattern.runs[-_SHOWN:])
        except Invalid as error:
            done.skipped.append(f"{name}: {error.problem or error}")
            continue
        known.add(name)
        done.skills_created += 1
        done.created.append(name)
        done.approvals.append(written.approval_id)
    return done


async def draft_of(store: Store, pattern: Pattern, name: str) -> SkillDocument:
    """The text of a draft: only what the runs show."""
    loaded = [await store.runs.get(run_id) for run_id in pattern.runs[-_SHOWN:]]
    records = [record for record in loaded if record is not None]
    good = [record for record in records if record.run.status is RunStatus.SUCCESS]
    steps = _common_steps([[s for s in record.run.steps if not s.failed] for record in good])
    goals = list(dict.fromkeys(record.run.goal for record in records))
    spoken = re.sub(r"\s+", " ", pattern.shape.replace("<slot>", "...")).strip()
    description = (
        f"How to {spoken}. Made from {len(pattern.runs)} recorded runs, {pattern.successes} of them successes."
    )
    parts = [
        f"\n# {name.replace('-', ' ').capitalize()}\n",
        "## When to Use\n",
        "Goals like these:\n",
        *(f"- {_one_line(goal)}" for goal in goals[-5:]),
        "\n## Approach\n",
        *(_step_line(number, step) for number, step in enumerate(steps, 1)),
    ]
    if not steps:
        parts.append("The runs have no calls in common; see the example.")
    pitfalls = _pitfalls(records)
    if pitfalls:
        parts += ["\n## Pitfalls\n", *(f"- {text}" for text in pitfalls)]
    if good:
        parts += ["\n## Example\n", f"Goal: {_one_line(good[-1].run.goal)}\n", *_example(good[-1].run.steps)]
    parts += ["\n## Sources\n", ", ".join(pattern.runs[-_SHOWN:]), ""]
    # Goals and results can hold invisible characters, which hide instructions: they are left out.
    body = without_hidden("\n".join(parts))
    keywords = " ".join(sorted(pattern_words(pattern.shape)))
    while len(body.encode()) > MAX_DRAFT - 2048:
        body = body[: int(len(body) * 0.9)].rsplit("\n", 1)[0] + "\n"
    shown = without_hidden(description)[:1000].replace("<", "(").replace(">", ")")
    return SkillDocument(name, shown, body).with_own(
        keywords=without_hidden(keywords)[:500], origin="evolution", traces=str(len(pattern.runs))
    )


def skill_name(shape: str) -> str:
    """A readable name of a shape of goals."""
    words = [word for word in shape.split() if word.strip("<>") not in _EMPTY]
    return slug_of(" ".join(words[:6]))


@dataclass(frozen=True, slots=True)
class _Common:
    tool: str
    fixed: tuple[tuple[str, str], ...]
    varied: tuple[str, ...]


def _common_steps(runs: Sequence[Sequence[Step]]) -> list[_Common]:
    """The calls all runs make, in order, with what is equal in all of them and what varies."""
    if not runs:
        return []
    shared = common_tools(runs)
    chosen = [_picked(steps, shared) for steps in runs]
    found: list[_Common] = []
    for place, tool in enumerate(shared):
        calls = [steps[place].arguments for steps in chosen]
        keys = sorted({key for call in calls for key in call})
        texts = {key: {json.dumps(call.get(key), sort_keys=True) for call in calls} for key in keys}
        fixed = tuple((key, next(iter(texts[key]))) for key in keys if len(texts[key]) == 1)
        found.append(_Common(tool, fixed, tuple(key for key in keys if len(texts[key]) > 1)))
    return found


def common_tools(runs: Sequence[Sequence[Step]]) -> list[str]:
    """The tools that all runs call, in order."""
    shared = [step.tool for step in runs[0]] if runs else []
    for steps in runs[1:]:
        shared = subsequence(shared, [step.tool for step in steps])
    return shared


def subsequence(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """The longest common subsequence."""
    left, right = left[:200], right[:200]
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in range(len(left) - 1, -1, -1):
        for j in range(len(right) - 1, -1, -1):
            same = left[i] == right[j]
            table[i][j] = table[i + 1][j + 1] + 1 if same else max(table[i + 1][j], table[i][j + 1])
    i = j = 0
    found: list[str] = []
    while i < len(left) and j < len(right):
        if left[i] == right[j]:
            found.append(left[i])
            i, j = i + 1, j + 1
        elif table[i + 1][j] >= table[i][j + 1]:
            i += 1
        else:
            j += 1
    return found


def _picked(steps: Sequence[Step], names: Sequence[str]) -> list[Step]:
    chosen: list[Step] = []
    place = 0
    for step in steps:
        if place < len(names) and step.tool == names[place]:
            chosen.append(step)
            place += 1
    return chosen


def _step_line(number: int, step: _Common) -> str:
    fixed = "".join(f", `{key}` = `{_cut(value, 80)}`" for key, value in step.fixed)
    varied = "".join(f", `{key}` of the case at hand" for key in step.varied)
    return f"{number}. `{step.tool}`{fixed}{varied}"


def _pitfalls(records: Sequence[RunRecord]) -> list[str]:
    """What failed, and what was said of runs that did."""
    counted: Counter[str] = Counter()
    for record in records:
        for step in record.run.steps:
            if step.failed:
                counted[f"`{step.tool}` failed: {_cut(_plain(step.result), 160)}"] += 1
        if record.run.status is RunStatus.FAILURE and record.note:
            counted[f"A run did not go well: {_cut(_one_line(record.note), 160)}"] += 1
    return [f"{text} ({count} times)" if count > 1 else text for text, count in counted.most_common(8)]


def _example(steps: Sequence[Step]) -> list[str]:
    return [
        f"{number}. `{step.tool}` with `{_cut(json.dumps(dict(step.arguments), ensure_ascii=False), 200)}`"
        for number, step in enumerate([s for s in steps if not s.failed][:12], 1)
    ]


def _plain(result: Json) -> str:
    if isinstance(result, dict):
        result = result.get("message") or result.get("error") or result.get("stderr") or result
    return _one_line(result if isinstance(result, str) else json.dumps(result, ensure_ascii=False))


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]


def _cut(text: str, length: int) -> str:
    plain = text.replace("`", "'").replace("\n", " ")
    return plain if len(plain) <= length else plain[: length - 3] + "..."


def pattern_words(shape: str) -> frozenset[str]:
    """The words of a shape that say something; values are not among them."""
    return frozenset(word.strip("<>") for word in shape.split()) - _EMPTY


def likeness_of(left: frozenset[str], right: frozenset[str]) -> float:
    """The share of words that two sets have in common."""
    return len(left & right) / len(left | right) if left | right else 0.0
