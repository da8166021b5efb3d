"""One learned tool against the truth of one held-out run: every argument right, refused or silently wrong.

The tool's inputs are what the user said: a parameter is matched to the input that had its value in every training run.
A parameter that no input explains is one the caller is *asked* for. The caller answers correctly, and every argument
that comes straight from the answer counts as refused: the tool did not know it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from jsonschema import Draft202012Validator

from benchmarks.induction.workflows import Made, Performance, Refusal, Workflow
from druse.induction import Induction, calls_of
from druse.induction.procedure import Call, Declared, Parameter, Template
from druse.induction.values import MISSING, leaves
from druse.model import Json, JsonObject, typed_equal
from druse.runtime import SandboxHost, ToolCallFailed

SEEDS_HELD = (3, 4, 5)
SEEDS_TRAIN = (0, 1, 2, 6, 7, 8)


@dataclass
class Score:
    """Counts of argument leaves. `answered` are those with an answer in the work, `open` those without."""

    answered: Counter[str] = field(default_factory=Counter[str])  # right, refused, wrong
    open: Counter[str] = field(default_factory=Counter[str])  # refused, guessed (equal by luck), wrong
    unshown: int = 0  # arguments of calls that no training run has, left out: no learner could know them
    notes: list[str] = field(default_factory=list[str])

    def add(self, other: Score) -> None:
        self.answered.update(other.answered)
        self.open.update(other.open)
        self.unshown += other.unshown
        self.notes.extend(note for note in other.notes if note not in self.notes)

    @property
    def wrong(self) -> int:
        """Arguments that were silently wrong."""
        return self.answered["wrong"] + self.open["wrong"]


@dataclass(frozen=True)
class Emitted:
    """What a learned tool called, and how it ended."""

    calls: list[tuple[str, JsonObject, str]]  # tool, arguments, effect
    finished: bool
    detail: str


async def score(
    host: SandboxHost, workflow: Workflow, found: Induction, train: Sequence[Performance], held: Performance
) -> Score:
    """Run the learned source in the sandbox on the live services of the held-out run, and compare its calls."""
    arguments, asked = supplied(found, train, held)
    shown = {made.tool for performance in train for made in performance.truth}
    if arguments is None:
        emitted = Emitted([], False, "it asks for a value that this case does not have")
        return compared(held, emitted, _Asked(found, {}), partial=True, shown=shown)
    emitted = await run(host, found.source, arguments, workflow.world(held.seed))
    values = {name: arguments[name] for name in asked}
    return compared(held, emitted, _Asked(found, values), partial=bool(found.left_out), shown=shown)


def unaided(held: Performance, emitted: Emitted, shown: set[str]) -> Score:
    """The same judgement on calls that another tool made, which asked for nothing."""
    nothing = Induction("refused")
    return compared(held, emitted, _Asked(nothing, {}), partial=False, shown=shown)


async def run(host: SandboxHost, source: str, arguments: JsonObject, services: SimpleNamespace) -> Emitted:
    """Run a source on services; every call and how it ended."""
    if not source:
        return Emitted([], False, "nothing was learned")
    calls: list[tuple[str, JsonObject, str]] = []

    async def call(tool: str, given: JsonObject) -> Json:
        service, _, name = tool.partition("__")
        method = getattr(getattr(services, service), name)
        calls.append((tool, given, method.effect))
        try:
            return method(**given)
        except (Refusal, TypeError, KeyError) as error:
            raise ToolCallFailed(str(error)) from error

    result = await host.run(source, arguments, call=call)
    detail = "" if result.status == "ok" else f"{result.status}: {result.error.message if result.error else ''}"
    return Emitted(calls, result.status == "ok", detail)


def supplied(found: Induction, train: Sequence[Performance], held: Performance) -> tuple[JsonObject | None, set[str]]:
    """The tool's arguments in the held-out case, and the names of those that the caller has to be asked for.

    None where it asks for something that the case does not have: its caller cannot use it.
    """
    arguments: JsonObject = {}
    asked: set[str] = set()
    times: Counter[tuple[str, tuple[str, ...]]] = Counter()
    declared = found.procedure.parameters if found.procedure else {}
    for name, parameter in declared.items():
        path = _input_of(parameter, train)
        if path is not None and not _same_size(path, parameter, train, held):
            return None, asked
        value = _at(held.inputs, path) if path else None
        if path is None and parameter.default is not MISSING:
            continue  # nobody has another one in mind
        if path is None:
            asked.add(name)
            value = _use(parameter, held, times[parameter.tool, parameter.leaf])
            times[parameter.tool, parameter.leaf] += 1
        if value is None and len(parameter.by_run) == len(train):
            return None, asked
        # The step of this value is left out in some runs: any value will do.
        arguments[name] = parameter.values[0] if value is None else value
    # The router checks arguments against the tool's schema before anything runs.
    return (arguments if Draft202012Validator(found.input_schema).is_valid(arguments) else None), asked


def _same_size(path: tuple[str, ...], parameter: Declared, train: Sequence[Performance], held: Performance) -> bool:
    """Whether a list of which the tool takes single elements is as long as in training: else nobody would call it."""
    for depth in range(len(path)):
        here = _at(held.inputs, path[:depth])
        if isinstance(here, list):
            known = {len(_at(train[index].inputs, path[:depth])) for index in parameter.by_run}
            if len(here) not in known:
                return False
    return True


def _input_of(parameter: Declared, train: Sequence[Performance]) -> tuple[str, ...] | None:
    """The path in the users' inputs that had the parameter's value in every run that used it."""
    used = [(train[index].inputs, value) for index, value in parameter.by_run.items()]
    paths = [path for path, value in _inside(used[0][0]) if typed_equal(value, used[0][1])]
    fits = [path for path in paths if all(typed_equal(_at(inputs, path), value) for inputs, value in used)]
    return min(fits, key=lambda path: (path[-1] != parameter.argument, path)) if fits else None


def _inside(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if path:
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _inside(item, (*path, str(key)))


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list):
            value = value[int(key)] if int(key) < len(value) else None
    return value


def _use(parameter: Declared, held: Performance, number: int) -> Json:
    """What the caller answers: the argument of the held-out run's call of that number, if there is one."""
    calls = [made for made in held.truth if made.tool == parameter.tool]
    return _at(calls[number].arguments, parameter.leaf) if number < len(calls) else None


