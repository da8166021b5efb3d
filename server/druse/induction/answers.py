"""Commands whose exit code is an answer: `diff` ends with 1 where files differ, and nothing went wrong.

Which programs answer so is what their manuals say; for every other program an exit code above 0 is a failure, as a
command is that ended well at another try in the same run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from druse.induction.commands import TOOL, is_command, worded
from druse.model import Json, Step

_ONE = frozenset((1,))
_PROGRAMS = {
    **dict.fromkeys(("grep", "egrep", "fgrep", "zgrep", "rg", "ag", "ack", "pgrep"), _ONE),
    **dict.fromkeys(("diff", "cmp", "zdiff", "zcmp", "test", "[", "which", "expr"), _ONE),
    "getent": frozenset((2,)),
}
# Program and subcommand, with the options of which one makes the exit code an answer; none: it always is.
_SUBCOMMANDS: dict[tuple[str, str], tuple[frozenset[int], tuple[str, ...]]] = {
    ("git", "grep"): (_ONE, ()),
    ("git", "check-ignore"): (_ONE, ()),
    ("git", "show-ref"): (_ONE, ()),
    ("git", "diff"): (_ONE, ("--quiet", "--exit-code")),
    ("git", "diff-index"): (_ONE, ("--quiet", "--exit-code")),
    ("git", "diff-files"): (_ONE, ("--quiet", "--exit-code")),
    ("git", "merge-base"): (_ONE, ("--is-ancestor",)),
    ("git", "ls-files"): (_ONE, ("--error-unmatch",)),
    ("git", "ls-remote"): (frozenset((2,)), ("--exit-code",)),
    ("git", "config"): (_ONE, ("--get", "--get-all", "--get-regexp")),
    ("systemctl", "is-active"): (frozenset((3,)), ()),
    ("systemctl", "is-enabled"): (_ONE, ()),
    ("systemctl", "is-failed"): (_ONE, ()),
}


def settled(steps: Sequence[Step]) -> list[Step]:
    """The steps that did what they were for: those that did not fail, and commands whose exit code is an answer."""
    well = {part.tool for part in worded([step for step in steps if not step.failed]) if is_command(part.tool)}
    return [replace(step, failed=False) for step in steps if not step.failed or _answered(step, well)]


def exit_code(result: Json) -> int | None:
    """The exit code of a command's result; None where it is none."""
    code = result.get("exit_code") if isinstance(result, dict) else None
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def exit_codes(tool: str, results: Sequence[Json]) -> list[int]:
    """The exit codes that a command ended with in the runs, where one of them is not 0."""
    codes = {exit_code(result) for result in results} if is_command(tool) else set[int | None]()
    return sorted(code for code in codes if code is not None) if codes - {0, None} else []


def _answered(step: Step, well: set[str]) -> bool:
    if step.tool != TOOL:
        return False
    parts = worded([step])
    words = parts[0].arguments.get("command")
    if len(parts) != 1 or not is_command(parts[0].tool) or parts[0].tool in well or not isinstance(words, list):
        return False
    return exit_code(step.result) in _codes([str(word) for word in words])


def _codes(words: Sequence[str]) -> frozenset[int]:
    program = words[0].rpartition("/")[2]
    known = _PROGRAMS.get(program)
    if known is not None:
        return known
    for word in words[1:]:
        if (program, word) in _SUBCOMMANDS:
            codes, options = _SUBCOMMANDS[program, word]
            return codes if not options or any(option in words for option in options) else frozenset()
    return frozenset()
