"""The fixed surface: seven tools that reach everything, whatever a client does with `tools/list` (D3).

Descriptions are short on purpose: the whole listing stays under 2,000 tokens at 500 reachable tools.
"""

from __future__ import annotations

from druse.model import Effect, JsonObject, Source, ToolSpec, object_schema

INSTRUCTIONS = (
    "Druse reaches all tools of this project and remembers repeated work. Begin a piece of work with dispatch_goal, "
    "giving the goal in words with its concrete values; it answers with the finished result, a guide, or the tools to "
    "use. Find tools with find_tools and call them with run_tool; for many calls write one script for run_code. End "
    "with report_outcome. A result with status pending needs a person: tell the user the command it names. A result "
    "with status diverged lists what was done and what remains: go on from there."
)

_TEXT: JsonObject = {"type": "string"}


def _tool(name: str, description: str, properties: JsonObject, required: list[str], *, reads: bool = False) -> ToolSpec:
    return ToolSpec(
        name,
        Source.CAPABILITY,
        description,
        input_schema=object_schema(properties, required),
        effect=Effect.READ if reads else Effect.UNKNOWN,
        read_only_hint=reads,
    )


SURFACE: tuple[ToolSpec, ...] = (
    _tool(
        "dispatch_goal",
        "Start work on a goal. Runs a learned tool if one fits and its parameters bind, else returns a recorded guide "
        "or the tools to use. Opens a run; its run_id goes to report_outcome.",
        {
            "goal": {"type": "string", "description": "What to achieve, with the concrete names, ids and values."},
            "arguments": {"type": "object", "description": "Parameter values, if known."},
            "dry_run": {"type": "boolean", "description": "Say what it comes to, run nothing."},
            "replay": {"type": "boolean", "description": "Yes to a replay that writes (status ready)."},
        },
        ["goal"],
    ),
    _tool(
        "find_tools",
        "Search all tools, skills and past runs.",
        {
            "query": _TEXT,
            "kind": {"enum": ["tool", "skill", "run"]},
            "limit": {"type": "integer", "minimum": 1, "maximum": 50},
            "detail": {"enum": ["schema", "signature", "name"], "description": "Default: schema."},
        },
        ["query"],
        reads=True,
    ),
    _tool(
        "run_tool",
        "Call any tool that find_tools lists.",
        {"name": _TEXT, "arguments": {"type": "object"}},
        ["name"],
    ),
    _tool(
        "run_code",
        'Run Python in a sandbox; call("tool", key=value) reaches every tool. Only what `result` holds comes back. '
        "No files, network or imports beyond plain data modules.",
        {
            "code": _TEXT,
            "arguments": {"type": "object", "description": "Available to the code as `arguments`."},
        },
        ["code"],
    ),
    _tool(
        "propose_tool",
        "Hand in a tool, or fill the holes of a draft. It is replayed on recorded runs, then a person must approve.",
        {
            "name": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,39}$"},
            "code": {"type": "string", "description": "Source with def run(call, *, name: type, ...) -> type."},
            "description": _TEXT,
            "run_ids": {"type": "array", "items": _TEXT, "description": "Recorded runs that it must reproduce."},
        },
        ["name", "code"],
    ),
    _tool("load_skill", "Read a skill by name.", {"name": _TEXT}, ["name"], reads=True),
    _tool(
        "report_outcome",
        "Tell how the run went. Only successes are learned from.",
        {
            "run_id": {"type": "string", "description": "From dispatch_goal; default: the run now open."},
            "success": {"type": "boolean"},
            "note": _TEXT,
            "cost": {"type": "number", "minimum": 0, "description": "USD, if you know it."},
            "tokens": {"type": "integer", "minimum": 0},
        },
        ["success"],
    ),
)
