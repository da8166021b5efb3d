"""A Procedure as the Python that a person reads, approves and runs.

The source needs nothing but the names of the sandbox's language: `call`, `expect`, `require`, `one` (see
docs/sandbox-language.md). Guards stand after each call for what later steps rely on: shape, type, emptiness, keys.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from druse.induction.answers import exit_codes
from druse.induction.commands import is_command
from druse.induction.guards import places, shape_literal, state_guards, used_paths
from druse.induction.naming import Names, identifier, plural, result_name, singular
from druse.induction.procedure import (
    ITEM,
    Binding,
    Block,
    Call,
    Cases,
    Choice,
    Computed,
    Condition,
    Constant,
    Declared,
    Each,
    Exclusion,
    Extracted,
    FromPlace,
    Given,
    Lookup,
    Loop,
    Node,
    Parameter,
    Procedure,
    Repeat,
    Template,
    calls_of,
)
from druse.induction.values import MISSING, ONLY, Path, Place, Root
from druse.model import Json

_WIDTH = 110


def render(procedure: Procedure, *, description: str) -> str:
    """The source of a module that defines `run`."""
    return _Writer(procedure).module(description)


def annotation_of(values: Sequence[Json]) -> str:
    """The Python type that all values have, as an annotation."""
    kinds = {type(value).__name__ for value in values}
    if kinds == {"int", "float"}:
        return "float"
    known = kinds & {"str", "int", "float", "bool", "list", "dict"}
    return known.pop() if len(kinds) == 1 and known else "object"


@dataclass(slots=True)
class _Writer:
    procedure: Procedure
    names: Names = field(default_factory=Names)
    variables: dict[Root, str] = field(default_factory=dict[Root, str])
    collected: dict[str, str] = field(default_factory=dict[str, str])  # call id -> name of the collecting list
    in_loop: bool = False
    known: set[Root] = field(default_factory=set[Root])  # what the lines before hold, for the exclusions
    left: list[Exclusion] = field(default_factory=list[Exclusion])

    def module(self, description: str) -> str:
        """The whole source."""
        self.variables[ITEM] = "item"
        for parameter in self.procedure.parameters:
            self.variables[Root("parameter", parameter)] = self.names.take(parameter)
        self._name_results(self.procedure.nodes)
        self.left = list(self.procedure.exclusions)
        roots = [Root("parameter", parameter) for parameter in self.procedure.parameters]
        lines = [*self._excluded(1, *roots), *self._block(self.procedure.nodes, 1)]
        returned, annotation = self._returned()
        runs = len(self.procedure.runs)
        head = f'"""{_sentence(description)} Made from {runs} runs; see the manifest."""'
        taken = [
            name
            for name in ("date", "datetime", "timedelta")
            if any(f"{name}." in line or f"{name}(" in line for line in lines)
        ]
        imports = ["", f"from datetime import {', '.join(taken)}"] if "timedelta" in taken else []
        return "\n".join([head, *imports, "", "", self._signature(annotation), *lines, f"    return {returned}", ""])

    def _signature(self, annotation: str) -> str:
        parameters = [_parameter(declared) for declared in self.procedure.parameters.values()]
        inner = ", ".join(["call", *(["*"] if parameters else []), *parameters])
        line = f"def run({inner}) -> {annotation}:"
        if len(line) <= _WIDTH:
            return line
        return "def run(\n    " + ",\n    ".join(["call", "*", *parameters]) + f",\n) -> {annotation}:"

    def _name_results(self, block: Block) -> None:
        for position, node in enumerate(block):
            if isinstance(node, Call):
                noun, whole = result_name(node.noun), identifier(node.noun.rpartition("__")[2])
                name = self.names.take(noun, f"{noun}_result", f"{whole}_result")
                self.variables[Root("result", node.id)] = name
            elif isinstance(node, Loop):
                last = next((key for key in reversed(node.source.path) if key != ONLY), "")
                wanted = singular(last or self.variables.get(node.source.root, "item"))
                self.variables[Root("element", node.id)] = self.names.take(wanted, f"each_{wanted}")
                self._name_results(node.body)
                for call in _direct(node.body):
                    if call.id not in self._needed():
                        continue
                    noun = plural(self.variables[Root("result", call.id)])
                    self.collected[call.id] = self.names.take(noun, f"all_{noun}")
                    self.variables[Root("collected", call.id)] = self.collected[call.id]
            elif isinstance(node, Repeat):
                noun = self.variables[Root("result", node.first)]
                self.variables[Root("result", node.call.id)] = noun
                if node.pages:
                    self.collected[node.first] = self.names.take(plural(noun), f"all_{plural(noun)}")
                    self.variables[Root("collected", node.first)] = self.collected[node.first]
            else:
                self._name_results(node.body)
                other = _otherwise(block, position - 1)
                made, instead = (_made(block[position - 1]), _made(node)) if other is node else (None, None)
                if made and instead and not {made.id, instead.id} & {place.root.name for place in self._places}:
                    # One of the two is made; what it answers has one name.
                    self.variables[Root("result", instead.id)] = self.variables[Root("result", made.id)]

    @property
    def _places(self) -> Iterator[Place]:
        return places(self.procedure.nodes)

    def _block(self, block: Block, depth: int) -> Iterator[str]:
        pad = "    " * depth
        for position, node in enumerate(block):
            if isinstance(node, Call):
                yield from self._call(node, depth)
            elif isinstance(node, Loop):
                outermost = not self.in_loop
                gathered = [call for call in calls_of(node.body) if call.id in self.collected and outermost]
                for call in gathered:
                    yield f"{pad}{self.collected[call.id]} = []"
                element = self.variables[Root("element", node.id)]
                if node.otherwise is not None:
                    yield f"{pad}if {self.place(node.source)} is None:"
                    yield f"{pad}    {self.place(node.source)} = {self.binding(node.otherwise)}"
                yield f"{pad}for {element} in {self.place(node.source)}:"
                guard = self._element_guard(node)
                if guard:
                    yield f"{pad}    {guard}"
                yield from self._excluded(depth + 1, Root("element", node.id))
                self.in_loop = True
                yield from self._block(node.body, depth + 1)
                self.in_loop = not outermost
            elif isinstance(node, Repeat):
                yield from self._repeat(node, depth)
            elif _otherwise(block, position - 1) is not node:
                yield from self._choice(node, _otherwise(block, position), depth)

    def _call(self, call: Call, depth: int) -> Iterator[str]:
        pad = "    " * depth
        for line in self._agreements(call):
            yield f"{pad}{line}"
        if call.writes:
            for place, values in state_guards(call, self.procedure, self._bound_roots(call), set(self.variables)):
                yield f"{pad}require({self._among(place, values)}, {self._reason(place, values)})"
        named = list(self._arguments(call))
        arguments = [f"{name}={text}" for name, text in named if _is_name(name)]
        odd = ", ".join(f"{_text(name)}: {text}" for name, text in named if not _is_name(name))
        arguments += [f"**{{{odd}}}"] if odd else []
        variable = self.variables[Root("result", call.id)]
        opening = f"{pad}{variable} = call("
        line = opening + ", ".join([_text(call.tool), *arguments]) + ")"
        if len(line) > _WIDTH:
            inner = pad + "    "
            line = opening + f"\n{inner}" + f",\n{inner}".join([_text(call.tool), *arguments]) + f",\n{pad})"
        yield from self._answering(call, variable, line, pad)
        shape = shape_literal(call, used_paths(call.id, self.procedure))
        if shape:
            yield f"{pad}expect({variable}, {shape})"
        yield from self._excluded(depth, Root("result", call.id))
        if call.id in self.collected:
            first = any(isinstance(node, Repeat) and node.first == call.id for node in self.procedure.nodes)
            name = self.collected[call.id]
            yield f"{pad}{name} = [{variable}]" if first else f"{pad}{name}.append({variable})"

    def _excluded(self, depth: int, *roots: Root) -> Iterator[str]:
        """What must hold because one run, in which it did not, went another way; as soon as it is known."""
        self.known.update(roots)
        due = [e for e in self.left if e.place.root in self.known and (e.other is None or e.other.root in self.known)]
        for exclusion in due:
            self.left.remove(exclusion)
            test, reason = self._exclusion(exclusion)
            yield f"{'    ' * depth}require({test}, {_text(reason)})"

    def _exclusion(self, part: Exclusion) -> tuple[str, str]:
        shown, other_way = self._shown(part.place), "in a run that went another way"
        if part.test in ("missing", "there"):
            told = "was there" if part.test == "missing" else "was missing"
            known = "None" if part.test == "missing" else "not None"
            return f"{self._optional(part.place)} is {known}", f"{shown} {told} {other_way}"
        place = self.place(part.place)
        if part.other is not None:
            other = self._shown(part.other)
            return f"{place} == {self.place(part.other)}", f"{shown} was not {other} {other_way}"
        if part.test in ("filled", "empty"):
            told = "empty" if part.test == "filled" else "not empty"
            return place if part.test == "filled" else f"not {place}", f"{shown} was {told} {other_way}"
        if part.test in ("at_most", "at_least"):
            what, sign = (f"len({place})", "<=") if part.size else (place, "<=")
            sign, told = (sign, "more") if part.test == "at_most" else (">=", "less")
            return f"{what} {sign} {_literal(part.value)}", f"{shown} was {told} {other_way}"
        if part.test == "among":
            values = part.value if isinstance(part.value, list) else [part.value]
            return self._among(part.place, values), f"{shown} was {part.odd!r} {other_way}"
        if part.inside:
            keys = ".".join(part.inside)
            unlike = " and ".join(f"item.get({_text(key)}) != {_literal(part.value)}" for key in part.inside)
            return f"all({unlike} for item in {place})", f"a {keys} in {shown} was {part.value!r} {other_way}"
        sign = "is not" if isinstance(part.value, bool) else "!="
        return f"{place} {sign} {_literal(part.value)}", f"{shown} was {part.value!r} {other_way}"

    def _answering(self, call: Call, variable: str, line: str, pad: str) -> Iterator[str]:
        """The call; where its exit code is an answer, it may end with those of the runs and no other."""
        codes = exit_codes(call.symbol[0], call.examples)
        if not codes:
            yield line
            return
        yield f"{pad}try:"
        yield from ("    " + part for part in line.split("\n"))
        yield f"{pad}except ToolError as error:"
        yield f'{pad}    {variable} = error.details["result"]'
        known = f"== {codes[0]}" if len(codes) == 1 else f"in {codes}"
        shown = " or ".join(map(str, codes))
        reason = _text(f"{call.noun} ended with exit code {shown} in every run")
        yield f'{pad}require({variable}["exit_code"] {known}, {reason})'

    def _repeat(self, node: Repeat, depth: int) -> Iterator[str]:
        pad = "    " * depth
        doubts = [f"require({test}, {_text(reason)})" for test, reason in self._doubts(node.condition, node.rivals)]
        yield from (pad + line for line in doubts)
        yield f"{pad}while {self.condition(node.condition)}:"
        yield from self._call(node.call, depth + 1)
        if node.pages:
            yield f"{pad}    {self.collected[node.first]}.append({self.variables[Root('result', node.first)]})"
        yield from (f"{pad}    {line}" for line in doubts)

    def _choice(self, node: Choice, otherwise: Choice | None, depth: int) -> Iterator[str]:
        """Steps under a condition; with `otherwise`, the steps made where it does not hold."""
        pad = "    " * depth
        doubts = list(self._doubts(node.condition, node.rivals))
        if otherwise is not None:
            known = {rival.place for rival in node.rivals}
            rivals = [rival for rival in otherwise.rivals if rival.place not in known]
            doubts += list(self._doubts(otherwise.condition, rivals))
        for test, reason in dict.fromkeys(doubts):
            yield f"{pad}require({test}, {_text(reason)})"
        for name in self._maybe(node, otherwise) if depth == 1 else ():
            yield f"{pad}{name} = None"
        yield f"{pad}if {self.condition(node.condition)}:"
        yield from self._block(node.body, depth + 1)
        if otherwise is not None:
            yield f"{pad}else:"
            yield from self._block(otherwise.body, depth + 1)

    def _maybe(self, node: Choice, otherwise: Choice | None) -> list[str]:
        """The names of answers that are there only where a step was made."""
        own, other = (
            [self.variables[Root("result", call.id)] for call in _answers(part)] for part in (node, otherwise)
        )
        return [
            name for name in dict.fromkeys([*own, *other]) if otherwise is None or name not in own or name not in other
        ]

    def _doubts(self, condition: Condition, rivals: Sequence[Condition]) -> Iterator[tuple[str, str]]:
        """What must hold for a condition to be trusted: a state seen before, and no rival that says otherwise."""
        for part in (condition, condition.also):
            if part is not None and part.seen:
                known = ", ".join(_literal(value) for value in part.seen)
                yield f"{self.place(part.place)} in [{known}]", f"{self._shown(part.place)} is new"
        for rival in rivals:
            left, right = self._truth(condition), self._truth(rival)
            yield f"{left} == {right}", "two conditions never told apart disagree"

    def _truth(self, condition: Condition) -> str:
        """A condition as an expression that is True or False and can be compared."""
        if condition.test in ("filled", "empty"):
            return (
                f"bool({self.place(condition.place)})"
                if condition.test == "filled"
                else f"({self.condition(condition)})"
            )
        return f"({self.condition(condition)})"

    def condition(self, condition: Condition) -> str:
        """A condition as a Python expression."""
        if condition.also is not None:
            return f"{self.condition(replace(condition, also=None))} and {self.condition(condition.also)}"
        if condition.test == "matches" and condition.other is not None:
            return f"{self.place(condition.place)} == {self.place(condition.other)}"
        if condition.test == "equals":
            return self._test(condition.place, condition.value)
        if condition.test in ("filled", "empty"):
            return ("" if condition.test == "filled" else "not ") + self.place(condition.place)
        safe = self._optional(condition.place)
        return f"{safe} is {'not ' if condition.test == 'present' else ''}None"

    def _test(self, place: Place, value: Json) -> str:
        if isinstance(value, bool):
            return f"{self.place(place)} is {value}"
        return f"{self.place(place)} == {_literal(value)}"

    def _optional(self, place: Place) -> str:
        """A place whose last key may be missing."""
        return f"{self.place(Place(place.root, place.path[:-1]))}.get({_text(place.path[-1])})"

    def _agreements(self, call: Call) -> Iterator[str]:
        """Comparisons of sources that no run could tell apart: where they differ, nobody knows which one is meant."""
        for path, binding in call.bindings.items():
            if isinstance(binding, Given):
                compared = list(self._compared(".".join(path), binding.otherwise))
                if compared:
                    yield f"if {self.variables[Root('parameter', binding.name)]} is None:"
                    yield from (f"    {line}" for line in compared)
            else:
                yield from self._compared(".".join(path), binding)

    def _compared(self, name: str, binding: Binding) -> Iterator[str]:
        """What must hold for one source to be trusted."""
        if isinstance(binding, Constant) and binding.agrees is not None and binding.measure == "in":
            known = f"{_literal(binding.value)} in {self.place(binding.agrees)}"
            reason = f"{name} was always {binding.value!r}, which {self._shown(binding.agrees)} always had in it"
            yield f"require({known}, {_text(reason)})"
        elif isinstance(binding, Constant) and binding.agrees is not None and binding.measure == "len":
            reason = f"{name} was always {binding.value!r}, as many as {self._shown(binding.agrees)} always had"
            yield f"require(len({self.place(binding.agrees)}) == {binding.value}, {_text(reason)})"
        elif isinstance(binding, Constant) and binding.agrees is not None:
            known = self._test(binding.agrees, binding.agreed)
            reason = f"{name} was always {binding.value!r}, and {self._shown(binding.agrees)} {binding.agreed!r}"
            yield f"require({known}, {_text(reason)})"
        elif isinstance(binding, Template):
            for place, value in binding.agrees:
                reason = f"{name} was always made with {self._shown(place)} {value!r}"
                yield f"require({self._test(place, value)}, {_text(reason)})"
        elif isinstance(binding, FromPlace):
            for other in binding.others:
                if other.root in self.variables:
                    known = f"{self.place(binding.place)} == {self.place(other)}"
                    yield f"require({known}, {_text(f'which of the two {name} comes from was never told apart')})"
        elif isinstance(binding, Each) and binding.condition is not None:
            for test, reason in self._doubts(binding.condition, binding.rivals):
                yield f"require(all({test} for item in {self.place(binding.source)}), {_text(reason)})"
        elif isinstance(binding, Cases) and not _is_flag(binding):
            known = ", ".join(_literal(state) for state, _ in binding.table)
            reason = _text(f"{self._shown(binding.place)} is new")
            yield f"require({self.place(binding.place)} in [{known}], {reason})"
        elif isinstance(binding, Extracted):
            words = [text for text in (binding.left, binding.right) if text]
            known = " and ".join(f"{_text(text)} in {self.place(binding.source)}" for text in words)
            yield f"require({known or 'True'}, {_text(f'{name} is not where it was in all runs')})"

    def _arguments(self, call: Call) -> Iterator[tuple[str, str]]:
        for argument in call.symbol[1]:
            own = {path[1:]: binding for path, binding in call.bindings.items() if path[0] == argument}
            words = argument == "command" and is_command(call.symbol[0])
            yield argument, self._command(call, own) if words else self._nested(own)

    def _command(self, call: Call, words: dict[Path, Binding]) -> str:
        """A command in which every value is exactly one word."""
        return "command(" + ", ".join(self._word(call, path, binding) for path, binding in words.items()) + ")"

    def _word(self, call: Call, path: Path, binding: Binding) -> str:
        option = path[1] if len(path) > 1 else ""
        if isinstance(binding, Constant):
            return _text(option + str(binding.value))
        if isinstance(binding, Template) and not option:
            kinds = [self._kind_of(part) for part in binding.parts if isinstance(part, Place)]
            if all(kinds) and not str(binding.parts[0]).startswith("-"):
                return self._template(binding, worded=True)
        kind = _text(call.kinds.get(("command", *path), "text"))
        value = f"word({self.binding(binding)}, {kind})"
        if not option:
            return value
        return f"{_text(option)} + {value}"

    def _kind_of(self, place: Place) -> str:
        """The kind of a parameter as a word of a command; empty for any other place."""
        declared = self.procedure.parameters.get(place.root.name) if place.root.kind == "parameter" else None
        return declared.kind if declared is not None and not place.path else ""

    def _nested(self, parts: dict[Path, Binding]) -> str:
        if () in parts:
            return self.binding(parts[()])
        keys = list(dict.fromkeys(path[0] for path in parts))
        inner = {key: self._nested({p[1:]: b for p, b in parts.items() if p[0] == key}) for key in keys}
        if keys == [str(number) for number in range(len(keys))]:
            return "[" + ", ".join(inner.values()) + "]"
        return "{" + ", ".join(f"{_text(key)}: {text}" for key, text in inner.items()) + "}"

    def binding(self, binding: Binding) -> str:
        """A binding as a Python expression."""
        if isinstance(binding, Constant):
            return _literal(binding.value)
        if isinstance(binding, Parameter):
            return self.variables[Root("parameter", binding.name)]
        if isinstance(binding, FromPlace):
            return self.place(binding.place)
        if isinstance(binding, Given):
            name = self.variables[Root("parameter", binding.name)]
            return f"{self.binding(binding.otherwise)} if {name} is None else {name}"
        if isinstance(binding, Template):
            return self._template(binding)
        if isinstance(binding, Each):
            accessors = "".join(f"[{_text(key)}]" for key in binding.field)
            if not accessors and binding.condition is None and not binding.keys:
                return self.place(binding.source)
            chosen = f" if {self.condition(binding.condition)}" if binding.condition else ""
            if binding.keys:
                made = ", ".join(f"{_text(key)}: {self.binding(part)}" for key, part in binding.keys)
                return f"[{{{made}}} for item in {self.place(binding.source)}]"
            return f"[item{accessors} for item in {self.place(binding.source)}{chosen}]"
        if isinstance(binding, Lookup):
            accessors = "".join(f"[{_text(key)}]" for key in binding.field)
            known = self.binding(binding.known)
            if not binding.key:
                return f"{self.place(binding.source)}[{known}]{accessors}"
            return f"one({self.place(binding.source)}, {_text(binding.key)}, {known}){accessors}"
        if isinstance(binding, Extracted):
            return self._extracted(binding)
        if isinstance(binding, Cases):
            return self._cases(binding)
        return self._computed(binding)

    def _cases(self, binding: Cases) -> str:
        values = dict(binding.table)
        if _is_flag(binding):
            return f"({_literal(values[True])} if {self.place(binding.place)} else {_literal(values[False])})"
        table = ", ".join(f"{_literal(state)}: {_literal(value)}" for state, value in binding.table)
        return f"{{{table}}}[{self.place(binding.place)}]"

    def _extracted(self, binding: Extracted) -> str:
        text = self.place(binding.source)
        if binding.left:
            text = f"{text}.split({_text(binding.left)}, 1)[1]"
        if binding.right:
            text = f"{text}.split({_text(binding.right)}, 1)[0]"
        return f"int({text})" if binding.number else text

    def _template(self, binding: Template, *, worded: bool = False) -> str:
        if any(_unwritable(part) for part in binding.parts if isinstance(part, Place)):
            return self._added(binding, worded=worded)
        pieces: list[str] = []
        for part in binding.parts:
            if isinstance(part, Place):
                inner = self.place(part).replace('"', "'")
                inner = f"word({inner}, '{self._kind_of(part)}')" if worded else inner
                pieces.append("{" + inner + "}")
            else:
                pieces.append(json.dumps(part, ensure_ascii=False)[1:-1].replace("{", "{{").replace("}", "}}"))
        return 'f"' + "".join(pieces) + '"'

    def _added(self, binding: Template, *, worded: bool) -> str:
        """The same text without an f-string, in whose braces a key with a quote or a backslash is no text any more."""
        pieces: list[str] = []
        for part in binding.parts:
            if isinstance(part, str):
                pieces.append(_text(part))
            else:
                value = self.place(part)
                pieces.append(f"word({value}, {_text(self._kind_of(part))})" if worded else f"str({value})")
        return " + ".join(pieces)

    def _computed(self, binding: Computed) -> str:
        places = [self.place(place) for place in binding.operands]
        operation = binding.operation
        if operation in ("lower", "upper", "title", "strip"):
            return f"{places[0]}.{operation}()"
        if operation in _TEXTS:
            return _TEXTS[operation].format(places[0])
        if operation in ("days", "minutes"):
            made = (
                f"date.fromisoformat({places[0]}[:10])"
                if operation == "days"
                else f"datetime.fromisoformat({places[0]})"
            )
            sign, length = "-" if str(binding.constant).startswith("-") else "+", str(binding.constant).lstrip("-")
            return f"({made} {sign} timedelta({operation}={length})).isoformat()"
        if operation == "join":
            key, _, between = str(binding.constant).partition("\n")
            made = f"item[{_text(key)}] for item in {places[0]}" if key else places[0]
            return f"{_text(between)}.join({made})"
        if operation == "counted":
            step, start = binding.constant if isinstance(binding.constant, list) else (1, 0)
            return f"len({places[0]})" + (f" * {step}" if step != 1 else "") + (f" + {start}" if start else "")
        if operation == "divide":
            return f"{places[0]} / {binding.constant}"
        if operation == "text":
            return f"str({places[0]})"
        if operation in ("len", "int"):
            return f"{operation}({places[0]})"
        if operation == "sum":
            item = f"item[{_text(str(binding.constant))}]" if binding.constant else "item"
            return f"round(sum({item} for item in {places[0]}), 2)"
        if operation == "plus":
            written = _literal(binding.constant)
            sign = "- " + written[1:] if written.startswith("-") else "+ " + written
            return f"round({places[0]} {sign}, 2)"
        if operation in ("times", "times_whole"):
            return f"round({places[0]} * {binding.constant}{', 2' if operation == 'times' else ''})"
        sign = {"add": "+", "subtract": "-", "multiply": "*"}[operation]
        return f"round({places[0]} {sign} {places[1]}, 2)"

    def place(self, place: Place) -> str:
        """A place as a Python expression."""
        return self.variables[place.root] + "".join("[0]" if key == ONLY else f"[{_text(key)}]" for key in place.path)

    def _shown(self, place: Place) -> str:
        return ".".join((self.variables[place.root], *(key for key in place.path if key != ONLY)))

    def _among(self, place: Place, values: Sequence[Json]) -> str:
        if len(values) == 1:
            return self._test(place, values[0])
        return f"{self.place(place)} in {_literal(list(values))}"

    def _reason(self, place: Place, values: Sequence[Json]) -> str:
        known = " or ".join(repr(value) for value in values)
        return _text(f"{self._shown(place)} was {known} in all runs")

    def _bound_roots(self, call: Call) -> list[Root]:
        roots: list[Root] = []
        for binding in call.bindings.values():
            if isinstance(binding, FromPlace) and binding.place.root in self.variables:
                roots.append(binding.place.root)
        return list(dict.fromkeys(roots))

    def _element_guard(self, node: Loop) -> str:
        paths = used_paths(node.id, self.procedure, kind="element")
        keys = sorted({path[0] for path in paths if path})
        if not keys:
            return ""
        shape = ", ".join(f'{_text(key)}: "any"' for key in keys)
        return f"expect({self.variables[Root('element', node.id)]}, {{{shape}}})"

    def _needed(self) -> set[str]:
        """The calls in loops whose results are gathered: for the answer, or because a later loop goes over them."""
        needed = {place.root.name for place in places(self.procedure.nodes) if place.root.kind == "collected"}
        for node in self.procedure.nodes:
            if isinstance(node, Loop):
                needed |= {call.id for call in self._answered(node)}
        return needed

    def _answered(self, loop: Loop) -> list[Call]:
        """The calls of a loop whose results the tool answers: its writes; in a tool that only reads, the last call."""
        gathered = calls_of(loop.body)
        writes = any(call.writes for call in calls_of(self.procedure.nodes))
        return [call for call in gathered if call.writes] if writes else gathered[-1:]

    def _returned(self) -> tuple[str, str]:
        """What the tool answers: what its writes and its last step gave back, by name where there are several."""
        terminal: list[tuple[str, str]] = []
        for node in self.procedure.nodes:
            if isinstance(node, Call):
                if any(isinstance(other, Repeat) and other.first == node.id for other in self.procedure.nodes):
                    continue
                if node.writes or node is self.procedure.nodes[-1]:
                    terminal.append((self.variables[Root("result", node.id)], annotation_of(node.examples)))
            elif isinstance(node, Loop):
                terminal.extend((self.collected[call.id], "list") for call in self._answered(node))
            elif isinstance(node, Choice):
                for call in _answers(node):
                    answer = (self.variables[Root("result", call.id)], "object")
                    terminal += [answer] if answer not in terminal else []
            elif node.call.writes or node is self.procedure.nodes[-1]:
                name = self.collected.get(node.first, self.variables[Root("result", node.first)])
                terminal.append((name, "list" if node.pages else annotation_of(node.call.examples)))
        if not terminal:
            return "None", "object"
        if len(terminal) == 1:
            return terminal[0]
        return "{" + ", ".join(f"{_text(name)}: {name}" for name, _ in terminal) + "}", "dict"


def _parameter(declared: Declared) -> str:
    written = f"{declared.name}: {annotation_of(declared.values)}"
    if declared.derived:
        return f"{written} | None = None"
    return written if declared.default is MISSING else f"{written} = {_literal(declared.default)}"


def _direct(block: Block) -> list[Call]:
    """The calls of a loop's body whose results are collected: those of nested choices too, not of nested loops."""
    found: list[Call] = []
    for node in block:
        if isinstance(node, Call):
            found.append(node)
        elif isinstance(node, Choice):
            found.extend(_direct(node.body))
    return found


