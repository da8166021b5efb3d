"""`scripts/bench suite --peers`: what other tools learn of the same workflows, through their own public entry points.

agentjit compiles one trace, and is told the inputs of that trace by name, which Druse is not. Its source runs on the
live services of the held-out cases as it was given, and is judged by the same rules. What a peer declines to compile
and what it stops at count as refused.

etchplan mines and compiles all training runs, as its command line does, and runs the plan of its choice. It is told
that every write may be repeated safely, because it declines all others, and each input of its plan is answered with
the right value for the case.
"""

from __future__ import annotations

import builtins
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks._peers import python_with
from benchmarks.induction.scoring import SEEDS_HELD, Emitted, Score, unaided
from benchmarks.induction.workflows import Performance, Refusal, Workflow

AGENTJIT = "agentjit>=0.1.10,<0.2"
ETCHPLAN = "etchplan>=0.1.1,<0.2"
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
    row = {"peer": "agentjit", "version": version, "runs": 1}
    return {**row, "score": total, "wrong_in": wrong, "not_compiled": refused}


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


# What etchplan binds the tools of its plan to: each call is asked of this process, over two pipes.
_BRIDGE = """
import json, os
from etchplan_runtime.registry import Registry

asks, answers = os.fdopen(int(os.environ["BENCH_ASKS"]), "w"), os.fdopen(int(os.environ["BENCH_ANSWERS"]))

def tool(name):
    def call(**given):
        print(json.dumps([name, given]), file=asks, flush=True)
        told = json.loads(answers.readline())
        if "error" in told:
            raise RuntimeError(told["error"])
        return told["result"]
    return call

registry = Registry(tools={name: tool(name) for name in os.environ["BENCH_TOOLS"].split()})
"""


def etchplan(chosen: Sequence[Workflow], seeds: Sequence[int]) -> dict[str, Any] | None:
    """Its score on the held-out cases, learned from the runs of these seeds; None where it cannot be installed."""
    python, version = python_with("etchplan", ETCHPLAN)
    if not python:
        return None
    total, wrong, refused = Score(), list[str](), 0
    for workflow in chosen:
        taught = [workflow.perform(seed) for seed in sorted(seeds)]
        shown = {made.tool for performance in taught for made in performance.truth}
        own = Score()
        with tempfile.TemporaryDirectory() as folder:
            etch = _Etch(Path(python).with_name("etch"), Path(folder))
            compiled = etch.compile(workflow.name, taught)
            refused += not compiled
            for held in (workflow.perform(other) for other in SEEDS_HELD):
                world = _Tools(workflow.world(held.seed))
                done, detail = etch.run(held, world) if compiled else (False, "it was not compiled")
                own.add(unaided(held, Emitted(world.calls, done, detail), shown))
        total.add(own)
        if own.wrong:
            wrong.append(workflow.name)
    row = {"peer": "etchplan", "version": version, "runs": len(seeds)}
    return {**row, "score": total, "wrong_in": wrong, "not_compiled": refused}


class _Etch:
    """Its command line, in a folder that is its home too."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._tools: list[str] = []
        (folder / "bridge.py").write_text(_BRIDGE, encoding="utf-8")

    def compile(self, name: str, taught: Sequence[Performance]) -> bool:
        """Whether a plan was made of the runs."""
        self._tools = sorted({step.tool for performance in taught for step in performance.run.steps})
        traces = "".join(json.dumps(_trace(name, n, one)) + "\n" for n, one in enumerate(taught))
        (self._folder / "traces.jsonl").write_text(traces, encoding="utf-8")
        self._said("import", "jsonl", "traces.jsonl", "--db", "runs.db")
        self._said("mine", "patterns", "--db", "runs.db")
        found = self._begun("compile", "pattern", "--db", "runs.db", "--out", "plan.json")
        return found.wait(timeout=120) == 0

    def run(self, held: Performance, world: _Tools) -> tuple[bool, str]:
        """The plan on the services of a held-out case: whether it says that it succeeded, and what else it says."""
        plan = json.loads((self._folder / "plan.json").read_text(encoding="utf-8"))
        wanted = plan["inputs"]["schema"].get("properties", {})
        given = {name: value for made in reversed(held.truth) for name, value in made.arguments.items()}
        inputs = {name: given[name] for name in wanted if name in given}
        (self._folder / "inputs.json").write_text(json.dumps(inputs), encoding="utf-8")
        asks, theirs = os.pipe()
        mine, answers = os.pipe()
        environment = {"BENCH_ASKS": str(theirs), "BENCH_ANSWERS": str(mine), "BENCH_TOOLS": " ".join(self._tools)}
        command = ("run", "plan.json", "--input", "inputs.json", "--db", "runs.db", "--registry", "bridge:registry")
        process = self._begun(*command, environment=environment, descriptors=(theirs, mine))
        os.close(theirs)
        os.close(mine)
        with os.fdopen(asks) as questions, os.fdopen(answers, "w") as replies:
            for line in questions:
                tool, arguments = json.loads(line)
                print(json.dumps(_answer(world, tool, arguments)), file=replies, flush=True)
        said, _ = process.communicate(timeout=120)
        try:
            result = json.loads(said[said.index("{") :])
        except ValueError:
            return False, said[-200:] or f"exit code {process.returncode}"
        return result.get("status") == "success", f"{result.get('status')}: {result.get('reason', '')}"

    def _said(self, *arguments: str) -> str:
        process = self._begun(*arguments)
        said, _ = process.communicate(timeout=120)
        if process.returncode:
            raise RuntimeError(f"etch {arguments[0]} ended with {process.returncode}: {said[-500:]}")
        return said

    def _begun(
        self, *arguments: str, environment: dict[str, str] | None = None, descriptors: tuple[int, ...] = ()
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self._program), *arguments],
            cwd=self._folder,
            env={**os.environ, "HOME": str(self._folder), "PYTHONPATH": str(self._folder), **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            pass_fds=descriptors,
        )


def _answer(world: _Tools, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": _as_object(world[tool](**arguments))}
    except (Refusal, TypeError, KeyError) as error:
        return {"error": str(error)}


def _as_object(result: Any) -> dict[str, Any]:
    return result if isinstance(result, dict) else {"result": result}


def _trace(name: str, number: int, performance: Performance) -> dict[str, Any]:
    """A run in etchplan's neutral trace format."""
    began = datetime(2026, 1, 1, tzinfo=UTC)

    def event(minute: int, kind: str, **fields: Any) -> dict[str, Any]:
        return {"kind": kind, "timestamp": (began + timedelta(minutes=minute)).isoformat(), **fields}

    said = event(0, "user_message", name="user_request", input={"content": performance.run.goal}, output={})
    calls = [
        event(
            minute,
            "tool_call",
            name=step.tool,
            input=dict(step.arguments),
            output=_as_object(step.result),
            tool={
                "name": step.tool,
                "namespace": step.tool.split("__")[0],
                "mutability": "read_only" if step.effect == "read" else "idempotent_write",
                "idempotency_supported": True,
            },
        )
        for minute, step in enumerate(performance.run.steps, 1)
        if not step.failed
    ]
    return {
        "trace_id": f"{name}-{number}",
        "tenant_id": "bench",
        "app_id": "bench",
        "workflow_hint": name,
        "started_at": began.isoformat(),
        "ended_at": (began + timedelta(hours=1)).isoformat(),
        "status": "success",
        "outcome": {"label": "done", "score": 1.0, "human_escalated": False},
        "events": [said, *calls],
        "metadata": {"session_id": f"{name}-{number}"},
    }
