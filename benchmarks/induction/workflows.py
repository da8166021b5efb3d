"""Servers, the agent that works on them, and the workflows it does: what the suite is made of.

A *service* is a plain class with state; its methods marked `read` or `write` are its tools. A *workflow* is the program
a competent agent follows. Running it on freshly seeded services gives a recorded run and, beside it, the truth: which
calls belong to the work and which of their arguments nobody could derive (`free`).
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from druse.model import Run, RunStatus, Step

Leaf = tuple[str, ...]


class Refusal(Exception):
    """A server says no: a failed call."""


def read(method: Any) -> Any:
    """Mark a method as a tool that changes nothing."""
    method.effect = "read"
    return method


def write(method: Any) -> Any:
    """Mark a method as a tool that changes the service."""
    method.effect = "write"
    return method


class Service:
    """Base of all servers. `annotated` says whether the server tells which of its tools write."""

    annotated = True

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def uuid(self) -> str:
        """An id that only the server can know."""
        return str(random.Random(self.rng.random()).randbytes(8).hex())

    def stamp(self) -> str:
        """A time that only the server can know."""
        r = self.rng
        return f"2026-{r.randint(1, 12):02}-{r.randint(1, 28):02}T{r.randint(0, 23):02}:{r.randint(0, 59):02}:07Z"


@dataclass(frozen=True)
class Free:
    """A value that has no source in the work: free text, a choice by taste or by a rule that no run states."""

    value: Any


@dataclass
class Made:
    """One call of a run. `free` are the argument leaves without an answer; a `stray` call is noise."""

    tool: str
    arguments: dict[str, Any]
    result: Any
    turn: int
    effect: str
    failed: bool = False
    stray: bool = False
    free: frozenset[Leaf] = frozenset()


@dataclass
class Agent:
    """Makes the calls of a workflow and records them. `rng` is its own chance: order of reads, mistakes, wording."""

    services: SimpleNamespace
    rng: random.Random
    made: list[Made] = field(default_factory=list)
    turns: list[tuple[int, str]] = field(default_factory=list)
    turn: int = 0
    intrude: Callable[[Agent, int], None] | None = None  # is asked before each call, with its number, and at the end

    def __call__(self, tool: str, /, **arguments: Any) -> Any:
        """Call `service.tool`. Raises Refusal as the server does."""
        self.meet()
        return self._make(tool, arguments, stray=False)

    def stray(self, tool: str, /, **arguments: Any) -> Any:
        """A call that does not belong to the work: a mistake, or reading the same thing again. None if it fails."""
        try:
            return self._make(tool, arguments, stray=True)
        except Refusal:
            return None

    def together(self, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
        """Independent reads, made in an order of the agent's liking; results as asked."""
        order = list(range(len(calls)))
        self.rng.shuffle(order)
        results: list[Any] = [None] * len(calls)
        for index in order:
            self.meet()
            results[index] = self._make(calls[index][0], calls[index][1], stray=False)
        return results

    def user(self, text: str) -> None:
        """The user says something in the middle of the work."""
        self.turn += 1
        self.turns.append((self.turn, text))

    def meet(self) -> None:
        """What happens before the next call, or at the end, though it is no part of the work."""
        intrude, self.intrude = self.intrude, None
        if intrude is not None:
            intrude(self, len(self.made))
            self.intrude = intrude

    def _make(self, tool: str, arguments: dict[str, Any], *, stray: bool) -> Any:
        leaves: set[Leaf] = set()
        plain = {name: _unwrapped(value, (name,), leaves) for name, value in arguments.items()}
        self.turn += 1
        service, _, method = tool.partition(".")
        found = getattr(getattr(self.services, service), method)
        effect = found.effect if getattr(self.services, service).annotated else "unknown"
        made = Made(f"{service}__{method}", plain, None, self.turn, effect, stray=stray, free=frozenset(leaves))
        self.made.append(made)
        try:
            made.result = copy.deepcopy(found(**copy.deepcopy(plain)))
        except Refusal as error:
            made.result, made.failed = str(error), True
            raise
        return copy.deepcopy(made.result)


def _unwrapped(value: Any, path: Leaf, leaves: set[Leaf]) -> Any:
    if isinstance(value, Free):
        leaves.add(path)
        return value.value
    if isinstance(value, dict):
        return {key: _unwrapped(item, (*path, key), leaves) for key, item in value.items()}
    if isinstance(value, list):
        return [_unwrapped(item, (*path, str(index)), leaves) for index, item in enumerate(value)]
    return value


@dataclass(frozen=True)
class Workflow:
    """A program with the services it works on. `goal` is what the user says, with the inputs in it."""

    name: str
    services: dict[str, type[Service]]
    inputs: Callable[[Any, random.Random], dict[str, Any]]
    goal: str
    covers: tuple[str, ...]
    program: Callable[..., None]

    def world(self, seed: int) -> SimpleNamespace:
        """Fresh services; the same seed gives the same state."""
        made = {name: kind(random.Random(f"{self.name}/{name}/{seed}")) for name, kind in self.services.items()}
        return SimpleNamespace(**made)

    def perform(self, seed: int, intrude: Callable[[Agent, int], None] | None = None) -> Performance:
        """One run of the workflow, from the state of this seed."""
        world, rng = self.world(seed), random.Random(f"{self.name}/agent/{seed}")
        inputs = self.inputs(world, rng)
        agent = Agent(world, rng, intrude=intrude)
        self.program(agent, **copy.deepcopy(inputs))
        agent.meet()
        goal = self.goal.format(**{name: _spoken(value) for name, value in inputs.items()})
        steps = tuple(
            Step(made.tool, made.arguments, made.result, failed=made.failed, turn=made.turn, effect=made.effect)
            for made in agent.made
        )
        run = Run(
            f"{self.name}-{seed:02}",
            goal,
            RunStatus.SUCCESS,
            steps,
            ((0, goal), *agent.turns),
            task=f"{seed}",
            domain="suite",
        )
        return Performance(seed, inputs, run, agent.made, agent.turns[0][0] if agent.turns else None)


@dataclass(frozen=True)
class Performance:
    """A run with its truth. Nothing after `until` (the user's turn in the middle) can be known before it."""

    seed: int
    inputs: dict[str, Any]
    run: Run
    made: list[Made]
    until: int | None

    @property
    def truth(self) -> list[Made]:
        """The calls that belong to the work."""
        return [made for made in self.made if not made.stray and not made.failed]


def _spoken(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_spoken(item) for item in value)
    if isinstance(value, dict):
        return " ".join(_spoken(item) for item in value.values())
    return str(value)


WORKFLOWS: list[Workflow] = []


def workflow(
    goal: str, inputs: Callable[[Any, random.Random], dict[str, Any]], covers: str, **services: type[Service]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a program as a workflow named after it; `covers` names bindings and traps, see `coverage.py`."""

    def register(program: Callable[..., None]) -> Callable[..., None]:
        WORKFLOWS.append(Workflow(program.__name__, services, inputs, goal, tuple(covers.split()), program))
        return program

    return register
