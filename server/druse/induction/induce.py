"""Runs of one workflow -> Procedure -> source: the entry of this room.

Sources in the literature: anti-unification (Plotkin 1970), version spaces (Mitchell; Lau's version space algebra),
programming by example (Gulwani's FlashFill and PROSE), loops by demonstration (Rousillon/Helena).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from druse.induction.answers import settled
from druse.induction.commands import is_command, shown, worded
from druse.induction.elements import is_read
from druse.induction.matching import bind_steps
from druse.induction.naming import identifier, result_name
from druse.induction.procedure import Constant, Declared, FromPlace, Procedure, calls_of
from druse.induction.render import annotation_of, render
from druse.induction.structure import Builder
from druse.induction.values import MISSING, is_handle
from druse.model import Json, JsonObject, Run, Step, ToolSpec, canonical, object_schema, typed_equal

MIN_IDENTICAL = 3  # runs without any difference that make a tool without parameters
_STOP_WORDS = frozenset(("the", "a", "an", "of", "for", "to", "and", "in", "on", "with", "all", "please", "my", "from"))


@dataclass(frozen=True, slots=True)
class ParameterInfo:
    """One input of an induced tool. `origin` says where its value came from in the runs."""

    name: str
    schema: JsonObject
    origin: str
    examples: tuple[Json, ...]
    required: bool = True


@dataclass(frozen=True, slots=True)
class Induction:
    """What was learned. `status` is induced, partial (some steps, or with a hole to fill) or refused."""

    status: str
    name: str = ""
    description: str = ""
    source: str = ""
    procedure: Procedure | None = None
    parameters: tuple[ParameterInfo, ...] = ()
    calls: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    ambiguities: tuple[str, ...] = ()
    goal_patterns: tuple[str, ...] = ()
    input_schema: JsonObject = field(default_factory=dict[str, Json])
    output_schema: JsonObject | None = None
    left_out: int = 0  # steps at the end of the runs that the tool does not make


def induce(
    runs: Sequence[Run],
    *,
    specs: Mapping[str, ToolSpec] | None = None,
    name: str | None = None,
    steps_of: Callable[[Run], list[Step]] | None = None,
    make: Callable[[Sequence[Sequence[Step]], Sequence[str]], Builder] = Builder,
) -> Induction:
    """Learn one program from runs of one workflow. Deterministic: the order of the runs does not matter.

    `make` is given the steps of each run (`macro_of` chooses them) and what its caller said, in the order of the ids.
    """
    ordered = sorted(runs, key=lambda run: run.id)
    kept = [(run, (steps_of or macro_of)(run)) for run in ordered]
    kept = [(run, steps) for run, steps in kept if steps]
    if len(kept) < 2:
        return Induction("refused", reasons=("one run shows nothing about what varies; at least two are needed",))
    sequences = [steps for _, steps in kept]
    if _identical(sequences) and len(kept) < MIN_IDENTICAL:
        return Induction("refused", reasons=("the runs do not differ, so nothing shows what is an input",))
    builder = make(sequences, [words_of(run) for run, _ in kept])
    nodes, left_out = builder.build()
    reasons = list(builder.reasons)
    if len(calls_of(nodes)) < (1 if not left_out else 2):
        return Induction("refused", reasons=tuple(reasons) or ("the runs have no step in common",))
    if left_out and any(call.writes for call in calls_of(nodes)):
        reasons.append("the part that could be learned writes, and the rest is missing; half a change is no tool")
        return Induction("refused", reasons=tuple(reasons))
    procedure = Procedure(nodes, builder.parameters, tuple(run.id for run, _ in kept))
    holes = [declared for declared in builder.parameters.values() if declared.hole]
    reasons += _always_failed([run for run, _ in kept])
    reasons += [f"{hole.tool}, `{'.'.join(hole.leaf)}`: {hole.hole}" for hole in holes]
    patterns = _goal_patterns([run for run, _ in kept], procedure)
    chosen = name or _name_of(patterns, procedure)
    description = _description(patterns, procedure)
    if left_out:  # whoever asks for the whole work must not get its beginning as if that were all
        description = f"Only the beginning of: {description}"
        chosen, patterns = name or f"begin_{_name_of((), procedure)}"[:40], ()
    return Induction(
        "partial" if left_out or holes else "induced",
        name=chosen,
        description=description,
        source=render(procedure, description=description),
        procedure=procedure,
        parameters=tuple(_info(declared, specs or {}) for declared in builder.parameters.values()),
        calls=tuple(dict.fromkeys(call.tool for call in calls_of(nodes))),
        reasons=tuple(reasons),
        ambiguities=tuple(_ambiguities(procedure)),
        goal_patterns=patterns,
        input_schema=_input_schema(builder.parameters, specs or {}),
        left_out=left_out,
    )


def _always_failed(runs: Sequence[Run]) -> list[str]:
    """Commands that ended with another exit code than 0 in every run, which then went on: a person should know."""
    never: list[set[str]] = []
    for run in runs:
        well = {step.tool for step in worded(settled(run.steps))}
        ill = worded([step for step in run.steps if step.failed])
        never.append({step.tool for step in ill if is_command(step.tool)} - well)
    common = sorted(set[str].intersection(*never)) if never else []
    return [f"`{shown(tool)}` failed in every run, and the runs went on: the tool leaves it out" for tool in common]


def bind(induction: Induction, run: Run) -> dict[str, Json] | None:
    """The parameter values with which an induced tool reproduces a known run; None if the run is no instance of it."""
    if induction.procedure is None:
        return None
    bound = bind_steps(induction.procedure, macro_of(run))
    return bound[0] if bound else None


def macro_of(run: Run) -> list[Step]:
    """The steps of a run that one program could make: the longest stretch without a user turn.

    Failed calls are dropped, and so is reading the same thing again with the same answer before anything was written.
    """
    steps = _without_rereading(worded(settled(run.steps)))
    turns = sorted(turn for turn, _ in run.user_turns)
    stretches: list[list[Step]] = [[]]
    for index, step in enumerate(steps):
        if index and any(steps[index - 1].turn < turn <= step.turn for turn in turns):
            stretches.append([])
        stretches[-1].append(step)
    return max(stretches, key=len)


def _without_rereading(steps: Sequence[Step]) -> list[Step]:
    """Reads that were made twice before the next write are kept once, unless the answer changed: that is waiting."""
    kept: list[Step] = []
    for reads, group in itertools.groupby(steps, key=is_read):
        stretch = list(group)
        for number, step in enumerate(stretch):
            alike = [other for other in stretch if _same_call(step, other)]
            changed = any(not typed_equal(step.result, other.result) for other in alike)
            if not reads or changed or not any(_same_call(step, earlier) for earlier in stretch[:number]):
                kept.append(step)
    return kept


def _same_call(step: Step, other: Step) -> bool:
    return step.tool == other.tool and typed_equal(dict(step.arguments), dict(other.arguments))


def _identical(sequences: Sequence[Sequence[Step]]) -> bool:
    texts = {canonical([[step.tool, dict(step.arguments)] for step in steps]) for steps in sequences}
    return len(texts) == 1


def words_of(run: Run) -> str:
    """Everything the caller said in a run, as one text."""
    turns = [text for _, text in run.user_turns]
    return "\n".join([run.goal, *turns, *(str(value) for value in run.inputs.values())]).strip()


def _info(declared: Declared, specs: Mapping[str, ToolSpec]) -> ParameterInfo:
    used = f"`{'.'.join(declared.leaf)}` of {declared.tool}"
    if declared.command:
        used = f"a word ({declared.kind}) of `{declared.command}`"
    origin = f"given by the caller; first used as {used}"
    if declared.hole:
        origin = f"to be chosen by the caller ({declared.hole}); {used}"
    examples: list[Json] = []
    for value in declared.values:
        if len(examples) < 3 and not any(typed_equal(value, other) for other in examples):
            examples.append(value)
    required = declared.default is MISSING and not declared.derived
    if declared.derived:
        origin = f"{origin}; worked out where it is not given"
    elif not required:
        origin = f"{origin}; the default is what it was wherever nobody had said it"
    return ParameterInfo(declared.name, _schema(declared, specs), origin, tuple(examples), required)


def _schema(declared: Declared, specs: Mapping[str, ToolSpec]) -> JsonObject:
    """The upstream's own schema of the argument where it has one, else the type of the values seen."""
    spec = specs.get(declared.tool)
    found: Json = dict(spec.input_schema) if spec else None
    for key in declared.leaf:
        properties = found.get("properties") if isinstance(found, dict) else None
        found = properties.get(key) if isinstance(properties, dict) else None
    schema: JsonObject = {}
    if isinstance(found, dict) and "$ref" not in str(found):
        schema = {key: value for key, value in found.items() if key in _SCHEMA_KEYS}
    if not schema.get("type") and "enum" not in schema:
        kind = annotation_of(declared.values)
        wire = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "array"}
        if kind in wire or kind == "dict":
            schema["type"] = wire.get(kind, "object")
    if any(is_handle(value) for value in declared.values):
        schema["format"] = "password"
    if declared.derived:
        schema.pop("default", None)
    elif declared.default is not MISSING:
        schema["default"] = declared.default
    if declared.command:
        schema["description"] = f"{_KINDS.get(declared.kind, 'Text')}, one word of `{declared.command}`."
    if declared.usual:
        known = str(schema.get("description", "")).rstrip(".")
        schema["description"] = ". ".join(filter(None, (known, f"Where it is not given: from {declared.usual}.")))
    if declared.hole and "description" not in schema:
        schema["description"] = f"To be chosen: {declared.hole}."
    return schema


