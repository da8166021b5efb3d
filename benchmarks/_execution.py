"""A generated source in plain Python, with the sandbox's own guards: for benchmarks, where the source is our own."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from druse.induction import Deviation, Replay, Unrecorded, is_read
from druse.model import Json, Run, Step, typed_equal
from druse_sandbox import builtins as language
from druse_sandbox.language import compile_source


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
    except (language.Diverged, KeyError, TypeError, IndexError, ValueError, NameError, AttributeError) as error:
        return "refused", f"{type(error).__name__}: {error}"
    if whole and not replay.complete:
        return "wrong", "it left out " + ", ".join(step.tool for step in replay.left)
    return "right", ""


@dataclass(frozen=True, slots=True)
class Played:
    """A source on recorded steps: `right`, `refused` (a guard, an error) or `wrong`; `made` are the steps it made."""

    status: str
    made: tuple[int, ...]
    detail: str = ""


class Tool:
    """A generated source, compiled once by the sandbox's own language, with the names that tool code sees."""

    def __init__(self, source: str) -> None:
        compiled = compile_source(source, script=False)
        if compiled.code is None:
            raise SystemExit(
                "the generated source is refused: " + "; ".join(part.message for part in compiled.problems)
            )
        self._code = compiled.code

    def played(self, arguments: Mapping[str, Json], steps: Sequence[Step]) -> Played:
        """Run it where only these steps can be made, reads between two writes in any order."""
        made: list[int] = []

        def call(tool: str, **given: Any) -> Any:
            index = _following(steps, made, tool, given)
            if index is None:
                raise Unrecorded(Deviation(len(made), tool, "", None, dict(given)))
            made.append(index)
            return copy.deepcopy(steps[index].result)

        names = language.names_for(call, call, lambda *_: None)
        exec(self._code, names)
        try:
            names["run"](call, **copy.deepcopy(dict(arguments)))
        except Unrecorded as error:
            return Played("wrong", tuple(made), f"{error.deviation.tool} {error.deviation.got}")
        except language.Diverged as error:
            return Played("refused", tuple(made), f"diverged: {error}")
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            return Played("refused", tuple(made), f"{type(error).__name__}: {error}")
        return Played("right", tuple(made))


def _following(steps: Sequence[Step], made: Sequence[int], tool: str, given: Mapping[str, Json]) -> int | None:
    """The first step that is this call and may be made now: nothing passes a write, and a write passes nothing."""
    passed = False
    for index, step in enumerate(steps):
        if index in made:
            continue
        if step.tool == tool and typed_equal(dict(step.arguments), dict(given)) and not (passed and not is_read(step)):
            return index
        if not is_read(step):
            return None
        passed = True
    return None