def _answers(node: Choice | None) -> list[Call]:
    """The writes that a choice makes once; a person wants to know what they answered."""
    return [part for part in node.body if isinstance(part, Call) and part.writes] if node else []


def _made(node: Node) -> Call | None:
    """The one step of a choice, if it is a write and nothing else."""
    return _answers(node)[0] if isinstance(node, Choice) and len(node.body) == 1 and _answers(node) else None


_OPPOSITE = {"filled": "empty", "empty": "filled", "present": "absent", "absent": "present"}


def _otherwise(block: Block, position: int) -> Choice | None:
    """The choice right after the one at this position, if it is made exactly where that is not."""
    if not 0 <= position < len(block) - 1:
        return None
    node, following = block[position], block[position + 1]
    if not isinstance(node, Choice) or not isinstance(following, Choice):
        return None
    if _otherwise(block, position - 1) is node:
        return None
    one, other = node.condition, following.condition
    if one.place != other.place or one.also or other.also:
        return None
    if _OPPOSITE.get(one.test) == other.test:
        return following
    flags = isinstance(one.value, bool) and isinstance(other.value, bool) and one.value is not other.value
    return following if one.test == other.test == "equals" and flags else None


_TEXTS = {
    "date": "{}[:10]",
    "compact": '{}.replace(" ", "")',
    "slug": '{}.lower().replace(" ", "-")',
    "underscored": '{}.lower().replace(" ", "_")',
    "before_at": '{}.split("@", 1)[0]',
    "after_at": '{}.split("@", 1)[1]',
    "first_word": '{}.split(" ", 1)[0]',
    "after_slash": '{}.rsplit("/", 1)[1]',
}


def _unwritable(place: Place) -> bool:
    """Whether a key cannot stand in the braces of an f-string as the text it is."""
    return any(_text(key)[1:-1] != key or "'" in key or "#" in key for key in place.path)


def _is_name(argument: str) -> bool:
    """Whether an argument can be written as `name=`; `from` and `user-id` cannot."""
    return argument.isidentifier() and not keyword.iskeyword(argument)


def _is_flag(binding: Cases) -> bool:
    return all(isinstance(state, bool) for state, _ in binding.table)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _literal(value: Json) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)}: {_literal(item)}" for key, item in value.items()) + "}"
    return repr(value)


def _sentence(text: str) -> str:
    plain = re.sub(r'["\\\s]+', " ", text).strip()
    return plain if plain.endswith(".") else f"{plain}."
