"""Who makes drafts of tools: two kinds of maker behind one interface, whose drafts pass the same gate (seed id H-10).

*Deterministic*: `Aligned` and `AlignedPart` induce a program from aligned recorded runs, without a model. *Backed by a
model*: `HandedIn` carries what the host agent wrote, `druse.crystal.toolsmith` asks the configured one. None of them
writes anything or makes anything callable.
"""

from __future__ import annotations

import ast
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from anyio import to_thread

from druse.crystal.candidates import Candidate
from druse.crystal.manifest import permissions_of
from druse.crystal.parts import Recurring
from druse.crystal.verification import Verification, replay_source, verify
from druse.induction import (
    MIN_IDENTICAL,
    Disagreement,
    Induction,
    ParameterInfo,
    bind,
    goal_patterns,
    learn,
    macro_of,
    without_deviations,
)
from druse.model import Json, JsonObject, Run, RunStatus, ToolSpec, canonical, digest_text, object_schema
from druse.runtime import SandboxHost
from druse.store import RunRecord

SpecsOf = Callable[[Sequence[str]], Awaitable[Mapping[str, ToolSpec]]]


@dataclass(frozen=True, slots=True)
class Draft:
    """What every maker hands in. `inputs` are those of the last run; `prove` replays the runs in the sandbox."""

    candidate: Candidate
    records: Sequence[RunRecord]
    induction: Induction
    specs: Mapping[str, ToolSpec]
    inputs: Mapping[str, Json]
    prove: Callable[[SandboxHost, Induction], Awaitable[Verification]]
    made_by: str  # induction, agent or the model asked, as the manifest tells it
    may_rename: bool = False
    disagreements: tuple[Disagreement, ...] = ()  # what some runs did otherwise than the rest
    otherwise: Callable[[str], Synthesizer] | None = None  # who is asked where one run, of this id, is not proved


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a maker has no draft, and at which stage it stopped."""

    stage: str
    message: str
    induction: Induction | None = None


class Synthesizer(Protocol):
    """A maker of drafts."""

    async def draft(self, specs_of: SpecsOf) -> Draft | Refused:
        """A draft of a tool; `specs_of` answers with the tools known now."""
        ...


@dataclass(frozen=True, slots=True)
class Aligned:
    """Induces a program from all runs of a workflow; `next_version` of the tool `name` keeps its name."""

    candidate: Candidate
    records: Sequence[RunRecord]
    name: str | None = None
    next_version: bool = False
    whole: bool = False  # not only the beginning of the work
    suspect: str = ""  # the run that the others do not teach: a tool is made without what went astray in it

    async def draft(self, specs_of: SpecsOf) -> Draft | Refused:
        """A program that reproduces the runs."""
        runs = [record.run for record in self.records]
        if len(runs) < 2:
            return Refused("retrieve", "one successful run shows nothing about what varies; two are needed")
        specs = await specs_of(sorted({step.tool for run in runs for step in run.steps}))
        if self.suspect:
            work = partial(without_deviations, runs, specs=specs, name=self.name, suspect=self.suspect)
            learned = await to_thread.run_sync(work)
            if learned is None:
                return Refused("induce", f"the runs do not agree, and not because of one thing in run {self.suspect}")
        else:
            learned = await to_thread.run_sync(partial(learn, runs, specs=specs, name=self.name))
        induction = learned.induction
        if not induction.source:
            return Refused("induce", "; ".join(induction.reasons), induction)
        if self.whole and induction.left_out:
            told = f"only a beginning could be learned: {'; '.join(induction.reasons)}"
            return Refused("induce", told, induction)
        if self.next_version and learned.aside:  # the version in service may do just what that run did
            return Refused("induce", str(learned.disagreements[0]), induction)
        if self.next_version and self.name:
            induction = replace(induction, name=self.name)

        by_id = {run.id: run for run in learned.runs}
        records = [replace(r, run=by_id[r.run.id]) for r in self.records if r.run.id in by_id]

        async def prove(host: SandboxHost, named: Induction) -> Verification:
            return await verify(host, [record.run for record in records], named, specs, aside=learned.aside)

        inputs = bind(induction, records[-1].run) or {}
        told = learned.disagreements
        otherwise = None if told or self.suspect else self._without
        made = Draft(self.candidate, records, induction, specs, inputs, prove, "induction", not self.next_version)
        return replace(made, disagreements=told, otherwise=otherwise)

    def _without(self, suspect: str) -> Synthesizer:
        return replace(self, suspect=suspect)


@dataclass(frozen=True, slots=True)
class AlignedPart:
    """Steps that recur inside longer runs, induced already when they were found."""

    recurring: Recurring
    name: str | None = None

    async def draft(self, specs_of: SpecsOf) -> Draft | Refused:
        """The program of the part."""
        part, records = self.recurring.part, self.recurring.records
        specs = await specs_of(sorted(part.induction.calls))
        induction = replace(part.induction, name=self.name or part.induction.name)

        async def prove(host: SandboxHost, named: Induction) -> Verification:
            return await verify(host, self.recurring.runs, named, specs, teach=part.taught_by)

        inputs = bind(induction, records[-1].run) or {}
        rename = self.name is None
        return Draft(self.recurring.candidate, records, induction, specs, inputs, prove, "induction", rename)


@dataclass(frozen=True, slots=True)
class HandedIn:
    """A source the host agent wrote, with the runs it says the tool reproduces."""

    name: str
    source: str
    description: str
    records: Sequence[RunRecord]

    async def draft(self, specs_of: SpecsOf) -> Draft | Refused:
        """The source as it was handed in; what is wrong with it the gate says."""
        run = _run_of(self.source)
        tools = _tools_of(self.source) if run else []
        text = self.description or _first_line(self.source) or self.name
        schema: JsonObject = _schema_of(run) if run else {}
        given = [_inputs_for(run, record.run) for record in self.records]
        induction = Induction(
            "induced",
            name=self.name,
            description=text,
            source=self.source,
            calls=tuple(tools),
            input_schema=schema,
            parameters=_infos(schema, given),
            goal_patterns=goal_patterns([(r.run.goal, values) for r, values in zip(self.records, given, strict=True)]),
        )
        workflows = tuple(record.workflow for record in self.records[:1])
        goal = self.records[0].run.goal if self.records else ""
        candidate = Candidate(digest_text(self.source)[7:19], workflows, goal, 0, 0, None)

        async def prove(host: SandboxHost, named: Induction) -> Verification:
            replays = [
                await replay_source(host, named.source, _inputs_for(run, record.run), record.run)
                for record in self.records
            ]
            return Verification(tuple(replays), ())

        inputs = _inputs_for(run, self.records[-1].run) if self.records else {}
        return Draft(candidate, self.records, induction, await specs_of(tools), inputs, prove, "agent")


def _infos(schema: JsonObject, given: Sequence[Mapping[str, Json]]) -> tuple[ParameterInfo, ...]:
    """The inputs of a handed-in tool, with the values that the runs had."""
    properties, required = schema.get("properties"), schema.get("required")
    found: list[ParameterInfo] = []
    for name, part in properties.items() if isinstance(properties, dict) else ():
        seen = {canonical(values[name]): values[name] for values in given if name in values}
        needed = isinstance(required, list) and name in required
        own = part if isinstance(part, dict) else {}
        found.append(ParameterInfo(name, own, "given by the caller", tuple(seen.values())[:3], needed))
    return tuple(found)


def lacking(records: Sequence[RunRecord], inputs: Sequence[str]) -> str:
    """What evidence is missing before a tool with these inputs can be proved; empty where nothing is."""
    distinct = {record.run.id: record for record in records}
    bad = [record for record in distinct.values() if record.run.status is not RunStatus.SUCCESS]
    if bad:
        told = ", ".join(f"{record.run.id} is {record.run.status}" for record in bad)
        return f"only successful runs are evidence: {told}; report how they went, or name others"
    if len(distinct) < 2:
        return "no evidence: name at least two successful recorded runs in run_ids that the tool must reproduce"
    made = {
        canonical([[step.tool, dict(step.arguments)] for step in macro_of(record.run)]) for record in distinct.values()
    }
    if len(made) > 1:
        return ""
    if inputs:
        return (
            f"the {len(distinct)} runs made the very same calls, so nothing shows that {', '.join(inputs)} can be "
            "anything else: name a run with other values"
        )
    wanted = MIN_IDENTICAL - len(distinct)
    return f"a tool without inputs needs {MIN_IDENTICAL} runs that are alike: name {wanted} more" if wanted > 0 else ""


def inputs_for(source: str, recorded: Run) -> dict[str, Json]:
    """Inputs of a source for a recorded run: what the caller gave by name, else arguments of that name."""
    return _inputs_for(_run_of(source), recorded)


def parameters_of(source: str) -> list[str]:
    """The names of the inputs of a source, in order."""
    return [part.arg for part in _parameters(_run_of(source))]


def schema_of(source: str) -> JsonObject:
    """The input schema that the annotations of `run` say; empty where there is no `run`."""
    run = _run_of(source)
    return _schema_of(run) if run else {}


def _run_of(source: str) -> ast.FunctionDef | None:
    """The function `run` of a source; None where there is none or it is no Python."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        return None
    return next((node for node in body if isinstance(node, ast.FunctionDef) and node.name == "run"), None)


