"""What a tool is going to call with these inputs, said before anything runs.

An argument that the inputs alone decide is shown as the value it has; one that comes from an earlier result is shown as
the expression that reads it. All is read off the code, which is what a person approved.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, cast

from druse.crystal.commands import commands_of, undo_of_command
from druse.crystal.manifest import call_sites
from druse.model import Json, JsonObject, ToolVersion
from druse_sandbox.builtins import Diverged, command, word

_KNOWN = {"command": command, "word": word}
_PLAIN = (
    *(ast.Expression, ast.Name, ast.Load, ast.Constant, ast.JoinedStr, ast.FormattedValue, ast.Call, ast.keyword),
    *(ast.BinOp, ast.Add, ast.List, ast.Tuple, ast.Dict),
)


def previewed(version: ToolVersion, inputs: Mapping[str, Json]) -> list[JsonObject]:
    """The call sites of a tool in order, with the values known now, the loop each stands in, and what takes it back."""
    templates = {template.line: template.as_dict() for template in commands_of(version.source).templates}
    values = _defaults(version.source) | dict(inputs)
    made: list[JsonObject] = []
    for site in call_sites(version.source):
        shown = _shown(site, values)
        line = site["line"]
        held = templates.get(line, {}) if isinstance(line, int) else {}
        undo = undo_of_command(cast("JsonObject", shown["arguments"]).get("command")) or held.get("undo")
        made.append(shown | ({"undo": undo} if undo else {}))
    return made


def _shown(site: JsonObject, values: Mapping[str, Json]) -> JsonObject:
    written = site["arguments"]
    arguments: JsonObject = {}
    later: JsonObject = {}
    for name, text in written.items() if isinstance(written, dict) else ():
        known, value = _value(str(text), values)
        (arguments if known else later)[name] = value if known else text
    made: JsonObject = {"tool": site["tool"], "arguments": arguments}
    if later:
        made["from_results"] = later
    return made | ({"for": site["for"]} if "for" in site else {})


def _value(text: str, values: Mapping[str, Json]) -> tuple[bool, Json]:
    """The value of an argument, where the inputs alone decide it."""
    tree = ast.parse(text, mode="eval")
    nodes = list(ast.walk(tree))
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    called = {func.id for func in calls if isinstance(func, ast.Name)}
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    plain = all(isinstance(node, _PLAIN) for node in nodes) and all(isinstance(func, ast.Name) for func in calls)
    if not plain or not called <= _KNOWN.keys() or not names <= values.keys() | called:
        return False, None
    known: dict[str, Any] = {**values, **{name: _KNOWN[name] for name in called}, "__builtins__": {}}
    try:
        return True, cast("Json", eval(compile(tree, "argument", "eval"), known))
    except Diverged as stopped:
        return True, f"(stops here: {stopped})"
    except (TypeError, ValueError):
        return False, None


def _defaults(source: str) -> dict[str, Json]:
    """The defaults of the inputs that need not be given, where they are literal."""
    run = next((n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == "run"), None)
    found: dict[str, Json] = {}
    for part, default in zip(run.args.kwonlyargs, run.args.kw_defaults, strict=True) if run is not None else ():
        if isinstance(default, ast.Constant) and default.value is not None:
            found[part.arg] = cast("Json", default.value)
    return found
