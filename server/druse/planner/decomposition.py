"""A goal in words as intents, each with the evidence there is for it. Where nothing is known, that is the answer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from druse.dispatch import Known
from druse.induction import calls_of
from druse.model import Json, JsonObject, ToolSpec

LIKELY = 0.5  # share of an intent's words that a capability's name and description must hold
_EMPTY = frozenset(
    (
        *("the", "a", "an", "of", "for", "to", "and", "in", "on", "with", "please", "my", "me", "all", "every", "it"),
        *("is", "are", "be", "that", "this", "by", "from", "at", "as", "then", "their", "his", "her", "its", "them"),
    )
)
# Of a long gap the blanks next to a joint are enough: any number of them takes the cube of the gap's length.
_S = r"\s{0,4}"
_JOINTS = re.compile(
    rf"{_S}(?:;|\n{{1,4}}|,?\s{{1,4}}and then\s{{1,4}}|,{_S}then\s{{1,4}}|\.\s{{1,4}}then\s{{1,4}}"
    rf"|\s{{1,4}}then\s{{1,4}}|\.\s{{1,4}}(?=[A-Z])){_S}",
    re.IGNORECASE,
)
_ENDS = " .,\t\r\n\f\v\xa0"


@dataclass(frozen=True, slots=True)
class Capability:
    """Something that may carry out an intent. `score` is the share of the intent's words it speaks of."""

    kind: str  # learned tool, tool, skill or run
    name: str
    score: float
    description: str = ""

    def as_dict(self) -> JsonObject:
        """For answers."""
        return {"kind": self.kind, "name": self.name, "score": round(self.score, 3), "description": self.description}


@dataclass(frozen=True, slots=True)
class Intent:
    """One part of a goal. `after` are the intents it waits for."""

    id: str
    text: str
    tool: str = ""
    evidence: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    others: tuple[Capability, ...] = field(default=())

    def as_dict(self) -> JsonObject:
        """For answers; the keys that `planner.generate_plan` reads."""
        made: JsonObject = {
            "id": self.id,
            "intent": self.text,
            "resolved": bool(self.tool),
            "evidence": list[Json](self.evidence),
            "after": list[Json](self.after),
        }
        if self.tool:
            made["tool"] = self.tool
        if self.others:
            made["others"] = [other.as_dict() for other in self.others]
        return made


async def decompose(
    goal: str, known: Known, resolve: Callable[[str], Awaitable[Sequence[Capability]]]
) -> tuple[list[Intent], str]:
    """The intents of a goal, and what they were taken from: a learned tool, recorded runs, the words, or nothing."""
    if known.tool is not None and known.match.confidence >= LIKELY:
        evidence = (f"{known.tool.name} v{known.tool.version}",)
        return [Intent("step1", goal, known.tool.name, evidence)], "a learned tool"
    runs = tuple(record.run.id for record in known.records)
    if known.induction is not None and known.induction.procedure is not None and known.match.confidence >= LIKELY:
        calls = calls_of(known.induction.procedure.nodes)
        return _in_order([(_said(call.tool), call.tool) for call in calls], runs), "recorded runs"
    if known.records and known.match.confidence >= LIKELY:
        steps = [step for step in known.records[-1].run.steps if not step.failed]
        tools = dict.fromkeys(step.tool for step in steps)
        return _in_order([(_said(tool), tool) for tool in tools], runs), "recorded runs"
    found: list[Intent] = []
    for number, part in enumerate(parts_of(goal), 1):
        ranked = await resolve(part)
        best = ranked[0] if ranked and ranked[0].score >= LIKELY else None
        callable_ = best is not None and best.kind in ("learned tool", "tool")
        evidence = (f"{best.kind} {best.name}",) if best is not None else ()
        after = (found[-1].id,) if found else ()
        tool = best.name if best is not None and callable_ else ""
        found.append(Intent(f"step{number}", part, tool, evidence, after, tuple(ranked[:3]) if not tool else ()))
    if not any(intent.evidence for intent in found):
        return [], "nothing"
    return found, "the words of the goal"


def parts_of(goal: str) -> list[str]:
    """The parts of a goal that its words and signs set apart as things to do one after another."""
    return [part.strip(_ENDS) for part in _JOINTS.split(goal) if part and part.strip(_ENDS)]


def ranked(
    intent: str,
    specs: Sequence[ToolSpec],
    learned: Mapping[str, object],
    skills: Mapping[str, str],
    runs: Sequence[str],
) -> list[Capability]:
    """Capabilities for an intent, best first; a learned tool wins over a plain one of the same score."""
    wanted = words_of(intent)
    if not wanted:
        return []
    found: list[Capability] = []
    for spec in specs:
        kind = "learned tool" if spec.name in learned else "tool"
        found.append(
            Capability(kind, spec.name, _score(wanted, f"{spec.name} {spec.description}"), spec.description[:200])
        )
    found += [Capability("skill", name, _score(wanted, f"{name} {text}"), text[:200]) for name, text in skills.items()]
    found += [Capability("run", goal, _score(wanted, goal), goal[:200]) for goal in runs]
    order = ("learned tool", "tool", "skill", "run")
    kept = [one for one in found if one.score > 0]
    return sorted(kept, key=lambda one: (-one.score, order.index(one.kind), len(one.name), one.name))


def words_of(text: str) -> frozenset[str]:
    """The stems of the words that carry meaning; values (numbers, quoted texts, names in capitals) left out."""
    plain = re.sub(r"\"[^\"]*\"|'[^']*'|(?<!\S)\S*[\d@#]\S*", " ", text)
    words = re.findall(r"[^\W\d_]+", plain)
    kept = [word for index, word in enumerate(words) if index == 0 or not word[:1].isupper()]
    return frozenset(_stem(word.lower()) for word in kept if word.lower() not in _EMPTY)


def _score(wanted: frozenset[str], text: str) -> float:
    heard = frozenset(_stem(word.lower()) for word in re.findall(r"[^\W\d_]+", text))
    return len(wanted & heard) / len(wanted)


def _stem(word: str) -> str:
    for ending in ("ations", "ation", "ings", "ing", "ies", "es", "ed", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _said(tool: str) -> str:
    return tool.rpartition("__")[2].replace("_", " ")


def _in_order(parts: Sequence[tuple[str, str]], evidence: tuple[str, ...]) -> list[Intent]:
    return [
        Intent(f"step{number}", text, tool, evidence, (f"step{number - 1}",) if number > 1 else ())
        for number, (text, tool) in enumerate(parts, 1)
    ]