_KINDS = {
    "number": "Number",
    "name": "Name",
    "branch": "Name of a branch or tag",
    "path": "Path in the workspace",
    "test": "Test or test file",
}
_SCHEMA_KEYS = frozenset(
    (
        *("type", "enum", "description", "format", "pattern", "minimum", "maximum", "items", "minLength", "maxLength"),
        *("exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "properties", "required"),
    )
)


def _input_schema(parameters: Mapping[str, Declared], specs: Mapping[str, ToolSpec]) -> JsonObject:
    properties: JsonObject = {name: _schema(declared, specs) for name, declared in parameters.items()}
    required = [name for name, part in parameters.items() if part.default is MISSING and not part.derived]
    return object_schema(properties, required)


def _goal_patterns(runs: Sequence[Run], procedure: Procedure) -> tuple[str, ...]:
    """The goals with parameter values replaced by `{name}`: how people say what this tool does."""
    parameters = procedure.parameters.items()
    return goal_patterns(
        [
            (run.goal, {name: declared.by_run[number] for name, declared in parameters if number in declared.by_run})
            for number, run in enumerate(runs)
        ]
    )


def goal_patterns(goals: Sequence[tuple[str, Mapping[str, Json]]]) -> tuple[str, ...]:
    """Goals with the values of their inputs replaced by `{name}`, the most frequent first."""
    patterns: dict[str, int] = {}
    for goal, values in goals:
        if not goal:
            continue
        text = goal.replace("{", "(").replace("}", ")")
        written = [(name, str(value)) for name, value in values.items() if isinstance(value, str | int | float)]
        written += [(name, ", ".join(map(str, value))) for name, value in values.items() if isinstance(value, list)]
        for name, value in sorted(written, key=lambda item: -len(item[1])):
            if len(value) > 1 or value.isdigit():
                pattern = rf"(?<![\w{{]){re.escape(value)}(?![\w}}])"
                text = re.sub(pattern, lambda _, name=name: "{" + name + "}", text, flags=re.IGNORECASE)
        patterns[text] = patterns.get(text, 0) + 1
    return tuple(sorted(patterns, key=lambda text: (-patterns[text], text)))


def _name_of(patterns: Sequence[str], procedure: Procedure) -> str:
    words: list[str] = []
    if patterns and len(patterns) <= len(procedure.runs) / 2:
        plain = re.split(r"[:;,.\n]|\{", patterns[0])[0]
        words = [word for word in re.findall(r"[a-z0-9]+", plain.lower()) if word not in _STOP_WORDS][:5]
    if len(words) < 2:
        calls = calls_of(procedure.nodes)
        last = next((call for call in reversed(calls) if call.writes), calls[-1])
        words = identifier(last.noun.rpartition("__")[2]).split("_")
        first = result_name(calls[0].noun).split("_")
        if len(calls) > 1:
            words = [*words, "for", *[word for word in first if word not in words][:2]]
    return "_".join(words)[:40].strip("_") or "tool"


def _description(patterns: Sequence[str], procedure: Procedure) -> str:
    if patterns:
        return re.sub(r"\{(\w+)\}", r"<\1>", patterns[0]).strip()[:300]
    tools = [call.noun.rpartition("__")[2] for call in calls_of(procedure.nodes)]
    return "Runs " + ", ".join(dict.fromkeys(tools))


def _ambiguities(procedure: Procedure) -> list[str]:
    found: list[str] = []
    for call in calls_of(procedure.nodes):
        for path, binding in call.bindings.items():
            if isinstance(binding, FromPlace) and binding.others:
                rivals = ", ".join(".".join(place.path) for place in binding.others)
                found.append(f"{call.tool}, `{'.'.join(path)}`: {'.'.join(binding.place.path)} or {rivals}")
            elif isinstance(binding, Constant) and binding.agrees is not None:
                found.append(f"{call.tool}, `{'.'.join(path)}`: constant, or {'.'.join(binding.agrees.path)}")
    return found
