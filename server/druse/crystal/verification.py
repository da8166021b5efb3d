"""The proof: a tool must reproduce, in the sandbox, runs that it was not made from.

For each run a program is induced from the others, bound to the inputs of the one left out, and run on its recorded
results: every call and every argument must be equal. Then the program made of all runs must reproduce all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

from druse.crystal.commands import TOOL, undo_of_command
from druse.induction import Induction, Replay, Unrecorded, bind, exit_code, induce, inputs_met, macro_of
from druse.model import Json, JsonObject, Outcome, OutcomeStatus, Run, ToolSpec
from druse.runtime import EndRun, SandboxHost, SandboxResult, ToolCallFailed

MIN_RIGHT = 2  # left-out runs that must be reproduced
MIN_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """How one run was reproduced: right, refused (nothing wrong was called), or wrong with the first difference."""

    run: str
    calls: int
    result: str
    detail: str = ""

    def as_dict(self) -> JsonObject:
        """For reports and manifests."""
        return {"run": self.run, "calls": self.calls, "result": self.result, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Verification:
    """Both parts of the proof."""

    left_out: tuple[ReplayResult, ...]
    all_runs: tuple[ReplayResult, ...]
    aside: tuple[ReplayResult, ...] = ()  # runs that are no evidence: `stopped`, or `went on` as the others do

    @property
    def passed(self) -> bool:
        """Whether nothing wrong was called, all runs together teach all of them, and most teach the one left out.

        A left-out run may be refused: it is the only one that shows something, and without it a guard stops. That is
        what guards are for; a wrong call is never accepted. Where a run was set aside, none of the others may need
        that.
        """
        right = sum(part.result == "right" for part in self.left_out)
        return (
            not any(part.result == "wrong" for part in self.left_out)
            and all(part.result == "right" for part in self.all_runs)
            and right >= max(MIN_RIGHT, len(self.left_out) if self.aside else ceil(MIN_SHARE * len(self.left_out)))
        )

    @property
    def suspect(self) -> str:
        """The one run that what all runs teach does not reproduce; empty where there is none, or several.

        A run that they explain and the others alone do not is a rare kind of work, or too little was seen.
        """
        bad = [row.run for row in self.all_runs if row.result != "right"]
        return bad[0] if len(bad) == 1 else ""

    @property
    def failure(self) -> str:
        """The first thing that went wrong, else the first that was refused."""
        parts = (*self.left_out, *self.all_runs)
        bad = next((part for part in parts if part.result == "wrong"), None)
        bad = bad or next((part for part in parts if part.result != "right"), None)
        return f"run {bad.run}: {bad.detail or bad.result}" if bad else "too few runs to leave one out"


async def verify(
    host: SandboxHost,
    runs: Sequence[Run],
    induction: Induction,
    specs: Mapping[str, ToolSpec],
    *,
    teach: Callable[[Sequence[Run]], Induction] | None = None,
    aside: Sequence[Run] = (),
) -> Verification:
    """Prove an induced tool on its runs; `teach` is how it was induced, where that is not `induce`.

    Runs set `aside` prove nothing: what the tool does with their inputs and answers is told beside the proof.
    """
    left_out: list[ReplayResult] = []
    for index, run in enumerate(runs):
        others = [*runs[:index], *runs[index + 1 :]]
        taught = teach(others) if teach else induce(others, specs=specs, name=induction.name)
        left_out.append(await _proved(host, taught, run))
    every = [await _proved(host, induction, run) for run in runs]
    odd = [await _met(host, induction, run) for run in aside]
    return Verification(tuple(left_out), tuple(every), tuple(odd))


async def replay_source(
    host: SandboxHost, source: str, arguments: Mapping[str, Json], run: Run, *, whole: bool = True
) -> ReplayResult:
    """Run a source on the recorded results of one run."""
    replay = Replay(macro_of(run))

    async def call(tool: str, given: JsonObject) -> Json:
        try:
            return answered(tool, replay.call(tool, given))
        except Unrecorded as error:
            outcome = Outcome(OutcomeStatus.FAILED, message=str(error), kind="unrecorded")
            raise EndRun(outcome) from error

    result = await host.run(source, arguments, call=call)
    return _judged(run, replay, result, whole=whole)


def answered(tool: str, result: Json) -> Json:
    """A recorded result as the tool gives it. Raises ToolCallFailed for an exit code other than 0."""
    code = exit_code(result) if tool == TOOL else 0
    if code:
        details: JsonObject = {"result": result}
        raise ToolCallFailed(f"The command ended with exit code {code}.", kind="exit_code", details=details)
    return result


async def dry_run(host: SandboxHost, source: str, arguments: Mapping[str, Json], run: Run) -> JsonObject:
    """What a source calls for these inputs, on the recorded results of one run: nothing happens outside."""
    replay, calls = Replay(macro_of(run)), list[Json]()

    async def call(tool: str, given: JsonObject) -> Json:
        made: JsonObject = {"tool": tool, "arguments": given}
        undo = undo_of_command(given.get("command")) if tool == TOOL else ""
        calls.append(made | ({"undo": undo} if undo else {}))
        try:
            return answered(tool, replay.call(tool, given))
        except Unrecorded as error:
            raise EndRun(Outcome(OutcomeStatus.FAILED, message=str(error), kind="unrecorded")) from error

    result = await host.run(source, arguments, call=call)
    return {"run": run.id, "arguments": dict(arguments), "calls": calls, "ended": result.status}


def _judged(run: Run, replay: Replay, result: SandboxResult, *, whole: bool) -> ReplayResult:
    if result.status == "ended" and result.outcome is not None:
        return ReplayResult(run.id, replay.calls, "wrong", result.outcome.message)
    if result.status != "ok":
        detail = result.error.message if result.error else "; ".join(part.message for part in result.problems)
        return ReplayResult(run.id, replay.calls, "refused", f"{result.status}: {detail}")
    if whole and not replay.complete:
        left = ", ".join(step.tool for step in replay.left)
        return ReplayResult(run.id, replay.calls, "wrong", f"it left out {left}")
    return ReplayResult(run.id, replay.calls, "right")


async def _met(host: SandboxHost, induction: Induction, run: Run) -> ReplayResult:
    """What the tool does where things are as they were in a run that went another way."""
    arguments = inputs_met(induction, run)
    if arguments is None:
        return ReplayResult(run.id, 0, "stopped", "the tool cannot be given the inputs of this run")
    found = await replay_source(host, induction.source, arguments, run)
    return replace(found, result="stopped" if found.result == "refused" else "went on")


async def _proved(host: SandboxHost, induction: Induction, run: Run) -> ReplayResult:
    if not induction.source:
        return ReplayResult(run.id, 0, "refused", "; ".join(induction.reasons) or "nothing was learned from the others")
    arguments = bind(induction, run)
    if arguments is None:
        return ReplayResult(run.id, 0, "refused", "the run is no instance of what the others show")
    return await replay_source(host, induction.source, arguments, run, whole=not induction.left_out)
