"""A tool made of two or more tools: what one answers goes into the next (seed id S-12).

Evidence are recorded runs in which these tools were called in this order, cut down to those calls. Where no two runs
show them together and the composition says what goes where, a call of one run and the call of another that it leads to
are put side by side: each was recorded with exactly these arguments. The draft passes the gate that all drafts pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from druse.crystal.candidates import Candidate, signature_of
from druse.crystal.makers import Aligned, Draft, HandedIn, Refused, SpecsOf
from druse.model import Invalid, Json, Run, RunStatus, Step, ToolSpec, canonical
from druse.store import RunRecord

MAX_RUNS = 500  # the newest successful runs that are looked at
_MAX_SHOWN = 20  # runs it is proved on
_TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "array": "list", "object": "dict"}


@dataclass(frozen=True, slots=True)
class Part:
    """One call. `arguments` are literal JSON, `{"$input": name}` or `{"$from": id, "path": [...]}`; None: learned."""

    id: str
    tool: str
    arguments: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Composed:
    """Makes a draft of parts; `records` are successful runs."""

    name: str
    parts: Sequence[Part]
    records: Sequence[RunRecord]
    description: str = ""

    async def draft(self, specs_of: SpecsOf) -> Draft | Refused:
        """The composition, proved on what was recorded."""
        wired = all(part.arguments is not None for part in self.parts)
        shown = [cut for record in self.records if (cut := self._cut(record)) is not None][-_MAX_SHOWN:]
        if wired:
            shown = [bound for record in shown if (bound := self._bound(record)) is not None]
            if len(shown) < 2:
                shown += list(self._stitched())[: _MAX_SHOWN - len(shown)]
        if len(shown) < 2:
            named = ", then ".join(part.tool for part in self.parts)
            more = "" if wired else ", or say in `arguments` what goes where"
            return Refused("retrieve", f"fewer than two recorded runs show {named}: do it at least twice{more}")
        key = f"composed: {self.name}"
        candidate = Candidate(signature_of(key), (key,), self.description or self.name, len(shown), len(shown), None)
        if not wired:
            made = await Aligned(candidate, shown, self.name).draft(specs_of)
            return made if isinstance(made, Refused) else replace(made, made_by="composition", may_rename=False)
        specs = await specs_of([part.tool for part in self.parts])
        source = source_of(self.parts, self.description or f"Calls {' and '.join(p.tool for p in self.parts)}.", specs)
        made = await HandedIn(self.name, source, self.description, shown).draft(specs_of)
        if isinstance(made, Refused):
            return made
        return replace(made, candidate=candidate, made_by="composition")

    # inside

    def _cut(self, record: RunRecord) -> RunRecord | None:
        """The run cut down to the first calls of the parts in their order; None where it has none."""
        steps: list[Step] = []
        for step in record.run.steps:
            if len(steps) < len(self.parts) and step.tool == self.parts[len(steps)].tool and not step.failed:
                steps.append(step)
        return replace(record, run=_run(record.run, steps)) if len(steps) == len(self.parts) else None

    def _bound(self, record: RunRecord) -> RunRecord | None:
        """The run with the inputs that make the composition do what it did; None where it did something else."""
        inputs: dict[str, Json] = {}
        results: dict[str, Json] = {}
        for part, step in zip(self.parts, record.run.steps, strict=True):
            if not _fits(part, step, inputs, results):
                return None
            results[part.id] = step.result
        return replace(record, run=replace(record.run, inputs=inputs))

    def _stitched(self) -> Iterator[RunRecord]:
        """Calls of different runs side by side, each led to by the one before."""
        calls = [(record, step) for record in self.records for step in record.run.steps if not step.failed]
        for record, first in calls:
            if first.tool != self.parts[0].tool:
                continue
            inputs: dict[str, Json] = {}
            results: dict[str, Json] = {}
            steps: list[Step] = []
            ids: list[str] = []
            for part in self.parts:
                fitting = [(record, first)] if not steps else [one for one in calls if one[1].tool == part.tool]
                found = next(((r, s) for r, s in fitting if _fits(part, s, dict(inputs), results)), None)
                if found is None:
                    break
                _fits(part, found[1], inputs, results)
                results[part.id] = found[1].result
                steps.append(found[1])
                ids.append(found[0].run.id)
            if len(steps) == len(self.parts):
                run = replace(_run(record.run, steps), id="+".join(dict.fromkeys(ids)), inputs=inputs)
                yield replace(record, run=run)


def parts_from(listed: Sequence[Json]) -> list[Part]:
    """Parts as a caller gives them: names of tools, or {call, id?, arguments?}. Raises Invalid."""
    parts: list[Part] = []
    for number, one in enumerate(listed, 1):
        if isinstance(one, str):
            parts.append(Part(f"part{number}", one))
        elif isinstance(one, dict) and isinstance(one.get("call"), str):
            given = one.get("arguments")
            parts.append(
                Part(
                    str(one.get("id") or f"part{number}"), str(one["call"]), given if isinstance(given, dict) else None
                )
            )
        else:
            raise Invalid(f"Cannot compose: part {number} names no tool. Give its name, or {{call, id, arguments}}.")
    known = {part.id for part in parts}
    if len(parts) < 2 or len(known) < len(parts) or not all(name.isidentifier() and name.islower() for name in known):
        raise Invalid("Cannot compose: give two parts or more, each with an id of its own in small letters.")
    return parts


def source_of(parts: Sequence[Part], description: str, specs: Mapping[str, ToolSpec]) -> str:
    """The Python source of a composition that says what goes where. Raises Invalid."""
    kinds: dict[str, str] = {}
    lines: list[str] = []
    known: set[str] = set()
    for part in parts:
        given: list[str] = []
        for name, value in (part.arguments or {}).items():
            if not name.isidentifier():
                raise Invalid(f"Cannot compose: {part.tool} takes an argument {name!r} that is no Python name.")
            given.append(f"{name}={_expression(value, known, kinds, _kind(specs.get(part.tool), name))}")
        lines.append(f"    {part.id} = call({', '.join([repr(part.tool), *given])})")
        known.add(part.id)
    taken = "".join(f", {name}: {kind}" for name, kind in sorted(kinds.items()))
    head = f"def run(call{', *' if kinds else ''}{taken}) -> object:"
    text = description.replace("\\", " ").replace('"', "'").splitlines()[0]
    return "\n".join([f'"""{text}"""', "", "", head, *lines, f"    return {parts[-1].id}", ""])


def _expression(value: Json, known: set[str], kinds: dict[str, str], kind: str = "object") -> str:
    if isinstance(value, list):
        return f"[{', '.join(_expression(part, known, kinds) for part in value)}]"
    if not isinstance(value, dict):
        return repr(value)
    if "$literal" in value:
        return repr(value["$literal"])
    if "$text" in value and isinstance(value["$text"], list):
        return " + ".join(f"str({_expression(part, known, kinds)})" for part in value["$text"]) or "''"
    if "$input" in value or "$from" in value:
        name = str(value.get("$input", value.get("$from")))
        if not name.isidentifier() or ("$from" in value and name not in known) or (name in known and "$input" in value):
            raise Invalid(f"Cannot compose: {name!r} is no part before this one, or no good name of an input.")
        if "$input" in value and kinds.get(name, "object") == "object":
            kinds[name] = "object" if value.get("path") else kind
        path = value.get("path")
        return name + "".join(f"[{key!r}]" for key in (path if isinstance(path, list) else []))
    inner = (f"{key!r}: {_expression(part, known, kinds)}" for key, part in value.items())
    return f"{{{', '.join(inner)}}}"


def _kind(spec: ToolSpec | None, name: str) -> str:
    properties = spec.input_schema.get("properties") if spec is not None else None
    schema = properties.get(name) if isinstance(properties, dict) else None
    return _TYPES.get(str(schema.get("type")), "object") if isinstance(schema, dict) else "object"


def _fits(part: Part, step: Step, inputs: dict[str, Json], results: Mapping[str, Json]) -> bool:
    """Whether a recorded call is what the part calls, given these results; inputs that it shows are taken up."""
    wanted = part.arguments or {}
    if set(wanted) != set(step.arguments):
        return False
    for name, value in wanted.items():
        seen = step.arguments[name]
        if isinstance(value, dict) and "$input" in value and not value.get("path"):
            if canonical(inputs.setdefault(str(value["$input"]), seen)) != canonical(seen):
                return False
            continue
        try:
            if canonical(_value(value, inputs, results)) != canonical(seen):
                return False
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _value(value: Json, inputs: Mapping[str, Json], results: Mapping[str, Json]) -> Json:
    if isinstance(value, list):
        return [_value(part, inputs, results) for part in value]
    if not isinstance(value, dict):
        return value
    if "$literal" in value:
        return value["$literal"]
    if "$text" in value and isinstance(value["$text"], list):
        return "".join(str(_value(part, inputs, results)) for part in value["$text"])
    if "$input" in value or "$from" in value:
        found = inputs[str(value["$input"])] if "$input" in value else results[str(value["$from"])]
        path = value.get("path")
        for key in path if isinstance(path, list) else []:
            if isinstance(found, dict):
                found = found[str(key)]
            elif isinstance(found, list) and isinstance(key, int):
                found = found[key]
            else:
                raise KeyError(key)
        return found
    return {key: _value(part, inputs, results) for key, part in value.items()}


def _run(run: Run, steps: Sequence[Step]) -> Run:
    return Run(run.id, status=RunStatus.SUCCESS, steps=tuple(steps), opened_at=run.opened_at)
