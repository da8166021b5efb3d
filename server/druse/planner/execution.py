"""Carrying out a plan: every call through the router, independent reads side by side, and on again after a crash.

The order of the steps in the plan is kept around every step that may write: it begins when all steps before it have
ended, and no step behind it begins earlier than it ends. Between writes, what does not refer to one another runs at the
same time. Where every step stands is on disk before and after its call. A write whose end is not on disk may have
happened: going on from there needs the caller's word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from druse.model import Caller, Invalid, Json, JsonObject, Outcome, ToolSpec, first_error
from druse.planner.plans import arguments_of, needs, resolve, steps_of
from druse.planner.undoing import UNKNOWN, Inverse, digest_of_file, named_inverse
from druse.store import ExecutedStep, KeptInverse, PlanRepository

Specs: TypeAlias = "Callable[[list[str]], Awaitable[Mapping[str, ToolSpec]]]"


class Calls(Protocol):
    """The router."""

    async def call(self, name: str, arguments: Json, caller: Caller) -> Outcome:
        """One decided call."""
        ...


class Stopped(Exception):
    """The execution cannot go on: at which place, why, and the call's outcome where there was one."""

    def __init__(self, place: str, reason: str, outcome: Outcome | None = None) -> None:
        super().__init__(reason)
        self.place = place
        self.reason = reason
        self.outcome = outcome


@dataclass(slots=True)
class Conductor:
    """Carries out one execution. `reads` says whether a tool only reads; `mask` takes secrets out of what is stored."""

    execution: str
    plans: PlanRepository
    calls: Calls
    caller: Caller
    reads: Callable[[str], bool]
    mask: Callable[[Json], Json]
    clock: Callable[[], float]
    known: dict[str, ExecutedStep] = field(default_factory=dict[str, ExecutedStep])
    redo: bool = False
    inverse: Callable[[str, JsonObject], Inverse | None] = lambda tool, arguments: None  # looked up before a step
    made: int = 0  # calls of this process

    async def carry_out(self, plan: JsonObject, inputs: Mapping[str, Json], prefix: str = "") -> Json:
        """The plan's result. Raises Stopped."""
        results: dict[str, Json] = {}
        ended: dict[str, asyncio.Event] = {str(step["id"]): asyncio.Event() for step in steps_of(plan)}
        steps = steps_of(plan)
        before: list[list[str]] = []
        for index, step in enumerate(steps):
            names = [str(other["id"]) for other in steps[:index]]
            writes = [str(other["id"]) for other in steps[:index] if not self._only_reads(other)]
            waits = set(names) if not self._only_reads(step) else set(writes[-1:]) | (needs(step) & set(names))
            before.append(sorted(waits))

        async def one(step: JsonObject, waits: list[str]) -> None:
            for name in waits:
                await ended[name].wait()
            results[str(step["id"])] = await self._step(step, inputs, results, prefix)
            ended[str(step["id"])].set()

        try:
            async with asyncio.TaskGroup() as group:
                for step, waits in zip(steps, before, strict=True):
                    group.create_task(one(step, waits))
        except* Stopped as stopped:
            raise first_error(stopped) from None
        if "result" not in plan:
            return results[str(steps[-1]["id"])]
        try:
            return resolve(plan["result"], inputs=inputs, results=results)
        except Invalid as error:
            raise Stopped(f"{prefix}result", str(error)) from error

    async def _step(
        self, step: JsonObject, inputs: Mapping[str, Json], results: Mapping[str, Json], prefix: str
    ) -> Json:
        place = prefix + str(step["id"])
        if "for_each" not in step:
            return await self._one(step, place, inputs, results, None)
        try:
            items = resolve(step["for_each"], inputs=inputs, results=results)
        except Invalid as error:
            raise Stopped(place, str(error)) from error
        if not isinstance(items, list):
            raise Stopped(place, f"for_each of {place} is no list")
        if not self._only_reads(step):
            return [
                await self._one(step, f"{place}[{number}]", inputs, results, item) for number, item in enumerate(items)
            ]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._one(step, f"{place}[{number}]", inputs, results, item))
                for number, item in enumerate(items)
            ]
        return [task.result() for task in tasks]

    async def _one(
        self, step: JsonObject, place: str, inputs: Mapping[str, Json], results: Mapping[str, Json], item: Json
    ) -> Json:
        try:
            arguments = {
                name: resolve(value, inputs=inputs, results=results, item=item)
                for name, value in arguments_of(step).items()
            }
        except Invalid as error:
            raise Stopped(place, str(error)) from error
        inner = step.get("plan")
        if isinstance(inner, dict):
            return await self.carry_out(inner, arguments, f"{place}.")
        tool = str(step["call"])
        held = self.known.get(place)
        if held is not None and held.status == "done" and (held.whole or not self.reads(tool)):
            if held.whole:
                return held.result
            raise Stopped(place, f"the result of {place} held a secret and was not kept; what follows cannot be built")
        if held is not None and held.status == "begun" and not self.reads(tool) and not self.redo:
            text = (
                f"{tool} had begun when the last execution ended, and nobody knows its end: look whether it happened. "
            )
            raise Stopped(place, text + 'If it did not, go on with "redo": true.')
        undo = step.get("undo")
        before = self.inverse(tool, arguments) if undo is None and not self.reads(tool) else None
        if before is not None and before.touched:  # what stands there must outlive a process that ends while it writes
            await self._keep(place, tool, before, after=UNKNOWN)
        result = await self._call(place, tool, arguments)
        if isinstance(undo, dict):
            own = {**results, str(step["id"]): result}
            before = named_inverse(undo, inputs=inputs, results=own, item=item)
        if before is not None or not self.reads(tool):
            await self._keep(place, tool, before or Inverse(why_not=f"no inverse of {tool} is known"))
        return result

    async def _keep(self, place: str, tool: str, inverse: Inverse, after: str = "") -> None:
        """Note what takes a step back that was done; what holds a secret is not kept."""
        if inverse.arguments is not None and self.mask(inverse.arguments) != inverse.arguments:
            inverse = Inverse(why_not=f"what would take {tool} back holds a secret, and was not kept")
        kept = KeptInverse(
            place,
            inverse.tool,
            inverse.arguments or {},
            inverse.why_not,
            inverse.touched,
            after or (digest_of_file(inverse.touched) if inverse.touched else ""),
        )
        await self.plans.keep_inverse(self.execution, kept)

    async def _call(self, place: str, tool: str, arguments: JsonObject) -> Json:
        begun = ExecutedStep(place, tool, "begun", started_at=self.clock())
        await self.plans.note_step(self.execution, begun, durable=not self.reads(tool))
        self.made += 1
        outcome = await self.calls.call(tool, arguments, self.caller)
        kept = self.mask(outcome.data)
        done = ExecutedStep(
            place,
            tool,
            "done" if outcome.ok else "begun" if outcome.unsure else "failed",
            kept,
            kept == outcome.data,
            outcome.message,
            begun.started_at,
            self.clock(),
        )
        await self.plans.note_step(self.execution, done)
        if not outcome.ok:
            raise Stopped(place, outcome.message or f"{tool} failed", outcome)
        return outcome.data

    def _only_reads(self, step: JsonObject) -> bool:
        inner = step.get("plan")
        if isinstance(inner, dict):
            return all(self._only_reads(part) for part in steps_of(inner))
        return self.reads(str(step.get("call")))
