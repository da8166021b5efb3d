"""`scripts/bench suite --peers`: what another tool learns of the same workflows, through its own public entry point.

agentjit compiles one trace, and is told the inputs of that trace by name, which Druse is not. Its source runs on the
live services of the held-out cases as it was given, and is judged by the same rules. What it declines to compile and
what it stops at count as refused.
"""

from __future__ import annotations

import builtins
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from benchmarks._peers import python_with
from benchmarks.induction.scoring import SEEDS_HELD, Emitted, Score, unaided
from benchmarks.induction.workflows import Performance, Workflow

AGENTJIT = "agentjit>=0.1.10,<0.2"
_START = "from agentjit.mcp_server import main_mcp; main_mcp()"


def agentjit(chosen: Sequence[Workflow], seed: int) -> dict[str, Any] | None:
    """Its score on the held-out cases, each learned from the run of one seed; None where it cannot be installed."""
    python, version = python_with("agentjit", AGENTJIT)
    if not python:
        return None
    total, wrong, refused = Score(), list[str](), 0
    with _compiler(python) as compile_:
        for workflow in chosen:
            taught = workflow.perform(seed)
            source = compile_(taught)
            refused += not source
            own = Score()
            for held in (workflow.perform(other) for other in SEEDS_HELD):
                emitted = _ran(source, held, workflow.world(held.seed))
                own.add(unaided(held, emitted, {made.tool for made in taught.truth}))
            total.add(own)
            if own.wrong:
                wrong.append(workflow.name)
    return {"peer": "agentjit", "version": version, "score": total, "wrong_in": wrong, "not_compiled": refused}


@contextmanager
def _compiler(python: str) -> Iterator[Any]:
    """Its MCP server, asked over stdio."""
    process = subprocess.Popen(
        [python, "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    writing, reading = process.stdin, process.stdout

    def ask(method: str, params: dict[str, Any]) -> dict[str, Any]:
        writing.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n")
        writing.flush()
        return dict(json.loads(reading.readline()).get("result") or {})

    def compiled(taught: Performance) -> str:
        steps = [
            {"tool_name": step.tool, "inputs": dict(step.arguments), "output": step.result}
            for step in taught.run.steps
            if not step.failed
        ]
        given = {"entry_args": taught.inputs, "steps": steps, "function_name": "learned"}
        told = ask("tools/call", {"name": "agentjit_compile", "arguments": given}).get("structuredContent") or {}
        return str(told.get("source_code") or "") if told.get("success") else ""

    try:
        ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench"}})
        yield compiled
    finally:
        writing.close()
        process.wait(timeout=20)


class _Tools:
    """The live services under the names of their tools."""

    def __init__(self, services: SimpleNamespace) -> None:
        self._services = services
        self.calls: list[tuple[str, dict[str, Any], str]] = []

    def __getitem__(self, tool: str) -> Any:
        service, _, name = tool.partition("__")
        method = getattr(getattr(self._services, service), name)

        def call(**given: Any) -> Any:
            self.calls.append((tool, given, method.effect))
            return method(**given)

        return call


class _Guard(Exception):
    """What its guards raise."""

    def __init__(self, message: str, param: str = "") -> None:
        super().__init__(message)


def _ran(source: str, held: Performance, services: SimpleNamespace) -> Emitted:
    """Its source on the services of a held-out case; every call and how it ended."""
    if not source:
        return Emitted([], False, "it was not compiled")
    tools = _Tools(services)
    names: dict[str, Any] = {"_tools": tools, "GuardViolation": _Guard, "__builtins__": builtins}
    try:
        exec(compile(source, "learned.py", "exec"), names)
        names["learned"](**held.inputs)
    except Exception as error:  # whatever a foreign source raises, it stopped
        return Emitted(tools.calls, False, f"{type(error).__name__}: {error}")
    return Emitted(tools.calls, True, "")
