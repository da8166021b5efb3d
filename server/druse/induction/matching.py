"""A known run against a procedure: the parameter values that reproduce it."""

from __future__ import annotations

from druse.induction.conditions import evaluate
from druse.induction.elements import column, symbol_of
from druse.induction.overrides import worked_out
from druse.induction.procedure import (
    Block,
    Call,
    FromPlace,
    Given,
    Loop,
    Parameter,
    Procedure,
    Repeat,
    Template,
    calls_of,
)
from druse.induction.shapes import repeats
from druse.induction.values import MISSING, Env, Path, Place, Root, leaf_at, leaves, look, same
from druse.model import Json, Step


def bind_steps(procedure: Procedure, steps: list[Step]) -> tuple[dict[str, Json], int] | None:
    """Parameter values with which the procedure makes these steps, and how many it makes; None if it is no instance.

    Arguments that are not parameters are not compared here: replay of the source does that.
    """
    match = _Match(steps)
    if not match.block(procedure.nodes, {}):
        return None
    # An input of a step that this run skipped may have any value: one that it had will do.
    for name, declared in procedure.parameters.items():
        if declared.derived and name not in match.parameters:
            continue
        match.parameters.setdefault(name, declared.values[0])
    return match.parameters, match.made


class _Match:
    def __init__(self, steps: list[Step]) -> None:
        self._steps = list(steps)
        self.parameters: dict[str, Json] = {}
        self.made = 0
        self._left_out: set[str] = set()  # inputs that were worked out
        self._item: list[tuple[Path, Json]] = []  # what the steps show of the element of a given list

    def block(self, block: Block, env: Env) -> bool:
        for node in block:
            if isinstance(node, Call):
                if not self._call(node, env):
                    return False
            elif isinstance(node, Repeat):
                if not self._repeat(node, env):
                    return False
            elif isinstance(node, Loop) and self._is_open(node, env):
                if not self._given(node, env):
                    return False
            elif isinstance(node, Loop):
                elements = look(self._known(env), node.source)
                if not isinstance(elements, list):
                    return False
                collected: dict[Root, list[Json]] = {}
                for element in elements:
                    inner: Env = {**env, Root("element", node.id): element}
                    if not self.block(node.body, inner):
                        return False
                    for root, value in inner.items():
                        if root.kind == "result" and root not in env:
                            collected.setdefault(Root("collected", root.name), []).append(value)
                        elif root.kind == "collected" and root not in env and isinstance(value, list):
                            collected.setdefault(root, []).extend(value)
                env.update(collected)
            elif evaluate(node.condition, self._known(env)) and not self.block(node.body, env):
                return False
        return True

    def _given(self, loop: Loop, env: Env) -> bool:
        """A loop over a list that the caller gives: as many elements as the body was made in a row."""
        body = tuple(call.symbol for call in calls_of(loop.body))
        symbols = [symbol_of(step) for step in self._steps]
        times = repeats(symbols, symbols.index(body[0]), body) if body[0] in symbols else 0
        elements: list[Json] = []
        results: dict[Root, list[Json]] = {}
        for _ in range(times):
            self._item, inner = [], dict[Root, Json](env)
            if not self.block(loop.body, inner):
                return False
            whole = next((value for path, value in self._item if not path), MISSING)
            elements.append({path[-1]: value for path, value in self._item} if whole is MISSING else whole)
            for root, value in inner.items():
                if root.kind == "result" and root not in env:
                    results.setdefault(Root("collected", root.name), []).append(value)
        env.update(results)
        if not elements:
            return False
        usual = (
            column(look(self._known(env), loop.otherwise.source), loop.otherwise.field) if loop.otherwise else MISSING
        )
        if not same(usual, elements):
            self.parameters[loop.source.root.name] = elements
        env[loop.source.root] = elements
        return True

    def _repeat(self, node: Repeat, env: Env) -> bool:
        answers = [env[Root("result", node.first)]]
        while evaluate(node.condition, env):
            if not self._call(node.call, env):
                return False
            answers.append(env[Root("result", node.call.id)])
            env[Root("result", node.first)] = answers[-1]
        if node.pages:
            env[Root("collected", node.first)] = answers
        return True

    def _is_open(self, loop: Loop, env: Env) -> bool:
        """Whether a loop goes over a list that the caller gives and that no earlier step told."""
        source = loop.source
        return source.root.kind == "parameter" and not source.path and source.root not in self._known(env)

    def _known(self, env: Env) -> Env:
        return {**env, **{Root("parameter", name): value for name, value in self.parameters.items()}}

    def _call(self, call: Call, env: Env) -> bool:
        # Reads may have been made in another order; the next step of this symbol is meant.
        index = next((i for i, step in enumerate(self._steps) if symbol_of(step) == call.symbol), None)
        if index is None:
            return False
        step = self._steps.pop(index)
        if not all(_same_leaves(step.arguments[name], name, call) for name in call.symbol[1]):
            return False
        for path, binding in call.bindings.items():
            if isinstance(binding, Parameter):
                value = leaf_at(step.arguments, path)
                if value is MISSING:
                    return False
                if binding.name in self.parameters and not same(value, self.parameters[binding.name]):
                    return False
                self.parameters.setdefault(binding.name, value)
            elif isinstance(binding, Template) and not self._solved(binding, leaf_at(step.arguments, path)):
                return False
            elif isinstance(binding, FromPlace) and binding.place.root.kind == "element":
                self._item.append((binding.place.path, leaf_at(step.arguments, path)))
        for path, binding in call.bindings.items():  # after the inputs of this very call that they may be made of
            if isinstance(binding, Given) and not self._open(binding, leaf_at(step.arguments, path), env):
                return False
        env[Root("result", call.id)] = step.result
        self.made += 1
        return True

    def _open(self, given: Given, value: Json, env: Env) -> bool:
        """An input that may be left out: it is, where the program works the value out by itself."""
        if value is MISSING:
            return False
        if given.name in self.parameters:
            return same(value, self.parameters[given.name])
        usual = given.otherwise
        if isinstance(usual, Template) and self._solved(usual, value):
            pass  # inputs that are first seen in it are known now
        if same(worked_out(usual, self._known(env)), value):
            self._left_out.add(given.name)
            return True
        if given.name in self._left_out:
            return False
        self.parameters[given.name] = value
        return True

    def _solved(self, template: Template, value: Json) -> bool:
        """Whether a text can have been made by the template; a parameter that is first seen in it gets its value."""
        names = [part.root.name for part in template.parts if isinstance(part, Place) and part.root.kind == "parameter"]
        new = [name for name in names if name not in self.parameters]
        if not new:
            return True
        if len(template.parts) > 3 or len(names) != 1 or not isinstance(value, str):
            return False
        place = next(index for index, part in enumerate(template.parts) if isinstance(part, Place))
        left, right = "".join(map(str, template.parts[:place])), "".join(map(str, template.parts[place + 1 :]))
        inner = value[len(left) : len(value) - len(right)]
        if not inner or left + inner + right != value:
            return False
        self.parameters[new[0]] = inner
        return True


def _same_leaves(value: Json, name: str, call: Call) -> bool:
    """Whether an argument that is bound part by part has just these parts."""
    bound = {path[1:] for path in call.bindings if path[0] == name}
    return bound == {()} or not bound or bound == {path for path, _ in leaves(value)}
