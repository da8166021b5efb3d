"""The capabilities by which Druse looks at itself and changes itself: names, what they do, their security class.

The class follows from the action by the one table in `druse.governance.trust`; nothing a caller sends changes it.
"""

from __future__ import annotations

from druse.governance import SECURITY, Action
from druse.model import Effect, JsonObject, Source, ToolSpec, object_schema

_TEXT: JsonObject = {"type": "string"}
_OBJECT: JsonObject = {"type": "object"}
_COUNT: JsonObject = {"type": "integer", "minimum": 1, "maximum": 10_000}
_PLAN: JsonObject = {
    "type": "object",
    "description": "A plan; its JSON Schema is what planner.validate_plan gives for {}.",
}


def _capability(
    alias: str,
    action: Action | None,  # None: it keeps book for the caller and does nothing to Druse
    description: str,
    properties: JsonObject,
    required: list[str] | None = None,
    *,
    keeps: bool = False,  # it looks at Druse, and writes down what it was told all the same
) -> ToolSpec:
    reads = action is Action.INTROSPECT and not keeps
    return ToolSpec(
        alias.replace(".", "_"),
        Source.CAPABILITY,
        description,
        object_schema(properties, required or ()),
        effect=Effect.READ if reads else Effect.WRITE,
        read_only_hint=reads,
        alias=alias,
        action=str(action or ""),
        security=SECURITY[action] if action else "low",
    )


