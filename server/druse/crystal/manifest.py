"""The manifest beside a tool's source: what a person approves besides the code, and what the tool is listed by."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from math import ceil
from statistics import median
from typing import cast

from druse.crystal.commands import commands_of
from druse.crystal.drift import declared_by
from druse.crystal.verification import Verification
from druse.induction import Disagreement, Induction
from druse.model import Json, JsonObject, Run, ToolSpec, ToolVersion, canonical, digest_text
from druse.store import RunRecord

FORMAT = 1


def manifest_for(
    induction: Induction,
    version: int,
    records: Sequence[RunRecord],
    specs: Mapping[str, ToolSpec],
    verification: Verification,
    *,
    made_by: str,
    disagreements: Sequence[Disagreement] = (),
) -> JsonObject:
    """The manifest of a tool; `permissions` and `steps` are read off the code, `made_from` are its source traces."""
    made: JsonObject = {
        "format": FORMAT,
        "name": induction.name,
        "version": version,
        "description": induction.description,
        "input_schema": induction.input_schema,
        "output_schema": induction.output_schema,
        "permissions": list[Json](permissions_of(induction.source)),
        "commands": [template.as_dict() for template in commands_of(induction.source).templates],
        "steps": list[Json](call_sites(induction.source)),
        "parameters": [_parameter(part) for part in induction.parameters],
        "goals": list[Json](induction.goal_patterns),
        "made_from": [record.run.id for record in records],
        "made_by": made_by,
        "status": induction.status,
        "left_out": induction.left_out,
        "reasons": list[Json](induction.reasons),
        "ambiguities": list[Json](induction.ambiguities),
        "verification": [part.as_dict() for part in verification.left_out],
        "economics": economics([record.run for record in records], induction),
        "upstream_schemas": schemas_of(induction.calls, specs),
        "declared": declared_by(induction.calls, specs),
        "sha256": digest_text(induction.source),
    }
    if disagreements:
        made["disagreements"] = [_disagreement(part, verification) for part in disagreements]
    return made


def _disagreement(part: Disagreement, verification: Verification) -> JsonObject:
    """A run that is no evidence, or of which reads were left out, and what the tool does where things are as in it."""
    met = next((row for row in verification.aside if row.run == part.run), None)
    told: JsonObject = {"run": part.run, "what": part.what, "set_aside": part.set_aside, "told": str(part)}
    return told | ({"tool": met.result, "detail": met.detail} if met is not None else {})


def is_whole(version: ToolVersion) -> bool:
    """Whether a tool does all of the work it was made of, and not only the beginning that could be learned."""
    left_out = version.manifest.get("left_out")
    return left_out == 0 if left_out is not None else version.manifest.get("status") != "partial"


def schemas_of(tools: Sequence[str], specs: Mapping[str, ToolSpec]) -> JsonObject:
    """The schema hash of every tool called, as it is now; null for one that is not known."""
    return {tool: specs[tool].schema_hash if tool in specs else None for tool in sorted(tools)}


def permissions_of(source: str) -> list[str]:
    """The tools a source can call: the literal names in `call(...)`. Raises ValueError for any other kind of call."""
    found: dict[str, None] = {}
    for site in _sites(ast.parse(source)):
        name = site.args[0] if site.args else None
        if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
            raise ValueError(f"line {site.lineno}: the tool in call(...) must be written as a text")
        found[name.value] = None
    return sorted(found)


def call_sites(source: str) -> list[JsonObject]:
    """Every `call(...)` of a source in order: line, tool, arguments as source text, and the loop it stands in."""
    tree = ast.parse(source)
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While)]
    found: list[JsonObject] = []
    for site in sorted(_sites(tree), key=lambda node: node.lineno):
        inner = [loop for loop in loops if loop.lineno <= site.lineno <= (loop.end_lineno or loop.lineno)]
        made: JsonObject = {
            "line": site.lineno,
            "end_line": site.end_lineno or site.lineno,
            "tool": str(cast("ast.Constant", site.args[0]).value),
            "arguments": {part.arg or "**": ast.unparse(part.value) for part in site.keywords},
        }
        if inner:
            loop = max(inner, key=lambda node: node.lineno)
            if isinstance(loop, ast.For):
                made["for"] = f"{ast.unparse(loop.target)} in {ast.unparse(loop.iter)}"
            else:
                made["for"] = f"as long as {ast.unparse(loop.test)}"
            made["loop_line"] = loop.lineno
        found.append(made)
    return found


def remaining_after(steps: Sequence[Json], line: int) -> list[JsonObject]:
    """The call sites not yet passed when a run stopped at `line`: those behind it, and those of a loop around it."""
    loop_lines = [step.get("loop_line") for step in steps if isinstance(step, dict) and _covers(step, line)]
    left: list[JsonObject] = []
    for step in steps:
        if not isinstance(step, dict):
            continue
        at = step.get("line")
        again = "for" in step and step.get("loop_line") in loop_lines
        if isinstance(at, int) and (at >= line or again):
            shown: JsonObject = {"tool": step["tool"], "arguments": step["arguments"]}
            if "for" in step:
                shown["for"] = step["for"]
            left.append(shown)
    return left


def _covers(step: JsonObject, line: int) -> bool:
    first, last = step.get("loop_line"), step.get("end_line")
    return isinstance(first, int) and isinstance(last, int) and first <= line <= last


def economics(runs: Sequence[Run], induction: Induction) -> JsonObject:
    """What the tool saves, measured on its runs: medians of round trips and bytes of arguments and results."""
    trips = median(len(run.steps) for run in runs)
    size = median(sum(_size(dict(step.arguments)) + _size(step.result) for step in run.steps) for run in runs)
    walls = [sum(step.duration_ms or 0.0 for step in run.steps) for run in runs]
    listing = len(induction.name) + len(induction.description) + len(canonical(induction.input_schema))
    saved = max(0.0, size / 4)
    return {
        "round_trips_per_run": trips,
        "round_trips_with_tool": 1,
        "bytes_per_run": size,
        "tokens_per_run": round(saved),
        "tool_wall_ms_per_run": round(median(walls), 1),
        "listing_tokens": round(listing / 4),
        "break_even_run": ceil(listing / 4 / saved) if saved else None,
        "basis": f"measured: medians over {len(runs)} recorded runs; tokens = characters / 4",
    }


def style_problems(source: str) -> list[str]:
    """What a generated source must have besides being valid: docstring, annotations (seed id H-13)."""
    tree = ast.parse(source)
    problems: list[str] = []
    if not ast.get_docstring(tree):
        problems.append("line 1: the module has no docstring")
    run = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "run"), None)
    if run is None:
        return [*problems, "line 1: there is no function `run`"]
    if run.returns is None:
        problems.append(f"line {run.lineno}: `run` has no return annotation")
    named = [*run.args.posonlyargs, *run.args.args, *run.args.kwonlyargs]
    if not named or named[0].arg != "call":
        problems.append(f"line {run.lineno}: the first parameter of `run` must be `call`")
    bare = [part for part in named[1:] if part.annotation is None]
    return [*problems, *(f"line {part.lineno}: parameter `{part.arg}` has no annotation" for part in bare)]


def _sites(tree: ast.AST) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "call"
    ]


def _parameter(part: object) -> JsonObject:
    from dataclasses import asdict

    made = cast("JsonObject", asdict(part))  # type: ignore[call-overload]
    made["examples"] = list(cast("list[Json]", made["examples"]))
    return made


def _size(value: Json) -> int:
    return len(canonical(value))
