"""Every door found by looking, none from memory: tools, protocol methods, commands, jobs, processes, connections (X-07).

A door that nobody has judged yet fails here, by name, until its row says what it may do.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from capabilities.desk import Desk
from druse.cli import _COMMANDS, main  # pyright: ignore[reportPrivateUsage]
from druse.front.application import open_application
from druse.front.server import Front
from druse.front.surface import SURFACE
from druse.model import Caller, CallerKind, OutcomeStatus, Source, ToolSpec, Verdict
from druse.permissions import Policy, decide
from druse.permissions.commands import _LOOKING  # pyright: ignore[reportPrivateUsage]
from druse.permissions.policy import Layer
from druse.settings import Workspace

SERVER = Path(__file__).resolve().parents[2] / "server" / "druse"
AGENT = Caller(CallerKind.AGENT, session="s", connection="s", client="attacker 1.0")

# Protocol methods that do more than list what is there. Only tools/call leads to an effect.
METHODS = {
    "tools/call": "the router",
    "tasks/get": "reads what became of a call, for who holds its unguessable name",
    "tasks/update": "a client's answer to a question, which decides only what `elicits` lets it",
    "tasks/cancel": "stops a call",
    "resources/read": "reads; notes the use of a skill",
    "prompts/get": "reads; notes the use of a skill",
}
_LISTING = ("/list", "listen", "ping", "discover", "skills/get", "directory/read")

# The tools of the surface are decided inside, by what they lead to.
INSIDE = {
    "dispatch_goal": "every replayed call goes through the router",
    "run_tool": "the router",
    "run_code": "every call goes through the router",
    "propose_tool": "a request for approval; nothing is in service",
    "find_tools": "reads",
    "load_skill": "reads",
    "report_outcome": "notes what the caller says of its own run",
}

# Where a process is started or a connection opened, and what stands before it.
EFFECTS = {
    "upstream/connection.py": "an upstream of mcp.json; its tools are called by the router",
    "upstream/pipes.py": "an upstream of mcp.json; its tools are called by the router",
    "upstream/assertions.py": "the issuer of an upstream of mcp.json, asked for a token before it is connected",
    "localtools/shell.py": "Bash, behind the router",
    "localtools/web.py": "WebFetch, behind the router",
    "localtools/search.py": "Grep, behind the router: a locked child that matches",
    "runtime/pool.py": "the sandbox's own worker",
    "runtime/spawned.py": "the sandbox's own worker where none can be forked",
    "skills/gitrunner.py": "git in the user's volumes",
    "governance/rules.py": "git ls-files: is the configuration part of the clone?",
    "succession/fork.py": "the successor, on a copy",
    "front/daemon.py": "the daemon's own socket",
    "web/issuers.py": "the keys of the authorization servers that [oauth] names, for a server that a person put on HTTP",
    "llm.py": "chat.ask, behind the router: the model that a person configured",
    "cli/doctor.py": "a person's command",
    "editors/handshake.py": "a person's command: does the client's entry start?",
    "editors/inspection.py": "a person's command: asks a client what it has",
    "editors/installing.py": "a person's command",
    "shim.py": "the daemon and, where there is none, the server itself",
}
_STARTING = {
    *("create_subprocess_exec", "create_subprocess_shell", "subprocess_exec", "subprocess_shell", "call_program"),
    *("Popen", "check_output", "check_call"),
    *("execv", "execve", "execvp", "execvpe", "system", "popen", "posix_spawn", "posix_spawnp", "spawnv", "startfile"),
    *(
        "open_connection",
        "open_unix_connection",
        "create_connection",
        "create_unix_connection",
        "urlopen",
        "AsyncClient",
        "HTTPConnection",
    ),
}


def _starting(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        holder = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
        if name in _STARTING or (holder == "subprocess" and name in ("run", "call")):
            yield name
        elif name == "socket" and holder == "socket":
            yield "socket.socket"


def leaves() -> dict[str, click.Command]:
    """Every command of the command line, found by walking it."""
    found: dict[str, click.Command] = {}

    def walk(command: click.Command, words: tuple[str, ...]) -> None:
        context = click.Context(command)
        inner = command.list_commands(context) if isinstance(command, click.Group) else []
        for name in inner:
            held = command.get_command(context, name) if isinstance(command, click.Group) else None
            assert held is not None, name
            walk(held, (*words, name))
        if not inner or (isinstance(command, click.Group) and command.invoke_without_command):
            found[" ".join(words)] = command

    walk(main, ())
    return found


def given(schema: Any) -> Any:
    """A value that a schema takes."""
    if not isinstance(schema, dict):
        return "x"
    known: dict[str, Any] = schema
    if "enum" in known:
        return known["enum"][0]
    kind = known.get("type", "string")
    if kind == "object":
        return {name: given(known.get("properties", {}).get(name)) for name in known.get("required", ())}
    if kind == "array":
        return [given(known.get("items"))] * int(known.get("minItems", 0))
    plain: dict[str, Any] = {"integer": 1, "number": 1, "boolean": True, "null": None}
    return plain.get(str(kind), "x")


@pytest.mark.requirement("X-07")
def test_every_protocol_method_is_judged() -> None:
    nobody: Any = None
    server: Any = Front(nobody).server
    methods = set(server._request_handlers)
    assert {name for name in methods if not any(part in name for part in _LISTING)} == set(METHODS)
    assert set(server._notification_handlers) == {"notifications/initialized"}
    assert {spec.name for spec in SURFACE} == set(INSIDE)


@pytest.mark.requirement("X-07", "S-25")
async def test_every_tool_there_is_is_stopped_by_a_deny_rule_also_from_a_script(desk: Desk) -> None:
    """Whatever a provider lists, also one that nobody has thought of when this was written."""
    workspace = Workspace.find(desk.root)
    async with open_application(workspace, environment=desk.environment) as application:
        await application.connect_all()
        specs = application.registry.specs()
        assert {spec.source for spec in specs} >= {Source.LOCAL, Source.CAPABILITY, Source.UPSTREAM}
        desk.configure(f"[permissions]\ndeny = {json.dumps([spec.name for spec in specs])}\n")
        for spec in specs:
            answer = await application.serve_call("run_tool", _call_of(spec), AGENT, None)
            assert answer.status is OutcomeStatus.DENIED, (spec.name, answer.message)
            code = f"call({spec.name!r}, **arguments)"
            told = {"code": code, "arguments": _call_of(spec)["arguments"]}
            scripted = await application.serve_call("run_code", told, AGENT, None)
            assert scripted.status is OutcomeStatus.DENIED, (spec.name, scripted.message)
        refused = await application.base.audit.newest(5000, {"action": "call.refused"})
        assert {str(entry["subject"]) for entry in refused} == {spec.name for spec in specs}
    assert desk.notes == []


def _call_of(spec: ToolSpec) -> dict[str, Any]:
    return {"name": spec.name, "arguments": given(dict(spec.input_schema))}


@pytest.mark.requirement("X-07", "S-47")
def test_every_command_that_does_more_than_look_is_out_of_an_agents_reach(tmp_path: Path) -> None:
    policy = Policy((Layer.parse("project", {"allow": [("Bash", "t:1")]}),), workspace=tmp_path, home=tmp_path)
    found = leaves()
    assert len(found) > 50 and {name.split()[0] for name in found} == set(_COMMANDS)
    for name in found:
        words = name.split()
        looking = _LOOKING.get(words[0], frozenset[str]())
        looks = looking is None or (words[1] if len(words) > 1 else "") in looking
        for spoken in (f"druse {name}", f"python3 -m druse {name}", f"env A=1 druse {name} --yes"):
            decision = decide(policy, "Bash", {"command": spoken}, caller=AGENT)
            assert (decision.verdict is Verdict.DENY) is not looks, (spoken, decision)


@pytest.mark.requirement("X-07")
def test_processes_and_connections_are_started_nowhere_else() -> None:
    found: dict[str, set[str]] = {}
    for path in SERVER.rglob("*.py"):
        for name in _starting(path):
            found.setdefault(str(path.relative_to(SERVER)), set()).add(name)
    assert set(found) == set(EFFECTS), found


# Who makes the context without which no provider can be called.
MAKERS = {
    "routing/router.py": "after the decision and the entry before the effect",
    "cli/sandbox.py": "a person tries code with rules of their own: local tools only, each call decided",
}


@pytest.mark.requirement("X-07")
def test_a_provider_is_called_after_the_one_decision_function_and_nowhere_else() -> None:
    makers: set[str] = set()
    for path in SERVER.rglob("*.py"):
        text = path.read_text()
        called = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
        if any(getattr(node.func, "id", getattr(node.func, "attr", "")) == "CallContext" for node in called):
            makers.add(str(path.relative_to(SERVER)))
            assert "decide" in text
    assert makers == set(MAKERS), makers
