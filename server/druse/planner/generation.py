"""Plans made of what was learned from runs, or of intents with the tools that carry them out. No model is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from druse.induction import Induction
from druse.induction.procedure import (
    Block,
    Call,
    Choice,
    Constant,
    FromPlace,
    Loop,
    Node,
    Parameter,
    Repeat,
    Template,
)
from druse.induction.values import ONLY, Place
from druse.model import Invalid, Json, JsonObject
from druse.planner.plans import FORMAT, calls_in, references


def plan_of(induction: Induction, goal: str, arguments: Mapping[str, Json], evidence: Sequence[str]) -> JsonObject:
    """The plan that does what runs of one workflow did. Raises Invalid where plans cannot say it."""
    procedure = induction.procedure
    if procedure is None:
        raise Invalid(f"Cannot plan {goal!r}: {'; '.join(induction.reasons) or 'nothing was learned'}.", where="goal")
    block = _Block(procedure.nodes)
    steps = block.steps()
    properties = induction.input_schema.get("properties")
    inputs: JsonObject = dict(properties) if isinstance(properties, dict) else {}
    for name in inputs:
        if name in arguments and isinstance(found := inputs[name], dict):
            inputs[name] = {**found, "default": arguments[name]}
    return _finished(goal, inputs, steps, evidence)


def plan_of_intents(intents: Sequence[JsonObject], goal: str, arguments: Mapping[str, Json]) -> JsonObject:
    """A plan of one step for each intent, in their order.

    An intent names its `tool`; its `arguments` are literal JSON or references, as in a plan. Raises Invalid for an
    intent without a tool.
    """
    steps: list[JsonObject] = []
    for number, intent in enumerate(intents, 1):
        tool = intent.get("tool")
        if not isinstance(tool, str) or not tool:
            raise Invalid(
                f"Cannot plan {intent.get('intent')!r}: no tool is named for it. Resolve it with "
                "planner.resolve_intent first.",
                where=f"intents[{number - 1}]",
            )
        given = intent.get("arguments")
        step: JsonObject = {"id": str(intent.get("id") or f"step{number}"), "call": tool}
        step["arguments"] = given if isinstance(given, dict) else {}
        for key in ("after", "for_each"):
            if key in intent:
                step[key] = intent[key]
        if isinstance(intent.get("intent"), str):
            step["why"] = intent["intent"]
        steps.append(step)
    used = {reference.name for step in steps for reference in references(step) if reference.kind == "input"}
    inputs: JsonObject = {name: {"default": arguments[name]} if name in arguments else {} for name in sorted(used)}
    return _finished(goal, inputs, steps, [])


def _finished(goal: str, inputs: JsonObject, steps: Sequence[JsonObject], evidence: Sequence[str]) -> JsonObject:
    plan: JsonObject = {"format": FORMAT, "goal": goal, "inputs": inputs, "steps": list[Json](steps)}
    plan["permissions"] = list[Json](calls_in(plan))
    if evidence:
        plan["evidence"] = list[Json](evidence)
    return plan


class _Block:
    """The steps of one block of a procedure; `outer` is what an inner plan is given from outside, by place."""

    def __init__(self, nodes: Block, element: str = "") -> None:
        self._nodes = nodes
        self._element = element  # the loop whose element this block is carried out for
        self._own = {node.id for node in nodes if isinstance(node, Call | Loop)}
        self.outer: dict[str, Place] = {}

    def steps(self) -> list[JsonObject]:
        return [self._step(node) for node in self._nodes]

    def _step(self, node: Node) -> JsonObject:
        if isinstance(node, Choice | Repeat):
            raise Invalid(
                "Cannot plan this work: some of its steps happen only under a condition, and plans have none. Make it "
                "a tool with planner.synthesize_capability.",
                where="plan",
                problem="condition",
            )
        if isinstance(node, Call):
            return {"id": _name(node.id), "call": node.tool, "arguments": self._arguments(node)}
        inner = _Block(node.body, node.id)
        made: JsonObject = {
            "format": FORMAT,
            "inputs": {},
            "steps": list[Json](inner.steps()),
        }
        made["inputs"] = {name: {} for name in ["item", *inner.outer]}
        given: JsonObject = {"item": {"$item": []}}
        for name, place in inner.outer.items():
            given[name] = self._place(place)
        source = self._place(node.source)
        if not isinstance(source, dict) or "$from" not in source:
            raise Invalid("Cannot plan this work: it goes through a list that the caller gives.", where="plan")
        return {"id": _name(node.id), "for_each": source, "plan": made, "arguments": given}

    def _arguments(self, call: Call) -> JsonObject:
        made: JsonObject = {}
        for path, binding in call.bindings.items():
            value: Json
            if isinstance(binding, Constant):
                value = _literal(binding.value)
            elif isinstance(binding, Parameter):
                value = self._input(binding.name)
            elif isinstance(binding, FromPlace):
                value = self._place(binding.place)
            elif isinstance(binding, Template):
                value = {"$text": [part if isinstance(part, str) else self._place(part) for part in binding.parts]}
            else:
                what = type(binding).__name__.lower()
                raise Invalid(
                    f"Cannot plan this work: `{'.'.join(path)}` of {call.tool} is {what}, which plans cannot say. Make "
                    "it a tool with planner.synthesize_capability.",
                    where="plan",
                    problem=what,
                )
            _put(made, path, value)
        return made

    def _place(self, place: Place) -> Json:
        path: list[Json] = [0 if key == ONLY else key for key in place.path]
        if place.root.kind == "parameter":
            return self._input(place.root.name, path)
        if place.root.kind == "element" and place.root.name == self._element:
            return {"$input": "item", "path": path}
        if place.root.kind == "result" and place.root.name in self._own:
            return {"$from": _name(place.root.name), "path": path}
        if not self._element:
            raise Invalid(f"Cannot plan this work: it builds on {place.root.kind} {place.root.name}.", where="plan")
        name = next((name for name, known in self.outer.items() if known == place), f"given{len(self.outer) + 1}")
        self.outer[name] = place
        return {"$input": name}

    def _input(self, name: str, path: Sequence[Json] = ()) -> Json:
        if self._element:
            from druse.induction.values import Root

            self.outer.setdefault(name, Place(Root("parameter", name)))
        return {"$input": name, "path": list[Json](path)} if path else {"$input": name}


def _name(node: str) -> str:
    return node if node[:1].isalpha() and node[:1].islower() else f"s_{node.lower()}"


def _literal(value: Json) -> Json:
    return {"$literal": value} if isinstance(value, dict | list) else value


def _put(target: JsonObject, path: Sequence[str], value: Json) -> None:
    for key in path[:-1]:
        inner = target.setdefault(key, {})
        if not isinstance(inner, dict):
            return
        target = inner
    target[path[-1]] = value
