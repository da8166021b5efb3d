"""Inputs that a caller may give, and that are worked out from earlier results where it does not.

A part of longer runs serves many purposes, and its runs show the usual source of a value, never that there is no other:
the lead of a team is assigned to a ticket in thirty tasks, and somebody else in the next. What a change takes from
inside is therefore always open to the caller, and what a read takes, unless many tasks agree on it and none does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from druse.induction.commands import is_command
from druse.induction.computed import apply
from druse.induction.conditions import evaluate
from druse.induction.elements import column
from druse.induction.extraction import cut
from druse.induction.guards import places_in
from druse.induction.naming import Names, identifier, result_name
from druse.induction.procedure import (
    ITEM,
    Binding,
    Block,
    Call,
    Cases,
    Computed,
    Constant,
    Declared,
    Each,
    Extracted,
    FromPlace,
    Given,
    Lookup,
    Parameter,
    Template,
    calls_of,
)
from druse.induction.templates import written
from druse.induction.values import MISSING, ONLY, Env, Path, Root, at, look, same
from druse.model import Json

Recorded: TypeAlias = "Mapping[tuple[str, Path], Mapping[int, Json]]"  # by call and argument leaf: the value by run


def opened(
    block: Block, declared: dict[str, Declared], recorded: Recorded, sure: Callable[[Call, Path, Binding], bool]
) -> None:
    """Make optional inputs of what the calls of a block take from inside; `sure` tells what stays as it is.

    Loops keep their bodies: a caller that names an element of theirs gives the list.
    """
    made: dict[Binding, str] = {}
    tools = {call.id: call.noun.rpartition("__")[2] for call in calls_of(block)}
    for call in (node for node in block if isinstance(node, Call) and not is_command(node.symbol[0])):
        for path, binding in call.bindings.items():
            if isinstance(binding, Constant | Parameter | Given) or sure(call, path, binding):
                continue
            by_run = dict(recorded[call.id, path])
            name = made.get(binding)
            if name is None:
                last = named(path)
                names = Names(frozenset(declared) | Names().reserved)
                name = names.take(identifier(last), f"{result_name(call.noun)}_{identifier(last)}")
                declared[name] = Declared(
                    name, last, call.tool, by_run, leaf=path, derived=True, usual=_told(binding, tools)
                )
                made[binding] = name
            call.bindings[path] = Given(name, binding)


def _told(binding: Binding, tools: Mapping[str, str]) -> str:
    """What a value is worked out from, in words for the caller that may give it."""
    sources: list[str] = []
    for place in places_in(binding):
        tool = tools.get(place.root.name, "") if place.root.kind != "parameter" else ""
        keys = ".".join(key for key in place.path if key != ONLY)
        of = (
            f"the answer of {tool}"
            if tool
            else place.root.name
            if place.root.kind == "parameter"
            else "earlier answers"
        )
        sources.append(f"{keys} in {of}" if keys else of)
    return ", ".join(dict.fromkeys(sources))


def named(path: Path) -> str:
    """The name of an argument leaf: the last key of its path that is not a place in a list."""
    return next(key for key in reversed(path) if not key.isdigit())


def alike(key: str, argument: str) -> bool:
    """Whether a key of a result is called as an argument is: `id` and `order_id`."""
    return key == argument or argument.endswith(f"_{key}") or key.endswith(f"_{argument}")


def worked_out(binding: Binding, env: Env) -> Json:
    """What a binding is with these values known; MISSING where they do not tell it."""
    if isinstance(binding, Constant):
        return binding.value
    if isinstance(binding, Parameter):
        return env.get(Root("parameter", binding.name), MISSING)
    if isinstance(binding, FromPlace):
        return look(env, binding.place)
    if isinstance(binding, Given):
        return env.get(Root("parameter", binding.name), worked_out(binding.otherwise, env))
    if isinstance(binding, Template):
        parts = [part if isinstance(part, str) else _written(look(env, part)) for part in binding.parts]
        return "".join(part for part in parts if part is not None) if None not in parts else MISSING
    if isinstance(binding, Each):
        return _each(binding, env)
    if isinstance(binding, Lookup):
        return _lookup(binding, env)
    if isinstance(binding, Extracted):
        found = cut(binding, look(env, binding.source))
        return MISSING if found is None else found
    if isinstance(binding, Cases):
        state = look(env, binding.place)
        return next((value for known, value in binding.table if same(state, known)), MISSING)
    return _computed(binding, env)


def _written(value: Json) -> str | None:
    return None if value is MISSING else written(value)


def _each(binding: Each, env: Env) -> Json:
    elements = look(env, binding.source)
    if binding.condition is not None and isinstance(elements, list):
        condition = binding.condition
        elements = [element for element in elements if evaluate(condition, {**env, ITEM: element})]
    if binding.keys and isinstance(elements, list):
        made = [{key: worked_out(part, {**env, ITEM: element}) for key, part in binding.keys} for element in elements]
        return MISSING if any(value is MISSING for one in made for value in one.values()) else list[Json](made)
    return column(elements, binding.field)


def _lookup(binding: Lookup, env: Env) -> Json:
    source, known = look(env, binding.source), worked_out(binding.known, env)
    if not binding.key:
        entry = source.get(known, MISSING) if isinstance(source, dict) and isinstance(known, str) else MISSING
        return at(entry, binding.field)
    found = [
        element
        for element in (source if isinstance(source, list) else [])
        if isinstance(element, dict) and same(element.get(binding.key, MISSING), known)
    ]
    return at(found[0], binding.field) if len(found) == 1 else MISSING


def _computed(binding: Computed, env: Env) -> Json:
    operands = [look(env, place) for place in binding.operands]
    if any(operand is MISSING for operand in operands):
        return MISSING
    try:
        return apply(binding.operation, operands, binding.constant)
    except (TypeError, ValueError, OverflowError):
        return MISSING
