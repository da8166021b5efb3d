"""Which runs belong together: the workflow of a run, and how workflows contain one another."""

from __future__ import annotations

from druse.induction.answers import settled
from druse.induction.commands import reason_of, shown, tool_of, worded
from druse.model import Run


def workflow_key(run: Run) -> str:
    """The run's calls in order of their first appearance, each with its argument names; loops and repeats collapse.

    Failed calls are left out, so a retry does not make another workflow. Empty for a run without a successful call.
    """
    seen: dict[str, None] = {}
    for step in worded(settled(run.steps)):
        name = tool_of(step.tool) if reason_of(step.tool) else shown(step.tool)
        seen[f"{name}({','.join(sorted(step.arguments))})"] = None
    return " > ".join(seen)


def contains(whole: str, part: str) -> bool:
    """Whether a workflow is another one with some steps left out; both must begin and end alike."""
    steps, wanted = whole.split(" > "), part.split(" > ")
    if not part or not whole or steps[0] != wanted[0]:
        return False
    position = 0
    for step in steps:
        if position < len(wanted) and step == wanted[position]:
            position += 1
    return position == len(wanted)
