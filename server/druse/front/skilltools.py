"""Skills and memory as capabilities an agent reaches with `run_tool`.

`context.for_query` and `memory.search` only look. `skills.create`, `skills.promote` and `skills.evolve` only propose:
nothing is in service before a person approves it, so they may be called at every trust level. A rule that denies them
still does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import TypeAlias

from druse.front.context import DEFAULT_TOKENS
from druse.front.documents import Documents
from druse.governance import SECURITY, Action
from druse.memory import Notebook
from druse.model import (
    CallContext,
    Caller,
    DruseError,
    Effect,
    Invalid,
    JsonObject,
    NotFound,
    Outcome,
    OutcomeStatus,
    Source,
    ToolSpec,
    object_schema,
)
from druse.skills import SkillDesk, SkillDocument, adapt, check_skill_id, proposer

_Tool: TypeAlias = "Callable[[JsonObject, CallContext], Awaitable[JsonObject]]"
_TEXT: JsonObject = {"type": "string"}


def spec_of(
    alias: str,
    action: Action | None,
    description: str,
    properties: JsonObject,
    required: list[str],
    *,
    keeps: bool = False,
) -> ToolSpec:
    """A capability of this room; one without an action only looks, or `keeps` book for its caller."""
    reads = action is None and not keeps
    return ToolSpec(
        alias.replace(".", "_"),
        Source.CAPABILITY,
        description,
        object_schema(properties, required),
        effect=Effect.READ if reads else Effect.WRITE,
        read_only_hint=reads,
        alias=alias,
        action=str(action) if action else "",
        security=SECURITY[action] if action else "low" if keeps else "",
    )


SPECS: tuple[ToolSpec, ...] = (
    spec_of(
        "context.for_query",
        None,
        "What this project remembers and the skills that fit a query, within a token budget, as one text.",
        {"query": _TEXT, "tokens": {"type": "integer", "minimum": 50, "maximum": 100_000}},
        ["query"],
    ),
    spec_of(
        "memory.search",
        None,
        "Search project memory, or with events=true everything recorded: goals, turns, calls, results.",
        {"query": _TEXT, "events": {"type": "boolean"}, "limit": {"type": "integer", "minimum": 1, "maximum": 100}},
        ["query"],
    ),
    spec_of(
        "skills.create",
        Action.SYNTHESIZE,
        "Propose a Markdown skill, or an edit of one by the same name; a person approves it. `text` is the body, or a "
        "whole SKILL.md. Near-copies of another skill are refused with its name.",
        {
            "name": {"type": "string", "description": "Lower case words with hyphens."},
            "description": {"type": "string", "description": "What it is for and when to use it, in one line."},
            "text": _TEXT,
            "category": {"type": "string", "enum": ["coding", "analysis", "writing", "data"]},
            "keywords": _TEXT,
        },
        ["name", "description", "text"],
    ),
    spec_of(
        "skills.promote",
        Action.REGISTER,
        "Propose a skill of the user's for the team. Makes a branch; a person merges it.",
        {"name": _TEXT, "reason": _TEXT},
        ["name"],
    ),
    spec_of(
        "skills.evolve",
        Action.SYNTHESIZE,
        "Look through the recorded runs now and draft skills of work that recurs; a person approves each draft. Joins "
        "a search that is under way.",
        {},
        [],
    ),
)


class SkillTools:
    """Carries out the capabilities."""

    def __init__(
        self,
        desk: SkillDesk,
        notebook: Notebook,
        documents_of: Callable[[Caller], Documents],
        *,
        run_of: Callable[[Caller], str],
        evolve: Callable[[], Awaitable[JsonObject]],
        memory: bool = True,
    ) -> None:
        self._memory = memory  # whether project memory is switched on
        self._desk = desk
        self._notebook = notebook
        self._documents_of = documents_of
        self._run_of = run_of
        self._evolution = evolve
        self._tools: dict[str, _Tool] = {
            "context.for_query": self._context,
            "memory.search": self._search,
            "skills.create": self._create,
            "skills.promote": self._promote,
            "skills.evolve": self._evolve,
        }

    def specs(self) -> Sequence[ToolSpec]:
        """The capabilities."""
        return [spec for spec in SPECS if self._memory or spec.alias != "memory.search"]

    async def call(self, spec: ToolSpec, arguments: JsonObject, context: CallContext) -> Outcome:
        """Carry out one decided call."""
        try:
            data = await self._tools[spec.alias](arguments, context)
        except DruseError as error:
            status = OutcomeStatus.INVALID if isinstance(error, Invalid | NotFound) else OutcomeStatus.FAILED
            return Outcome(status, message=str(error), kind=error.kind)
        return Outcome.of(data)

    async def _context(self, arguments: JsonObject, context: CallContext) -> JsonObject:
        tokens, run_id = arguments.get("tokens"), self._run_of(context.caller)
        budget = tokens if isinstance(tokens, int) else DEFAULT_TOKENS
        made = await self._documents_of(context.caller).context(str(arguments["query"]), budget, run_id)
        return {**made.as_dict(), "trace_id": run_id}

    async def _search(self, arguments: JsonObject, context: CallContext) -> JsonObject:
        asked = arguments.get("limit")
        query, limit = str(arguments["query"]), asked if isinstance(asked, int) else 10
        if arguments.get("events"):
            return {"events": [asdict(event) for event in await self._notebook.events(query, limit=limit)]}
        return {"memories": [asdict(memory) for memory in await self._notebook.search(query, limit=limit)]}

    async def _create(self, arguments: JsonObject, context: CallContext) -> JsonObject:
        given = {key: str(value) for key, value in arguments.items() if value}
        name = check_skill_id(str(arguments["name"]))
        body = adapt(str(arguments["text"]), fallback=name).body
        document = SkillDocument(name, str(arguments["description"]), body).with_own(
            category=given.get("category", ""), keywords=given.get("keywords", ""), origin="agent"
        )
        actor = proposer(self._desk.volumes, context.caller)
        run_id = context.caller.run_id
        written = await self._desk.draft(document, actor, context.caller, evidence=[run_id] if run_id else [])
        return written.as_dict()

    async def _promote(self, arguments: JsonObject, context: CallContext) -> JsonObject:
        reason = str(arguments.get("reason") or "Useful for team")
        actor = proposer(self._desk.volumes, context.caller)
        written = await self._desk.promote(str(arguments["name"]), actor, context.caller, reason=reason)
        return written.as_dict()

    async def _evolve(self, arguments: JsonObject, context: CallContext) -> JsonObject:
        return await self._evolution()
