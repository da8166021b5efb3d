"""Recorded steps as the other end of a tool's calls: a replay answers only what was recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from druse.induction.commands import command_of, is_command
from druse.induction.elements import is_read
from druse.model import Json, Step, typed_equal


@dataclass(frozen=True, slots=True)
class Deviation:
    """The first call that no recorded step answers: which argument differs, what was expected."""

    step: int
    tool: str
    argument: str
    expected: Json
    got: Json

    def __str__(self) -> str:
        if not self.argument:
            return f"step {self.step + 1}: {self.tool} was called, recorded was {self.expected}"
        return f"step {self.step + 1}: {self.tool}, `{self.argument}`: expected {self.expected!r}, got {self.got!r}"


class Unrecorded(Exception):
    """A call that the recorded run does not hold."""

    def __init__(self, deviation: Deviation) -> None:
        super().__init__(str(deviation))
        self.deviation = deviation


class Replay:
    """Answers from the steps of one run: equal tool, typed-equal arguments; reads in any order, writes in order."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = [step for step in steps if not step.failed]
        self._used = [False] * len(self._steps)
        self.calls = 0

    @property
    def complete(self) -> bool:
        """Whether every recorded step was called."""
        return all(self._used)

    @property
    def left(self) -> list[Step]:
        """Recorded steps that were not called."""
        return [step for step, used in zip(self._steps, self._used, strict=True) if not used]

    def call(self, tool: str, arguments: Mapping[str, Json]) -> Json:
        """The recorded result of this call. Raises Unrecorded with the first difference."""
        self.calls += 1
        if any(is_command(step.tool) for step in self._steps):
            tool, arguments = command_of(tool, dict(arguments))
        blocked = False
        nearest: tuple[int, Step] | None = None
        for index, step in enumerate(self._steps):
            if self._used[index]:
                continue
            if step.tool == tool and not (blocked and not is_read(step)):
                if typed_equal(dict(step.arguments), dict(arguments)):
                    self._used[index] = True
                    return step.result
                nearest = nearest or (index, step)
            blocked = blocked or not is_read(step)
        again = self._read_before(tool, arguments)
        if again is not None:
            return again.result
        raise Unrecorded(self._difference(tool, arguments, nearest))

    def _read_before(self, tool: str, arguments: Mapping[str, Json]) -> Step | None:
        """A read that was answered already; reading the same again before anything is written changes nothing."""
        for step, used in zip(reversed(self._steps), reversed(self._used), strict=True):
            if used and not is_read(step):
                return None
            if used and step.tool == tool and typed_equal(dict(step.arguments), dict(arguments)):
                return step
        return None

    def _difference(self, tool: str, arguments: Mapping[str, Json], nearest: tuple[int, Step] | None) -> Deviation:
        if nearest is None:
            following = next((step.tool for step, used in zip(self._steps, self._used, strict=True) if not used), None)
            return Deviation(self.calls - 1, tool, "", following or "the end of the run", None)
        _, step = nearest
        for name in sorted({*step.arguments, *arguments}):
            expected, got = step.arguments.get(name), arguments.get(name)
            if name not in step.arguments or name not in arguments or not typed_equal(expected, got):
                return Deviation(self.calls - 1, tool, name, expected, got)
        return Deviation(self.calls - 1, tool, "", step.tool, None)