SPECS: tuple[ToolSpec, ...] = (
    _capability(
        "planner.decompose",
        Action.INTROSPECT,
        "Split a goal into intents, from learned tools, recorded runs and the words; says so when nothing is known.",
        {"goal": _TEXT, "arguments": _OBJECT},
        ["goal"],
    ),
    _capability(
        "planner.resolve_intent",
        Action.INTROSPECT,
        "The tool, skill or run that fits an intent best, with its score and the runner-up.",
        {"intent": _TEXT},
        ["intent"],
    ),
    _capability(
        "planner.generate_plan",
        Action.INTROSPECT,
        "A plan (JSON data) for a goal that runs are recorded of, or for intents that name their tools.",
        {"goal": _TEXT, "intents": {"type": "array", "items": _OBJECT}, "arguments": _OBJECT},
    ),
    _capability(
        "planner.validate_plan",
        Action.INTROSPECT,
        "Check a plan without running it: {valid, issues, hash}. Without a plan: the JSON Schema of plans.",
        {"plan": _PLAN},
    ),
    _capability(
        "planner.transform_plan",
        Action.TRANSFORM,
        "Change a plan by Python, def run(call, *, plan: dict) -> dict, that can call nothing; gives plan and diff.",
        {"plan": _PLAN, "code": _TEXT},
        ["plan", "code"],
    ),
    _capability(
        "planner.execute_plan",
        Action.EXECUTE,
        "Carry out a validated plan. A stopped execution goes on with `execution`; done steps are not made again.",
        {
            "plan": _PLAN,
            "hash": {"type": "string", "description": "As validate_plan gave it."},
            "inputs": _OBJECT,
            "execution": {
                "type": "string",
                "description": "The execution to go on with, or last: the newest that is not done.",
            },
            "redo": {"type": "boolean", "description": "Make a write again whose end was not noted."},
            "undoable_only": {"type": "boolean", "description": "Refuse a plan with a step that cannot be undone."},
        },
        ["plan", "hash"],
    ),
    _capability(
        "planner.plan_history",
        Action.INTROSPECT,
        "Executions of plans, newest first; of one execution: which steps can be undone, by what, and which cannot.",
        {"execution": _TEXT, "limit": _COUNT},
    ),
    _capability(
        "planner.undo_plan",
        Action.EXECUTE,
        "Take an execution back: the known inverse of each step, the last one first. Says what cannot be undone.",
        {
            "execution": _TEXT,
            "redo": {
                "type": "boolean",
                "description": "Of a step whose taking back had begun and whose end nobody knows: true makes it again, "
                "false counts it as taken back.",
            },
        },
        ["execution"],
    ),
    _capability(
        "planner.introspect_result",
        Action.INTROSPECT,
        "Compare a result with the tool's declared schema and its recorded results: ok, shape differs or suspicious.",
        {"tool": _TEXT, "result": {}},
        ["tool", "result"],
    ),
    _capability(
        "planner.synthesize_capability",
        Action.SYNTHESIZE,
        "Make a tool of a recorded workflow; a person approves it below trust level 3.",
        {"signature": _TEXT, "goal": _TEXT, "name": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,39}$"}},
    ),
    _capability(
        "planner.compose_capability",
        Action.SYNTHESIZE,
        "Make a tool of tools: what one answers goes into the next. Proved on recorded runs like any tool.",
        {
            "name": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,39}$"},
            "parts": {
                "type": "array",
                "minItems": 2,
                "maxItems": 20,
                "items": {},
                "description": "Tools in order, by name; or {call, id, arguments} with arguments as in a plan.",
            },
            "description": _TEXT,
        },
        ["name", "parts"],
    ),
    _capability(
        "planner.register_capability",
        Action.REGISTER,
        "Put a proposed, proved tool in service; needs a person below trust level 3.",
        {"approval_id": _TEXT},
        ["approval_id"],
    ),
    _capability(
        "learning.record_feedback",
        Action.INTROSPECT,
        "Say how a run went: success, failure or correction. Said twice it counts once.",
        {"run_id": _TEXT, "outcome": {"enum": ["success", "failure", "correction"]}, "note": _TEXT},
        ["run_id", "outcome"],
        keeps=True,
    ),
    _capability(
        "learning.analyze_failure",
        Action.INTROSPECT,
        "Why a run failed: the first step that goes another way than in runs that went well, its class, the evidence.",
        {"run_id": _TEXT},
        ["run_id"],
    ),
    _capability(
        "learning.suggest_improvement",
        Action.INTROSPECT,
        "A concrete change of a learned tool as a diff, made from its runs and proved by replay, or its retirement.",
        {"tool": _TEXT},
        ["tool"],
    ),
    _capability(
        "learning.apply_improvement",
        Action.REGISTER,
        "Propose the suggested change of a learned tool as its next version, through the gate.",
        {"tool": _TEXT},
        ["tool"],
    ),
    _capability(
        "learning.refine_schema",
        Action.INTROSPECT,
        "The output schema that all recorded results of a tool fit, once there are 20.",
        {"tool": _TEXT},
        ["tool"],
    ),
    _capability(
        "learning.run_now",
        Action.SYNTHESIZE,
        "Learn now: keep memories of what ended, draft skills of work that recurs, propose the best three workflows as "
        "tools. Called again while that is under way, it waits for it and gives the same answer.",
        {},
    ),
    _capability(
        "introspect.capability_graph",
        Action.INTROSPECT,
        "Tools, skills and workflows, and what calls, was made from and replaced what: JSON or Mermaid.",
        {"format": {"enum": ["json", "mermaid"]}},
    ),
    _capability(
        "introspect.plan_trace",
        Action.INTROSPECT,
        "A run or an execution step by step: arguments, results, times, and the rule that let each step happen.",
        {"id": _TEXT},
        ["id"],
    ),
    _capability(
        "introspect.type_analysis",
        Action.INTROSPECT,
        "The type of every binding of a plan and the first two ends that do not fit.",
        {"plan": _PLAN},
        ["plan"],
    ),
    _capability(
        "introspect.causal_chain",
        Action.INTROSPECT,
        "Decisions and effects by actor, action, tool and time; or why there is a tool, back to its runs and approval.",
        {
            "why": {"type": "string", "description": "A learned tool."},
            "actor": _TEXT,
            "action": _TEXT,
            "tool": _TEXT,
            "since": {"type": "number"},
            "until": {"type": "number"},
            "limit": _COUNT,
        },
    ),
    _capability(
        "introspect.debug_plan",
        Action.INTROSPECT,
        "What is wrong with a plan, and a corrected plan where one is known. Changes nothing.",
        {"plan": _PLAN, "issue": {"type": "string", "description": "What went wrong, or the id of an execution."}},
        ["plan"],
    ),
    _capability(
        "planner.fork_successor",
        Action.SYNTHESIZE,
        "Try a change of a learned tool or of config.toml on a copy, by replay: APPROVE, REJECT or NEEDS_REVISION.",
        {
            "patch": {
                "type": "object",
                "description": "{tool, source}: the next version of a learned tool; or {config}: all of config.toml.",
            },
            "task": {"type": "string", "description": "What the change is for, in words; the person reads it."},
            "seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 600},
            "runs": {**_COUNT, "maximum": 1000},
        },
        ["patch"],
    ),
    _capability(
        "planner.apply_successor",
        Action.REGISTER,
        "Whether a successor's change is applied; only a person's approval applies it, at every trust level.",
        {"approval_id": _TEXT},
        ["approval_id"],
    ),
    _capability(
        "orchestrator.claim",
        None,
        "Take the next free task of a task graph, for a time; no other client has it meanwhile.",
        {
            "graph": _TEXT,
            "as": {"type": "string", "description": "Who takes it; default: this session."},
            "seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 86400},
        },
        ["graph"],
    ),
    _capability(
        "orchestrator.finish",
        None,
        "Hand in the result of a task you hold.",
        {"graph": _TEXT, "task": _TEXT, "as": _TEXT, "result": {}},
        ["graph", "task"],
    ),
    _capability(
        "orchestrator.graph",
        None,
        "The tasks of a graph, who holds them, and their results.",
        {"graph": _TEXT},
        ["graph"],
    ),
)
