"""A generated source in plain Python, with the sandbox's own guards: for benchmarks, where the source is our own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from druse.induction import Replay, Unrecorded
from druse.model import Json, Run
from druse_sandbox import builtins as language


def replayed(source: str, arguments: Mapping[str, Json], run: Run, *, whole: bool = True) -> tuple[str, str]:
    """`right`, `refused` or `wrong`, and why: the source on the recorded results of one run."""
    from druse.induction import macro_of

    replay = Replay(macro_of(run))

    def call(tool: str, **given: Any) -> Any:
        return replay.call(tool, given)

    names: dict[str, Any] = {"expect": language.expect, "require": language.require, "one": language.one}
    exec(compile(source, "tool.py", "exec"), names)
    try:
        names["run"](call, **arguments)
    except Unrecorded as error:
        return "wrong", str(error)
    except (language.Diverged, KeyError, TypeError, IndexError, ValueError) as error:
        return "refused", f"{type(error).__name__}: {error}"
    if whole and not replay.complete:
        return "wrong", "it left out " + ", ".join(step.tool for step in replay.left)
    return "right", ""