def _tools_of(source: str) -> list[str]:
    try:
        return permissions_of(source)
    except ValueError:
        return []


def _first_line(source: str) -> str:
    try:
        return (ast.get_docstring(ast.parse(source)) or "").split("\n")[0]
    except (SyntaxError, ValueError, RecursionError):
        return ""


def _inputs_for(run: ast.FunctionDef | None, recorded: Run) -> dict[str, Json]:
    """Inputs of a handed-in tool for a recorded run: what the caller gave by name, else arguments of that name."""
    known: dict[str, Json] = {}
    for step in recorded.steps:
        for name, value in step.arguments.items():
            known.setdefault(name, value)
    known.update(recorded.inputs)
    return {part.arg: known[part.arg] for part in _parameters(run) if part.arg in known}


def _parameters(run: ast.FunctionDef | None) -> list[ast.arg]:
    return [*run.args.args[1:], *run.args.kwonlyargs] if run else []


def _schema_of(run: ast.FunctionDef) -> JsonObject:
    """The input schema that the annotations of `run` say."""
    kinds = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object"}
    properties: JsonObject = {}
    for part in _parameters(run):
        annotation = ast.unparse(part.annotation).split("[")[0] if part.annotation else ""
        properties[part.arg] = {"type": kinds[annotation]} if annotation in kinds else {}
    optional = {part.arg for part, value in zip(run.args.kwonlyargs, run.args.kw_defaults, strict=True) if value}
    required = [name for name in properties if name not in optional]
    return object_schema(properties, required)
