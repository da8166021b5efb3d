"""Runs as lines for other programs and for training (seed id N-36): masked once more, with the consent that was given.

A line is the neutral trace format with `consent` (true, false, or null where nobody was asked) and, per step, its time,
duration and effect. Steps stand in the order in which they were made; `t` orders them among the user's turns.
"""

from __future__ import annotations

from druse.model import Json, JsonObject, Run, run_to_neutral
from druse.traces.secrets import SecretHandles


def exported(run: Run, *, consent: bool | None, handles: SecretHandles) -> JsonObject:
    """One run as one line. What was stored before a kind of secret was known is masked here."""
    line = run_to_neutral(run)
    steps: list[Json] = []
    listed = line["steps"]
    for step, shown in zip(run.steps, listed if isinstance(listed, list) else [], strict=True):
        assert isinstance(shown, dict)
        steps.append(
            {
                **shown,
                "args": handles.mask_object(step.arguments),
                "res": handles.mask(step.result),
                "at": step.started_at,
                "ms": step.duration_ms,
                "effect": step.effect,
            }
        )
    return {
        **line,
        "goal": handles.mask_text(run.goal),
        "user": [[turn, handles.mask_text(text)] for turn, text in run.user_turns],
        "steps": steps,
        "opened_at": run.opened_at,
        "closed_at": run.closed_at,
        "consent": consent,
    }
