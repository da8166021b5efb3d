"""Why a run failed: the first step that goes another way than in runs that went well, and what class of failure it is.

A failure of the surroundings (network, time, a missing program, a full disk) is nobody's mistake: it never lowers a
rating and is never learned as something to avoid (X-05).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from druse.model import Json, JsonObject, Run, Step, typed_equal
from druse.traces import differences

ENVIRONMENT = frozenset(("network", "timeout", "missing_program", "no_space"))

# Class -> words by which an error says so, in the order they are tried. The texts are those of the common programs and
# of the operating system.
_SAYINGS: tuple[tuple[str, str], ...] = (
    ("no_space", r"no space left on device|disk (is )?full|ENOSPC|quota exceeded|SQLITE_FULL"),
    ("timeout", r"timed? ?out|deadline exceeded|was stopped after \d+ s|ETIMEDOUT"),
    (
        "network",
        r"connection (refused|reset|aborted)|could not resolve|name or service not known|temporary failure in name|"
        r"network is unreachable|no route to host|ECONNREFUSED|ECONNRESET|ENOTFOUND|getaddrinfo|TLS handshake|"
        r"upstream_failure|bad gateway|service unavailable|\b50[234]\b",
    ),
    (
        "missing_program",
        r"command not found|executable file not found|No such file or directory: '[\w./-]+' *$|exit_code\D+127",
    ),
    ("rate_limited", r"rate limit|too many requests|\b429\b"),
    ("not_allowed", r"permission denied|forbidden|unauthori[sz]ed|not allowed|access denied|\b40[13]\b|EACCES"),
    (
        "wrong_arguments",
        r"invalid (argument|input|parameter|value)|validation error|missing required|is not of type|expected .* got|"
        r"\b422\b|\b400\b",
    ),
    ("unknown_tool", r"unknown tool|no tool has that name|tool .* not found"),
    ("not_found", r"not found|no such|does not exist|unknown (id|user|order|key)|\b404\b|ENOENT"),
    ("conflict", r"already exists|conflict|duplicate|\b409\b"),
)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a run failed. `step` is the position of the first step that diverges, None where none does."""

    kind: str
    step: int | None
    tool: str
    detail: str
    evidence: tuple[str, ...]  # runs that went well and that it was compared with

    @property
    def environment(self) -> bool:
        """Whether the surroundings failed, not the work."""
        return self.kind in ENVIRONMENT

    def as_dict(self) -> JsonObject:
        """For answers."""
        return {
            "class": self.kind,
            "environment": self.environment,
            "step": self.step,
            "tool": self.tool,
            "detail": self.detail,
            "compared_with": list[Json](self.evidence),
        }


def said_class(result: Json) -> str:
    """The class that an error's own words say; empty where they say none."""
    text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
    return next((kind for kind, pattern in _SAYINGS if re.search(pattern, text, re.IGNORECASE)), "")


def diagnose(run: Run, good: Sequence[Run]) -> Diagnosis:
    """Why a run failed, next to runs of the same work that went well."""
    evidence = tuple(other.id for other in good)
    last_failed = _lasting_failure(run)
    if last_failed is not None:
        index, step = last_failed
        kind = said_class(step.result) or "tool_error"
        if kind == "tool_error" and _differs_in_arguments(step, index, good):
            kind = "wrong_arguments"
        return Diagnosis(kind, index, step.tool, _shown(step.result), evidence)
    if not good:
        return Diagnosis("unknown", None, "", "no step failed, and no run of this work went well yet", ())
    return _compared(run, good, evidence)


def _compared(run: Run, good: Sequence[Run], evidence: tuple[str, ...]) -> Diagnosis:
    mine = [step for step in run.steps if not step.failed]
    sequences = [[step.tool for step in other.steps if not step.failed] for other in good]
    model = max(sequences, key=lambda tools: (_common(tools, [step.tool for step in mine]), -len(tools)))
    for index, step in enumerate(mine):
        seen = [s for other in good for s in other.steps if s.tool == step.tool and not s.failed]
        if index >= len(model):
            repeated = index > 0 and mine[index - 1].tool == step.tool
            kind = "repeated_step" if repeated else "extra_step"
            return Diagnosis(kind, index, step.tool, f"runs that went well ended before {step.tool}", evidence)
        if step.tool != model[index] and not any(
            step.tool == tools[index] for tools in sequences if index < len(tools)
        ):
            expected = model[index]
            if expected in [later.tool for later in mine[index + 1 :]] and step.tool in model[index + 1 :]:
                return Diagnosis("wrong_order", index, step.tool, f"{expected} comes before it in good runs", evidence)
            if step.tool in model[index + 1 :]:
                return Diagnosis("missing_step", index, expected, f"good runs call {expected} here first", evidence)
            if not seen:
                return Diagnosis("other_tool", index, step.tool, f"good runs call {expected} here", evidence)
            return Diagnosis("extra_step", index, step.tool, f"good runs go on with {expected}", evidence)
        odd = differences(dict(step.arguments), [dict(one.arguments) for one in seen])
        shape = [part for part in odd if part.kind == "shape"]
        if shape:
            return Diagnosis("wrong_arguments", index, step.tool, f"{shape[0].path} {shape[0].detail}", evidence)
        odd_result = differences(step.result, [one.result for one in seen])
        if odd_result:
            first = odd_result[0]
            kind = (
                "empty_result" if "empty" in first.detail else "result_shape" if first.kind == "shape" else "odd_value"
            )
            return Diagnosis(kind, index, step.tool, f"{first.path} {first.detail}", evidence)
    if len(mine) < len(model):
        left = model[len(mine)]
        return Diagnosis("missing_step", len(mine), left, f"good runs go on with {left}", evidence)
    return Diagnosis("unknown", None, "", "its steps are like those of runs that went well", evidence)


def _lasting_failure(run: Run) -> tuple[int, Step] | None:
    """The last failed step that no later step of the same tool with the same arguments made good."""
    for index in range(len(run.steps) - 1, -1, -1):
        step = run.steps[index]
        later = [s for s in run.steps[index + 1 :] if s.tool == step.tool and not s.failed]
        if step.failed and not any(typed_equal(dict(s.arguments), dict(step.arguments)) for s in later):
            return index, step
    return None


def _differs_in_arguments(step: Step, index: int, good: Sequence[Run]) -> bool:
    seen = [dict(s.arguments) for other in good for s in other.steps if s.tool == step.tool and not s.failed]
    return any(part.kind == "shape" for part in differences(dict(step.arguments), seen))


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    return sum(one == other for one, other in zip(left, right, strict=False))


def _shown(result: Json) -> str:
    text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
    return text[:400]
