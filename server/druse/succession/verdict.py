"""What is tried, within which budget, and the answer.

| verdict | a tool's source | config.toml |
|---|---|---|
| APPROVE | at least two recorded runs, and every one is reproduced | no recorded call meets more than before |
| REJECT | not valid, or some run goes wrong or no longer goes | not valid, or a recorded call is denied from then on |
| NEEDS_REVISION | too little was tried, or some run could not be tried | a recorded call asks a person from then on |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from druse.model import Invalid, Json, JsonObject

APPROVE, REJECT, NEEDS_REVISION = "APPROVE", "REJECT", "NEEDS_REVISION"
MIN_RUNS = 2  # recorded runs without which nothing is shown
MAX_SECONDS, MAX_RUNS = 600.0, 1000


@dataclass(frozen=True, slots=True)
class Patch:
    """The change: the source of the next version of a tool in service, or the whole text of config.toml."""

    text: str
    tool: str = ""  # empty: the text is config.toml

    @classmethod
    def of(cls, data: Mapping[str, Json]) -> Patch:
        """A patch as a caller gives it: {tool, source} or {config}. Raises Invalid."""
        tool, source, config = data.get("tool"), data.get("source"), data.get("config")
        if isinstance(config, str) and tool is None and source is None:
            return cls(config)
        if isinstance(tool, str) and tool and isinstance(source, str) and config is None:
            return cls(source, tool)
        raise Invalid(
            "Cannot fork a successor: the patch is neither {tool, source} nor {config}. Give one of the two as text.",
            where="patch",
            problem="not a patch",
        )

    @property
    def kind(self) -> str:
        """`tool` or `config`."""
        return "tool" if self.tool else "config"

    def as_dict(self) -> JsonObject:
        """As `of` reads it."""
        return {"tool": self.tool, "source": self.text} if self.tool else {"config": self.text}


@dataclass(frozen=True, slots=True)
class Budget:
    """What a successor may use: wall seconds of its process, and recorded runs to replay."""

    seconds: float = 60.0
    runs: int = 50

    def __post_init__(self) -> None:
        if not (0 < self.seconds <= MAX_SECONDS and 0 < self.runs <= MAX_RUNS):
            raise Invalid(
                f"Cannot fork a successor: its budget is {self.seconds} s and {self.runs} runs. Give at most "
                f"{MAX_SECONDS:.0f} s and {MAX_RUNS} runs, and some of each.",
                where="budget",
            )


@dataclass(frozen=True, slots=True)
class Test:
    """One thing tried. `result`: right, asks (a person from then on), refused (could not go on), or wrong."""

    __test__ = False  # no test of pytest

    run: str
    result: str
    detail: str = ""
    before: str = ""  # how the version in service does on this run
    calls: int = 0

    def as_dict(self) -> JsonObject:
        """For reports."""
        return {
            "run": self.run,
            "result": self.result,
            "before": self.before,
            "calls": self.calls,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer. `reasons` say what stands against APPROVE; `denied` what was tried and not let through."""

    word: str
    reasons: tuple[str, ...]
    tests: tuple[Test, ...]
    denied: tuple[str, ...]
    changes: JsonObject  # the diff, and what it permits, loses and learns
    cost: JsonObject
    parent: JsonObject  # hash of the workspace before and after

    def as_dict(self) -> JsonObject:
        """For the caller, the person who decides, and the chain."""
        return {
            "verdict": self.word,
            "reasons": list[Json](self.reasons),
            "tests": [test.as_dict() for test in self.tests],
            "denied": list[Json](self.denied),
            "changes": self.changes,
            "cost": self.cost,
            "parent": self.parent,
        }


def judged(patch: Patch, tests: Sequence[Test], denied: Sequence[str], stopped: str, *, unchanged: bool) -> list[str]:
    """The word and the reasons for it, in one list with the word first."""
    wrong = [f"{test.run}: {test.detail or test.result}" for test in tests if test.result == "wrong"]
    wrong += [
        f"{test.run}: {test.detail or test.result}; the version in service reproduces it"
        for test in tests
        if test.result == "refused" and test.before == "right"
    ]
    wrong += [f"denied: {text}" for text in denied if not any(text.endswith(one.detail) for one in tests if one.detail)]
    if wrong:
        return [REJECT, *dict.fromkeys(wrong)]
    open_questions = [f"{test.run}: {test.detail or test.result}" for test in tests if test.result != "right"]
    if stopped:
        open_questions.append(stopped)
    if len(tests) < MIN_RUNS:
        open_questions.append(f"{len(tests)} recorded runs were tried, {MIN_RUNS} are needed")
    if not unchanged:
        open_questions.append("the workspace changed meanwhile; fork again")
    return [NEEDS_REVISION, *open_questions] if open_questions else [APPROVE]


def passes(verdict: Mapping[str, Json]) -> bool:
    """Whether what is kept of a verdict lets its patch be applied: its word is not enough."""
    tests = verdict.get("tests")
    listed = cast("list[JsonObject]", tests) if isinstance(tests, list) else []
    right = [test for test in listed if test.get("result") == "right"]
    return (
        verdict.get("verdict") == APPROVE
        and len(right) == len(listed) >= MIN_RUNS
        and not verdict.get("denied")
        and not verdict.get("reasons")
    )
