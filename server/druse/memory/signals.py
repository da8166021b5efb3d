"""What in a run is worth remembering: decisions, patterns, corrections, notes on the architecture.

Read off the words of the user and of reports, and off calls that failed and then worked. The score is documented here
and nowhere else: 0.9 for a labelled sentence ("Decision: ..."), 0.75 for a correction, 0.7 for a decision, 0.65 for a
call that failed and then worked, 0.6 for patterns and architecture; 0.1 more in a run that went well; at most 1.
Failures of the surroundings (network, missing programs, full disks) teach nothing (X-05).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from druse.model import Json, Run, RunStatus, Step

MAX_CONTENT = 300  # characters
SUCCESS_BONUS = 0.1
_LABELLED, _DECISION, _CORRECTION, _FAILURE, _OTHER = 0.9, 0.7, 0.75, 0.65, 0.6

_LABEL = re.compile(r"^(decision|pattern|correction|architecture)\s*:\s*(.+)$", re.IGNORECASE | re.DOTALL)
_KINDS: tuple[tuple[str, float, re.Pattern[str]], ...] = (
    (
        "correction",
        _CORRECTION,
        re.compile(
            r"^(?:no[,.]|actually\b|that(?:'s| is) wrong|you should (?:not|have)|do not\b|don't\b|never\b|stop )", re.I
        ),
    ),
    (
        "decision",
        _DECISION,
        re.compile(
            r"\b(?:we (?:decided|chose|agreed|will use|use)|decided to|let(?:'s| us) (?:use|go with)"
            r"|go with|switch(?:ed)? to"
            r"|use [\w.+-]+(?: [\w.+-]+){0,3},? (?:instead of|rather than|not)\b)",
            re.I,
        ),
    ),
    ("pattern", _OTHER, re.compile(r"\b(?:always|whenever|every time|each time|as a rule)\b", re.I)),
    (
        "architecture",
        _OTHER,
        re.compile(
            r"\b(?:architecture|the (?:module|layer|service|schema|database|api) \w+"
            r"|lives in|is stored in|depends on)\b",
            re.I,
        ),
    ),
)
_ENVIRONMENT = re.compile(
    r"connection (?:refused|reset|closed)|timed? ?out|time-?out|unreachable|name resolution|no route|command not found|"
    r"no such file or directory: '?[\w/]*bin|no space left|disk full|rate limit|too many requests|50[0234]\b|dns|ssl",
    re.I,
)
_CHOICE = re.compile(
    r"\b(?:use|choose|chose|go with|prefer|switch(?:ed)? to)\s+(?P<taken>[\w.+-]+)"
    r"(?:.*?(?:\bnot|instead of|rather than)\s+(?P<left>[\w.+-]+))?",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Signal:
    """Something worth remembering, with the words it comes from."""

    memory_type: str
    content: str
    quote: str
    score: float


def signals_of(run: Run, note: str = "") -> list[Signal]:
    """All signals of a run, best first, each content once."""
    bonus = SUCCESS_BONUS if run.status is RunStatus.SUCCESS else 0.0
    found: dict[tuple[str, str], Signal] = {}
    spoken = [text for _, text in run.user_turns] + [note]
    for signal in [*_of_words(spoken), *_of_failures(run)]:
        key = (signal.memory_type, signal.content.lower())
        raised = Signal(signal.memory_type, signal.content, signal.quote, round(min(1.0, signal.score + bonus), 4))
        if key not in found or found[key].score < raised.score:
            found[key] = raised
    return sorted(found.values(), key=lambda signal: (-signal.score, signal.memory_type, signal.content))


def supersedes(newer: str, older: str) -> bool:
    """Whether a decision chooses against what an older one chose."""
    now, before = _CHOICE.search(newer), _CHOICE.search(older)
    if now is None or before is None or not now["left"]:
        return False
    return now["left"].lower().strip(".,") == before["taken"].lower().strip(".,")


def _of_words(texts: list[str]) -> Iterator[Signal]:
    for text in texts:
        for sentence in re.split(r"(?<=[.!?])\s+|\n+", text):
            plain = " ".join(sentence.split()).strip("-* ")
            if not 12 <= len(plain) <= MAX_CONTENT or plain.endswith("?"):
                continue
            label = _LABEL.match(plain)
            if label:
                yield Signal(label[1].lower(), label[2].rstrip(". "), plain, _LABELLED)
                continue
            for kind, score, pattern in _KINDS:
                if pattern.search(plain):
                    yield Signal(kind, plain.rstrip(". "), plain, score)
                    break


def _of_failures(run: Run) -> Iterator[Signal]:
    """A call that failed and the next of the same tool that worked with other arguments."""
    for position, step in enumerate(run.steps):
        error = _error_text(step.result)
        if not step.failed or not error or _ENVIRONMENT.search(error):
            continue
        later = next((s for s in run.steps[position + 1 :] if s.tool == step.tool and not s.failed), None)
        if later is None:
            continue
        wrong, right = _differing(step, later)
        if wrong or right:
            content = f"{step.tool}: {right or 'other arguments'} works; {wrong or 'without it'} fails ({error[:100]})"
            yield Signal("correction", content[:MAX_CONTENT], error[:MAX_CONTENT], _FAILURE)


def _differing(failed: Step, worked: Step) -> tuple[str, str]:
    keys = sorted({*failed.arguments, *worked.arguments})
    changed = [key for key in keys if failed.arguments.get(key) != worked.arguments.get(key)]
    return _shown(failed.arguments, changed), _shown(worked.arguments, changed)


def _shown(arguments: Mapping[str, Json], keys: list[str]) -> str:
    return ", ".join(f"{k}={json.dumps(arguments[k], ensure_ascii=False)[:60]}" for k in keys if k in arguments)


def _error_text(result: Json) -> str:
    if isinstance(result, dict):
        for key in ("message", "error", "stderr", "detail"):
            value = result.get(key)
            if isinstance(value, str) and value.strip():
                return " ".join(value.split())
    text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False) if result else ""
    return " ".join(text.split())
