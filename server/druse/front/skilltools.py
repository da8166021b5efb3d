"""Skills as capabilities an agent reaches with `run_tool`: `skills.create` and `skills.promote`.

Both only propose: nothing is in service before a person approves it, so they may be called at every trust level. A rule
that denies them still does.
"""

from __future__ import annotations

from collections.abc import Sequence

from druse.governance import SECURITY, Action
from druse.model import (
    CallContext,
    DruseError,
    Effect,
    Invalid,
    JsonObject,
    NotFound,
    Outcome,
    OutcomeStatus,
    Source,
    ToolSpec,
)
from druse.skills import SkillDesk, SkillDocument, Written, adapt, check_skill_id, proposer

_TEXT: JsonObject = {"type": "string"}


def _spec(alias: str, action: Action, description: str, properties: JsonObject, required: list[str]) -> ToolSpec:
    schema: JsonObject = {
        "type": "object",
        "properties": properties,
        "required": [*required],
        "additionalProperties": False,
    }
    return ToolSpec(
        alias.replace(".", "_"),
        Source.CAPABILITY,
        description,
        schema,
        effect=Effect.WRITE,
        alias=alias,
        action=str(action),
        security=SECURITY[action],
    )


SPECS: tuple[ToolSpec, ...] = (
    _spec(
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
    _spec(
        "skills.promote",
        Action.REGISTER,
        "Propose a skill of the user's for the team. Makes a branch; a person merges it.",
        {"name": _TEXT, "reason": _TEXT},
        ["name"],
    ),
)


class SkillTools:
    """Carries out the capabilities."""

    def __init__(self, desk: SkillDesk) -> None:
        self._desk = desk

    def specs(self) -> Sequence[ToolSpec]:
        """The capabilities."""
        return SPECS

    async def call(self, spec: ToolSpec, arguments: JsonObject, context: CallContext) -> Outcome:
        """Carry out one decided call."""
        try:
            written = await (self._create if spec.alias == "skills.create" else self._promote)(arguments, context)
        except DruseError as error:
            status = OutcomeStatus.INVALID if isinstance(error, Invalid | NotFound) else OutcomeStatus.FAILED
            return Outcome(status, message=str(error), kind=error.kind)
        data = written.as_dict()
        return Outcome(OutcomeStatus.OK, data=data, structured=data)

    async def _create(self, arguments: JsonObject, context: CallContext) -> Written:
        given = {key: str(value) for key, value in arguments.items() if value}
        name = check_skill_id(str(arguments["name"]))
        body = adapt(str(arguments["text"]), fallback=name).body
        document = SkillDocument(name, str(arguments["description"]), body).with_own(
            category=given.get("category", ""), keywords=given.get("keywords", ""), origin="agent"
        )
        actor = proposer(self._desk.volumes, context.caller)
        run_id = context.caller.run_id
        return await self._desk.draft(document, actor, context.caller, evidence=[run_id] if run_id else [])

    async def _promote(self, arguments: JsonObject, context: CallContext) -> Written:
        reason = str(arguments.get("reason") or "Useful for team")
        actor = proposer(self._desk.volumes, context.caller)
        return await self._desk.promote(str(arguments["name"]), actor, context.caller, reason=reason)