class _Asked:
    """Which arguments of a learned tool come straight from what the caller was asked for."""

    def __init__(self, found: Induction, values: JsonObject) -> None:
        self._values = values
        self._calls: list[Call] = calls_of(found.procedure.nodes) if found.procedure else []

    def holds(self, tool: str, path: tuple[str, ...]) -> bool:
        """Whether an argument leaf of a call is, or contains, an asked value."""
        for call in self._calls:
            if call.tool == tool:
                for own, binding in call.bindings.items():
                    if path[: len(own)] == own and self._is_asked(binding):
                        return True
        return False

    def asks_about(self, tool: str) -> bool:
        """Whether the caller is asked for an argument of this tool, and so sees how often it is called."""
        return any(
            call.tool == tool and any(self._is_asked(binding) for binding in call.bindings.values())
            for call in self._calls
        )

    def _is_asked(self, binding: object) -> bool:
        if isinstance(binding, Parameter):
            return binding.name in self._values
        if isinstance(binding, Template):
            roots = [part.root for part in binding.parts if not isinstance(part, str)]
            return any(root.kind == "parameter" and root.name in self._values for root in roots)
        return False


def compared(held: Performance, emitted: Emitted, asked: _Asked, *, partial: bool, shown: set[str]) -> Score:
    """Every argument of the truth against what was called."""
    result = Score()
    spare = list(emitted.calls)
    pairs: list[tuple[Made, JsonObject | None]] = []
    for made in held.truth:  # equal calls first, so that one difference does not shift all that follow
        match = next((c for c in spare if c[0] == made.tool and typed_equal(c[1], made.arguments)), None)
        if match is not None:
            spare.remove(match)
        pairs.append((made, match[1] if match else None))
    for index, (made, given) in enumerate(pairs):
        match = next((c for c in spare if c[0] == made.tool), None) if given is None else None
        if match is not None:
            spare.remove(match)
            pairs[index] = (made, match[1])
    for made, given in pairs:
        if given is None and made.tool not in shown:
            result.unshown += len(list(leaves(made.arguments)))
            result.notes.append(f"no training run has {made.tool}")
        else:
            _judge(result, held, made, given, emitted, asked, partial=partial)
    for tool, given, _ in spare:
        result.answered["wrong"] += max(1, len(list(leaves(dict(given)))))
        result.notes.append(f"called {tool}({given}), which is not part of the work")
    writes: list[Json] = [call[1] for call in emitted.calls if call[2] == "write"]
    wanted: list[Json] = [given for made, given in pairs if given is not None and _effect(made, emitted) == "write"]
    if not partial and len(writes) == len(wanted) and not typed_equal(writes, wanted):
        result.answered["wrong"] += 1
        result.notes.append("made its writes in another order")
    return result


def _effect(made: Made, emitted: Emitted) -> str:
    return next((effect for tool, _, effect in emitted.calls if tool == made.tool), made.effect)


def _judge(
    result: Score,
    held: Performance,
    made: Made,
    given: JsonObject | None,
    emitted: Emitted,
    asked: _Asked,
    *,
    partial: bool,
) -> None:
    late = held.until is not None and made.turn > held.until
    stopped = not emitted.finished or partial or late or asked.asks_about(made.tool)
    if given is None:
        for path, _ in leaves(made.arguments):
            counter = result.open if late or _is_free(made, path) else result.answered
            counter["refused" if stopped else "wrong"] += 1
        result.notes.append(
            f"stopped before {made.tool} ({emitted.detail or 'the rest was not learned'})"
            if stopped
            else f"left out {made.tool}({made.arguments}) and said nothing"
        )
        return
    theirs, ours = dict(leaves(given)), dict(leaves(made.arguments))
    for path, value in ours.items():
        equal = path in theirs and typed_equal(theirs[path], value)
        unanswered = late or _is_free(made, path)
        counter = result.open if unanswered else result.answered
        if asked.holds(made.tool, path):
            counter["refused"] += 1
            result.notes.append(f"asks for {made.tool}.{'.'.join(path)}")
        elif equal:
            counter["guessed" if unanswered else "right"] += 1
        else:
            counter["wrong"] += 1
            result.notes.append(f"{made.tool}.{'.'.join(path)}: {theirs.get(path)!r} instead of {value!r}")
    extra = len(theirs.keys() - ours.keys())
    if extra:
        result.answered["wrong"] += extra
        result.notes.append(f"{made.tool}: gave {extra} more values than the work needs")


def _is_free(made: Made, path: tuple[str, ...]) -> bool:
    return any(path[: len(free)] == free for free in made.free)
